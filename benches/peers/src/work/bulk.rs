//! Some connections, as fast as they go.

use super::flows::{Way, carry};
use super::{CPU_GIB, Column, EVENNESS, MBIT, PEAK, Work};
use crate::server::Process;
use std::io;
use std::time::Duration;

pub(crate) const UP_1: Bulk = Bulk {
    key: "up-1",
    title: "Bulk, client to server, one connection",
    way: Way::Up,
    flows: 1,
};

pub(crate) const DOWN_1: Bulk = Bulk {
    key: "down-1",
    title: "Bulk, server to client, one connection",
    way: Way::Down,
    flows: 1,
};

pub(crate) const UP_4: Bulk = Bulk {
    key: "up-4",
    title: "Bulk, client to server, 4 connections",
    way: Way::Up,
    flows: 4,
};

pub(crate) const DOWN_4: Bulk = Bulk {
    key: "down-4",
    title: "Bulk, server to client, 4 connections",
    way: Way::Down,
    flows: 4,
};

pub(crate) const UP_200: Bulk = Bulk {
    key: "up-200",
    title: "Bulk, client to server, 200 connections",
    way: Way::Up,
    flows: 200,
};

pub(crate) const DOWN_200: Bulk = Bulk {
    key: "down-200",
    title: "Bulk, server to client, 200 connections",
    way: Way::Down,
    flows: 200,
};

#[derive(Debug)]
pub(crate) struct Bulk {
    key: &'static str,
    title: &'static str,
    way: Way,
    flows: usize,
}

impl Work for Bulk {
    fn key(&self) -> &'static str {
        self.key
    }

    fn title(&self) -> &'static str {
        self.title
    }

    fn columns(&self) -> &'static [Column] {
        match self.flows {
            1 => &[MBIT, CPU_GIB, PEAK],
            _ => &[MBIT, CPU_GIB, EVENNESS, PEAK],
        }
    }

    fn most_rounds(&self) -> usize {
        if self.flows > 8 { 3 } else { usize::MAX }
    }

    fn run(&self, span: Duration, server: &Process) -> io::Result<Vec<f64>> {
        // Each of many has little of the time.
        let span = if self.flows > 8 { 4 * span } else { span };
        let carried = carry(self.way, self.flows, span, server)?;
        let mut figures = vec![carried.mbit, carried.cpu_gib];
        if self.flows > 1 {
            figures.push(carried.evenness);
        }
        figures.push(server.peak()? / 1024.0);
        Ok(figures)
    }
}

//! A connection that carries as much as it can, alone and then among many that carry nothing.

use super::flows::{Way, carry};
use super::{CPU_GIB, Column, DOWN_KEPT, MBIT, PEAK, UP_KEPT, Work};
use crate::contender::Contender;
use crate::holder::Holders;
use crate::server::Process;
use std::io;
use std::time::Duration;

/// Connections that do nothing.
const IDLE: usize = 10_000;

pub(crate) struct Beside;

impl Work for Beside {
    fn key(&self) -> &'static str {
        "beside-10000"
    }

    fn title(&self) -> &'static str {
        "Bulk beside 10,000 idle connections, mean of up and down"
    }

    fn columns(&self) -> &'static [Column] {
        &[MBIT, CPU_GIB, UP_KEPT, DOWN_KEPT, PEAK]
    }

    fn leaves_out(&self, contender: &Contender) -> Option<String> {
        let most = contender.most_connections.filter(|&most| most <= IDLE)?;
        Some(format!("it is built for {most} connections"))
    }

    fn most_rounds(&self) -> usize {
        2
    }

    fn run(&self, span: Duration, server: &Process) -> io::Result<Vec<f64>> {
        let up_alone = carry(Way::Up, 1, span, server)?;
        let down_alone = carry(Way::Down, 1, span, server)?;
        let _idle = Holders::open(0..IDLE)?;
        let up = carry(Way::Up, 1, span, server)?;
        let down = carry(Way::Down, 1, span, server)?;
        Ok(vec![
            f64::midpoint(up.mbit, down.mbit),
            f64::midpoint(up.cpu_gib, down.cpu_gib),
            up.mbit / up_alone.mbit,
            down.mbit / down_alone.mbit,
            server.peak()? / 1024.0,
        ])
    }
}

//! A connection from its SYN to its end, without data.

use super::Path;
use brooklet_benches::rig::{Rig, Still};
use brooklet_cell::Threaded;
use brooklet_tcp::{Config, TcpStream};
use std::time::Duration;

pub(super) fn connection() -> Box<dyn Path> {
    let time = Still::default();
    Box::new(Connection {
        rig: Rig::new(Config::default(), time.clock()),
        time,
        next: Next::Over,
        client: 0,
        packet: Vec::new(),
        stream: None,
    })
}

struct Connection {
    rig: Rig,
    time: Still,
    next: Next,
    client: usize,
    packet: Vec<u8>,
    stream: Option<TcpStream<Threaded>>,
}

/// What the client sends next, and what is made of it here.
#[derive(Clone, Copy)]
enum Next {
    Request,
    Establish,
    End,
    LastAck,
    Over,
}

impl Path for Connection {
    fn prepare(&mut self) -> bool {
        self.time.pass(Duration::from_millis(1));
        let (clients, n) = (&mut self.rig.clients, self.client);
        self.next = match self.next {
            Next::Over => {
                (self.client, self.packet) = clients.connect();
                Next::Request
            }
            Next::Request => {
                self.packet = self.rig.establish(n);
                Next::Establish
            }
            Next::Establish => {
                clients.finish(n, &mut self.packet);
                Next::End
            }
            Next::End => {
                clients.acknowledge(n, 1, &mut self.packet);
                Next::LastAck
            }
            Next::LastAck => {
                assert_eq!(self.rig.connections(), 0);
                Next::Over
            }
        };
        !matches!(self.next, Next::Over)
    }

    fn run(&mut self) {
        match self.next {
            Next::Request => self.rig.request(&mut self.packet),
            Next::Establish => self.stream = Some(self.rig.established(&mut self.packet)),
            Next::End | Next::LastAck => {
                self.rig.take_in(std::slice::from_mut(&mut self.packet));
                self.stream = None;
                self.rig.flush();
                self.rig.transmit();
            }
            Next::Over => {}
        }
    }
}

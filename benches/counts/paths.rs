//! The paths that are counted.

mod connection;
mod driver;
mod engine;
mod packet;
mod udp;

use brooklet_benches::rig::BATCH;

/// A piece of work, in rounds that are all alike.
pub(crate) trait Path {
    /// Makes what the next piece of the round needs, which is not counted. `false` ends the round.
    fn prepare(&mut self) -> bool;

    /// Does what is counted.
    fn run(&mut self);
}

/// How a path is called and made.
pub(crate) struct Named {
    pub(crate) name: &'static str,
    /// Of what a round has how many.
    pub(crate) unit: &'static str,
    pub(crate) units: usize,
    pub(crate) make: fn() -> Box<dyn Path>,
}

impl Named {
    const fn packet(name: &'static str, make: fn() -> Box<dyn Path>) -> Self {
        Self {
            name,
            unit: "a packet",
            units: BATCH,
            make,
        }
    }
}

pub(crate) const ALL: &[Named] = &[
    Named::packet("parse-v4-tcp", packet::parse),
    Named::packet("checksum-64", || packet::checksum(64)),
    Named::packet("checksum-1500", || packet::checksum(1500)),
    Named::packet("checksum-65535", || packet::checksum(65_535)),
    Named::packet("filter-unicast", packet::filter_unicast),
    Named::packet("filter-10000-networks", packet::filter_networks),
    Named::packet("tcp-data-in", || engine::data_in(1)),
    Named::packet("tcp-data-in-64-flows", || engine::data_in(BATCH)),
    Named {
        name: "tcp-ack-in",
        unit: "an acknowledgement",
        units: BATCH / 2,
        make: engine::ack_in,
    },
    Named::packet("tcp-segment-out", engine::segment_out),
    Named {
        name: "tcp-connection",
        unit: "a connection",
        units: 1,
        make: connection::connection,
    },
    Named::packet("udp-in", udp::datagram_in),
    Named::packet("udp-out", udp::datagram_out),
    Named::packet("driver-tcp-in", || driver::tcp_in(false)),
    Named::packet("driver-tcp-out", || driver::tcp_out(false)),
    Named {
        name: "driver-tcp-in-offload",
        unit: "1448 bytes",
        units: BATCH,
        make: || driver::tcp_in(true),
    },
    Named {
        name: "driver-tcp-out-offload",
        unit: "1448 bytes",
        units: BATCH,
        make: || driver::tcp_out(true),
    },
    Named::packet("driver-udp-echo", driver::udp_echo),
];

/// A round that is one piece of work.
struct Whole<B, R> {
    before: B,
    run: R,
    done: bool,
}

impl<B: FnMut(), R: FnMut()> Path for Whole<B, R> {
    fn prepare(&mut self) -> bool {
        self.done = !self.done;
        if !self.done {
            (self.before)();
        }
        !self.done
    }

    fn run(&mut self) {
        (self.run)();
    }
}

/// Does the same [`BATCH`] times, with nothing to be prepared.
fn each(mut run: impl FnMut() + 'static) -> Box<dyn Path> {
    Box::new(Whole {
        before: || {},
        run: move || (0..BATCH).for_each(|_| run()),
        done: true,
    })
}

// An engine, for the examples of the documentation. This file is no module of the crate: each
// example includes it.

use brooklet_cell::Threaded;
use brooklet_io::Clock;
use brooklet_packet::icmp::{self, Echo};
use brooklet_packet::{IpFields, Packet};
use brooklet_raw::{Config, Echoed, Engine, Interface};
use std::time::Instant;

pub fn engine() -> Engine<Threaded> {
    Engine::new(Interface::new(), Config::new(), Clock::new(Instant::now))
}

/// 10.0.0.1 pings 192.0.2.7.
#[allow(dead_code, reason = "not every example needs a ping")]
pub fn ping(engine: &Engine<Threaded>) -> Echoed {
    let (from, to) = ("10.0.0.1".parse().unwrap(), "192.0.2.7".parse().unwrap());
    let echo = Echo { identifier: 7, sequence: 1 };
    let mut bytes = Vec::new();
    icmp::write_echo_request(&mut bytes, from, to, IpFields::new(), echo, b"ping").unwrap();
    engine.handle_echo_request(Instant::now(), &Packet::parse(&bytes).unwrap())
}

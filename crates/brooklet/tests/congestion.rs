//! A burst of datagrams does not overflow the inbound queue while a task reads it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/host.rs"]
mod host;
#[path = "support/packets.rs"]
mod packets;
mod support;

use brooklet::{Builder, UdpConfig};
use host::Host;
use packets::{syn, udp};
use std::net::SocketAddr;
use support::addr;

const QUEUE: usize = 64;

fn host() -> Host<brooklet::filter::UnicastOnly> {
    Host::new(Builder::new().udp_config(UdpConfig::new().inbound_packets(QUEUE)))
}

/// Puts a burst of datagrams on the wire, each of another source.
fn burst(host: &mut Host<brooklet::filter::UnicastOnly>, datagrams: u16) {
    for port in 1..=datagrams {
        let from = SocketAddr::from(([10, 0, 0, 2], port));
        host.put(udp(from, addr("192.0.2.1:53"), b"x"));
    }
}

#[test]
fn a_task_that_reads_gets_every_datagram_of_a_burst() {
    let mut host = host();
    burst(&mut host, 400);
    let mut read = 0;
    for _ in 0..400 {
        host.run();
        while host.datagram().is_some() {
            read += 1;
        }
    }
    assert_eq!(read, 400, "{}", host.stack.stats());
}

#[test]
fn a_task_that_does_not_read_delays_no_other_packet_for_long() {
    let mut host = host();
    burst(&mut host, 200);
    host.put(syn(addr("10.0.0.2:5000"), addr("192.0.2.1:80"), 1));
    // One poll ends at half of the queue, and the next reads on.
    host.run();
    host.run();
    let stats = host.stack.stats();
    assert_eq!(stats.tcp.requested, 1, "{stats}");
    let dropped: u64 = stats.drops().map(|(_, count)| count).sum();
    assert!(dropped >= 200 - QUEUE as u64, "{stats}");
}

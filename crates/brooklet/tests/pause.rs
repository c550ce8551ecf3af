//! A pause of the process: time passes, and packets collect in the device.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/host.rs"]
mod host;
#[path = "support/packets.rs"]
mod packets;
mod support;

use brooklet::filter::UnicastOnly;
use brooklet::{Packet, TcpStream};
use brooklet_packet::TcpHeader;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use host::{Host, host};
use packets::{ping, summed, syn};
use std::net::SocketAddr;
use std::time::Duration;
use support::addr;

/// Longer than any time-out of a connection.
const PAUSE: Duration = Duration::from_secs(1000);

/// Packets of a batch of the driver.
const BATCH: usize = 64;

fn ends() -> (SocketAddr, SocketAddr) {
    (addr("10.0.0.2:5000"), addr("192.0.2.1:80"))
}

fn tcp_of(packets: &[Vec<u8>]) -> Vec<TcpHeader> {
    let tcp = |bytes: &Vec<u8>| Packet::parse(bytes).unwrap().tcp();
    packets.iter().filter_map(tcp).collect()
}

/// A segment of the client.
fn segment(seq: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
    let (from, to) = ends();
    let mut body = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    body.extend(seq.to_be_bytes());
    body.extend(ack.to_be_bytes());
    body.extend([0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    body.extend(payload);
    summed(from.ip(), to.ip(), 6, body, 16)
}

/// A connection on which the stack has sent 100 bytes that are not acknowledged; its stream, and
/// the acknowledgement.
fn unacknowledged(host: &mut Host<UnicastOnly>) -> (TcpStream, Vec<u8>) {
    let (from, to) = ends();
    host.give([syn(from, to, 1000)]);
    let listener = host.tcp.take().unwrap();
    let mut accept = Box::pin(listener.accept());
    assert!(future::block_on(future::poll_once(accept.as_mut())).is_none());
    let syn_ack = tcp_of(&host.run())[0];
    host.give([segment(1001, syn_ack.seq.wrapping_add(1), b"")]);
    let (mut stream, _) = future::block_on(accept).unwrap();
    future::block_on(stream.write_all(&[7; 100])).unwrap();
    assert_eq!(tcp_of(&host.run()).len(), 1, "the data");
    host.tcp = Some(listener);
    (
        stream,
        segment(1001, syn_ack.seq.wrapping_add(101), b"hello"),
    )
}

fn put_pings(host: &mut Host<UnicastOnly>, number: usize) {
    let (from, to) = ends();
    let ping = ping(from.ip(), to.ip(), b"in front");
    (0..number).for_each(|_| host.put(&ping));
}

#[test]
fn an_acknowledgement_that_waits_in_the_device_comes_before_the_time_outs() {
    for in_front in [0, BATCH - 1, BATCH, 6 * BATCH] {
        let mut host = host();
        let (mut stream, acknowledgement) = unacknowledged(&mut host);
        put_pings(&mut host, in_front);
        host.put(acknowledgement);
        let mut sent = host.pass(PAUSE);
        (0..8).for_each(|_| sent.extend(host.run()));
        let sent = tcp_of(&sent);
        let resets = sent.iter().filter(|tcp| tcp.flags.rst()).count();
        assert_eq!(resets, 0, "{in_front} packets in front");
        assert_eq!(sent.len(), 1, "an acknowledgement, and no retransmission");
        let mut hello = [0; 5];
        future::block_on(stream.read_exact(&mut hello)).unwrap();
        assert_eq!(&hello, b"hello");
    }
}

#[test]
fn a_device_that_is_never_empty_delays_the_time_outs_by_a_bounded_number_of_packets() {
    let mut host = host();
    let (_stream, _) = unacknowledged(&mut host);
    let mut read = 0;
    put_pings(&mut host, 4 * BATCH);
    let mut sent = tcp_of(&host.pass(PAUSE));
    while !sent.iter().any(|tcp| tcp.flags.rst()) {
        assert!(read <= 64 * BATCH, "no time-out after {read} packets");
        read += 4 * BATCH;
        put_pings(&mut host, 4 * BATCH);
        sent = tcp_of(&host.run());
    }
    assert!(read > 32 * BATCH, "a time-out after {read} packets");
}

//! UDP sessions and sockets through the driver, when others send too much or lie.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/host.rs"]
mod host;
#[path = "support/packets.rs"]
mod packets;
mod support;

use brooklet::{Packet, SessionConfig, UdpListener, UdpSession, Unreachable};
use brooklet_packet::icmp;
use futures_lite::future::{block_on, poll_once};
use packets::{fix, udp};
use std::net::SocketAddr;
use support::addr;

/// The sessions that wait to be accepted.
fn accepted(listener: &UdpListener) -> Vec<UdpSession> {
    let accept = || block_on(poll_once(listener.accept())).map(Result::unwrap);
    std::iter::from_fn(accept).collect()
}

#[test]
fn a_busy_session_takes_no_datagram_from_a_quiet_one() {
    let mut host = host::host();
    let listener = host.udp.take().unwrap();
    let listener = listener.into_sessions(SessionConfig::new());
    let to = addr("192.0.2.1:443");
    let (busy, quiet) = (addr("10.0.0.66:1"), ["10.0.0.66:2", "10.0.0.7:1"].map(addr));
    let mut sessions = Vec::new();
    for n in 0..1_000_u32 {
        host.give([udp(busy, to, &[1; 1400])]);
        if n % 100 == 0 {
            host.give(quiet.map(|from| udp(from, to, &n.to_be_bytes())));
        }
        sessions.extend(accepted(&listener));
    }
    let received = |from: SocketAddr| {
        let session = sessions.iter().find(|session| session.source() == from);
        let session = session.unwrap();
        let next = || session.try_recv_datagram().ok();
        std::iter::from_fn(next)
            .map(|datagram| datagram.payload)
            .collect::<Vec<_>>()
    };
    assert_eq!(sessions.len(), 3);
    assert_eq!(received(busy).len(), (256 << 10) / 1400);
    let wanted: Vec<_> = (0..10_u32).map(|n| (n * 100).to_be_bytes()).collect();
    for from in quiet {
        assert_eq!(received(from), wanted, "{from}");
    }
}

#[test]
fn a_client_with_many_ports_leaves_places_in_the_backlog() {
    let mut host = host::host();
    let socket = host.udp.take().unwrap();
    let listener = socket.into_sessions(SessionConfig::new());
    let to = addr("192.0.2.1:443");
    let flood = (1..=3_000).map(|port| SocketAddr::from(([10, 0, 0, 66], port)));
    host.give(flood.map(|from| udp(from, to, b"x")));
    let other = addr("10.0.0.7:5");
    host.give([udp(other, to, b"question")]);
    let sessions = accepted(&listener);
    assert!(sessions.iter().any(|session| session.source() == other));
    assert!(sessions.len() > 512, "{}", sessions.len());
}

/// "Packet too big" about a datagram that nobody has sent.
fn forged(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let datagram = dont_fragment(udp(from, to, &[1; 800]));
    let mut error = Vec::new();
    let too_big = Unreachable::PacketTooBig { mtu: 100 };
    assert!(icmp::error(
        &mut error,
        &Packet::parse(&datagram).unwrap(),
        too_big
    ));
    error
}

fn dont_fragment(mut packet: Vec<u8>) -> Vec<u8> {
    packet[6] |= 0x40;
    fix(&mut packet);
    packet
}

#[test]
fn a_forged_packet_too_big_stops_no_client() {
    let mut host = host::host();
    let (attacker, server) = (addr("198.51.100.9:7777"), addr("192.0.2.1:443"));
    let _unconnected = host.stack.bind_udp(addr("0.0.0.0:7777")).unwrap();
    host.give([
        forged(attacker, server),
        forged(addr("198.51.100.9:1"), server),
    ]);
    assert_eq!(host.stack.path_mtu(server.ip()), 1500);
    let question = dont_fragment(udp(addr("10.0.0.2:5000"), server, &[1; 1200]));
    assert!(host.give([question]).is_empty());
    assert_eq!(host.datagram().unwrap().payload.len(), 1200);
}

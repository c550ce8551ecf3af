//! Packets with addresses that no host uses on a link, and TCP segments from port 0.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/host.rs"]
mod host;
#[path = "support/packets.rs"]
mod packets;
mod support;

use brooklet::filter::PassAll;
use brooklet::{Builder, DropReason};
use host::Host;
use packets::{fragments, ping, summed, syn, udp};
use std::net::{IpAddr, SocketAddr};
use support::addr;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A segment that belongs to no connection, from port 4000 or another.
fn ack(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let mut body = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    body.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    summed(from.ip(), to.ip(), 6, body, 16)
}

#[test]
fn martians_are_dropped_without_an_answer_whatever_the_filter_says() {
    let v4 = ip("192.0.2.1");
    let v6 = ip("2001:db8::1");
    let pairs = [
        (ip("127.0.0.1"), v4),
        (ip("0.0.0.0"), v4),
        (ip("0.1.2.3"), v4),
        (ip("224.0.0.1"), v4),
        (ip("240.0.0.1"), v4),
        (ip("255.255.255.255"), v4),
        (v4, ip("127.0.0.1")),
        (v4, ip("127.1.2.3")),
        (v4, ip("0.0.0.0")),
        (ip("::1"), v6),
        (ip("::"), v6),
        (ip("ff02::1"), v6),
        (ip("::ffff:10.0.0.2"), v6),
        (v6, ip("::1")),
        (v6, ip("::")),
        (v6, ip("::ffff:10.0.0.2")),
    ];
    let mut host = Host::new(Builder::new().filter(PassAll));
    host.udp = None; // a datagram that is delivered is answered by an ICMP error
    host.tcp = None; // a SYN that is delivered is answered by a RST
    let mut martians = 0;
    for (from, to) in pairs {
        let (from, to) = (SocketAddr::new(from, 4000), SocketAddr::new(to, 80));
        let datagram = udp(from, to, &[7; 64]);
        let mut packets = fragments(&datagram, &[16]);
        packets.push(syn(from, to, 1));
        packets.push(ack(from, to));
        packets.push(datagram);
        packets.push(ping(from.ip(), to.ip(), b"ping"));
        for packet in packets {
            martians += 1;
            let sent = host.give([packet]);
            assert!(sent.is_empty(), "{from} -> {to} is answered");
            let stats = host.stack.stats();
            let dropped = stats.dropped(DropReason::Martian);
            assert_eq!(dropped, martians, "{from} -> {to}\n{stats}");
        }
    }
    let all: u64 = host.stack.stats().drops().map(|(_, count)| count).sum();
    assert_eq!(all, martians);
}

#[test]
fn datagrams_to_a_group_are_delivered_if_the_filter_passes_them() {
    let mut host = Host::new(Builder::new().filter(PassAll));
    for (from, to) in [
        ("10.0.0.2:5353", "224.0.0.251:5353"),
        ("10.0.0.2:68", "255.255.255.255:67"),
        ("[fe80::2]:5353", "[ff02::fb]:5353"),
    ] {
        host.give([udp(addr(from), addr(to), b"who?")]);
        let datagram = host.datagram().expect(to);
        assert_eq!((datagram.from, datagram.to), (addr(from), addr(to)));
    }
}

#[test]
fn a_datagram_from_port_0_is_delivered() {
    // RFC 768: the source port is optional.
    let mut host = host::host();
    host.give([udp(addr("10.0.0.2:0"), addr("192.0.2.1:53"), b"no answer")]);
    assert_eq!(host.datagram().unwrap().from, addr("10.0.0.2:0"));
}

#[test]
fn a_tcp_segment_from_port_0_is_not_answered() {
    let mut host = host::host();
    let to = addr("192.0.2.1:80");
    assert_eq!(host.give([ack(addr("10.0.0.2:1"), to)]).len(), 1, "a RST");
    let packets = [ack(addr("10.0.0.2:0"), to), syn(addr("10.0.0.2:0"), to, 1)];
    assert!(host.give(packets).is_empty());
    let stats = host.stack.stats();
    assert_eq!(stats.dropped(DropReason::TcpBadAddress), 2);
}

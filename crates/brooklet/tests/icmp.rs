//! ICMP errors, sent and received, and the packets that a host drops without a word.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/host.rs"]
mod host;
#[path = "support/packets.rs"]
mod packets;
mod support;

use brooklet::filter::{Direction, Verdict};
use brooklet::{Builder, Datagram, DropReason, Packet, ParseError};
use futures_lite::future;
use host::{Host, host};
use packets::{fix, fragment, ip, ping, summed, syn, udp};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Icmpv4DstUnreachable, Icmpv6DstUnreachable, Icmpv6ParamProblem};
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr};
use smoltcp::wire::{Ipv4Packet, Ipv6Packet};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;
use support::addr;

const V4: (&str, &str) = ("10.0.0.2:5000", "192.0.2.1:53");
const V6: (&str, &str) = ("[fd00::2]:5000", "[2001:db8::1]:53");

fn ips((from, to): (&str, &str)) -> (IpAddr, IpAddr) {
    (addr(from).ip(), addr(to).ip())
}

/// A host on which nobody takes datagrams.
fn deaf() -> Host<brooklet::filter::UnicastOnly> {
    let mut host = host();
    host.udp = None;
    host
}

/// The one packet, read by smoltcp.
fn one(mut packets: Vec<Vec<u8>>) -> Vec<u8> {
    assert_eq!(packets.len(), 1, "{packets:02x?}");
    packets.remove(0)
}

fn read_v4(packet: &[u8]) -> Icmpv4Repr<'_> {
    let ip = Ipv4Packet::new_checked(packet).unwrap();
    assert!(ip.verify_checksum());
    let message = Icmpv4Packet::new_checked(ip.payload()).unwrap();
    Icmpv4Repr::parse(&message, &ChecksumCapabilities::default()).unwrap()
}

fn read_v6(packet: &[u8]) -> Icmpv6Repr<'_> {
    let ip = Ipv6Packet::new_checked(packet).unwrap();
    let message = Icmpv6Packet::new_checked(ip.payload()).unwrap();
    let checksums = ChecksumCapabilities::default();
    Icmpv6Repr::parse(&ip.src_addr(), &ip.dst_addr(), &message, &checksums).unwrap()
}

#[test]
fn a_datagram_to_a_port_where_nobody_listens() {
    let mut host = deaf();
    let answer = one(host.give([udp(addr(V4.0), addr(V4.1), b"hello")]));
    let Icmpv4Repr::DstUnreachable { reason, data, .. } = read_v4(&answer) else {
        panic!("{answer:02x?}");
    };
    assert_eq!(reason, Icmpv4DstUnreachable::PortUnreachable);
    assert_eq!(&data[8..], b"hello");

    let answer = one(host.give([udp(addr(V6.0), addr(V6.1), &[5; 2000])]));
    assert_eq!(answer.len(), 1280);
    let Icmpv6Repr::DstUnreachable { reason, .. } = read_v6(&answer) else {
        panic!("{answer:02x?}");
    };
    assert_eq!(reason, Icmpv6DstUnreachable::PortUnreachable);
    assert_eq!(host.stack.stats().dropped(DropReason::UdpNoListener), 2);
}

#[test]
fn a_protocol_that_nobody_speaks() {
    let mut host = host();
    let (from, to) = ips(V4);
    let answer = one(host.give([ip(from, to, 132, &[0; 16])]));
    let Icmpv4Repr::DstUnreachable { reason, .. } = read_v4(&answer) else {
        panic!("{answer:02x?}");
    };
    assert_eq!(reason, Icmpv4DstUnreachable::ProtoUnreachable);

    let (from, to) = ips(V6);
    // Named by the IPv6 header, and by destination options in front of it.
    let options = [&[200, 0, 1, 4, 0, 0, 0, 0], &[0u8; 16][..]].concat();
    for (packet, at) in [
        (ip(from, to, 200, &[0; 16]), 6),
        (ip(from, to, 60, &options), 40),
    ] {
        let answer = one(host.give([packet]));
        let Icmpv6Repr::ParamProblem {
            reason, pointer, ..
        } = read_v6(&answer)
        else {
            panic!("{answer:02x?}");
        };
        assert_eq!(
            (reason, pointer),
            (Icmpv6ParamProblem::UnrecognizedNxtHdr, at)
        );
    }
    assert_eq!(host.stack.stats().dropped(DropReason::UnknownProtocol), 3);
    // Nothing follows: that is no unknown protocol.
    assert!(host.give([ip(from, to, 59, &[])]).is_empty());
    assert_eq!(host.stack.stats().dropped(DropReason::UnknownProtocol), 4);
}

#[test]
fn no_error_where_none_may_be_sent() {
    // The filter lets everything through, so that nothing but the rules of ICMP is left.
    let all = |_: &Packet<'_>, _: Direction| Verdict::Pass;
    let mut host = Host::new(Builder::new().filter(all));
    host.udp = None;
    let (a, b) = ips(V4);
    let quoted = udp(addr(V4.1), addr(V4.0), b"x");
    let error = |kind: u8| {
        summed(
            a,
            b,
            1,
            [&[kind, 3, 0, 0, 0, 0, 0, 0], &quoted[..]].concat(),
            2,
        )
    };
    let first = fragment(&ip(a, b, 132, &[0; 16]), 0, true, &[0; 16]);
    let silent = [
        ("an error", error(3)),
        ("a redirect", error(5)),
        ("a multicast", udp(addr(V4.0), addr("224.0.0.1:53"), b"x")),
        (
            "a broadcast",
            udp(addr(V4.0), addr("255.255.255.255:53"), b"x"),
        ),
        ("from nobody", udp(addr("0.0.0.0:68"), addr(V4.1), b"x")),
        ("from a group", udp(addr("224.0.0.1:68"), addr(V4.1), b"x")),
        ("to a group", udp(addr(V6.0), addr("[ff02::1]:53"), b"x")),
        ("from nowhere", udp(addr("[::]:68"), addr(V6.1), b"x")),
        ("a fragment", first),
    ];
    for (what, packet) in silent {
        assert!(host.give([packet]).is_empty(), "{what}");
    }
    assert_eq!(host.give([udp(addr(V4.0), addr(V4.1), b"x")]).len(), 1);
}

#[test]
fn errors_are_sent_at_a_limited_rate() {
    let all = |_: &Packet<'_>, _: Direction| Verdict::Pass;
    let mut host = Host::new(Builder::new().filter(all));
    host.udp = None;
    let datagrams = |count| (0..count).map(|_| udp(addr(V4.0), addr(V4.1), b"x"));
    assert_eq!(host.give(datagrams(200)).len(), 50);
    assert_eq!(host.stack.stats().dropped(DropReason::IcmpLimited), 150);
    host.pass(Duration::from_secs(1));
    // An error that may not be sent at all costs nothing.
    let group = udp(addr(V4.0), addr("224.0.0.1:53"), b"x");
    assert!(host.give((0..100).map(|_| &group)).is_empty());
    assert_eq!(host.give(datagrams(200)).len(), 50);
    assert_eq!(host.stack.stats().dropped(DropReason::IcmpLimited), 300);
    host.pass(Duration::from_millis(100));
    assert_eq!(host.give(datagrams(200)).len(), 10);
    // Pings are answered all the same.
    let (from, to) = ips(V4);
    let pings = (0..100).map(|_| ping(from, to, b"x"));
    assert_eq!(host.give(pings).len(), 100);
}

#[test]
fn errors_of_others_are_counted_and_end_there() {
    let mut host = host();
    for ends in [V4, V6] {
        let (peer, here) = ips(ends);
        let sent = udp(addr(ends.1), addr(ends.0), b"an answer");
        let (protocol, kind) = if here.is_ipv4() { (1, 3) } else { (58, 1) };
        let error = [&[kind, 3, 0, 0, 0, 0, 0, 0], &sent[..]].concat();
        let good = summed(peer, here, protocol, error, 2);
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        assert!(host.give([good, bad]).is_empty());
    }
    let stats = host.stack.stats();
    assert_eq!(
        (stats.icmp_errors, stats.dropped(DropReason::BadChecksum)),
        (2, 2)
    );
    assert_eq!(stats.dropped(DropReason::IcmpUnanswered), 0);
}

#[test]
fn extension_headers_before_a_syn() {
    for next_header in [0, 60] {
        let mut host = host();
        let mut packet = syn(addr(V6.0), addr(V6.1), 7);
        packet.splice(40..40, [packet[6], 0, 1, 4, 0, 0, 0, 0]); // PadN
        packet[6] = next_header;
        let length = (packet.len() - 40) as u16;
        packet[4..6].copy_from_slice(&length.to_be_bytes());
        host.give([packet]);
        assert_eq!(
            host.stack.stats().tcp.requests,
            1,
            "next header {next_header}"
        );
        let tcp = host.tcp.take().unwrap();
        let accepted = future::block_on(future::poll_once(tcp.accept()));
        assert!(accepted.is_none(), "not before the handshake ends");
        let answers = host.run();
        let syn_ack = Packet::parse(&answers[0]).unwrap();
        let header = syn_ack.tcp().unwrap();
        assert!(header.flags.syn() && header.flags.ack() && header.ack == 8);
    }
}

#[test]
fn a_udp_checksum_of_zero_is_right_with_ipv4_only() {
    for (ends, at, taken) in [(V4, 26, true), (V6, 46, false)] {
        let mut host = host();
        let mut packet = udp(addr(ends.0), addr(ends.1), b"hello");
        packet[at..at + 2].fill(0);
        assert!(host.give([packet]).is_empty());
        assert_eq!(host.datagram().is_some(), taken);
        let dropped = host.stack.stats().dropped(DropReason::BadChecksum);
        assert_eq!(dropped, u64::from(!taken));
    }
}

#[test]
fn udp_lengths_that_do_not_fit() {
    for (ends, at) in [(V4, 24), (V6, 44)] {
        let mut host = host();
        for length in [0u16, 7, 14, 0xffff] {
            let mut packet = udp(addr(ends.0), addr(ends.1), b"hello");
            packet[at..at + 2].copy_from_slice(&length.to_be_bytes());
            if packet[0] == 0x45 {
                packet[26..28].fill(0);
                fix(&mut packet);
            }
            assert!(host.give([packet]).is_empty(), "length {length}");
        }
        assert!(host.datagram().is_none());
        let reason = DropReason::Malformed(ParseError::UdpHeader);
        assert_eq!(host.stack.stats().dropped(reason), 4);
        host.give([udp(addr(ends.0), addr(ends.1), b"hello")]);
        assert_eq!(host.datagram().unwrap().payload, b"hello");
    }
}

#[test]
fn a_datagram_longer_than_the_mtu_that_must_not_be_fragmented_is_refused_with_reasons() {
    let mut host = host();
    for (ends, limit) in [(V4, 1472), (V6, 1452)] {
        let socket = host.udp.as_ref().unwrap();
        let (to, from) = (addr(ends.0), addr(ends.1));
        let datagram = |len| Datagram::new(vec![0; len], from, to).dont_fragment(true);
        let refused = future::block_on(socket.send_datagram(&datagram(3000))).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        for word in ["3000", &limit.to_string(), "1500"] {
            assert!(refused.to_string().contains(word), "{refused}");
        }
        assert!(host.run().is_empty());
        let socket = host.udp.as_ref().unwrap();
        future::block_on(socket.send_datagram(&datagram(limit))).unwrap();
        assert_eq!(one(host.run()).len(), 1500);
    }
}

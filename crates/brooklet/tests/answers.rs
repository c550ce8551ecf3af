//! Answers to packets that do not parse, and to fragments whose packet is never complete.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/host.rs"]
mod host;
#[path = "support/packets.rs"]
mod packets;
mod support;

use brooklet::filter::PassAll;
use brooklet::{Builder, DropReason, Packet, ParseError};
use brooklet_packet::icmp::ParameterProblemKind::{HeaderField, NextHeader, Option as Opt};
use brooklet_packet::icmp::{self, IcmpError, IcmpErrorKind, ParameterProblem};
use host::Host;
use packets::{fragments, ip, udp};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use support::addr;

const HERE: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const OPTIONS: u8 = 60;

fn ends() -> (IpAddr, IpAddr) {
    (addr("[fd00::2]:0").ip(), addr("[2001:db8::1]:0").ip())
}

/// An extension header of 8 bytes before a datagram.
fn extended(to: IpAddr, next_header: u8, rest: [u8; 6]) -> Vec<u8> {
    let (from, _) = ends();
    let datagram = [0, 1, 0, 2, 0, 8, 0, 0];
    let body = [&[17, 0][..], &rest, &datagram].concat();
    ip(from, to, next_header, &body)
}

/// An unknown option of this type.
fn option(to: IpAddr, kind: u8) -> Vec<u8> {
    extended(to, OPTIONS, [kind, 4, 0, 0, 0, 0])
}

fn error(packets: &[Vec<u8>]) -> IcmpError {
    assert_eq!(packets.len(), 1, "{packets:02x?}");
    icmp::parse_error(&Packet::parse(&packets[0]).unwrap()).expect("an ICMP error")
}

#[test]
fn parameter_problems_of_extension_headers_are_reported() {
    let (from, to) = ends();
    let twice = [
        &[HOP_BY_HOP, 0, 1, 4, 0, 0, 0, 0][..],
        &[17, 0, 1, 4, 0, 0, 0, 0],
        &[0, 1, 0, 2, 0, 8, 0, 0],
    ]
    .concat();
    for (packet, fault, pointer, kind) in [
        (option(to, 0x9e), ParseError::UnknownOption, 42, Opt),
        (option(to, 0xde), ParseError::UnknownOption, 42, Opt),
        (
            extended(to, ROUTING, [4, 1, 0, 0, 0, 0]),
            ParseError::RoutingHeader,
            42,
            HeaderField,
        ),
        (
            ip(from, to, OPTIONS, &twice),
            ParseError::HopByHopOrder,
            40,
            NextHeader,
        ),
    ] {
        let mut host = host::host();
        let error = error(&host.give([packet]));
        assert_eq!((error.from, error.key.addresses()), (to, (from, to)));
        let problem = ParameterProblem { pointer, kind };
        match kind {
            // Code 1 is that of an unknown protocol.
            NextHeader => assert!(matches!(error.kind, IcmpErrorKind::Unreachable(_))),
            _ => assert_eq!(error.kind, IcmpErrorKind::ParameterProblem(problem)),
        }
        let stats = host.stack.stats();
        assert_eq!(stats.dropped(DropReason::Malformed(fault)), 1);
        assert_eq!(stats.drops().map(|(_, n)| n).sum::<u64>(), 1);
    }
}

#[test]
fn the_options_that_ask_for_no_answer_get_none() {
    let (_, to) = ends();
    let group = addr("[ff02::1]:0").ip();
    let own = || Builder::new().filter(PassAll).address(HERE);
    // 01: dropped silently. 11: with an answer only if the packet is not to a group.
    for (packet, answers) in [
        (option(to, 0x5e), 0),
        (option(group, 0xde), 0),
        (option(group, 0x9e), 1),
    ] {
        let mut host = Host::new(own());
        assert_eq!(host.give([&packet]).len(), answers, "{packet:02x?}");
    }
    // Without an address there is no source for an answer to a group.
    let mut host = Host::new(Builder::new().filter(PassAll));
    assert!(host.give([option(group, 0x9e)]).is_empty());
}

#[test]
fn malformed_packets_of_martians_and_of_ipv6_on_an_ipv4_stack_are_not_answered() {
    let (_, to) = ends();
    let mut host = Host::new(Builder::new().filter(PassAll));
    for source in ["[::1]:0", "[::]:0", "[ff02::1]:0", "[::ffff:10.0.0.2]:0"] {
        let IpAddr::V6(source) = addr(source).ip() else {
            unreachable!()
        };
        let mut packet = option(to, 0x9e);
        packet[8..24].copy_from_slice(&source.octets());
        assert!(host.give([packet]).is_empty(), "{source}");
    }
    let mut host = Host::new(Builder::new().ipv6(false));
    assert!(host.give([option(to, 0x9e)]).is_empty());
}

#[test]
fn parameter_problems_are_sent_at_a_limited_rate() {
    let (_, to) = ends();
    let mut host = host::host();
    assert_eq!(host.give((0..80).map(|_| option(to, 0x9e))).len(), 50);
    assert_eq!(host.stack.stats().dropped(DropReason::IcmpLimited), 30);
}

#[test]
fn a_reassembled_packet_that_does_not_parse_is_answered() {
    let (from, to) = ends();
    let datagram = [0, 1, 0, 2, 0, 24, 0, 0];
    let option = [17, 0, 0x9e, 4, 0, 0, 0, 0];
    let body = [&option[..], &datagram, &[7; 16]].concat();
    let mut host = host::host();
    let error = error(&host.give(fragments(&ip(from, to, OPTIONS, &body), &[16])));
    assert!(matches!(error.kind, IcmpErrorKind::ParameterProblem(_)));
}

#[test]
fn a_packet_that_is_not_complete_in_time_is_answered_if_its_first_fragment_arrived() {
    for (from, to) in [
        ("10.0.0.2:5000", "192.0.2.1:53"),
        ("[fd00::2]:5000", "[2001:db8::1]:53"),
    ] {
        let datagram = udp(addr(from), addr(to), &[7; 2000]);
        let fragments = fragments(&datagram, &[800, 1600]);
        for (given, answered) in [(&fragments[..2], true), (&fragments[1..], false)] {
            let mut host = host::host();
            assert!(host.give(given).is_empty());
            assert!(host.pass(Duration::from_millis(14_999)).is_empty());
            let answers = host.pass(Duration::from_millis(1));
            assert_eq!(answers.len(), usize::from(answered));
            if answered {
                let error = error(&answers);
                assert_eq!(error.kind, IcmpErrorKind::ReassemblyTimeExceeded);
                assert_eq!(error.from, addr(to).ip());
            }
            let stats = host.stack.stats();
            assert_eq!(stats.dropped(DropReason::FragmentExpired), 2);
        }
    }
}

#[test]
fn a_fragment_that_arrives_when_its_packet_has_expired_completes_nothing() {
    let (from, to) = (addr("10.0.0.2:5000"), addr("192.0.2.1:53"));
    let fragments = fragments(&udp(from, to, &[7; 2000]), &[1000]);
    let mut host = host::host();
    host.give([&fragments[0]]);
    host.advance(Duration::from_secs(15));
    let answers = host.give([&fragments[1]]);
    assert_eq!(error(&answers).kind, IcmpErrorKind::ReassemblyTimeExceeded);
    assert!(host.datagram().is_none());
}

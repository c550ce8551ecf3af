//! The errors of others: what they say, and about which packet.

use super::build::*;
use crate::icmp::{
    self, Echo, IcmpError, IcmpErrorKind, ParameterProblem, ParameterProblemKind, Unreachable,
    parse_error,
};
use crate::{FlowKey, Packet, Protocol};
use std::net::IpAddr;

fn error_of(bytes: &[u8]) -> Option<IcmpError> {
    parse_error(&Packet::parse(bytes).unwrap())
}

/// Something that A4 or A6 sent to B4 or B6.
fn sent_v4() -> Vec<u8> {
    let mut packet = v4(6, &[], &tcp(ACK, 0x0102_0304, 0, &[], b"data"));
    packet[6] = 0x40; // don't fragment
    fix_v4(&mut packet);
    packet
}

fn sent_v6() -> Vec<u8> {
    v6(6, &tcp(ACK, 0x0102_0304, 0, &[], b"data"))
}

/// An error from a host on the way back to A4 or A6.
fn error(kind: u8, code: u8, number: u32, quoted: &[u8]) -> Vec<u8> {
    let is_v4 = quoted.first().is_none_or(|first| first >> 4 != 6);
    error_in(is_v4, kind, code, number, quoted)
}

fn error_in(is_v4: bool, kind: u8, code: u8, number: u32, quoted: &[u8]) -> Vec<u8> {
    let mut message = icmp(kind, code, quoted);
    message[4..8].copy_from_slice(&number.to_be_bytes());
    let mut packet = if is_v4 {
        v4(1, &[], &summed_v4(1, message))
    } else {
        v6(58, &summed_v6(58, message))
    };
    // From B to A; a sum over both addresses stays the same.
    if is_v4 {
        packet[12..20].rotate_left(4);
    } else {
        packet[8..40].rotate_left(16);
    }
    packet
}

fn problem(pointer: u32, kind: ParameterProblemKind) -> IcmpErrorKind {
    ParameterProblem { pointer, kind }.into()
}

fn key(v4: bool, ports: bool) -> FlowKey {
    let (from, to) = if ports { (4000, 80) } else { (0, 0) };
    if v4 {
        FlowKey::v4(A4, B4, from, to)
    } else {
        FlowKey::v6(A6, B6, from, to)
    }
}

#[test]
fn what_is_written_is_read() {
    for sent in [sent_v4(), sent_v6()] {
        for why in [
            Unreachable::Network,
            Unreachable::Host,
            Unreachable::Protocol,
            Unreachable::Port,
            Unreachable::Prohibited,
            Unreachable::PacketTooBig { mtu: 1300 },
        ] {
            let mut out = Vec::new();
            assert!(icmp::error(&mut out, &Packet::parse(&sent).unwrap(), why));
            let expected = IcmpError {
                kind: IcmpErrorKind::Unreachable(why),
                from: Packet::parse(&sent).unwrap().destination(),
                key: Packet::parse(&sent).unwrap().key(),
                protocol: Protocol::Tcp,
                seq: Some(0x0102_0304),
                echo: None,
            };
            assert_eq!(error_of(&out), Some(expected));
        }
    }
}

#[test]
fn kinds_of_ipv4() {
    use IcmpErrorKind::{HopLimitExceeded, ReassemblyTimeExceeded};
    use Unreachable::*;
    let kind = |kind, code| error_of(&error(kind, code, 0, &sent_v4())).map(|error| error.kind);
    let codes = [
        Network,
        Host,
        Protocol,
        Port,
        PacketTooBig { mtu: 0 },
        Network,
        Network,
        Host,
        Host,
        Prohibited,
        Prohibited,
        Network,
        Host,
        Prohibited,
        Prohibited,
        Prohibited,
    ];
    for (code, why) in (0..).zip(codes) {
        assert_eq!(
            kind(3, code),
            Some(IcmpErrorKind::Unreachable(why)),
            "{code}"
        );
    }
    assert_eq!(
        (kind(11, 0), kind(11, 1)),
        (Some(HopLimitExceeded), Some(ReassemblyTimeExceeded))
    );
    for code in 0..=2 {
        let read = error_of(&error(12, code, 0x14ff_ffff, &sent_v4())).unwrap();
        assert_eq!(read.kind, problem(20, ParameterProblemKind::HeaderField));
    }
    // Unknown codes, echo, source quench, redirect, and ICMPv6's numbers.
    for (other, code) in [
        (3, 16),
        (11, 2),
        (12, 3),
        (0, 0),
        (8, 0),
        (4, 0),
        (5, 0),
        (1, 0),
        (2, 0),
    ] {
        assert_eq!(kind(other, code), None, "{other} {code}");
    }
}

#[test]
fn kinds_of_ipv6() {
    use IcmpErrorKind::{HopLimitExceeded, ReassemblyTimeExceeded};
    use Unreachable::*;
    let kind = |kind, code| error_of(&error(kind, code, 1280, &sent_v6())).map(|error| error.kind);
    let codes = [
        Network, Prohibited, Network, Host, Port, Prohibited, Prohibited,
    ];
    for (code, why) in (0..).zip(codes) {
        assert_eq!(
            kind(1, code),
            Some(IcmpErrorKind::Unreachable(why)),
            "{code}"
        );
    }
    let too_big = Some(IcmpErrorKind::Unreachable(PacketTooBig { mtu: 1280 }));
    assert_eq!((kind(2, 0), kind(2, 7)), (too_big, too_big));
    assert_eq!(
        (kind(3, 0), kind(3, 1)),
        (Some(HopLimitExceeded), Some(ReassemblyTimeExceeded))
    );
    assert_eq!(kind(4, 1), Some(IcmpErrorKind::Unreachable(Protocol)));
    for (code, what) in [
        (0, ParameterProblemKind::HeaderField),
        (2, ParameterProblemKind::Option),
        (3, ParameterProblemKind::IncompleteHeaderChain),
        (4, ParameterProblemKind::HeaderField),
        (10, ParameterProblemKind::HeaderField),
    ] {
        assert_eq!(kind(4, code), Some(problem(1280, what)), "{code}");
    }
    for (other, code) in [(1, 7), (3, 2), (4, 11), (11, 0), (128, 0), (137, 0), (0, 0)] {
        assert_eq!(kind(other, code), None, "{other} {code}");
    }
}

#[test]
fn an_mtu_that_no_ipv6_link_has_is_not_believed() {
    assert_eq!(error_of(&error(2, 0, 1279, &sent_v6())), None);
    let error = error_of(&error(2, 0, u32::MAX, &sent_v6())).unwrap();
    let why = Unreachable::PacketTooBig { mtu: u32::MAX };
    assert_eq!(error.kind, IcmpErrorKind::Unreachable(why));
}

#[test]
fn the_mtu_of_ipv4() {
    // The upper half of the word is unused (RFC 1191, 4).
    let error = error_of(&error(3, 4, 0xffff_03e8, &sent_v4())).unwrap();
    let why = Unreachable::PacketTooBig { mtu: 1000 };
    assert_eq!(error.kind, IcmpErrorKind::Unreachable(why));
}

#[test]
fn eight_bytes_of_the_segment_are_enough_and_fewer_are_not() {
    for (sent, header_len, kind) in [(sent_v4(), 20, 3), (sent_v6(), 40, 1)] {
        for len in 1..sent.len() {
            let read = error_of(&error(kind, 0, 0, &sent[..len]));
            assert_eq!(read.is_some(), len >= header_len + 8, "{len}");
            if let Some(read) = read {
                assert_eq!(
                    (read.key, read.seq),
                    (key(kind == 3, true), Some(0x0102_0304))
                );
            }
        }
        // The length field of the packet, not only the quotation, says how much there was.
        let mut short = sent.clone();
        let at = if kind == 3 { 2 } else { 4 };
        let too_short = if kind == 3 { 27u16 } else { 7 };
        short[at..at + 2].copy_from_slice(&too_short.to_be_bytes());
        assert_eq!(error_of(&error(kind, 0, 0, &short)), None);
    }
    assert_eq!(error_of(&error(3, 0, 0, &[])), None);
}

#[test]
fn options_and_extension_headers_of_the_packet_are_passed_over() {
    let segment = tcp(SYN, 7, 0, &[], b"");
    let with_options = v4(6, &[1; 12], &segment);
    let read = error_of(&error(3, 1, 0, &with_options)).unwrap();
    assert_eq!((read.key, read.seq), (key(true, true), Some(7)));

    let chain = [ext(60, 1), ext(6, 0), segment].concat();
    let read = error_of(&error(1, 3, 0, &v6(0, &chain))).unwrap();
    assert_eq!((read.key, read.seq), (key(false, true), Some(7)));
    // A quotation that ends inside of the chain says nothing.
    assert_eq!(error_of(&error(1, 3, 0, &v6(0, &chain)[..60])), None);
}

#[test]
fn fragments_but_the_first_have_no_ports() {
    for (field, read) in [(0x2000u16, true), (0x2001, false), (0x0001, false)] {
        let mut sent = sent_v4();
        sent[6..8].copy_from_slice(&field.to_be_bytes());
        assert_eq!(
            error_of(&error(11, 1, 0, &sent)).is_some(),
            read,
            "{field:#x}"
        );
    }
    for (offset, read) in [(0, true), (8, false)] {
        let piece = [
            fragment_header(6, offset, true, 1),
            tcp(SYN, 7, 0, &[], b""),
        ]
        .concat();
        assert_eq!(error_of(&error(3, 1, 0, &v6(44, &piece))).is_some(), read);
    }
}

#[test]
fn other_protocols_have_neither_ports_nor_numbers() {
    let datagram = v4(17, &[], &udp(b"data"));
    let read = error_of(&error(3, 3, 0, &datagram)).unwrap();
    assert_eq!((read.protocol, read.seq), (Protocol::Udp, None));
    assert_eq!(
        (read.key.source().port(), read.key.destination().port()),
        (5000, 53)
    );

    let ping = v6(58, &icmp(128, 0, b""));
    let read = error_of(&error(1, 3, 0, &ping)).unwrap();
    assert_eq!((read.protocol, read.seq), (Protocol::Icmpv6, None));
    assert_eq!(read.key, key(false, false));
}

#[test]
fn only_about_packets_of_the_one_it_comes_to() {
    let quoting = |at, sent: Vec<u8>| {
        let mut sent = sent;
        sent[at] ^= 1;
        sent
    };
    assert_eq!(error_of(&error(3, 1, 0, &quoting(15, sent_v4()))), None);
    assert_eq!(error_of(&error(1, 3, 0, &quoting(23, sent_v6()))), None);
    // To whom it was sent is not the sender's address: a router may send_icmp_error.
    assert!(error_of(&error(3, 1, 0, &quoting(19, sent_v4()))).is_some());
    // Nor about one of the other version.
    let mut sent = sent_v4();
    sent[0] = 0x65;
    assert_eq!(error_of(&error_in(true, 3, 1, 0, &sent)), None);
    let mut sent = sent_v6();
    sent[0] = 0x40;
    assert_eq!(error_of(&error_in(false, 1, 3, 0, &sent)), None);
}

#[test]
fn only_from_a_host() {
    let mut nobody = error(3, 1, 0, &sent_v4());
    nobody[12..16].fill(0);
    fix_v4(&mut nobody);
    assert_eq!(error_of(&nobody), None);
    // From a group; one's complement takes the change back, so that the sum stays right.
    let mut group = error(1, 3, 0, &sent_v6());
    let (before, after) = (u16::from_be_bytes([group[8], group[9]]), 0xff02u16);
    group[8..10].copy_from_slice(&after.to_be_bytes());
    let (sum, borrowed) = before.overflowing_sub(after);
    let last = u16::from_be_bytes([group[22], group[23]]);
    let (last, carried) = last.overflowing_add(sum.wrapping_sub(borrowed.into()));
    group[22..24].copy_from_slice(&last.wrapping_add(carried.into()).to_be_bytes());
    assert!(Packet::parse(&group).unwrap().verify_checksum());
    assert_eq!(error_of(&group), None);
}

#[test]
fn damage_is_noticed() {
    for good in [error(3, 1, 0, &sent_v4()), error(1, 3, 0, &sent_v6())] {
        assert!(error_of(&good).is_some());
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        assert_eq!(error_of(&bad), None);
    }
    // A fragment of an error is not one.
    let mut piece = error(3, 1, 0, &sent_v4());
    piece[6] = 0x20;
    fix_v4(&mut piece);
    assert_eq!(error_of(&piece), None);
}

#[test]
fn an_error_names_the_router_that_sent_it() {
    for (sent, router) in [
        (sent_v4(), IpAddr::from([198, 51, 100, 1])),
        (
            sent_v6(),
            IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xff]),
        ),
    ] {
        let sent = Packet::parse(&sent).unwrap();
        for kind in [
            IcmpErrorKind::HopLimitExceeded,
            IcmpErrorKind::ReassemblyTimeExceeded,
            Unreachable::Host.into(),
            problem(40, ParameterProblemKind::HeaderField),
        ] {
            let mut out = Vec::new();
            assert!(icmp::error_from(&mut out, router, &sent, kind));
            let read = error_of(&out).unwrap();
            assert_eq!((read.from, read.kind, read.key), (router, kind, sent.key()));
        }
    }
}

#[test]
fn an_error_about_an_echo_request_has_its_identifier() {
    let echo = Some(Echo {
        identifier: 0x1234,
        sequence: 9,
    });
    let about = |bytes: &[u8]| {
        let kind = if bytes[0] >> 4 == 4 { 3 } else { 1 };
        error_of(&error(kind, 1, 0, bytes)).unwrap().echo
    };
    assert_eq!(about(&v4(1, &[], &icmp(8, 0, b"data"))), echo);
    assert_eq!(about(&v6(58, &icmp(128, 0, b""))), echo);
    let behind = [ext(58, 0), icmp(128, 0, b"")].concat();
    assert_eq!(about(&v6(60, &behind)), echo);
    // Other messages, other protocols, and the types of the other version have none.
    assert_eq!(about(&v4(1, &[], &icmp(0, 0, b"data"))), None);
    assert_eq!(about(&v6(58, &icmp(129, 0, b""))), None);
    assert_eq!(about(&v4(1, &[], &icmp(128, 0, b""))), None);
    assert_eq!(about(&v6(58, &icmp(8, 0, b""))), None);
    assert_eq!(about(&v4(17, &[], &udp(b"data"))), None);
}

#[test]
fn headers_behind_a_first_fragment_header_are_passed_over() {
    let segment = tcp(SYN, 7, 0, &[], b"");
    let first = [&fragment_header(60, 0, true, 1)[..], &ext(6, 0), &segment].concat();
    let read = error_of(&error(3, 1, 0, &v6(44, &first))).unwrap();
    assert_eq!((read.key, read.seq), (key(false, true), Some(7)));
    let other = [&fragment_header(60, 8, true, 1)[..], &ext(6, 0), &segment].concat();
    assert_eq!(error_of(&error(3, 1, 0, &v6(44, &other))), None);
}

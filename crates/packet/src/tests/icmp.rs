//! Errors that are written, rule by rule of RFC 1122, 3.2.2 and RFC 4443.

use super::build::*;
use crate::Packet;
use crate::icmp::{
    IcmpErrorKind, ParameterProblem, ParameterProblemKind, Unreachable, echo_reply, error,
    error_from,
};
use std::net::IpAddr;

const WHYS: [Unreachable; 5] = [
    Unreachable::Network,
    Unreachable::Host,
    Unreachable::Protocol,
    Unreachable::Port,
    Unreachable::Prohibited,
];

fn assert_silent(bytes: &[u8]) {
    let packet = Packet::parse(bytes).unwrap();
    let mut out = b"what was there".to_vec();
    assert!(!echo_reply(&mut out, &packet));
    assert!(out.is_empty());
    for why in WHYS {
        out.extend(b"what was there");
        assert!(!error(&mut out, &packet, why), "{why:?} for {packet:?}");
        assert!(out.is_empty());
    }
}

fn error_for(bytes: &[u8], kind: impl Into<IcmpErrorKind>) -> Vec<u8> {
    let kind = kind.into();
    let offending = Packet::parse(bytes).unwrap();
    let mut out = b"what was there".to_vec();
    assert!(error(&mut out, &offending, kind), "{kind:?}");
    assert_well_formed(&out);
    let answer = Packet::parse(&out).unwrap();
    assert_eq!(answer.source(), offending.destination());
    assert_eq!(answer.destination(), offending.source());
    assert!(answer.verify_checksum());
    assert!(
        bytes.starts_with(answer.payload()),
        "the offending packet is quoted"
    );
    out
}

fn is_answered(bytes: &[u8]) -> bool {
    error(
        &mut Vec::new(),
        &Packet::parse(bytes).unwrap(),
        Unreachable::Host,
    )
}

#[test]
fn codes_of_ipv4() {
    let bytes = v4(17, &[], &udp(b"data"));
    let codes = WHYS.map(|why| {
        let out = error_for(&bytes, why);
        assert_eq!((out[9], out[20]), (1, 3), "destination unreachable");
        assert_eq!(out[24..28], [0; 4], "unused");
        out[21]
    });
    assert_eq!(codes, [0, 1, 2, 3, 13]);
}

#[test]
fn codes_of_ipv6() {
    let bytes = v6(17, &udp(b"data"));
    let kinds = WHYS.map(|why| {
        let out = error_for(&bytes, why);
        assert_eq!(out[6], 58);
        (out[40], out[41])
    });
    assert_eq!(kinds, [(1, 0), (1, 3), (4, 1), (1, 4), (1, 1)]);
}

#[test]
fn the_pointer_names_the_field_that_names_the_protocol() {
    let pointer = |bytes: &[u8]| {
        let out = error_for(bytes, Unreachable::Protocol);
        u32::from_be_bytes(out[44..48].try_into().unwrap())
    };
    assert_eq!(pointer(&v6(200, b"data")), 6);
    assert_eq!(pointer(&v6(60, &[ext(200, 0), vec![0; 8]].concat())), 40);
    assert_eq!(
        pointer(&v6(0, &[ext(60, 2), ext(200, 0), vec![0; 8]].concat())),
        64
    );
    let first_piece = [ext(44, 0), fragment_header(200, 0, true, 1), vec![0; 8]].concat();
    assert_eq!(pointer(&v6(60, &first_piece)), 48);
    // Only this error has a pointer.
    assert_eq!(
        error_for(&v6(200, b"data"), Unreachable::Port)[44..48],
        [0; 4]
    );
}

#[test]
fn too_big_says_how_big() {
    let why = |mtu| Unreachable::PacketTooBig { mtu };
    let whole = with_fragment_field(v4(17, &[], &udp(b"data")), 0x4000);
    assert_eq!(error_for(&whole, why(1400))[20..22], [3, 4]);
    assert_eq!(error_for(&whole, why(1400))[24..28], [0, 0, 0x05, 0x78]);
    assert_eq!(error_for(&whole, why(70_000))[24..28], [0, 0, 0xff, 0xff]);
    // What may be cut is not too big.
    let mut out = vec![1];
    let cuttable = v4(17, &[], &udp(b"data"));
    let cuttable = Packet::parse(&cuttable).unwrap();
    assert!(!error(&mut out, &cuttable, why(1400)) && out.is_empty());

    let out = error_for(&v6(17, &udp(b"data")), why(70_000));
    assert_eq!(out[40..42], [2, 0]);
    assert_eq!(out[44..48], 70_000u32.to_be_bytes());
    assert_silent(&out);
}

#[test]
fn quotes_are_as_long_as_may_be() {
    let quoted = |bytes: &[u8]| error_for(bytes, Unreachable::Port).len();
    assert_eq!(
        quoted(&v4(17, &[], &udp(b"data"))),
        28 + 32,
        "all of a short one"
    );
    assert_eq!(quoted(&v4(17, &[], &udp(&[0; 520]))), 576);
    assert_eq!(quoted(&v4(17, &[], &udp(&[0; 521]))), 576);
    assert_eq!(quoted(&v4(17, &[1; 40], &udp(&[0; 60_000]))), 576);
    assert_eq!(quoted(&v6(17, &udp(b"data"))), 48 + 52);
    assert_eq!(quoted(&v6(17, &udp(&[0; 1184]))), 1280);
    assert_eq!(quoted(&v6(17, &udp(&[0; 60_000]))), 1280);
}

#[test]
fn padding_is_not_quoted() {
    let mut bytes = v4(17, &[], &udp(b"data"));
    bytes.extend([0; 18]);
    assert_eq!(error_for(&bytes, Unreachable::Port).len(), 28 + 32);
}

#[test]
fn errors_are_not_answered() {
    // RFC 792 and RFC 1122, 3.2.2: unreachable, source quench, redirect, time, parameters.
    for kind in [3, 4, 5, 11, 12] {
        assert_silent(&v4(1, &[], &icmp(kind, 0, &[0; 28])));
    }
    // RFC 4443, 2.4(e.1) and (e.2)
    for kind in [0, 1, 2, 3, 4, 100, 127, 137] {
        assert_silent(&v6(58, &icmp(kind, 0, &[0; 48])));
    }
}

#[test]
fn questions_are() {
    for kind in [0, 8, 13, 14] {
        assert!(is_answered(&v4(1, &[], &icmp(kind, 0, b""))), "type {kind}");
    }
    for kind in [128, 129] {
        assert!(is_answered(&v6(58, &icmp(kind, 0, b""))), "type {kind}");
    }
    // A type of the other version says nothing.
    assert!(is_answered(&v4(58, &[], &icmp(1, 0, b""))));
    assert!(is_answered(&v6(1, &icmp(3, 0, b""))));
}

#[test]
fn our_own_errors_are_not_answered() {
    for bytes in [v4(17, &[], &udp(b"data")), v6(200, b"data")] {
        for why in WHYS {
            assert_silent(&error_for(&bytes, why));
        }
    }
}

#[test]
fn the_first_fragment_only() {
    let datagram = v4(17, &[], &udp(b"12345678"));
    error_for(
        &with_fragment_field(datagram.clone(), 0x2000),
        Unreachable::Port,
    );
    assert_silent(&with_fragment_field(datagram.clone(), 0x2001));
    assert_silent(&with_fragment_field(datagram, 1));
    let piece = |offset, more| [fragment_header(17, offset, more, 1), udp(b"")].concat();
    error_for(&v6(44, &piece(0, true)), Unreachable::Port);
    assert_silent(&v6(44, &piece(8, true)));
    assert_silent(&v6(44, &piece(8, false)));
}

#[test]
fn the_first_fragment_of_an_error() {
    let error = v4(1, &[], &icmp(3, 0, &[0; 32]));
    assert_silent(&with_fragment_field(error, 0x2000));
    let ping = v4(1, &[], &icmp(8, 0, &[0; 32]));
    assert!(is_answered(&with_fragment_field(ping, 0x2000)));
    assert_silent(&with_fragment_field(v4(1, &[], b""), 0x2000));
    let piece = |next, body| v6(44, &[fragment_header(next, 0, true, 1), body].concat());
    assert_silent(&piece(58, icmp(1, 0, b"")));
    assert!(is_answered(&piece(58, icmp(128, 0, b""))));
    // The error may stand behind more headers, which are not read.
    assert_silent(&piece(60, [ext(58, 0), icmp(1, 0, b"")].concat()));
}

#[test]
fn only_from_one_host_to_one_host() {
    let datagram = v4(17, &[], &udp(b"data"));
    for address in [
        [0, 0, 0, 0],
        [0, 0, 0, 9],
        [224, 0, 0, 251],
        [240, 0, 0, 1],
        [255; 4],
    ] {
        assert_silent(&with_address(datagram.clone(), 12, &address));
        assert_silent(&with_address(datagram.clone(), 16, &address));
    }
    let datagram = v6(17, &udp(b"data"));
    for at in [8, 24] {
        assert_silent(&with_address(datagram.clone(), at, &[0; 16]));
        assert_silent(&with_address(datagram.clone(), at, &[0xff, 0x02]));
    }
}

fn problem(pointer: u32, kind: ParameterProblemKind) -> IcmpErrorKind {
    ParameterProblem { pointer, kind }.into()
}

#[test]
fn time_exceeded_has_two_codes() {
    for (bytes, at, kind) in [
        (v4(17, &[], &udp(b"data")), 20, 11),
        (v6(17, &udp(b"data")), 40, 3),
    ] {
        for (why, code) in [
            (IcmpErrorKind::HopLimitExceeded, 0),
            (IcmpErrorKind::ReassemblyTimeExceeded, 1),
        ] {
            let out = error_for(&bytes, why);
            assert_eq!(out[at..at + 2], [kind, code]);
            assert_eq!(out[at + 4..at + 8], [0; 4], "unused");
            assert_silent(&out);
        }
    }
}

#[test]
fn a_parameter_problem_has_a_pointer() {
    use ParameterProblemKind::{HeaderField, IncompleteHeaderChain, NextHeader, Option};
    let datagram = v4(17, &[], &udp(b"data"));
    for kind in [HeaderField, NextHeader, Option, IncompleteHeaderChain] {
        let out = error_for(&datagram, problem(255, kind));
        assert_eq!(out[20..22], [12, 0]);
        assert_eq!(out[24..28], [255, 0, 0, 0]);
    }
    // The pointer of IPv4 has 8 bits.
    let mut out = b"what was there".to_vec();
    let offending = Packet::parse(&datagram).unwrap();
    assert!(!error(&mut out, &offending, problem(256, HeaderField)));
    assert!(out.is_empty());

    for (kind, code) in [
        (HeaderField, 0),
        (NextHeader, 1),
        (Option, 2),
        (IncompleteHeaderChain, 3),
    ] {
        let out = error_for(&v6(17, &udp(b"data")), problem(0x0102_0304, kind));
        assert_eq!(out[40..42], [4, code]);
        assert_eq!(out[44..48], [1, 2, 3, 4]);
    }
}

#[test]
fn a_router_sends_errors_from_its_own_address() {
    let router_v4 = IpAddr::from([198, 51, 100, 1]);
    let router_v6 = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xff]);
    for (bytes, router, other) in [
        (v4(17, &[], &udp(b"data")), router_v4, router_v6),
        (v6(17, &udp(b"data")), router_v6, router_v4),
    ] {
        let probe = Packet::parse(&bytes).unwrap();
        let kind = IcmpErrorKind::HopLimitExceeded;
        let mut out = b"what was there".to_vec();
        assert!(error_from(&mut out, router, &probe, kind));
        assert_well_formed(&out);
        let written = Packet::parse(&out).unwrap();
        assert_eq!(
            (written.source(), written.destination()),
            (router, probe.source())
        );
        assert_eq!(written.payload(), bytes);
        for from in [
            other,
            [0; 4].into(),
            [224, 0, 0, 1].into(),
            [0; 8].into(),
            [0xff02, 0, 0, 0, 0, 0, 0, 1].into(),
        ] {
            assert!(!error_from(&mut out, from, &probe, kind), "{from}");
            assert!(out.is_empty());
        }
    }
}

#[test]
fn a_packet_to_a_group_has_two_errors_at_most() {
    // RFC 4443, 2.4(e.3)
    let group = with_address(v6(60, &ext(17, 0)), 24, &[0xff, 2]);
    let group = [&group[..], &udp(b"")].concat();
    let mut to_group = group.clone();
    to_group[5] += 8;
    let to_group = Packet::parse(&to_group).unwrap();
    let mut out = Vec::new();
    let mut answered = |kind: IcmpErrorKind| error_from(&mut out, B6.into(), &to_group, kind);
    assert!(answered(Unreachable::PacketTooBig { mtu: 1400 }.into()));
    // The option at byte 42 has the highest bits 00.
    assert!(!answered(problem(42, ParameterProblemKind::Option)));
    assert!(!answered(problem(99, ParameterProblemKind::Option)));
    assert!(!answered(problem(42, ParameterProblemKind::HeaderField)));
    assert!(!answered(IcmpErrorKind::HopLimitExceeded));
    for why in WHYS {
        assert!(!answered(why.into()));
    }
    // With IPv4 there is none (RFC 1122, 3.2.2).
    let datagram = with_fragment_field(v4(17, &[], &udp(b"data")), 0x4000);
    let datagram = with_address(datagram, 16, &[224, 0, 0, 1]);
    let datagram = Packet::parse(&datagram).unwrap();
    let too_big = Unreachable::PacketTooBig { mtu: 1400 };
    assert!(!error_from(&mut out, B4.into(), &datagram, too_big));
}

//! Echo requests and replies: reading, writing and answering.

use super::build::*;
use crate::icmp::{
    Echo, echo_reply, parse_echo_reply, parse_echo_request, write_echo_reply, write_echo_request,
};
use crate::{IpFields, Packet, Protocol, TrafficClass, WriteError};
use std::net::IpAddr;

fn assert_unanswered(bytes: &[u8]) {
    let mut out = b"what was there".to_vec();
    assert!(!echo_reply(&mut out, &Packet::parse(bytes).unwrap()));
    assert!(out.is_empty());
}

#[test]
fn echo() {
    let data = b"ping with an odd length";
    for (bytes, kind, protocol) in [
        (
            v4(1, &[], &summed_v4(1, icmp(8, 0, data))),
            0,
            Protocol::Icmpv4,
        ),
        (
            v4(1, &[1; 8], &summed_v4(1, icmp(8, 0, data))),
            0,
            Protocol::Icmpv4,
        ),
        (
            v6(58, &summed_v6(58, icmp(128, 0, data))),
            129,
            Protocol::Icmpv6,
        ),
        (
            v6(
                60,
                &[ext(58, 0), summed_v6(58, icmp(128, 0, data))].concat(),
            ),
            129,
            Protocol::Icmpv6,
        ),
    ] {
        let request = Packet::parse(&bytes).unwrap();
        let mut out = b"what was there".to_vec();
        assert!(echo_reply(&mut out, &request));
        assert_well_formed(&out);
        let reply = Packet::parse(&out).unwrap();
        assert_eq!(reply.protocol(), protocol);
        assert_eq!(reply.key(), request.key().reversed());
        assert_eq!(reply.transport()[..2], [kind, 0]);
        // Identifier, sequence number and data come back as they were.
        assert_eq!(reply.transport()[4..], request.transport()[4..]);
        assert!(!reply.has_options());
    }
}

#[test]
fn only_echo_requests_get_a_reply() {
    let mut out = Vec::new();
    for bytes in [
        v4(1, &[], &summed_v4(1, icmp(0, 0, b""))),
        v4(1, &[], &summed_v4(1, icmp(8, 1, b""))),
        v4(1, &[], &summed_v4(1, icmp(13, 0, &[0; 12]))),
        v4(1, &[], &summed_v4(1, icmp(128, 0, b""))),
        v4(58, &[], &summed_v4(1, icmp(128, 0, b""))),
        v6(58, &summed_v6(58, icmp(129, 0, b""))),
        v6(58, &summed_v6(58, icmp(8, 0, b""))),
        v6(58, &summed_v6(58, icmp(128, 3, b""))),
        v6(1, &icmp(8, 0, b"")),
        v4(17, &[], &udp(b"data")),
        v4(47, &[], &[8, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        assert!(!echo_reply(&mut out, &Packet::parse(&bytes).unwrap()));
        assert!(out.is_empty());
    }
}

#[test]
fn a_damaged_request_gets_no_reply() {
    let mut good = v4(1, &[], &summed_v4(1, icmp(8, 0, b"data")));
    good[30] ^= 1;
    assert!(!echo_reply(&mut Vec::new(), &Packet::parse(&good).unwrap()));
}

#[test]
fn a_request_to_many_gets_no_reply() {
    let ping = v4(1, &[], &summed_v4(1, icmp(8, 0, b"")));
    assert_unanswered(&with_address(ping.clone(), 16, &[255; 4]));
    assert_unanswered(&with_address(ping, 12, &[0; 4]));
    assert_unanswered(&with_address(v6(58, &icmp(128, 0, b"")), 24, &[0xff, 2]));
}

#[test]
fn a_piece_of_a_request_gets_no_reply() {
    let ping = v4(1, &[], &summed_v4(1, icmp(8, 0, b"")));
    let piece = with_fragment_field(ping, 0x2000);
    assert!(!echo_reply(
        &mut Vec::new(),
        &Packet::parse(&piece).unwrap()
    ));
}

#[test]
fn an_echo_reply_keeps_the_traffic_class_and_may_be_fragmented() {
    for flags in [0, 0x40] {
        let mut ping = v4(1, &[], &summed_v4(1, icmp(8, 0, b"data")));
        (ping[1], ping[6]) = (0xb9, flags);
        fix_v4(&mut ping);
        let mut out = Vec::new();
        assert!(echo_reply(&mut out, &Packet::parse(&ping).unwrap()));
        assert_eq!((out[1], out[6]), (0xb9, 0));
        assert_eq!(out[4..6], [0xab, 0xcd]);
    }
    let mut ping = v6(58, &summed_v6(58, icmp(128, 0, b"data")));
    (ping[0], ping[1]) = (0x6b, 0x90);
    let mut out = Vec::new();
    assert!(echo_reply(&mut out, &Packet::parse(&ping).unwrap()));
    assert_eq!(
        Packet::parse(&out).unwrap().traffic_class(),
        TrafficClass::from_bits(0xb9)
    );
}

#[test]
fn echo_messages_are_read() {
    let echo = Echo {
        identifier: 0x1234,
        sequence: 9,
    };
    for (request, reply) in [
        (
            v4(1, &[1; 8], &summed_v4(1, icmp(8, 0, b"data"))),
            v4(1, &[], &summed_v4(1, icmp(0, 0, b"data"))),
        ),
        (
            v6(60, &[ext(58, 0), summed_v6(58, icmp(128, 0, b""))].concat()),
            v6(58, &summed_v6(58, icmp(129, 0, b""))),
        ),
    ] {
        let read = |bytes: &[u8]| {
            let packet = Packet::parse(bytes).unwrap();
            (parse_echo_request(&packet), parse_echo_reply(&packet))
        };
        assert_eq!(read(&request), (Some(echo), None));
        assert_eq!(read(&reply), (None, Some(echo)));
        for good in [request, reply] {
            let mut bad = good.clone();
            *bad.last_mut().unwrap() ^= 1;
            assert_eq!(read(&bad), (None, None), "the checksum is verified");
        }
    }
    // Another code, a fragment, the type of the other version.
    for bytes in [
        v4(1, &[], &summed_v4(1, icmp(8, 1, b""))),
        with_fragment_field(v4(1, &[], &summed_v4(1, icmp(8, 0, b""))), 0x2000),
        v4(1, &[], &summed_v4(1, icmp(128, 0, b""))),
        v4(17, &[], &udp(b"data")),
        v6(1, &icmp(8, 0, b"")),
    ] {
        assert_eq!(parse_echo_request(&Packet::parse(&bytes).unwrap()), None);
    }
}

#[test]
fn echo_messages_that_fit_no_packet_are_refused() {
    let echo = Echo {
        identifier: 1,
        sequence: 2,
    };
    let fields = IpFields::new();
    let mut out = b"what was there".to_vec();
    for write in [write_echo_request, write_echo_reply] {
        let families = write(&mut out, A4.into(), B6.into(), fields, echo, b"");
        assert_eq!((families, out.len()), (Err(WriteError::Families), 0));
        for (from, to, longest) in [
            (A4.into(), B4.into(), 65_535 - 28),
            (IpAddr::from(A6), IpAddr::from(B6), 65_535 - 8),
        ] {
            let payload = vec![7; longest + 1];
            let long = write(&mut out, from, to, fields, echo, &payload);
            assert_eq!((long, out.len()), (Err(WriteError::TooLong), 0));
            let longest = write(&mut out, from, to, fields, echo, &payload[..longest]);
            assert_eq!(longest, Ok(()));
            assert_well_formed(&out);
        }
    }
}

//! Options, routing headers and the order of the extension headers: what is refused, and the error
//! that the sender gets. The expected answers are those of Linux 6.18, except where a test says so.

use super::build::*;
use crate::icmp::{self, echo_reply, malformed_reply, malformed_reply_from};
use crate::{Packet, ParseError, Protocol};
use std::net::Ipv6Addr;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const NO_NEXT: u8 = 59;
const DESTINATION: u8 = 60;
const BOTH: [u8; 2] = [HOP_BY_HOP, DESTINATION];

const PADDING: [u8; 6] = [1, 4, 0, 0, 0, 0];
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// What a host does with a packet.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The host takes the packet, and answers if it is a ping.
    Accepted,
    Nothing,
    /// The code and the pointer of a parameter problem.
    Problem(u8, u32),
}
use Answer::{Accepted, Nothing, Problem};

/// A header with these options.
fn options(next_header: u8, options: &[u8]) -> Vec<u8> {
    assert_eq!(options.len() % 8, 6);
    let units = (options.len() / 8) as u8;
    [&[next_header, units], options].concat()
}

fn ping() -> Vec<u8> {
    summed_v6(58, icmp(128, 0, b"ping"))
}

/// An IPv6 packet with these extension headers before a ping.
fn before_a_ping(first: u8, chain: &[Vec<u8>]) -> Vec<u8> {
    v6(first, &[chain.concat(), ping()].concat())
}

/// A ping behind one header with these options.
fn ping_with(header: u8, list: &[u8]) -> Vec<u8> {
    before_a_ping(header, &[options(58, list)])
}

fn to_group(mut packet: Vec<u8>) -> Vec<u8> {
    packet[24..40].copy_from_slice(&GROUP.octets());
    packet
}

fn answer(bytes: &[u8]) -> Answer {
    let mut out = b"what was there".to_vec();
    let is_problem = malformed_reply_from(&mut out, B6.into(), bytes);
    assert_eq!(is_problem, !out.is_empty());
    match Packet::parse(bytes) {
        Ok(packet) => {
            assert!(!is_problem);
            let is_ping = packet.protocol() == Protocol::Icmpv6 && packet.fragment().is_none();
            // The host itself answers a ping to a group.
            if is_ping && !packet.destination().is_multicast() {
                assert!(echo_reply(&mut out, &packet));
            }
            Accepted
        }
        Err(_) if is_problem => {
            assert_well_formed(&out);
            let error = Packet::parse(&out).unwrap();
            assert_eq!(
                (error.source(), error.destination()),
                (B6.into(), A6.into())
            );
            assert!(bytes.starts_with(error.payload()));
            let header = error.transport();
            assert_eq!(header[0], 4);
            Problem(
                header[1],
                u32::from_be_bytes(header[4..8].try_into().unwrap()),
            )
        }
        Err(_) => Nothing,
    }
}

fn refused(bytes: &[u8]) -> ParseError {
    Packet::parse(bytes).unwrap_err()
}

#[test]
fn the_highest_two_bits_of_an_option_say_what_becomes_of_the_packet() {
    for header in BOTH {
        let ping = |kind| ping_with(header, &[kind, 4, 0, 0, 0, 0]);
        assert_eq!(answer(&ping(0x1e)), Accepted);
        assert_eq!(answer(&ping(0x5e)), Nothing);
        assert_eq!(answer(&ping(0x9e)), Problem(2, 42));
        assert_eq!(answer(&ping(0xde)), Problem(2, 42));
        for kind in [0x5e, 0x9e, 0xde] {
            assert_eq!(refused(&ping(kind)), ParseError::UnknownOption);
        }

        let ping = |kind| to_group(ping(kind));
        assert_eq!(answer(&ping(0x1e)), Accepted);
        assert_eq!(answer(&ping(0x5e)), Nothing);
        assert_eq!(answer(&ping(0x9e)), Problem(2, 42));
        assert_eq!(answer(&ping(0xde)), Nothing);
    }
}

#[test]
fn every_type_of_option_in_every_place_has_its_action() {
    // The jumbo payload option is another case.
    for kind in (2..=255u8).filter(|kind| *kind != 0xc2) {
        for header in BOTH {
            let expected = |pointer| match kind >> 6 {
                0b00 => Accepted,
                0b01 => Nothing,
                _ => Problem(2, pointer),
            };
            let second = ping_with(header, &[0x1e, 2, 0, 0, kind, 0]);
            assert_eq!(answer(&second), expected(46), "type {kind:#x}");
            let chain = [
                options(DESTINATION, &PADDING),
                options(58, &[0, 0, 0, 0, kind, 0]),
            ];
            let behind = before_a_ping(header, &chain);
            assert_eq!(answer(&behind), expected(54), "type {kind:#x}");
        }
    }
}

#[test]
fn well_known_options() {
    // The router alert (RFC 2711) is skipped, the home address (RFC 6275) is not supported.
    let home = [&[0xc9, 16][..], &A6.octets(), &[1, 2, 0, 0]].concat();
    for header in BOTH {
        assert_eq!(answer(&ping_with(header, &[5, 2, 0, 0, 1, 0])), Accepted);
        assert_eq!(answer(&ping_with(header, &home)), Problem(2, 42));
    }
    // RFC 2675, 3: the packet has a payload length.
    let jumbo = [0xc2, 4, 0, 1, 0, 0];
    assert_eq!(answer(&ping_with(HOP_BY_HOP, &jumbo)), Problem(0, 42));
    assert_eq!(answer(&ping_with(DESTINATION, &jumbo)), Problem(2, 42));
}

#[test]
fn padding_is_at_most_7_zeros_in_a_row() {
    for header in BOTH {
        let answer = |list: &[u8]| answer(&ping_with(header, list));
        assert_eq!(answer(&[0; 6]), Accepted);
        assert_eq!(answer(&PADDING), Accepted);
        assert_eq!(answer(&[1, 4, 0, 0, 9, 0]), Nothing);
        // An option behind the padding.
        let behind = |padding: &[u8]| {
            let mut list = padding.to_vec();
            list.extend([0x1e, (14 - padding.len() - 2) as u8]);
            list.resize(14, 0);
            list
        };
        assert_eq!(answer(&behind(&[0; 7])), Accepted);
        assert_eq!(answer(&behind(&[0; 8])), Nothing);
        assert_eq!(answer(&behind(&[1, 5, 0, 0, 0, 0, 0])), Accepted);
        assert_eq!(answer(&behind(&[1, 6, 0, 0, 0, 0, 0, 0])), Nothing);
        assert_eq!(answer(&behind(&[1, 3, 0, 0, 0, 0, 0, 0])), Nothing);
        // Another option in between begins a new row.
        assert_eq!(
            answer(&[0, 0, 0, 0, 0, 0x1e, 0, 1, 3, 0, 0, 0, 0, 0]),
            Accepted
        );
    }
}

#[test]
fn eight_options_and_no_more() {
    for header in BOTH {
        let list = |count: usize, padding: usize| {
            let mut list = [0x1e, 0].repeat(count);
            list.resize(list.len() + padding, 0);
            ping_with(header, &list)
        };
        assert_eq!(answer(&list(8, 6)), Accepted);
        assert_eq!(answer(&list(9, 4)), Nothing);
        assert_eq!(refused(&list(9, 4)), ParseError::ExtensionHeader);
    }
}

#[test]
fn options_end_inside_of_their_header() {
    for header in BOTH {
        for list in [
            [0x1e, 5, 0, 0, 0, 0],
            [0x9e, 5, 0, 0, 0, 0],
            [1, 5, 0, 0, 0, 0],
            [1, 3, 0, 0, 0, 0x1e],
            [1, 3, 0, 0, 0, 0x9e],
            [0x1e, 255, 0, 0, 0, 0],
        ] {
            let packet = ping_with(header, &list);
            assert_eq!(answer(&packet), Nothing, "{list:?}");
            assert_eq!(refused(&packet), ParseError::ExtensionHeader, "{list:?}");
        }
        // The header itself ends beyond the packet, or is cut short.
        let long = [&[58, 9], &PADDING[..]].concat();
        assert_eq!(answer(&before_a_ping(header, &[long])), Nothing);
        assert_eq!(answer(&v6(header, &[58, 0, 1, 0])), Nothing);
    }
}

#[test]
fn the_first_fault_counts() {
    for header in BOTH {
        let both = ping_with(header, &[0x5e, 0, 0x9e, 2, 0, 0]);
        assert_eq!(answer(&both), Nothing);
        let both = ping_with(header, &[0x9e, 0, 0x5e, 2, 0, 0]);
        assert_eq!(answer(&both), Problem(2, 42));
    }
}

#[test]
fn an_error_about_the_options_of_an_error_is_not_sent() {
    let unknown = |next| options(next, &[0x9e, 4, 0, 0, 0, 0]);
    for header in BOTH {
        let about = |next, body: &[u8]| answer(&v6(header, &[&unknown(next), body].concat()));
        assert_eq!(about(58, &icmp(1, 0, &v6(NO_NEXT, b""))), Nothing);
        assert_eq!(about(58, &icmp(137, 0, b"")), Nothing);
        assert_eq!(about(58, &icmp(129, 0, b"")), Problem(2, 42));
        assert_eq!(about(NO_NEXT, b""), Problem(2, 42));
        assert_eq!(about(6, b"anything"), Problem(2, 42));
        // A message without its first byte may be an error, and so may one behind a broken chain.
        assert_eq!(about(58, b""), Nothing);
        assert_eq!(about(DESTINATION, &[58, 200, 0, 0]), Nothing);
    }
}

#[test]
fn each_fragment_is_answered_unless_it_may_be_of_an_error() {
    for header in BOTH {
        let piece = |offset, next| {
            let list = options(FRAGMENT, &[0x9e, 4, 0, 0, 0, 0]);
            let fragment = fragment_header(next, offset, true, 1);
            v6(header, &[list, fragment, vec![0; 8]].concat())
        };
        assert_eq!(answer(&piece(0, 17)), Problem(2, 42));
        assert_eq!(answer(&piece(8, 17)), Problem(2, 42));
        // The bytes of an ICMP message or of a further header do not tell.
        for next in [58, DESTINATION] {
            assert_eq!(answer(&piece(8, next)), Nothing);
        }
    }
}

/// A routing header with room for one address.
fn route(next_header: u8, kind: u8, segments_left: u8) -> Vec<u8> {
    let mut header = routing(next_header, 2);
    (header[2], header[3]) = (kind, segments_left);
    header
}

#[test]
fn a_routing_header_with_segments_left_is_reported_by_its_type() {
    // Linux drops types 3 and 4 in silence while routing by them is off.
    for kind in [0, 1, 2, 3, 4, 5, 253, 255] {
        let ping = |left| before_a_ping(ROUTING, &[route(58, kind, left)]);
        assert_eq!(answer(&ping(0)), Accepted, "type {kind}");
        for left in [1, 2, 255] {
            assert_eq!(answer(&ping(left)), Problem(0, 42), "type {kind}");
            assert_eq!(refused(&ping(left)), ParseError::RoutingHeader);
        }
    }
    let behind = [options(ROUTING, &PADDING), route(58, 253, 1)];
    assert_eq!(answer(&before_a_ping(DESTINATION, &behind)), Problem(0, 50));
    let to_many = to_group(before_a_ping(ROUTING, &[route(58, 253, 1)]));
    assert_eq!(answer(&to_many), Nothing);
    let mut cut = v6(ROUTING, &[58, 9, 253, 1, 0, 0, 0, 0]);
    assert_eq!(answer(&cut), Nothing);
    cut[41] = 0;
    assert_eq!(refused(&cut), ParseError::RoutingHeader);
}

#[test]
fn hop_by_hop_options_behind_another_header_are_an_unknown_next_header() {
    let last = || options(58, &PADDING);
    for header in BOTH {
        let packet = before_a_ping(header, &[options(HOP_BY_HOP, &PADDING), last()]);
        assert_eq!(answer(&packet), Problem(1, 40));
        assert_eq!(refused(&packet), ParseError::HopByHopOrder);
        assert_eq!(answer(&to_group(packet)), Nothing);
    }
    let chain = [options(ROUTING, &PADDING), routing(HOP_BY_HOP, 0), last()];
    assert_eq!(answer(&before_a_ping(DESTINATION, &chain)), Problem(1, 48));
    let cut = [&options(HOP_BY_HOP, &PADDING)[..], &[58, 0]].concat();
    assert_eq!(answer(&v6(DESTINATION, &cut)), Nothing);
}

#[test]
fn fragments_that_no_packet_can_have() {
    let piece = |offset, more, next, body: &[u8]| {
        v6(
            FRAGMENT,
            &[&fragment_header(next, offset, more, 1), body].concat(),
        )
    };
    // Not the last, and not a multiple of 8 bytes long.
    assert_eq!(answer(&piece(0, true, 17, &[0; 9])), Problem(0, 4));
    assert_eq!(answer(&piece(0, true, 17, &[0; 16])), Accepted);
    assert_eq!(answer(&piece(8, true, 17, &[0; 9])), Problem(0, 4));
    // Beyond the longest packet.
    let beyond = piece(65_528, false, 17, &[0; 64]);
    assert_eq!(answer(&beyond), Problem(0, 42));
    assert_eq!(refused(&beyond), ParseError::Fragment);
    // The length of the headers before the fragment header counts.
    let list = options(FRAGMENT, &[&[0x1e, 204][..], &[0; 204]].concat());
    let last = |len: usize| {
        let last = fragment_header(17, 65_320, false, 1);
        v6(DESTINATION, &[&list[..], &last, &vec![0; len]].concat())
    };
    assert!(Packet::parse(&last(65_535 - 65_320 - list.len())).is_ok());
    let longer = last(65_536 - 65_320 - list.len());
    assert_eq!(refused(&longer), ParseError::Fragment);
}

#[test]
fn a_first_fragment_holds_all_headers() {
    let first = |next, body: &[u8]| {
        let body = [&fragment_header(next, 0, true, 1), body].concat();
        answer(&v6(FRAGMENT, &body))
    };
    assert_eq!(first(6, &[0; 8]), Problem(3, 0));
    assert_eq!(first(6, &[0; 24]), Accepted);
    assert_eq!(first(17, &[0; 8]), Accepted);
    assert_eq!(first(NO_NEXT, &[0; 8]), Accepted);
    assert_eq!(first(DESTINATION, &options(17, &PADDING)), Problem(3, 0));
    let whole = [&options(17, &PADDING)[..], &[0; 8]].concat();
    assert_eq!(first(DESTINATION, &whole), Accepted);
    // The options behind the fragment header are checked when the packet is reassembled.
    let unknown = [&options(17, &[0x9e, 4, 0, 0, 0, 0])[..], &[0; 8]].concat();
    assert_eq!(first(DESTINATION, &unknown), Accepted);
    // The message may be an error, and so may the one that the fragment does not show.
    assert_eq!(first(58, &icmp(128, 0, b"")), Accepted);
    assert_eq!(first(58, b""), Nothing);
    assert_eq!(first(DESTINATION, &options(58, &PADDING)), Nothing);
    assert_eq!(first(DESTINATION, &[58, 9, 0, 0, 0, 0, 0, 0]), Nothing);
    // The last fragment is not checked, and neither is one of a packet that is complete.
    let last = fragment_header(6, 8, false, 1);
    assert_eq!(
        answer(&v6(FRAGMENT, &[last, vec![0; 8]].concat())),
        Accepted
    );
}

#[test]
fn other_packets_have_no_malformed_reply() {
    let mut out = b"what was there".to_vec();
    let bad_version = [&[0x50][..], &[0; 60]].concat();
    let bad_transport = v6(17, &[0; 8]);
    for bytes in [
        b"".to_vec(),
        bad_version,
        v4(17, &[], &udp(b"data")),
        v4(17, &[0x9e; 4], &udp(b"data")),
        v6(17, &udp(b"data")),
        bad_transport,
        ping_with(DESTINATION, &PADDING),
        ping_with(DESTINATION, &[0x9e, 4, 0, 0, 0, 0])[..59].to_vec(),
    ] {
        assert!(!malformed_reply(&mut out, &bytes), "{bytes:?}");
        assert!(out.is_empty());
    }
}

#[test]
fn only_a_host_gets_a_malformed_reply_and_only_from_a_host() {
    let good = ping_with(DESTINATION, &[0x9e, 4, 0, 0, 0, 0]);
    let mut out = Vec::new();
    assert!(malformed_reply(&mut out, &good));
    assert_eq!(Packet::parse(&out).unwrap().source(), B6);
    let loopback = Ipv6Addr::LOCALHOST.octets();
    let mapped = A4.to_ipv6_mapped().octets();
    for (at, octets) in [
        (8, [0; 16]),
        (8, GROUP.octets()),
        (8, loopback),
        (8, mapped),
        (24, [0; 16]),
        (24, loopback),
        (24, mapped),
    ] {
        let mut packet = good.clone();
        packet[at..at + 16].copy_from_slice(&octets);
        assert!(!malformed_reply(&mut out, &packet) && out.is_empty());
    }
    for from in [GROUP.into(), Ipv6Addr::UNSPECIFIED.into(), A4.into()] {
        assert!(!malformed_reply_from(&mut out, from, &good), "{from}");
        assert!(out.is_empty());
    }
    // Padding behind the packet is not quoted.
    let padded = [&good[..], &[7; 9]].concat();
    assert!(malformed_reply(&mut out, &padded));
    assert_eq!(Packet::parse(&out).unwrap().payload(), good);
}

#[test]
fn the_quotation_in_an_error_may_have_any_option() {
    // The packet was for another host, which knows the option or not.
    let sent = ping_with(DESTINATION, &[0x9e, 4, 0, 0, 0, 0]);
    let mut out = Vec::new();
    assert!(malformed_reply(&mut out, &sent));
    let error = icmp::parse_error(&Packet::parse(&out).unwrap()).unwrap();
    assert_eq!(error.kind.to_string(), "unknown option at byte 42");
    assert_eq!(error.echo.map(|echo| echo.identifier), Some(0x1234));
}

//! Fragments: what is known of them, and that nothing else is read from them.

use super::build::*;
use crate::{Fragment, Packet, ParseError, Protocol};

fn v4_fragment(offset: u16, more: bool, options: &[u8], body: &[u8]) -> Vec<u8> {
    let mut packet = v4(6, options, body);
    packet[6..8].copy_from_slice(&((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
    fix_v4(&mut packet);
    packet
}

fn v6_fragment(offset: u16, more: bool, body: &[u8]) -> Vec<u8> {
    let mut packet = fragment_header(6, offset, more, 0x1122_3344);
    packet.extend(body);
    v6(44, &packet)
}

fn assert_opaque(bytes: &[u8], fragment: Fragment, start: usize) {
    let packet = Packet::parse(bytes).unwrap();
    assert_eq!(packet.fragment(), Some(fragment));
    assert_eq!(packet.protocol(), Protocol::Tcp);
    assert_eq!(packet.tcp(), None);
    assert_eq!(
        (
            packet.key().source().port(),
            packet.key().destination().port()
        ),
        (0, 0)
    );
    assert_eq!(packet.transport_range(), start..bytes.len());
    assert_eq!(packet.payload_range(), start..bytes.len());
    assert!(packet.verify_checksum(), "nothing is known");
}

#[test]
fn first_middle_and_last() {
    let segment = tcp(SYN, 1, 0, &[], &[7; 12]);
    for (offset, more) in [
        (0, true),
        (8, true),
        (1480, true),
        (1480, false),
        (65_496, false),
    ] {
        let fragment = Fragment {
            id: 0xabcd,
            offset,
            more,
        };
        assert_opaque(&v4_fragment(offset, more, &[], &segment), fragment, 20);
        assert_opaque(&v4_fragment(offset, more, &[1; 8], &segment), fragment, 28);
        let fragment = Fragment {
            id: 0x1122_3344,
            offset,
            more,
        };
        assert_opaque(&v6_fragment(offset, more, &segment), fragment, 48);
    }
}

#[test]
fn too_short_for_a_transport_header() {
    // Conformance needs no more than the IP header: the rest is in other pieces.
    for len in 0..8 {
        assert_opaque(
            &v4_fragment(0, true, &[], &[0; 8][..len]),
            Fragment {
                id: 0xabcd,
                offset: 0,
                more: true,
            },
            20,
        );
    }
}

#[test]
fn dont_fragment_is_not_a_fragment() {
    for flags in [0x40, 0x80] {
        let mut bytes = v4(6, &[], &tcp(SYN, 1, 0, &[], b""));
        bytes[6] = flags;
        fix_v4(&mut bytes);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.fragment(), None);
        assert!(packet.tcp().is_some());
    }
}

#[test]
fn reserved_bits_of_the_fragment_header_say_nothing() {
    let mut bytes = v6_fragment(0, false, &tcp(SYN, 1, 0, &[], b""));
    bytes[41] = 0xff; // RFC 8200, 4.5: reserved, ignored
    bytes[43] |= 0x06;
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.fragment(), None);
    assert_eq!(packet.transport_range().start, 48);
}

#[test]
fn atomic_fragment_is_a_whole_packet() {
    // RFC 6946
    let bytes = v6_fragment(0, false, &summed_v6(6, tcp(SYN, 9, 0, &[], b"data")));
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.fragment(), None);
    assert_eq!(packet.tcp().unwrap().seq, 9);
    assert_eq!(packet.key().source().port(), 4000);
    assert_eq!(packet.payload(), b"data");
    assert!(packet.has_options());
    assert!(packet.verify_checksum());
}

#[test]
fn the_chain_ends_at_the_fragment_header() {
    // The bytes behind the header would be a broken chain if they were read.
    let mut body = ext(44, 0);
    body.extend(fragment_header(60, 8, true, 5));
    body.extend([60, 255, 0, 0, 0, 0, 0, 0]);
    let bytes = v6(60, &body);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(
        packet.fragment(),
        Some(Fragment {
            id: 5,
            offset: 8,
            more: true
        })
    );
    assert_eq!(packet.protocol(), Protocol::Other(60));
    assert_eq!(packet.payload_range(), 56..64);
}

#[test]
fn the_chain_before_the_fragment_header_is_checked() {
    let mut body = ext(44, 1); // longer than what follows
    body.truncate(8);
    assert_eq!(
        Packet::parse(&v6(60, &body)),
        Err(ParseError::ExtensionHeader)
    );
}

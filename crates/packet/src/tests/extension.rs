//! The chain of IPv6 extension headers.

use super::build::*;
use crate::{Packet, ParseError, Protocol};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ESP: u8 = 50;
const AUTHENTICATION: u8 = 51;
const NO_NEXT: u8 = 59;
const DESTINATION: u8 = 60;

/// IPv6 with these extension headers before a TCP segment; all but the type is filled in.
fn chain(kinds: &[(u8, u8)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (index, (kind, units)) in kinds.iter().enumerate() {
        let next = kinds.get(index + 1).map_or(6, |(kind, _)| *kind);
        match *kind {
            FRAGMENT => body.extend(fragment_header(next, 0, false, 1)),
            AUTHENTICATION => {
                let mut header = vec![0; (usize::from(*units) + 2) * 4];
                header[..2].copy_from_slice(&[next, *units]);
                body.extend(header);
            }
            ROUTING => body.extend(routing(next, *units)),
            _ => body.extend(ext(next, *units)),
        }
    }
    body.extend(summed_v6(6, tcp(ACK, 1, 2, &[], b"data")));
    v6(kinds.first().map_or(6, |(kind, _)| *kind), &body)
}

fn start(bytes: &[u8]) -> Result<usize, ParseError> {
    let packet = Packet::parse(bytes)?;
    assert_eq!(packet.protocol(), Protocol::Tcp);
    assert_eq!(packet.payload(), b"data");
    assert_eq!(packet.key().destination().port(), 80);
    assert!(packet.has_options());
    assert!(packet.verify_checksum());
    Ok(packet.transport_range().start)
}

#[test]
fn each_header_alone() {
    assert_eq!(start(&chain(&[(HOP_BY_HOP, 0)])), Ok(48));
    assert_eq!(start(&chain(&[(HOP_BY_HOP, 3)])), Ok(72));
    assert_eq!(start(&chain(&[(ROUTING, 2)])), Ok(64));
    assert_eq!(start(&chain(&[(DESTINATION, 1)])), Ok(56));
    // RFC 4302, 2.2: the length counts words of four bytes, less two.
    assert_eq!(start(&chain(&[(AUTHENTICATION, 4)])), Ok(40 + 24));
    assert_eq!(start(&chain(&[(AUTHENTICATION, 1)])), Ok(40 + 12));
}

#[test]
fn an_authentication_header_has_12_bytes_or_more() {
    let short = chain(&[(AUTHENTICATION, 0)]);
    assert_eq!(start(&short), Err(ParseError::ExtensionHeader));
}

#[test]
fn the_order_of_rfc_8200() {
    let all = [
        (HOP_BY_HOP, 0),
        (DESTINATION, 1),
        (ROUTING, 0),
        (FRAGMENT, 0),
        (AUTHENTICATION, 2),
        (DESTINATION, 0),
    ];
    assert_eq!(start(&chain(&all)), Ok(40 + 8 + 16 + 8 + 8 + 16 + 8));
}

#[test]
fn every_cut_of_a_chain_is_refused() {
    let whole = chain(&[
        (HOP_BY_HOP, 1),
        (ROUTING, 0),
        (AUTHENTICATION, 2),
        (DESTINATION, 1),
    ]);
    let end = start(&whole).unwrap();
    for len in 41..end {
        let mut cut = whole[..len].to_vec();
        cut[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
        assert_eq!(start(&cut), Err(ParseError::ExtensionHeader), "{len} bytes");
    }
}

#[test]
fn a_header_that_is_named_and_not_there() {
    assert_eq!(
        start(&v6(DESTINATION, b"")),
        Err(ParseError::ExtensionHeader)
    );
    assert_eq!(
        start(&v6(FRAGMENT, &[6, 0, 0, 0])),
        Err(ParseError::ExtensionHeader)
    );
}

#[test]
fn hop_by_hop_options_come_first_or_not_at_all() {
    let late = chain(&[(DESTINATION, 0), (HOP_BY_HOP, 0)]);
    assert_eq!(start(&late), Err(ParseError::HopByHopOrder));
    let twice = chain(&[(HOP_BY_HOP, 0), (HOP_BY_HOP, 0)]);
    assert_eq!(start(&twice), Err(ParseError::HopByHopOrder));
}

#[test]
fn routing_with_segments_left() {
    let mut packet = chain(&[(ROUTING, 2)]);
    packet[43] = 1;
    assert_eq!(start(&packet), Err(ParseError::RoutingHeader));
}

#[test]
fn eight_headers_and_no_more() {
    assert_eq!(start(&chain(&[(DESTINATION, 0); 8])), Ok(40 + 64));
    assert_eq!(
        start(&chain(&[(DESTINATION, 0); 9])),
        Err(ParseError::ExtensionHeader)
    );
}

#[test]
fn two_kibibytes_and_no_more() {
    assert_eq!(start(&chain(&[(DESTINATION, 255)])), Ok(40 + 2048));
    let longer = chain(&[(DESTINATION, 254), (DESTINATION, 1)]);
    assert_eq!(start(&longer), Err(ParseError::ExtensionHeader));
    let many = chain(&[(DESTINATION, 200), (DESTINATION, 200)]);
    assert_eq!(start(&many), Err(ParseError::ExtensionHeader));
}

#[test]
fn what_cannot_be_read_ends_the_chain() {
    for kind in [ESP, NO_NEXT, 135, 139, 140] {
        let mut body = ext(kind, 0);
        body.extend([0xff; 16]);
        let bytes = v6(DESTINATION, &body);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.protocol(), Protocol::Other(kind));
        assert_eq!(packet.payload_range(), 48..64);
        assert!(packet.has_options());
    }
}

#[test]
fn ipv4_does_not_have_the_chain() {
    for kind in [HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION] {
        let bytes = v4(kind, &[], &ext(6, 0));
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.protocol(), Protocol::Other(kind));
        assert_eq!(packet.payload_range(), 20..28);
    }
}

#[test]
fn behind_a_chain_the_transport_header_is_checked_too() {
    let mut body = ext(6, 0);
    body.extend(&tcp(ACK, 1, 2, &[], b"")[..19]);
    assert_eq!(
        Packet::parse(&v6(DESTINATION, &body)),
        Err(ParseError::TcpHeader)
    );
    let mut body = ext(17, 0);
    body.extend([0; 8]);
    assert_eq!(
        Packet::parse(&v6(DESTINATION, &body)),
        Err(ParseError::UdpHeader)
    );
}

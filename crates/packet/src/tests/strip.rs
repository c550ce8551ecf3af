//! Packets without their options.

use super::build::*;
use crate::{Packet, strip_options};

fn stripped(bytes: &[u8]) -> Vec<u8> {
    let mut out = b"what was there".to_vec();
    assert!(strip_options(&mut out, &Packet::parse(bytes).unwrap()));
    out
}

#[test]
fn ipv4_options_go() {
    let segment = summed_v4(6, tcp(ACK, 1, 2, &[1; 4], b"data"));
    let plain = v4(6, &[], &segment);
    for len in [0, 4, 40] {
        assert_eq!(
            stripped(&v4(6, &vec![1; len], &segment)),
            plain,
            "{len} bytes of options"
        );
    }
    assert_well_formed(&plain);
}

#[test]
fn extension_headers_go() {
    let segment = summed_v6(6, tcp(ACK, 1, 2, &[1; 4], b"data"));
    let plain = v6(6, &segment);
    let chains = [
        (6, vec![]),
        (0, ext(6, 2)),
        (44, fragment_header(6, 0, false, 7)), // atomic
        (0, [ext(43, 0), routing(60, 0), ext(6, 1)].concat()),
    ];
    for (first, chain) in chains {
        let bytes = v6(first, &[chain, segment.clone()].concat());
        assert_eq!(stripped(&bytes), plain);
    }
    assert_well_formed(&plain);
}

#[test]
fn the_rest_of_the_header_stays() {
    let mut bytes = v4(17, &[1; 4], &udp(b"data"));
    bytes[1] = 0xb8; // traffic class
    bytes[6] = 0x40; // don't fragment
    bytes[8] = 3; // time to live
    fix_v4(&mut bytes);
    let out = stripped(&bytes);
    assert_eq!((out[1], out[6], out[8]), (0xb8, 0x40, 3));
    assert_eq!(&out[4..6], &bytes[4..6]);

    let mut bytes = v6(60, &[ext(17, 0), udp(b"data")].concat());
    bytes[..4].copy_from_slice(&[0x6b, 0x81, 0x23, 0x45]);
    assert_eq!(stripped(&bytes)[..4], [0x6b, 0x81, 0x23, 0x45]);
}

#[test]
fn a_wrong_transport_checksum_stays_wrong() {
    let bytes = v4(6, &[1; 4], &tcp(ACK, 1, 2, &[], b"data"));
    let out = stripped(&bytes);
    assert!(!Packet::parse(&out).unwrap().verify_checksum());
    assert_eq!(&out[20..], &bytes[24..]);
}

#[test]
fn padding_goes_and_what_follows_a_short_datagram_stays() {
    let mut datagram = udp(b"hello");
    datagram.extend(b"surplus");
    let mut bytes = v4(17, &[1; 4], &datagram);
    bytes.extend(b"padding");
    assert_eq!(stripped(&bytes), v4(17, &[], &datagram));
}

#[test]
fn fragments_are_refused() {
    let mut first = v4(6, &[1; 4], &tcp(SYN, 1, 0, &[], b""));
    first[6] = 0x20;
    fix_v4(&mut first);
    let last = v6(44, &[fragment_header(6, 8, false, 1), vec![0; 8]].concat());
    for bytes in [first, last] {
        let mut out = b"what was there".to_vec();
        assert!(!strip_options(&mut out, &Packet::parse(&bytes).unwrap()));
        assert!(out.is_empty());
    }
}

//! Datagrams that are written.

use super::build::*;
use crate::udp::{max_payload, write};
use crate::{Packet, Protocol, WriteError};
use std::net::SocketAddr;

fn ends(v6: bool) -> (SocketAddr, SocketAddr) {
    if v6 {
        (
            SocketAddr::new(A6.into(), 53),
            SocketAddr::new(B6.into(), 5000),
        )
    } else {
        (
            SocketAddr::new(A4.into(), 53),
            SocketAddr::new(B4.into(), 5000),
        )
    }
}

#[test]
fn a_datagram_reads_as_it_was_written() {
    for v6 in [false, true] {
        for payload in [&b""[..], b"odd", b"even", &[0xff; 1400]] {
            let (from, to) = ends(v6);
            let mut out = b"what was there".to_vec();
            write(&mut out, from, to, 17, payload).unwrap();
            assert_well_formed(&out);
            let packet = Packet::parse(&out).unwrap();
            assert_eq!(
                (packet.key().source(), packet.key().destination()),
                (from, to)
            );
            assert_eq!(packet.protocol(), Protocol::Udp);
            assert_eq!(packet.hop_limit(), 17);
            assert_eq!(packet.payload(), payload);
            assert_eq!(packet.fragment(), None);
            assert_eq!(packet.total_len(), out.len());
            assert!(packet.verify_checksum());
        }
    }
}

#[test]
fn dont_fragment_is_set() {
    // RFC 6864, 4.1: identification 0 is for datagrams that are never fragmented.
    let mut out = Vec::new();
    let (from, to) = ends(false);
    write(&mut out, from, to, 64, b"x").unwrap();
    assert_eq!(out[4..8], [0, 0, 0x40, 0]);
}

#[test]
fn a_checksum_of_zero_is_sent_as_ones() {
    for v6 in [false, true] {
        let (from, to) = ends(v6);
        let mut out = Vec::new();
        let at = if v6 { 46 } else { 26 };
        // Adding the checksum to the payload makes the sum all ones, and the checksum 0.
        write(&mut out, from, to, 64, &[0, 0]).unwrap();
        let payload = [out[at], out[at + 1]];
        write(&mut out, from, to, 64, &payload).unwrap();
        assert_eq!(out[at..at + 2], [0xff, 0xff]);
        assert_well_formed(&out);
        assert!(Packet::parse(&out).unwrap().verify_checksum());
    }
}

#[test]
fn families_must_agree() {
    let ((a4, _), (a6, _)) = (ends(false), ends(true));
    for (from, to) in [(a4, a6), (a6, a4)] {
        let mut out = b"what was there".to_vec();
        assert_eq!(
            write(&mut out, from, to, 64, b"x"),
            Err(WriteError::Families)
        );
        assert!(out.is_empty());
    }
}

#[test]
fn the_longest_and_one_more() {
    for (v6, longest) in [(false, 65_507), (true, 65_527)] {
        let (from, to) = ends(v6);
        let mut out = Vec::new();
        write(&mut out, from, to, 64, &vec![0xff; longest]).unwrap();
        assert_well_formed(&out);
        assert_eq!(Packet::parse(&out).unwrap().payload().len(), longest);
        let refused = write(&mut out, from, to, 64, &vec![0xff; longest + 1]);
        assert_eq!(refused, Err(WriteError::TooLong));
        assert!(out.is_empty());
        assert_eq!(max_payload(1 << 20, v6), longest);
    }
}

#[test]
fn what_fits_an_mtu() {
    for v6 in [false, true] {
        for mtu in [68, 576, 1280, 1500, 65_535] {
            let (from, to) = ends(v6);
            let mut out = Vec::new();
            write(&mut out, from, to, 64, &vec![0; max_payload(mtu, v6)]).unwrap();
            assert_eq!(out.len(), mtu);
        }
        assert_eq!(max_payload(0, v6), 0);
        assert_eq!(max_payload(20, v6), 0);
    }
}

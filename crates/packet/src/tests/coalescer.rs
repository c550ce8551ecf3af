//! Datagrams joined, and taken apart again.

use super::build::*;
use crate::{Coalescer, Headers, IpFields, Packet, Segmenter, udp};
use proptest::prelude::*;
use std::num::NonZeroU16;

fn datagram(is_v6: bool, payload: &[u8]) -> Vec<u8> {
    match is_v6 {
        false => v4(17, &[], &summed_v4(17, udp(payload))),
        true => v6(17, &summed_v6(17, udp(payload))),
    }
}

/// How many of them are joined to the first, and to what.
fn join(datagrams: &[Vec<u8>]) -> (usize, Vec<u8>, Option<NonZeroU16>) {
    let mut whole = datagrams[0].clone();
    let mut coalescer = Coalescer::new(&whole).unwrap();
    let joined = datagrams[1..]
        .iter()
        .take_while(|next| coalescer.push(&mut whole, next))
        .count();
    let size = coalescer.finish(&mut whole);
    (joined, whole, size)
}

fn split(whole: &[u8], size: NonZeroU16) -> Vec<Vec<u8>> {
    let mut segmenter = Segmenter::new(&Headers::parse(whole).unwrap(), size);
    let mut out = vec![0; segmenter.longest()];
    std::iter::from_fn(|| {
        segmenter
            .next(whole, &mut out)
            .map(|len| out[..len].to_vec())
    })
    .collect()
}

#[test]
fn ends_with_a_shorter_one() {
    for v6 in [false, true] {
        let lens = [1000, 1000, 7, 7];
        let datagrams = lens.map(|len| datagram(v6, &vec![len as u8; len]));
        let (joined, whole, size) = join(&datagrams);
        assert_eq!((joined, size.map(NonZeroU16::get)), (2, Some(1000)));
        assert_eq!(Headers::parse(&whole).unwrap().payload_range().len(), 2007);
    }
}

#[test]
fn is_no_longer_than_a_packet_can_be_nor_of_more_than_64() {
    for v6 in [false, true] {
        let header = if v6 { 48 } else { 28 };
        let (joined, whole, _) = join(&vec![datagram(v6, &[7; 1400]); 100]);
        assert_eq!(joined + 1, (65_535 - header) / 1400);
        assert_eq!(Headers::parse(&whole).unwrap().total_len(), whole.len());
        assert_eq!(join(&vec![datagram(v6, &[7; 100]); 100]).0, 63);
    }
}

#[test]
fn one_alone_is_left_as_it_is() {
    let only = datagram(false, b"only");
    assert_eq!(join(std::slice::from_ref(&only)), (0, only, None));
}

#[test]
fn others_are_not_joined() {
    for is_v6 in [false, true] {
        let first = datagram(is_v6, b"first");
        let coalescer = Coalescer::new(&first).unwrap();
        assert!(coalescer.takes(&first, &first));
        let changed = |at: usize| {
            let mut other = first.clone();
            other[at] ^= 1;
            if !is_v6 {
                fix_v4(&mut other);
            }
            other
        };
        // Traffic class, hop limit, both addresses, both ports.
        let places = match is_v6 {
            false => [1, 8, 15, 19, 21, 23],
            true => [1, 7, 23, 39, 41, 43],
        };
        let mut others: Vec<Vec<u8>> = places.into_iter().map(changed).collect();
        others.push(datagram(!is_v6, b"first"));
        others.push(datagram(is_v6, b"longer"));
        others.push(datagram(is_v6, b""));
        others.push([&first[..], b"x"].concat());
        others.push(first[..first.len() - 1].to_vec());
        others.push(match is_v6 {
            false => v4(6, &[], &summed_v4(6, tcp(ACK, 1, 2, &[], b"first"))),
            true => v6(6, &summed_v6(6, tcp(ACK, 1, 2, &[], b"first"))),
        });
        for other in &others {
            assert!(!coalescer.takes(&first, other), "{other:?}");
        }
    }
    // And to some, nothing is.
    let with_options = v4(17, &[1; 4], &summed_v4(17, udp(b"x")));
    let piece = v6(
        44,
        &[fragment_header(17, 0, true, 1), udp(b"12345678")].concat(),
    );
    for first in [with_options, piece, datagram(false, b""), vec![]] {
        assert!(Coalescer::new(&first).is_none());
    }
}

#[test]
fn datagrams_that_may_be_fragmented_are_joined() {
    // Each has an identification of its own (RFC 6864, 4.2).
    let datagrams: Vec<Vec<u8>> = [7u16, 40_000, 3]
        .into_iter()
        .map(|identification| {
            let fields = IpFields::new()
                .dont_fragment(false)
                .identification(identification);
            let mut out = Vec::new();
            let (from, to) = ((A4, 5000).into(), (B4, 53).into());
            udp::write_with(&mut out, from, to, fields, b"data").unwrap();
            out
        })
        .collect();
    let (joined, whole, size) = join(&datagrams);
    assert_eq!((joined, size.map(NonZeroU16::get)), (2, Some(4)));
    let apart = split(&whole, size.unwrap());
    for (at, packet) in apart.iter().enumerate() {
        let packet = Packet::parse(packet).unwrap();
        assert!(!packet.dont_fragment() && packet.verify_checksum());
        assert_eq!(packet.bytes()[4..6], [0, 7 + at as u8]);
    }
    // One that may not be fragmented is another packet.
    let mut other = datagrams[1].clone();
    other[6] = 0x40;
    fix_v4(&mut other);
    let coalescer = Coalescer::new(&datagrams[0]).unwrap();
    assert!(!coalescer.takes(&datagrams[0], &other));
}

proptest! {
    #[test]
    fn what_is_joined_is_taken_apart_as_it_was(
        is_v6: bool,
        lens in prop::collection::vec(prop_oneof![Just(1200usize), Just(1199), 1usize..1300], 1..70),
    ) {
        let mut datagrams: Vec<Vec<u8>> = lens
            .iter()
            .enumerate()
            .map(|(at, len)| datagram(is_v6, &vec![at as u8; *len]))
            .collect();
        let (joined, whole, size) = join(&datagrams);
        datagrams.truncate(joined + 1);
        prop_assert_eq!(size.is_some(), joined > 0);
        let mut apart = match size {
            Some(size) => split(&whole, size),
            None => vec![whole],
        };
        if !is_v6 {
            for packet in &mut apart {
                packet[4..6].copy_from_slice(&[0xab, 0xcd]); // identifications count up
                fix_v4(packet);
            }
        }
        prop_assert_eq!(apart, datagrams);
    }
}

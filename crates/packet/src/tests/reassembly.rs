//! Fragments put together: what comes out, what must not, and how much is held meanwhile.

mod limits;

use super::build::*;
use crate::reassembly::{Config, Reassembler, Stats};
use crate::{Packet, ParseError, Protocol};
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// What a fragment and a packet in the making count beside their bytes.
const FRAGMENT: u64 = 96;
const PACKET: u64 = 256;

/// A reassembler with a clock of its own.
struct Bench {
    reassembler: Reassembler,
    now: Instant,
    config: Config,
}

impl Bench {
    #[allow(
        clippy::disallowed_methods,
        reason = "the clock of the tests starts somewhere"
    )]
    fn new(config: Config) -> Self {
        Self {
            reassembler: Reassembler::new(config),
            now: Instant::now(),
            config,
        }
    }

    /// Hands a fragment in; the packet that this completes.
    fn push(&mut self, fragment: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"what was there".to_vec();
        let packet = Packet::parse(fragment).unwrap();
        let whole = self
            .reassembler
            .handle_fragment(self.now, &packet, &mut out);
        assert_eq!(whole, !out.is_empty());
        self.check();
        whole.then_some(out)
    }

    /// Lets time pass; the first fragments of the packets that expire.
    fn expire(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.now = now;
        let (mut firsts, mut out) = (Vec::new(), b"what was there".to_vec());
        while self.reassembler.handle_timeout(now, &mut out) {
            assert!(!out.is_empty());
            firsts.push(out.clone());
            self.check();
        }
        assert!(out.is_empty());
        self.check();
        firsts
    }

    fn stats(&self) -> Stats {
        self.reassembler.stats()
    }

    /// Nothing beyond the limits, and each fragment counted once.
    fn check(&self) {
        let (stats, config) = (self.stats(), self.config);
        assert!(stats.queued_bytes <= config.bytes as u64, "{stats:?}");
        assert!(stats.queued_packets <= config.packets as u64, "{stats:?}");
        let least = stats.queued_packets * PACKET + stats.queued_fragments * FRAGMENT;
        assert!(stats.queued_bytes >= least, "{stats:?}");
        let counted = [
            stats.used,
            stats.queued_fragments,
            stats.invalid,
            stats.duplicates,
            stats.conflicts,
            stats.full,
            stats.expired,
        ];
        assert_eq!(stats.fragments, counted.iter().sum::<u64>(), "{stats:?}");
        let deadline = self.reassembler.poll_timeout();
        assert_eq!(deadline.is_some(), stats.queued_packets > 0);
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

/// A fragment of an IPv4 packet of protocol 17; `id` is made that of the packet.
fn fragment_v4(id: u16, offset: usize, more: bool, body: &[u8]) -> Vec<u8> {
    let mut packet = v4(17, &[], body);
    packet[4..6].copy_from_slice(&id.to_be_bytes());
    let field = (offset / 8) as u16 | u16::from(more) << 13;
    packet[6..8].copy_from_slice(&field.to_be_bytes());
    fix_v4(&mut packet);
    packet
}

fn fragment_v6(id: u32, offset: usize, more: bool, body: &[u8]) -> Vec<u8> {
    let header = fragment_header(17, offset as u16, more, id);
    v6(44, &[&header, body].concat())
}

/// From another address than the other packets.
fn from(host: u8, mut packet: Vec<u8>) -> Vec<u8> {
    packet[13] = host;
    fix_v4(&mut packet);
    packet
}

/// Cuts a body at these places.
fn cut(body: &[u8], places: &[usize]) -> Vec<(usize, bool, Vec<u8>)> {
    let mut starts = vec![0];
    starts.extend(places);
    (0..starts.len())
        .map(|at| {
            let end = starts.get(at + 1).copied().unwrap_or(body.len());
            let more = at + 1 < starts.len();
            (starts[at], more, body[starts[at]..end].to_vec())
        })
        .collect()
}

fn counting(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 3) as u8).collect()
}

fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for rest in orders(count - 1) {
        for at in 0..count {
            let mut order = rest.clone();
            order.insert(at, count - 1);
            all.push(order);
        }
    }
    all
}

#[test]
fn three_fragments_in_every_order() {
    let payload = counting(3000);
    let cases = [
        (summed_v4(17, udp(&payload)), true),
        (summed_v6(17, udp(&payload)), false),
    ];
    for (body, is_v4) in cases {
        for order in orders(3) {
            let mut bench = Bench::default();
            let fragments = cut(&body, &[1480, 2000]);
            let mut whole = None;
            for (nth, at) in order.into_iter().enumerate() {
                assert_eq!(whole, None, "before fragment {nth}");
                let (offset, more, bytes) = &fragments[at];
                whole = bench.push(&if is_v4 {
                    fragment_v4(7, *offset, *more, bytes)
                } else {
                    fragment_v6(7, *offset, *more, bytes)
                });
            }
            let whole = whole.expect("all fragments are there");
            // As if it had never been cut.
            let mut uncut = if is_v4 {
                v4(17, &[], &body)
            } else {
                v6(17, &body)
            };
            if is_v4 {
                uncut[4..6].copy_from_slice(&[0, 7]);
                fix_v4(&mut uncut);
            }
            assert_eq!(whole, uncut);
            assert_well_formed(&whole);
            let packet = Packet::parse(&whole).unwrap();
            assert_eq!(packet.payload(), payload);
            assert!(packet.verify_checksum() && packet.fragment().is_none());
            let stats = bench.stats();
            assert_eq!((stats.packets, stats.used, stats.queued_bytes), (1, 3, 0));
        }
    }
}

#[test]
fn the_longest_packets_and_none_longer() {
    for (is_v4, longest) in [(true, 65_515), (false, 65_535)] {
        let fragment = |offset, more, bytes: &[u8]| match is_v4 {
            true => fragment_v4(1, offset, more, bytes),
            false => fragment_v6(1, offset, more, bytes),
        };
        let body = counting(longest + 1);
        let mut bench = Bench::default();
        assert_eq!(bench.push(&fragment(0, true, &body[..65_000])), None);
        // The parser refuses an IPv6 fragment that ends too late, the reassembler an IPv4 one.
        let mut refused = |fragment: &[u8]| match is_v4 {
            true => {
                let before = bench.stats().invalid;
                assert_eq!(bench.push(fragment), None);
                assert_eq!(bench.stats().invalid, before + 1);
            }
            false => assert_eq!(Packet::parse(fragment), Err(ParseError::Fragment)),
        };
        refused(&fragment(65_000, false, &body[65_000..]));
        refused(&fragment(65_528, false, &[0; 1480])); // the ping of death
        let whole = bench.push(&fragment(65_000, false, &body[65_000..longest]));
        let whole = whole.expect("the longest packet");
        assert!(whole.ends_with(&body[..longest]));
        assert_eq!(whole.len(), 65_535 + if is_v4 { 0 } else { 40 });
        assert_eq!(bench.stats().queued_packets, 0);
    }
}

#[test]
fn a_header_that_makes_it_too_long_in_the_end() {
    let with_options = |mut packet: Vec<u8>| {
        packet.splice(20..20, [1; 40]);
        packet[0] = 0x4f;
        let length = (packet.len() as u16).to_be_bytes();
        packet[2..4].copy_from_slice(&length);
        fix_v4(&mut packet);
        packet
    };
    let mut bench = Bench::default();
    let body = counting(65_515);
    bench.push(&fragment_v4(1, 65_000, false, &body[65_000..]));
    assert_eq!(
        bench.push(&with_options(fragment_v4(1, 0, true, &body[..65_000]))),
        None
    );
    let stats = bench.stats();
    assert_eq!(
        (stats.invalid, stats.packets, stats.queued_bytes),
        (2, 0, 0)
    );
}

#[test]
fn fragments_that_no_packet_has() {
    let mut bench = Bench::default();
    for bad in [
        fragment_v4(1, 0, true, b""),
        fragment_v4(1, 8, false, b""),
        fragment_v4(1, 0, true, &[0; 12]),
        fragment_v6(1, 8, true, b""),
        fragment_v6(1, 8, false, b""),
    ] {
        assert_eq!(bench.push(&bad), None);
    }
    let stats = bench.stats();
    assert_eq!((stats.invalid, stats.queued_packets), (5, 0));
}

#[test]
fn what_is_not_a_fragment_is_left_alone() {
    let mut bench = Bench::default();
    // RFC 6946: whole, though it has a fragment header.
    let atomic = v6(
        44,
        &[fragment_header(17, 0, false, 1), udp(b"data")].concat(),
    );
    for whole in [v4(17, &[], &udp(b"data")), atomic] {
        assert_eq!(bench.push(&whole), None);
    }
    assert_eq!(bench.stats(), Stats::default());
    // And not taken for a part of fragments of that number that wait.
    bench.push(&fragment_v6(1, 8, false, b"12345678"));
    bench.push(&v6(
        44,
        &[fragment_header(17, 0, false, 1), udp(b"")].concat(),
    ));
    assert_eq!(
        (bench.stats().queued_fragments, bench.stats().packets),
        (1, 0)
    );
}

#[test]
fn options_are_those_of_the_first_fragment() {
    let mut bench = Bench::default();
    let mut first = v4(17, &[1; 8], &udp(&[5; 8]));
    first[4..8].copy_from_slice(&[0, 9, 0x20, 0]);
    fix_v4(&mut first);
    let mut rest = v4(17, &[0; 4], b"the rest");
    rest[4..8].copy_from_slice(&[0, 9, 0, 2]);
    fix_v4(&mut rest);
    assert_eq!(bench.push(&rest), None);
    let whole = bench.push(&first).unwrap();
    assert_eq!(whole.len(), 28 + 24);
    assert_eq!(whole[20..28], [1; 8]);
    assert_eq!(internet_checksum(&[&whole[..28]]), 0);
    assert_eq!(whole[6..8], [0, 0]);
}

#[test]
fn headers_before_the_fragment_header_stay_and_those_behind_it_are_found() {
    let mut bench = Bench::default();
    let body = [ext(17, 1), summed_v6(17, udp(b"data"))].concat();
    let fragment = |offset: usize, more, bytes: &[u8]| {
        let header = fragment_header(60, offset as u16, more, 3);
        v6(0, &[&ext(60, 0), &ext(44, 2), &header, bytes].concat())
    };
    assert_eq!(bench.push(&fragment(0, true, &body[..24])), None);
    let whole = bench.push(&fragment(24, false, &body[24..])).unwrap();
    assert_eq!(whole, v6(0, &[ext(60, 0), ext(60, 2), body].concat()));
    let packet = Packet::parse(&whole).unwrap();
    assert_eq!(
        (packet.protocol(), packet.payload()),
        (Protocol::Udp, &b"data"[..])
    );
    assert!(packet.verify_checksum());
}

#[test]
fn repeated_fragments_count_once() {
    let mut bench = Bench::default();
    let (first, last) = (
        fragment_v4(1, 0, true, &[1; 16]),
        fragment_v4(1, 16, false, b"end"),
    );
    for _ in 0..3 {
        assert_eq!(bench.push(&first), None);
    }
    assert!(bench.push(&last).is_some());
    assert_eq!((bench.stats().duplicates, bench.stats().used), (2, 2));
}

/// Everything that contradicts a packet of 16 bytes from 8 on, of which the end is not there yet.
#[test]
fn contradictions_are_the_end_of_all_fragments() {
    let there = |bench: &mut Bench| {
        bench.push(&fragment_v4(1, 8, true, &[1; 16]));
    };
    let cases: [(&str, usize, bool, &[u8]); 8] = [
        ("other bytes", 8, true, &[2; 16]),
        ("the same, as the last", 8, false, &[1; 16]),
        ("a part, the same bytes", 8, true, &[1; 8]),
        ("a part within", 16, true, &[1; 8]),
        ("over the start", 0, true, &[1; 16]),
        ("over the end", 16, true, &[1; 16]),
        ("over all", 0, true, &[1; 32]),
        ("an end inside", 8, false, &[1; 8]),
    ];
    for (what, offset, more, bytes) in cases {
        let mut bench = Bench::default();
        there(&mut bench);
        assert_eq!(
            bench.push(&fragment_v4(1, offset, more, bytes)),
            None,
            "{what}"
        );
        let stats = bench.stats();
        assert_eq!((stats.conflicts, stats.queued_fragments), (2, 0), "{what}");
        assert_eq!(stats.queued_bytes, PACKET, "{what}: no bytes are kept");
        // Nor do the right fragments bring it back (RFC 5722, 4).
        bench.push(&fragment_v4(1, 0, true, &[1; 8]));
        there(&mut bench);
        assert_eq!(
            bench.push(&fragment_v4(1, 24, false, b"end")),
            None,
            "{what}"
        );
        assert_eq!(
            (bench.stats().conflicts, bench.stats().packets),
            (5, 0),
            "{what}"
        );
        // When its time is over the number may be used again.
        bench.now += Duration::from_secs(15);
        bench.push(&fragment_v4(1, 0, true, &[1; 8]));
        assert!(
            bench.push(&fragment_v4(1, 8, false, b"end")).is_some(),
            "{what}"
        );
    }
}

#[test]
fn two_ends_and_fragments_behind_the_end() {
    for (offset, more, bytes) in [
        (24, false, &b"x"[..]),
        (8, false, b"x"),
        (16, true, &[0; 8]),
    ] {
        let mut bench = Bench::default();
        bench.push(&fragment_v6(1, 16, false, b"end"));
        bench.push(&fragment_v6(1, offset, more, bytes));
        assert_eq!(bench.stats().conflicts, 2, "{offset} {more}");
    }
}

#[test]
fn packets_are_told_apart() {
    let mut bench = Bench::default();
    bench.push(&fragment_v4(1, 0, true, b"12345678"));
    let end = fragment_v4(1, 8, false, b"end");
    let changed = |at: usize| {
        let mut other = end.clone();
        other[at] ^= 4;
        fix_v4(&mut other);
        other
    };
    // Identification, protocol, source, destination.
    for at in [5, 9, 15, 19] {
        assert_eq!(bench.push(&changed(at)), None, "byte {at}");
    }
    assert_eq!(bench.stats().queued_packets, 5);
    assert!(bench.push(&end).is_some());

    // With IPv6 what follows the fragment header is the first fragment's to say.
    let mut bench = Bench::default();
    bench.push(&v6(
        44,
        &[&fragment_header(43, 8, false, 1)[..], b"end"].concat(),
    ));
    let whole = bench.push(&fragment_v6(1, 0, true, b"12345678")).unwrap();
    assert_eq!(whole[6], 17);
}

proptest! {
    /// Any packet, cut anywhere, in any order, with repetitions and with unmatched packets between them.
    #[test]
    fn any_cut_in_any_order(
        len in 9usize..4000,
        cuts in prop::collection::btree_set(1usize..500, 1..20),
        order in any::<u64>(),
        is_v4 in any::<bool>(),
    ) {
        let body = counting(len);
        let places: Vec<usize> = cuts.into_iter().map(|at| at * 8).filter(|at| *at < len).collect();
        prop_assume!(!places.is_empty());
        let mut fragments = cut(&body, &places);
        // Shuffled by a generator of our own, so that the order shrinks with its seed.
        let mut seed = order | 1;
        for at in (1..fragments.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            fragments.swap(at, (seed >> 33) as usize % (at + 1));
        }
        let fragment = |id: u32, (offset, more, bytes): &(usize, bool, Vec<u8>)| match is_v4 {
            true => fragment_v4(id as u16, *offset, *more, bytes),
            false => fragment_v6(id, *offset, *more, bytes),
        };
        let mut bench = Bench::default();
        let mut whole = None;
        for (nth, cut) in fragments.iter().enumerate() {
            prop_assert_eq!(&whole, &None);
            whole = bench.push(&fragment(1, cut));
            if whole.is_none() {
                prop_assert_eq!(bench.push(&fragment(1, cut)), None);
            }
            bench.push(&fragment(2 + nth as u32 % 3, &(8, true, vec![0; 8])));
        }
        let whole = whole.expect("every fragment was there");
        let start = if is_v4 { 20 } else { 40 };
        prop_assert_eq!(&whole[start..], &body[..]);
    }
}

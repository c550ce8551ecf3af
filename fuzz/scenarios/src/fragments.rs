//! Invariants of the reassembly, over sequences of fragments and time.

use crate::bytes::repair;
use brooklet_packet::reassembly::{Config, Reassembler};
use brooklet_packet::{Packet, ParseError};
use std::time::{Duration, Instant};

/// Bytes of one step.
const STEP: usize = 6;

/// What came of a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets put together.
    pub packets: u64,
    /// Fragments that contradicted others.
    pub conflicts: u64,
    /// Fragments that gave way.
    pub full: u64,
    /// Fragments whose time ran out.
    pub expired: u64,
}

/// Reads `data` as limits and then as fragments and the time between them, hands them in, and
/// panics when a limit is passed, a fragment is not accounted for, or a packet comes out that is
/// not made of what went in.
pub fn fragments(data: &[u8]) -> Tally {
    let Some((limits, steps)) = data.split_first_chunk::<3>() else {
        return Tally::default();
    };
    let config = Config::new()
        .bytes(1 << (8 + limits[0] % 13))
        .packets(usize::from(limits[1] % 9))
        .per_source(usize::from(limits[2] % 5));
    let mut reassembler = Reassembler::new(config);
    let (mut now, mut out) = (Instant::now(), Vec::new());
    for step in steps.as_chunks::<STEP>().0 {
        now += Duration::from_millis(u64::from(step[5].saturating_sub(192)).pow(2) * 4);
        let bytes = fragment(step);
        let packet = match Packet::parse(&bytes) {
            Ok(packet) => packet,
            Err(error) => {
                // Of IPv6, the parser refuses what no packet can have.
                assert_eq!((bytes[0], error), (0x60, ParseError::Fragment));
                continue;
            }
        };
        expire(&mut reassembler, now);
        let before = reassembler.stats();
        let is_whole = reassembler.handle_fragment(now, &packet, &mut out);
        let after = reassembler.stats();
        assert_eq!(is_whole, !out.is_empty());
        assert_eq!(after.packets - before.packets, u64::from(is_whole));
        accounted(&reassembler, &config, now);
        if is_whole {
            made_of(&out, &packet);
            again(&out);
        }
    }
    expire(&mut reassembler, now + config.lifetime);
    let stats = reassembler.stats();
    assert_eq!((stats.queued_bytes, stats.queued_packets), (0, 0));
    assert_eq!(reassembler.poll_timeout(), None);
    Tally {
        packets: stats.packets,
        conflicts: stats.conflicts,
        full: stats.full,
        expired: stats.expired,
    }
}

/// A fragment with few possible places and bytes, so that they meet.
fn fragment(step: &[u8; STEP]) -> Vec<u8> {
    let [kind, who, place, length, fill, _] = *step;
    let (id, source) = (who & 1, who >> 1 & 3);
    // Mostly a few neighbours; now and then far behind, where packets end.
    let units = match place {
        0..200 => u16::from(place % 4),
        200..250 => u16::from(place % 32),
        250.. => 8176 + u16::from(place % 16),
    };
    let more = kind & 1 != 0;
    // Mostly up to the next neighbour; else no multiple of 8, several of them, or large.
    let length = match length {
        0..8 => usize::from(length),
        8..200 => 8,
        200..248 => usize::from(length % 8) * 8,
        248.. => usize::from(length - 200) * 1000,
    };
    let byte = u8::from(fill > 240);
    let length = length.min(65_000);
    let mut packet;
    if kind & 2 == 0 {
        packet = vec![0x45, 0, 0, 0, 0, id, 0, 0, 64, 17, 0, 0];
        packet.extend([10, 0, 0, source, 192, 0, 2, 1]);
        if kind & 4 != 0 {
            packet[0] = 0x47;
            packet.extend([1; 8]);
        }
        // A whole packet would not be a fragment: it has more then.
        let field = units | u16::from(more || units == 0) << 13;
        packet[6..8].copy_from_slice(&field.to_be_bytes());
        packet.resize(packet.len() + length, byte);
        let length = packet.len() as u16;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        repair(&mut packet);
    } else {
        packet = vec![0x60, 0, 0, 0, 0, 0, 44, 64];
        packet.extend([0xfd; 31]);
        packet.push(source);
        if kind & 4 != 0 {
            packet[6] = 60;
            packet.extend([44, 0, 1, 4, 0, 0, 0, 0]);
        }
        let field = units << 3 | u16::from(more || units == 0);
        packet.extend([17, 0]);
        packet.extend(field.to_be_bytes());
        packet.extend([0, 0, 0, id]);
        packet.resize(packet.len() + length, byte);
        let length = (packet.len() - 40) as u16;
        packet[4..6].copy_from_slice(&length.to_be_bytes());
    }
    packet
}

/// The first fragments of the packets that expire come out as they arrived.
fn expire(reassembler: &mut Reassembler, now: Instant) {
    let mut out = vec![1];
    while reassembler.handle_timeout(now, &mut out) {
        let first = Packet::parse(&out).expect("it was one before");
        assert_eq!(first.total_len(), out.len());
        assert!(
            first
                .fragment()
                .is_some_and(|fragment| fragment.offset == 0 && fragment.more)
        );
    }
    assert!(out.is_empty());
}

fn accounted(reassembler: &Reassembler, config: &Config, now: Instant) {
    let stats = reassembler.stats();
    assert!(stats.queued_bytes <= config.bytes as u64, "{stats:?}");
    assert!(
        stats.queued_packets <= config.packets.max(1) as u64,
        "{stats:?}"
    );
    assert!(stats.queued_fragments <= 128 * stats.queued_packets);
    let counted = stats.used
        + stats.queued_fragments
        + stats.invalid
        + stats.duplicates
        + stats.conflicts
        + stats.full
        + stats.expired;
    assert_eq!(stats.fragments, counted, "{stats:?}");
    let deadline = reassembler.poll_timeout();
    assert_eq!(deadline.is_some(), stats.queued_packets > 0);
    assert!(
        deadline.is_none_or(|at| at > now),
        "what is due has been done"
    );
}

/// The whole packet is between the same hosts as the fragment that completed it, which is in it.
fn made_of(whole: &[u8], last: &Packet<'_>) {
    let header_len = if whole[0] >> 4 == 4 {
        usize::from(whole[0] & 0xf) * 4
    } else if whole[6] == 60 {
        48
    } else {
        40
    };
    let body = &whole[header_len..];
    let offset = usize::from(last.fragment().expect("it is one").offset);
    assert_eq!(&body[offset..offset + last.payload().len()], last.payload());
    if let Ok(packet) = Packet::parse(whole) {
        assert_eq!(packet.total_len(), whole.len());
        assert!(packet.fragment().is_none());
        assert_eq!(
            (packet.source(), packet.destination()),
            (last.source(), last.destination())
        );
    }
}

/// A packet is the same after it has been cut and put together again.
pub(crate) fn again(whole: &[u8]) {
    let Ok(packet) = Packet::parse(whole) else {
        return;
    };
    let mtu = 68 + whole.len() / 7;
    let mut reassembler = Reassembler::new(Config::default());
    let (now, mut out) = (Instant::now(), Vec::new());
    let mut count = 0;
    for fragment in brooklet_packet::fragment(&packet, mtu, 7) {
        assert!(fragment.len() <= mtu);
        count += 1;
        let fragment = Packet::parse(&fragment).expect("a fragment is a packet");
        reassembler.handle_fragment(now, &fragment, &mut out);
    }
    if count > 1 {
        let start = packet.transport_range().start;
        assert_eq!(&out[start..], &packet.bytes()[start..]);
        let again = Packet::parse(&out).expect("it was one before");
        assert_eq!(again.key(), packet.key());
        assert_eq!(again.hop_limit(), packet.hop_limit());
    } else {
        assert!(out.is_empty());
    }
}

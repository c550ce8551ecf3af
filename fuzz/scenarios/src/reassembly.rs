//! The reassembly beside a simple one.

use crate::bytes::{fold, words};
use crate::input::Input;
use brooklet_packet::Packet;
use brooklet_packet::reassembly::{Config, Reassembler, Stats};
use std::time::{Duration, Instant};

/// The most fragments of one packet.
const MOST: usize = 128;
const LIFETIME: Duration = Duration::from_secs(10);

/// Reads `data` as fragments of up to 16 packets and the time between them, and compares each result
/// of the reassembly with that of a map from offsets to bytes.
///
/// # Panics
///
/// When the two differ, or the counters do.
pub fn reassembly(data: &[u8]) -> Stats {
    let mut input = Input::new(data);
    // No limit matters here: the target `fragments` is about the limits.
    let config = Config::new()
        .bytes(1 << 30)
        .packets(64)
        .per_source(64)
        .lifetime(LIFETIME);
    let mut reassembler = Reassembler::new(config);
    let mut reference = Reference::default();
    let mut now = Instant::now();
    let (mut out, mut last) = (Vec::new(), None::<Fragment>);
    while !input.is_over() {
        if input.chance(16) {
            now += Duration::from_millis(u64::from(input.byte()) * 50);
        }
        expire(&mut reassembler, &mut reference, now);
        let fragment = Fragment::draw(&mut input, last.as_ref());
        last = Some(fragment.clone());
        let bytes = fragment.write();
        let Ok(packet) = Packet::parse(&bytes) else {
            // Of IPv6, the parser takes no fragment that no packet can have.
            assert!(fragment.is_v6 && !fragment.is_possible(), "{fragment:?}");
            continue;
        };
        let expected = reference.take(&fragment, now);
        let complete = reassembler.handle_fragment(now, &packet, &mut out);
        assert_eq!(complete.then_some(&out), expected.as_ref(), "{fragment:?}");
        reference.compare(reassembler.stats());
    }
    now += LIFETIME;
    expire(&mut reassembler, &mut reference, now);
    let stats = reassembler.stats();
    assert_eq!((stats.queued_bytes, stats.queued_packets), (0, 0));
    stats
}

/// Lets both drop what is due, and compares the first fragments that come out.
fn expire(reassembler: &mut Reassembler, reference: &mut Reference, now: Instant) {
    let expected = reference.expire(now);
    let (mut firsts, mut out) = (Vec::new(), Vec::new());
    while reassembler.handle_timeout(now, &mut out) {
        firsts.push(out.clone());
    }
    assert_eq!(firsts, expected);
    reference.compare(reassembler.stats());
}

#[derive(Clone, Debug)]
struct Fragment {
    /// What it was drawn as.
    kind: u8,
    is_v6: bool,
    /// With IPv4 options, or with an extension header before the fragment header.
    has_options: bool,
    id: u8,
    source: u8,
    protocol: u8,
    offset: usize,
    bytes: Vec<u8>,
    more: bool,
}

/// The fields that the fragments of one packet share (RFC 791, 3.2; RFC 8200, 4.5).
type Key = (bool, u8, u8, Option<u8>);

impl Fragment {
    /// Draws a fragment of one of few packets, at one of few offsets, so that fragments meet; or one
    /// that follows the last one in the packet, or the last one again.
    fn draw(input: &mut Input<'_>, last: Option<&Self>) -> Self {
        let mut kind = input.byte();
        if kind >= 240
            && let Some(last) = last
        {
            return last.clone();
        }
        let mut follows = None;
        if kind >= 128
            && let Some(last) = last
        {
            follows = Some((last.offset + last.bytes.len()) / 8);
            kind = last.kind & !8 | kind & 8;
        }
        let unit = match input.byte() {
            _ if follows.is_some() => follows.unwrap_or_default().min(8191),
            unit @ 0..=199 => usize::from(unit) % 8,
            unit @ 200..=249 => usize::from(unit),
            unit => 8176 + usize::from(unit % 16),
        };
        let len = match input.byte() {
            len @ 0..=15 => usize::from(len),
            len @ 16..=199 => 8 * (1 + usize::from(len) % 3),
            len @ 200..=253 => 8 * usize::from(len - 200),
            len => usize::from(len - 253) * 30_000,
        };
        // Mostly the byte that its place in the packet has.
        let wrong = u8::from(input.chance(12));
        let more = kind & 8 == 0 || unit == 0;
        let len = len.min(60_000);
        Self {
            kind,
            is_v6: kind & 1 != 0,
            has_options: kind & 2 != 0,
            // An experimental one (RFC 3692) has no header that the first fragment could lack.
            protocol: 253 + (kind >> 2 & 1),
            more,
            id: kind >> 4 & 1,
            source: kind >> 5 & 3,
            offset: unit * 8,
            bytes: (unit * 8..unit * 8 + len)
                .map(|at| (at as u8).wrapping_mul(7) ^ wrong)
                .collect(),
        }
    }

    fn key(&self) -> Key {
        let protocol = (!self.is_v6).then_some(self.protocol);
        (self.is_v6, self.source, self.id, protocol)
    }

    /// The bytes that the length field of the packet counts beside those of the payload.
    fn counted(&self) -> usize {
        match (self.is_v6, self.has_options) {
            (true, false) => 0,
            (true, true) => 8,
            (false, false) => 20,
            (false, true) => 28,
        }
    }

    fn is_possible(&self) -> bool {
        let end = self.counted() + self.offset + self.bytes.len();
        let is_even = self.bytes.len().is_multiple_of(8);
        !self.bytes.is_empty() && end <= 65_535 && (is_even || !self.more)
    }

    fn write(&self) -> Vec<u8> {
        let field = if self.is_v6 {
            self.offset as u16 | u16::from(self.more)
        } else {
            (self.offset / 8) as u16 | u16::from(self.more) << 13
        };
        let mut packet = self.header(self.bytes.len(), Some(field));
        packet.extend(&self.bytes);
        packet
    }

    /// Writes the header of a packet with a payload of `len` bytes; without a `field` with offset and
    /// flag that of a whole packet.
    fn header(&self, len: usize, field: Option<u16>) -> Vec<u8> {
        let mut header;
        if self.is_v6 {
            let fragment = if field.is_some() { 8 } else { 0 };
            let len = (self.counted() + fragment + len) as u16;
            let mut next = if field.is_some() { 44 } else { self.protocol };
            header = vec![0x60, 0, 0, 0];
            header.extend(len.to_be_bytes());
            if self.has_options {
                header.extend([60, 64]);
            } else {
                header.extend([next, 64]);
            }
            header.extend([0xfd; 31]);
            header.push(self.source);
            if self.has_options {
                header.extend([next, 0, 1, 4, 0, 0, 0, 0]);
            }
            if let Some(field) = field {
                next = self.protocol;
                header.extend([next, 0]);
                header.extend(field.to_be_bytes());
                header.extend([0, 0, 0, self.id]);
            }
        } else {
            let first = if self.has_options { 0x47 } else { 0x45 };
            header = vec![first, 0];
            header.extend(((self.counted() + len) as u16).to_be_bytes());
            header.extend([0, self.id]);
            header.extend(field.unwrap_or(0).to_be_bytes());
            header.extend([64, self.protocol, 0, 0]);
            header.extend([10, 0, 0, self.source, 192, 0, 2, 1]);
            if self.has_options {
                header.extend([1; 8]);
            }
            let checksum = !fold(words(&header));
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        header
    }
}

/// Reassembly without limits and without a thought for its cost.
#[derive(Debug, Default)]
struct Reference {
    /// In the order of their first fragments.
    packets: Vec<Incomplete>,
    stats: [u64; 5],
}

const INVALID: usize = 0;
const DUPLICATES: usize = 1;
const CONFLICTS: usize = 2;
const USED: usize = 3;
const EXPIRED: usize = 4;

#[derive(Debug)]
struct Incomplete {
    key: Key,
    since: Instant,
    /// `None` after a conflict.
    fragments: Option<Vec<Fragment>>,
    /// The bytes that have arrived, each at its offset.
    bytes: Vec<Option<u8>>,
}

impl Reference {
    /// Takes a fragment, and returns the packet that it completes.
    fn take(&mut self, fragment: &Fragment, now: Instant) -> Option<Vec<u8>> {
        if !fragment.is_possible() {
            self.stats[INVALID] += 1;
            return None;
        }
        let key = fragment.key();
        let at = match self.packets.iter().position(|packet| packet.key == key) {
            Some(at) => at,
            None => {
                self.packets.push(Incomplete {
                    key,
                    since: now,
                    fragments: Some(Vec::new()),
                    bytes: Vec::new(),
                });
                self.packets.len() - 1
            }
        };
        let packet = &mut self.packets[at];
        let Some(fragments) = &mut packet.fragments else {
            self.stats[CONFLICTS] += 1;
            return None;
        };
        let is_same = |other: &Fragment| {
            (other.offset, other.more) == (fragment.offset, fragment.more)
                && other.bytes == fragment.bytes
        };
        if fragments.iter().any(is_same) {
            self.stats[DUPLICATES] += 1;
            return None;
        }
        let place = fragment.offset..fragment.offset + fragment.bytes.len();
        // RFC 5722, 4, and an end that is not the end.
        let arrived = packet.bytes.iter().skip(place.start).take(place.len());
        let overlaps = arrived.flatten().next().is_some();
        let is_behind_the_end = end(fragments).is_some_and(|end| place.end > end);
        let ends_too_early = !fragment.more && packet.bytes.len() > place.end;
        if overlaps || is_behind_the_end || ends_too_early || fragments.len() == MOST {
            self.stats[CONFLICTS] += fragments.len() as u64 + 1;
            packet.fragments = None;
            return None;
        }
        fragments.push(fragment.clone());
        let len = packet.bytes.len().max(place.end);
        packet.bytes.resize(len, None);
        for (at, byte) in place.zip(&fragment.bytes) {
            packet.bytes[at] = Some(*byte);
        }
        end(fragments)?;
        let bytes: Vec<u8> = packet.bytes.iter().copied().collect::<Option<_>>()?;
        let count = fragments.len() as u64;
        let first = fragments.iter().find(|fragment| fragment.offset == 0);
        let first = first.expect("a whole packet has a start").clone();
        self.packets.remove(at);
        // The header of the first fragment may make the packet too long.
        if first.counted() + bytes.len() > 65_535 {
            self.stats[INVALID] += count;
            return None;
        }
        self.stats[USED] += count;
        let mut packet = first.header(bytes.len(), None);
        packet.extend(bytes);
        Some(packet)
    }

    /// Drops the packets that are due, and returns those first fragments that have arrived.
    fn expire(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut firsts = Vec::new();
        self.packets.retain(|packet| {
            let is_due = packet.since + LIFETIME <= now;
            if let Some(fragments) = packet.fragments.as_ref().filter(|_| is_due) {
                self.stats[EXPIRED] += fragments.len() as u64;
                let first = fragments.iter().find(|fragment| fragment.offset == 0);
                firsts.extend(first.map(Fragment::write));
            }
            !is_due
        });
        firsts
    }

    fn compare(&self, stats: Stats) {
        let Stats {
            invalid,
            duplicates,
            conflicts,
            used,
            expired,
            full,
            ..
        } = stats;
        assert_eq!(self.stats, [invalid, duplicates, conflicts, used, expired]);
        assert_eq!(full, 0);
        assert_eq!(stats.queued_packets, self.packets.len() as u64);
        let held = self.packets.iter().flat_map(|packet| &packet.fragments);
        let held: usize = held.map(Vec::len).sum();
        assert_eq!(stats.queued_fragments, held as u64);
    }
}

fn end(fragments: &[Fragment]) -> Option<usize> {
    let last = fragments.iter().find(|fragment| !fragment.more);
    last.map(|last| last.offset + last.bytes.len())
}

//! The fragments of one packet.

use crate::ext::{self, FRAGMENT_HEADER, IPV6_HEADER};
use crate::{Fragment, Packet, checksum};

/// The cost of a fragment beside its bytes: its entry in the list, the spare capacity of the list,
/// and the overhead of the allocator.
const FRAGMENT_COST: usize = 64;

/// The most fragments of one packet: enough for the longest packet at the 576 bytes that every IPv4
/// host accepts, and few enough for a linear insertion.
const MAX_FRAGMENTS: usize = 128;

/// The largest value of the length field of either IP version.
const MAX_LENGTH: usize = u16::MAX as usize;

/// A fragment with valid offset and length.
#[derive(Debug)]
pub(super) struct HeldFragment {
    start: usize,
    bytes: Box<[u8]>,
    is_last: bool,
    /// The header of the packet, if this is the first fragment.
    header: Option<Box<[u8]>>,
}

impl HeldFragment {
    /// Returns `None` for a fragment that no packet can have (RFC 791, 3.2; RFC 8200, 4.5): an
    /// empty one, one beyond the longest packet, and one that leaves a gap which no other fragment
    /// can fill.
    pub(super) fn new(packet: &Packet<'_>, fragment: Fragment) -> Option<Self> {
        let bytes = packet.payload();
        let start = usize::from(fragment.offset);
        let before = packet.transport_range().start;
        let counted = if packet.key().is_ipv6() {
            before - FRAGMENT_HEADER - IPV6_HEADER
        } else {
            before
        };
        let fits = counted + start + bytes.len() <= MAX_LENGTH;
        let uneven = fragment.more && !bytes.len().is_multiple_of(8);
        if !fits || uneven || bytes.is_empty() {
            return None;
        }
        Some(Self {
            start,
            bytes: bytes.into(),
            is_last: !fragment.more,
            header: if start == 0 {
                Some(header(packet)?)
            } else {
                None
            },
        })
    }

    fn end(&self) -> usize {
        self.start + self.bytes.len()
    }

    pub(super) fn cost(&self) -> usize {
        FRAGMENT_COST + self.bytes.len() + self.header.as_ref().map_or(0, |header| header.len())
    }
}

/// The header of the reassembled packet, made from the first fragment. The length and the IPv4
/// checksum are not set yet.
fn header(first: &Packet<'_>) -> Option<Box<[u8]>> {
    let (bytes, end) = (first.bytes(), first.transport_range().start);
    if !first.key().is_ipv6() {
        let mut header: Box<[u8]> = bytes[..end].into();
        header[6..8].fill(0);
        return Some(header);
    }
    // Never `None`: the parser has walked the same headers.
    let named_at = ext::walk(bytes).ok()?.fragment_named_at;
    let mut header: Box<[u8]> = bytes[..end - FRAGMENT_HEADER].into();
    header[named_at] = first.protocol().into();
    Some(header)
}

/// The part of a header that its own length field counts, in bytes.
fn counted(header: &[u8]) -> usize {
    if header[0] >> 4 == 4 {
        header.len()
    } else {
        header.len() - IPV6_HEADER
    }
}

/// How a fragment relates to the fragments in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// No fragment in the queue covers any of its bytes.
    Fits,
    /// The same fragment is in the queue.
    Duplicate,
    /// The fragment overlaps another one, contradicts the end of the packet, or is one too many.
    Conflict,
}

/// The fragments of one packet, without overlaps.
#[derive(Debug, Default)]
pub(super) struct FragmentQueue {
    /// In the order of their offsets.
    fragments: Vec<HeldFragment>,
    bytes: usize,
    cost: usize,
}

impl FragmentQueue {
    pub(super) fn count(&self) -> u64 {
        self.fragments.len() as u64
    }

    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn fit(&self, fragment: &HeldFragment) -> Fit {
        let at = self.position(fragment);
        let after = self.fragments.get(at);
        if after.is_some_and(|after| {
            (after.start, after.is_last) == (fragment.start, fragment.is_last)
                && after.bytes == fragment.bytes
        }) {
            return Fit::Duplicate;
        }
        let before = at.checked_sub(1).and_then(|at| self.fragments.get(at));
        let overlaps = before.is_some_and(|before| before.end() > fragment.start || before.is_last)
            || after.is_some_and(|after| fragment.end() > after.start || fragment.is_last);
        if overlaps || self.fragments.len() >= MAX_FRAGMENTS {
            Fit::Conflict
        } else {
            Fit::Fits
        }
    }

    /// Inserts a fragment that [`Fit::Fits`].
    pub(super) fn insert(&mut self, fragment: HeldFragment) {
        self.bytes += fragment.bytes.len();
        self.cost += fragment.cost();
        self.fragments.insert(self.position(&fragment), fragment);
    }

    fn position(&self, fragment: &HeldFragment) -> usize {
        self.fragments
            .partition_point(|other| other.start < fragment.start)
    }

    /// Fragments do not overlap, so the packet is complete when they have as many bytes as the end
    /// of the last fragment says.
    pub(super) fn is_complete(&self) -> bool {
        self.fragments
            .last()
            .is_some_and(|last| last.is_last && last.end() == self.bytes)
    }

    /// Writes the reassembled packet into `out`, which is empty. Returns `false` and writes nothing
    /// if the packet is too long.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> bool {
        let Some(header) = self
            .fragments
            .first()
            .and_then(|first| first.header.as_ref())
        else {
            return false;
        };
        let length = counted(header) + self.bytes;
        let Ok(length) = u16::try_from(length) else {
            return false;
        };
        out.reserve(header.len() + self.bytes);
        out.extend_from_slice(header);
        if header[0] >> 4 == 4 {
            out[2..4].copy_from_slice(&length.to_be_bytes());
            out[10..12].fill(0);
            let checksum = checksum::of(out);
            out[10..12].copy_from_slice(&checksum.to_be_bytes());
        } else {
            out[4..6].copy_from_slice(&length.to_be_bytes());
        }
        for fragment in &self.fragments {
            out.extend_from_slice(&fragment.bytes);
        }
        true
    }
}

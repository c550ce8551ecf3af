//! The fragments of one packet.

use crate::ext::{self, FRAGMENT_HEADER, IPV6_HEADER};
use crate::{Fragment, Packet, checksum};

/// The cost of a fragment beside its bytes: its entry in the list, the spare capacity of the list,
/// and the overhead of the allocator.
const FRAGMENT_COST: usize = 96;

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
    /// The IP header with the IPv4 options or the IPv6 extension headers up to the fragment header,
    /// as it arrived, if this is the first fragment.
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
            header: (start == 0).then(|| packet.bytes()[..before].into()),
        })
    }

    fn end(&self) -> usize {
        self.start + self.bytes.len()
    }

    pub(super) fn cost(&self) -> usize {
        FRAGMENT_COST + self.bytes.len() + self.header.as_ref().map_or(0, |header| header.len())
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

    /// The bytes that the queue has allocated.
    pub(super) fn allocated(&self) -> usize {
        let list = self.fragments.capacity() * size_of::<HeldFragment>();
        list + self.cost - self.fragments.len() * FRAGMENT_COST
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

    /// The first fragment and its header.
    fn first(&self) -> Option<(&HeldFragment, &[u8])> {
        let first = self.fragments.first()?;
        Some((first, first.header.as_deref()?))
    }

    /// Writes the first fragment into `out`, which is empty, as it arrived. Returns `false` and
    /// writes nothing if the first fragment did not arrive.
    pub(super) fn write_first(&self, out: &mut Vec<u8>) -> bool {
        let Some((first, header)) = self.first() else {
            return false;
        };
        out.extend_from_slice(header);
        out.extend_from_slice(&first.bytes);
        true
    }

    /// Writes the reassembled packet into `out`, which is empty. Returns `false` and writes nothing
    /// if the packet is too long.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> bool {
        let Some((_, header)) = self.first() else {
            return false;
        };
        let written = if header[0] >> 4 == 4 {
            write_header_v4(out, header, self.bytes)
        } else {
            write_header_v6(out, header, self.bytes)
        };
        if written.is_none() {
            out.clear();
            return false;
        }
        out.reserve(self.bytes);
        for fragment in &self.fragments {
            out.extend_from_slice(&fragment.bytes);
        }
        true
    }
}

/// Writes the header of a reassembled packet with `payload` bytes, made from the `first` header.
fn write_header_v4(out: &mut Vec<u8>, first: &[u8], payload: usize) -> Option<()> {
    let length = u16::try_from(first.len() + payload).ok()?;
    out.extend_from_slice(first);
    out[2..4].copy_from_slice(&length.to_be_bytes());
    out[6..8].fill(0);
    out[10..12].fill(0);
    let checksum = checksum::of(out);
    out[10..12].copy_from_slice(&checksum.to_be_bytes());
    Some(())
}

/// The same for IPv6: without the fragment header, which is the last.
fn write_header_v6(out: &mut Vec<u8>, first: &[u8], payload: usize) -> Option<()> {
    // Never `None`: the parser has walked the same headers.
    let named_at = ext::skip(first).ok()?.fragment_named_at;
    let (before, fragment) = first.split_last_chunk::<FRAGMENT_HEADER>()?;
    let length = u16::try_from(before.len() - IPV6_HEADER + payload).ok()?;
    out.extend_from_slice(before);
    out[4..6].copy_from_slice(&length.to_be_bytes());
    out[named_at] = fragment[0];
    Some(())
}

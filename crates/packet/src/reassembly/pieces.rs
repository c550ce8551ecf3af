//! The pieces of one packet.

use crate::ext::{self, FRAGMENT_HEADER, IPV6_HEADER};
use crate::{Fragment, Packet, checksum};

/// What a piece costs beside its bytes: its place in a list, that list's spare capacity, and what
/// the allocator adds.
const PIECE_COST: usize = 64;

/// How many pieces a packet may have: enough for the longest at the 576 bytes that every IPv4 host
/// takes, and too few to make looking for a place among them slow.
const MOST_PIECES: usize = 128;

/// The largest value of the length field of either version.
const LONGEST: usize = u16::MAX as usize;

/// A fragment that some packet can have.
#[derive(Debug)]
pub(super) struct Piece {
    start: usize,
    bytes: Box<[u8]>,
    is_last: bool,
    /// The header of the packet, when this is the first piece.
    header: Option<Box<[u8]>>,
}

impl Piece {
    /// `None` for what is no piece of any packet (RFC 791, 3.2; RFC 8200, 4.5): an empty one, one
    /// beyond the longest packet, and one that leaves a gap no other can fill.
    pub(super) fn new(packet: &Packet<'_>, place: Fragment) -> Option<Self> {
        let bytes = packet.payload();
        let start = usize::from(place.offset);
        let before = packet.transport_range().start;
        let counted = if packet.key().is_ipv6() {
            before - FRAGMENT_HEADER - IPV6_HEADER
        } else {
            before
        };
        let fits = counted + start + bytes.len() <= LONGEST;
        let uneven = place.more && !bytes.len().is_multiple_of(8);
        if !fits || uneven || bytes.is_empty() {
            return None;
        }
        Some(Self {
            start,
            bytes: bytes.into(),
            is_last: !place.more,
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
        PIECE_COST + self.bytes.len() + self.header.as_ref().map_or(0, |header| header.len())
    }
}

/// The header of the whole packet, of whose pieces this is the first; only its length is not right
/// yet.
fn header(first: &Packet<'_>) -> Option<Box<[u8]>> {
    let (bytes, end) = (first.bytes(), first.transport_range().start);
    if !first.key().is_ipv6() {
        let mut header: Box<[u8]> = bytes[..end].into();
        header[6..8].fill(0);
        return Some(header);
    }
    // `None` never comes: the parser has walked here before.
    let named_at = ext::walk(bytes).ok()?.fragment_named_at;
    let mut header: Box<[u8]> = bytes[..end - FRAGMENT_HEADER].into();
    header[named_at] = first.protocol().into();
    Some(header)
}

/// How much of a header its length field counts.
fn counted(header: &[u8]) -> usize {
    if header[0] >> 4 == 4 {
        header.len()
    } else {
        header.len() - IPV6_HEADER
    }
}

/// How a piece goes with those that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Its place is free.
    Fits,
    /// It is there.
    Known,
    /// Both cannot be of one packet.
    Conflict,
}

/// Pieces of one packet, none over another.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// In the order of their places.
    list: Vec<Piece>,
    bytes: usize,
    cost: usize,
}

impl Pieces {
    pub(super) fn count(&self) -> u64 {
        self.list.len() as u64
    }

    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn fit(&self, piece: &Piece) -> Fit {
        let at = self.place(piece);
        let after = self.list.get(at);
        if after.is_some_and(|after| {
            (after.start, after.is_last) == (piece.start, piece.is_last)
                && after.bytes == piece.bytes
        }) {
            return Fit::Known;
        }
        let before = at.checked_sub(1).and_then(|at| self.list.get(at));
        let overlaps = before.is_some_and(|before| before.end() > piece.start || before.is_last)
            || after.is_some_and(|after| piece.end() > after.start || piece.is_last);
        if overlaps || self.list.len() >= MOST_PIECES {
            Fit::Conflict
        } else {
            Fit::Fits
        }
    }

    /// Adds a piece that [`Fit::Fits`].
    pub(super) fn insert(&mut self, piece: Piece) {
        self.bytes += piece.bytes.len();
        self.cost += piece.cost();
        self.list.insert(self.place(&piece), piece);
    }

    fn place(&self, piece: &Piece) -> usize {
        self.list.partition_point(|other| other.start < piece.start)
    }

    /// Without overlaps, as many bytes as the end says are all bytes.
    pub(super) fn is_complete(&self) -> bool {
        self.list
            .last()
            .is_some_and(|last| last.is_last && last.end() == self.bytes)
    }

    /// Writes the whole packet to the end of `out`. `false`, and nothing there, if it is too long.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> bool {
        let Some(header) = self.list.first().and_then(|first| first.header.as_ref()) else {
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
        for piece in &self.list {
            out.extend_from_slice(&piece.bytes);
        }
        true
    }
}

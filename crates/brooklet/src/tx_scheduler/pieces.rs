use crate::drop_reason::DropReason;
use brooklet_io::{Checksum, Meta, Offload, PacketBuf};
use brooklet_packet::{Fragmenter, Headers, Protocol, Segmenter};
use std::num::NonZeroU16;

/// The packets into which one packet is split on its way to the device.
///
/// All packets are moved with this beside them, so the rare variant is boxed. Segments are not rare:
/// they cost no allocation.
#[derive(Debug)]
pub(super) enum Pieces {
    /// The packet itself: it fits, or the device segments it.
    Whole,
    /// The segments of a super-packet that the device does not segment.
    Segments(Segmenter),
    /// The fragments of a packet that is longer than the path MTU.
    Fragments(Box<Fragmenter>),
}

impl Pieces {
    /// Returns the length in bytes of the longest piece; `None` for a packet that is not split.
    pub(super) fn longest(&self) -> Option<usize> {
        match self {
            Self::Whole => None,
            Self::Segments(segmenter) => Some(segmenter.longest()),
            Self::Fragments(fragmenter) => Some(fragmenter.longest()),
        }
    }

    /// Writes the next piece of `packet` into `out`. Returns `false` after the last piece, and for a
    /// packet that is not split.
    pub(super) fn next(&mut self, packet: &[u8], out: &mut PacketBuf) -> bool {
        let len = match self {
            Self::Whole => None,
            Self::Segments(segmenter) => {
                out.resize(segmenter.longest());
                segmenter.next(packet, out)
            }
            Self::Fragments(fragmenter) => {
                out.resize(fragmenter.longest());
                fragmenter.next(packet, out)
            }
        };
        if let Some(len) = len {
            out.set_len(len);
        }
        len.is_some()
    }
}

/// The path of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path {
    /// The path of a TCP segment, which TCP has made to fit its path. `mtu` is that of the link, in
    /// bytes, which may have become less meanwhile.
    Tcp { mtu: usize },
    /// The path of any other packet: its MTU in bytes, and an identification for the fragments of a
    /// packet that has none.
    Other { mtu: usize, id: u32 },
}

/// Completes the checksum as far as the device does not, and splits the packet if it has to be
/// split.
///
/// # Errors
///
/// [`DropReason::TooLong`] if the packet is longer than its path takes and may not be fragmented.
#[inline]
pub(super) fn complete(
    packet: &mut PacketBuf,
    headers: &Headers,
    offload: Offload,
    path: Path,
) -> Result<Pieces, DropReason> {
    let segments = match headers.protocol() {
        Protocol::Tcp if headers.key().is_ipv6() => offload.tso6,
        Protocol::Tcp => offload.tso4,
        _ => offload.uso,
    };
    let gso_size = match path {
        Path::Tcp { mtu } => segment_size(packet, headers, mtu)?,
        Path::Other { mtu, .. } => {
            let size = packet.meta().gso_size;
            // The datagrams of a batch are not fragmented.
            if size
                .is_some_and(|size| headers.payload_range().start + usize::from(size.get()) > mtu)
            {
                return Err(DropReason::TooLong);
            }
            size
        }
    };
    if let Some(size) = gso_size
        && !(segments && offload.checksum)
    {
        return Ok(Pieces::Segments(Segmenter::new(headers, size)));
    }
    let too_long = match path {
        Path::Other { mtu, id } if packet.len() > mtu && gso_size.is_none() => Some((mtu, id)),
        _ => None,
    };
    if packet.meta().checksum == Checksum::Partial {
        if offload.checksum && too_long.is_none() {
            headers.fill_partial_checksum(packet);
        } else {
            headers.fill_checksum(packet);
            packet.set_meta(Meta::default());
        }
    }
    let Some((mtu, id)) = too_long else {
        return Ok(Pieces::Whole);
    };
    // The sender of an IPv6 packet may always fragment it, and this is the sender.
    if headers.dont_fragment() && !headers.key().is_ipv6() {
        return Err(DropReason::TooLong);
    }
    let id = own_identification(packet, headers).unwrap_or(id);
    Fragmenter::new(headers, mtu, id)
        .map(|fragmenter| Pieces::Fragments(Box::new(fragmenter)))
        .ok_or(DropReason::TooLong)
}

/// Returns how long the segments of a TCP packet are, if it is to be segmented. A packet that was
/// made for a larger MTU becomes a super-packet with segments that fit `mtu`.
#[inline]
fn segment_size(
    packet: &mut PacketBuf,
    headers: &Headers,
    mtu: usize,
) -> Result<Option<NonZeroU16>, DropReason> {
    let header_len = headers.payload_range().start;
    let len = match packet.meta().gso_size {
        Some(size) => header_len + usize::from(size.get()),
        None => packet.len(),
    };
    match len > mtu {
        true => shorten(packet, mtu.saturating_sub(header_len)).map(Some),
        false => Ok(packet.meta().gso_size),
    }
}

/// Makes a TCP packet a super-packet of segments with `size` bytes of data.
#[cold]
fn shorten(packet: &mut PacketBuf, size: usize) -> Result<NonZeroU16, DropReason> {
    let size = u16::try_from(size).ok().and_then(NonZeroU16::new);
    let size = size.ok_or(DropReason::TooLong)?;
    let meta = Meta::new().checksum(Checksum::Partial).gso_size(Some(size));
    packet.set_meta(meta);
    Ok(size)
}

/// The identification that the maker of an IPv4 packet has chosen for a case like this (RFC 6864,
/// 4.1). A packet with "don't fragment" has none.
fn own_identification(packet: &[u8], headers: &Headers) -> Option<u32> {
    let chosen = !headers.key().is_ipv6() && !headers.dont_fragment();
    let id = u16::from_be_bytes([packet[4], packet[5]]);
    (chosen && id != 0).then_some(id.into())
}

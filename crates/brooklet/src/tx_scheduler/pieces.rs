use crate::drop_reason::DropReason;
use brooklet_io::{Checksum, Meta, Offload, PacketBuf};
use brooklet_packet::{Fragmenter, Headers, Protocol, Segmenter};

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

/// Completes the checksum as far as the device does not, and splits the packet if it has to be
/// split: `mtu` is the length of the longest packet that the path takes, or `None` for a packet that
/// is known to fit, and `id` an identification for the fragments of a packet that has none.
///
/// # Errors
///
/// [`DropReason::TooLong`] if the packet is longer than its path takes and may not be fragmented.
#[inline]
pub(super) fn complete(
    packet: &mut PacketBuf,
    headers: &Headers,
    offload: Offload,
    (mtu, id): (Option<usize>, u32),
) -> Result<Pieces, DropReason> {
    let Meta {
        checksum, gso_size, ..
    } = packet.meta();
    let segments = match headers.protocol() {
        Protocol::Tcp if headers.key().is_ipv6() => offload.tso6,
        Protocol::Tcp => offload.tso4,
        _ => offload.uso,
    };
    if let Some(size) = gso_size
        && !(segments && offload.checksum)
    {
        return Ok(Pieces::Segments(Segmenter::new(headers, size)));
    }
    let too_long = mtu.filter(|&mtu| packet.len() > mtu);
    let too_long = too_long.filter(|_| gso_size.is_none());
    if checksum == Checksum::Partial {
        if offload.checksum && too_long.is_none() {
            headers.fill_partial_checksum(packet);
        } else {
            headers.fill_checksum(packet);
            packet.set_meta(Meta::default());
        }
    }
    let Some(mtu) = too_long else {
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

/// The identification that the maker of an IPv4 packet has chosen for a case like this (RFC 6864,
/// 4.1). A packet with "don't fragment" has none.
fn own_identification(packet: &[u8], headers: &Headers) -> Option<u32> {
    let chosen = !headers.key().is_ipv6() && !headers.dont_fragment();
    let id = u16::from_be_bytes([packet[4], packet[5]]);
    (chosen && id != 0).then_some(id.into())
}

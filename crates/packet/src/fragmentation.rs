//! Fragmentation of a packet.

use crate::ext::{FRAGMENT, FRAGMENT_HEADER, IPV6_HEADER};
use crate::{Packet, checksum};

/// Splits a packet into fragments of at most `mtu` bytes each (RFC 791, 3.2; RFC 8200, 4.5).
///
/// The identification of the fragments is `id`, or its lower 16 bits with IPv4. Choose one that is
/// not in use between the two hosts and that others cannot predict (RFC 7739). The function ignores
/// "don't fragment" and does not set it. A packet that fits `mtu` is returned as it is.
///
/// The iterator is empty for a packet with IPv4 options or IPv6 extension headers, for a fragment,
/// and if `mtu` leaves no room for 8 bytes of payload.
///
/// ```
/// use brooklet_packet::reassembly::{Config, Reassembler};
/// use brooklet_packet::{Packet, fragment, udp};
/// use std::time::Instant;
///
/// let (from, to) = ("[2001:db8::1]:53".parse()?, "[2001:db8::2]:5000".parse()?);
/// let mut datagram = Vec::new();
/// udp::write(&mut datagram, from, to, 64, &[7; 3000])?;
///
/// let (mut reassembler, mut reassembled) = (Reassembler::new(Config::default()), Vec::new());
/// for fragment in fragment(&Packet::parse(&datagram)?, 1500, 99) {
///     assert!(fragment.len() <= 1500);
///     let fragment = Packet::parse(&fragment)?;
///     reassembler.handle_fragment(Instant::now(), &fragment, &mut reassembled);
/// }
/// assert_eq!(reassembled, datagram);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn fragment(packet: &Packet<'_>, mtu: usize, id: u32) -> impl Iterator<Item = Vec<u8>> {
    let bytes = packet.bytes();
    let is_ipv6 = packet.key().is_ipv6();
    let header_len = packet.transport_range().start;
    let overhead = header_len + if is_ipv6 { FRAGMENT_HEADER } else { 0 };
    let step = mtu.saturating_sub(overhead) / 8 * 8;
    let fits = bytes.len() <= mtu;
    let possible = !packet.has_options() && packet.fragment().is_none() && (fits || step > 0);
    let (header, body) = bytes.split_at(header_len);
    let step = if fits { body.len() } else { step };
    let count = if possible {
        body.len().div_ceil(step.max(1)).max(1)
    } else {
        0
    };
    (0..count).map(move |nth| {
        if fits {
            return bytes.to_vec();
        }
        let start = nth * step;
        let part = &body[start..body.len().min(start + step)];
        let more = start + part.len() < body.len();
        // An offset in a packet is below 65,536.
        let place = (start as u16, more);
        let mut out = Vec::with_capacity(overhead + part.len());
        out.extend_from_slice(header);
        if is_ipv6 {
            push_fragment_header(&mut out, place, id);
        } else {
            rewrite_header(&mut out, place, id, part.len());
        }
        out.extend_from_slice(part);
        if is_ipv6 {
            let length = (out.len() - IPV6_HEADER) as u16;
            out[4..6].copy_from_slice(&length.to_be_bytes());
        }
        out
    })
}

fn push_fragment_header(out: &mut Vec<u8>, (offset, more): (u16, bool), id: u32) {
    let next_header = std::mem::replace(&mut out[6], FRAGMENT);
    out.extend([next_header, 0]);
    out.extend((offset | u16::from(more)).to_be_bytes());
    out.extend(id.to_be_bytes());
}

fn rewrite_header(header: &mut [u8], (offset, more): (u16, bool), id: u32, payload: usize) {
    let length = (header.len() + payload) as u16;
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header[4..6].copy_from_slice(&(id as u16).to_be_bytes());
    header[6..8].copy_from_slice(&((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
    header[10..12].fill(0);
    let checksum = checksum::of(header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
}

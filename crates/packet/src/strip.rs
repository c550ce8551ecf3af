//! A packet without its options.

use crate::ext::IPV6_HEADER;
use crate::{Packet, checksum};

const IPV4_HEADER: usize = 20;

/// Writes `packet` without its IPv4 options or IPv6 extension headers into `out`, in the place of
/// what was there.
///
/// The IP header is made right for it: lengths, protocol, IPv4 checksum. The transport bytes are
/// those of the packet, and their checksum stays as right or wrong as it was: neither addresses
/// nor protocol nor length that it covers change. A packet without options is copied as it is.
///
/// Answers `false`, with `out` empty, for a fragment: what it is a part of is told by the header
/// that would go.
///
/// ```
/// use brooklet_packet::{Packet, Protocol, strip_options};
///
/// // IPv6 with hop-by-hop options (four bytes of padding, in one option) before a UDP datagram.
/// let mut bytes = vec![0x60, 0, 0, 0, 0, 16, 0, 64];
/// bytes.extend_from_slice(&[0xfd; 32]);
/// bytes.extend_from_slice(&[17, 0, 1, 4, 0, 0, 0, 0]);
/// bytes.extend_from_slice(&[0, 1, 0, 2, 0, 8, 0, 0]);
///
/// let mut out = Vec::new();
/// assert!(strip_options(&mut out, &Packet::parse(&bytes)?));
/// let plain = Packet::parse(&out)?;
/// assert!(!plain.has_options());
/// assert_eq!(plain.total_len(), 48);
/// assert_eq!(plain.protocol(), Protocol::Udp);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn strip_options(out: &mut Vec<u8>, packet: &Packet<'_>) -> bool {
    out.clear();
    if packet.fragment().is_some() {
        return false;
    }
    let bytes = packet.bytes();
    // To the end of the packet, which may lie behind the end of a UDP datagram (RFC 9868).
    let rest = &bytes[packet.transport_range().start..];
    if packet.key().is_ipv6() {
        out.extend_from_slice(&bytes[..IPV6_HEADER]);
        // Both lengths are below those of the packet, which fit their fields.
        out[4..6].copy_from_slice(&(rest.len() as u16).to_be_bytes());
        out[6] = packet.protocol().into();
    } else {
        out.extend_from_slice(&bytes[..IPV4_HEADER]);
        out[0] = 0x45;
        out[2..4].copy_from_slice(&((IPV4_HEADER + rest.len()) as u16).to_be_bytes());
        out[10..12].fill(0);
        let checksum = checksum::of(out);
        out[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
    out.extend_from_slice(rest);
    true
}

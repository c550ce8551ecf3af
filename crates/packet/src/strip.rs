//! Removal of options and extension headers.

use crate::ext::IPV6_HEADER;
use crate::{Packet, checksum};

const IPV4_HEADER: usize = 20;

/// Writes `packet` without its IPv4 options or IPv6 extension headers into `out` and replaces the
/// previous contents.
///
/// Corrects the lengths, the protocol and the checksum of the IP header. The transport bytes do not
/// change, and neither does the validity of their checksum: the checksum covers the same addresses,
/// protocol and length. A packet without options is copied.
///
/// Returns `false` and leaves `out` empty for a fragment, which would not be one without its IPv6
/// fragment header.
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
    // A packet may have bytes behind a UDP datagram (RFC 9868), and they are kept.
    let rest = &bytes[packet.transport_range().start..];
    if packet.key().is_ipv6() {
        out.extend_from_slice(&bytes[..IPV6_HEADER]);
        // Neither length is greater than before, so both fit their fields.
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

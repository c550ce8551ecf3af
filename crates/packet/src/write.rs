//! The IP header of the packets that are written here.

use crate::checksum;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr};
use std::net::IpAddr;

/// The hop limit of packets whose hop limit the caller does not choose (RFC 1700, "IP TIME TO LIVE").
pub(crate) const HOP_LIMIT: u8 = 64;

/// A packet whose IP header is written.
pub(crate) struct Draft<'a> {
    out: &'a mut Vec<u8>,
    ends: (IpAddr, IpAddr),
    protocol: u8,
    header_len: usize,
}

/// Clears `out` and writes the IP header of a packet with `payload_len` bytes behind the header.
///
/// Returns `None` and leaves `out` empty if the addresses are of different families or the packet
/// would be too long for its length field.
pub(crate) fn begin(
    out: &mut Vec<u8>,
    ends: (IpAddr, IpAddr),
    protocol: u8,
    hop_limit: u8,
    payload_len: usize,
) -> Option<Draft<'_>> {
    out.clear();
    let next_header = protocol.into();
    match ends {
        (IpAddr::V4(src_addr), IpAddr::V4(dst_addr)) => {
            let repr = Ipv4Repr {
                src_addr,
                dst_addr,
                next_header,
                payload_len,
                hop_limit,
            };
            if payload_len > usize::from(u16::MAX) - repr.buffer_len() {
                return None;
            }
            out.reserve(repr.buffer_len() + payload_len);
            out.resize(repr.buffer_len(), 0);
            // The identification is 0 with "don't fragment" (RFC 6864, 4.1).
            repr.emit(
                &mut Ipv4Packet::new_unchecked(&mut out[..]),
                &ChecksumCapabilities::default(),
            );
        }
        (IpAddr::V6(src_addr), IpAddr::V6(dst_addr)) => {
            let repr = Ipv6Repr {
                src_addr,
                dst_addr,
                next_header,
                payload_len,
                hop_limit,
            };
            if payload_len > usize::from(u16::MAX) {
                return None;
            }
            out.reserve(repr.buffer_len() + payload_len);
            out.resize(repr.buffer_len(), 0);
            repr.emit(&mut Ipv6Packet::new_unchecked(&mut out[..]));
        }
        _ => return None,
    }
    let header_len = out.len();
    Some(Draft {
        out,
        ends,
        protocol,
        header_len,
    })
}

impl Draft<'_> {
    /// Appends bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Returns the checksum of the bytes behind the IP header, with the pseudo-header.
    pub(crate) fn segment_checksum(&self) -> u16 {
        checksum::of_segment(self.ends, self.protocol, &self.out[self.header_len..])
    }

    /// Returns the checksum of the bytes behind the IP header, without a pseudo-header.
    pub(crate) fn plain_checksum(&self) -> u16 {
        checksum::of(&self.out[self.header_len..])
    }

    /// Writes a checksum at an offset from the end of the IP header.
    pub(crate) fn set_checksum(&mut self, at: usize, checksum: u16) {
        let at = self.header_len + at;
        self.out[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}

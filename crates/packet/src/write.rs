//! The IP header of the packets that are written here.

use crate::{IpFields, checksum};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr};
use std::net::IpAddr;

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
    fields: IpFields,
    payload_len: usize,
) -> Option<Draft<'_>> {
    out.clear();
    let next_header = protocol.into();
    let hop_limit = fields.hop_limit;
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
            let mut header = Ipv4Packet::new_unchecked(&mut out[..]);
            // `emit` writes the flag "don't fragment", and with it the identification 0 (RFC 6864, 4.1).
            repr.emit(&mut header, &ChecksumCapabilities::ignored());
            header.set_dscp(fields.traffic_class.dscp());
            header.set_ecn(fields.traffic_class.ecn() as u8);
            if !fields.dont_fragment {
                header.set_dont_frag(false);
                header.set_ident(fields.identification);
            }
            header.fill_checksum();
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
            let mut header = Ipv6Packet::new_unchecked(&mut out[..]);
            repr.emit(&mut header);
            header.set_traffic_class(fields.traffic_class.bits());
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

//! The IP header of the packets that are written here.

use crate::ext::IPV6_HEADER;
use crate::headers::IPV4_HEADER;
use crate::{IpFields, checksum};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
#[inline]
pub(crate) fn begin(
    out: &mut Vec<u8>,
    ends: (IpAddr, IpAddr),
    protocol: u8,
    fields: IpFields,
    payload_len: usize,
) -> Option<Draft<'_>> {
    out.clear();
    match ends {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total_len = u16::try_from(IPV4_HEADER.saturating_add(payload_len)).ok()?;
            out.reserve(total_len.into());
            out.extend_from_slice(&v4((source, destination), protocol, fields, total_len));
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let payload_len = u16::try_from(payload_len).ok()?;
            out.reserve(IPV6_HEADER + usize::from(payload_len));
            out.extend_from_slice(&v6((source, destination), protocol, fields, payload_len));
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

/// An IPv4 header (RFC 791, 3.1).
#[inline]
fn v4(
    (source, destination): (Ipv4Addr, Ipv4Addr),
    protocol: u8,
    fields: IpFields,
    total_len: u16,
) -> [u8; IPV4_HEADER] {
    // With "don't fragment" the identification is 0 (RFC 6864, 4.1).
    let (identification, flags) = match fields.dont_fragment {
        true => (0, 0x40),
        false => (fields.identification, 0),
    };
    let mut header = [0; IPV4_HEADER];
    header[0] = 0x45;
    header[1] = fields.traffic_class.bits();
    header[2..4].copy_from_slice(&total_len.to_be_bytes());
    header[4..6].copy_from_slice(&identification.to_be_bytes());
    header[6] = flags;
    header[8] = fields.hop_limit;
    header[9] = protocol;
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
    let checksum = checksum::of_header(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

/// An IPv6 header (RFC 8200, 3), with the flow label 0.
#[inline]
fn v6(
    (source, destination): (Ipv6Addr, Ipv6Addr),
    next_header: u8,
    fields: IpFields,
    payload_len: u16,
) -> [u8; IPV6_HEADER] {
    let traffic_class = fields.traffic_class.bits();
    let mut header = [0; IPV6_HEADER];
    header[0] = 6 << 4 | traffic_class >> 4;
    header[1] = traffic_class << 4;
    header[4..6].copy_from_slice(&payload_len.to_be_bytes());
    header[6] = next_header;
    header[7] = fields.hop_limit;
    header[8..24].copy_from_slice(&source.octets());
    header[24..40].copy_from_slice(&destination.octets());
    header
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

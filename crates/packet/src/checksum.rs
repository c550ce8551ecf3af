//! The Internet checksum (RFC 1071) over transport segments, on smoltcp's sums.

use smoltcp::wire::checksum::{combine, data, pseudo_header_v4, pseudo_header_v6};
use std::net::IpAddr;

/// The sum of `bytes` as it stands in a packet that is right: all ones.
pub(crate) fn is_valid(bytes: &[u8]) -> bool {
    data(bytes) == !0
}

/// Whether the checksum inside `segment` is right for a segment between these addresses.
pub(crate) fn is_valid_segment(ends: (IpAddr, IpAddr), protocol: u8, segment: &[u8]) -> bool {
    sum(ends, protocol, segment) == !0
}

/// The checksum of `segment`, whose checksum field holds zero.
pub(crate) fn of_segment(ends: (IpAddr, IpAddr), protocol: u8, segment: &[u8]) -> u16 {
    !sum(ends, protocol, segment)
}

/// The checksum of `bytes`, whose checksum field holds zero.
pub(crate) fn of(bytes: &[u8]) -> u16 {
    !data(bytes)
}

fn sum(ends: (IpAddr, IpAddr), protocol: u8, segment: &[u8]) -> u16 {
    combine(&[pseudo_header(ends, protocol, segment.len()), data(segment)])
}

/// The sum of the pseudo header: the same for TCP (RFC 9293, 3.1), UDP (RFC 768) and ICMPv6
/// (RFC 8200, 8.1).
pub(crate) fn pseudo_header(ends: (IpAddr, IpAddr), protocol: u8, length: usize) -> u16 {
    // A segment in an IP packet is never longer than 65,535 bytes.
    let length = length as u32;
    match ends {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            pseudo_header_v4(&source, &destination, protocol.into(), length)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            pseudo_header_v6(&source, &destination, protocol.into(), length)
        }
        _ => unreachable!("both ends come from one packet"),
    }
}

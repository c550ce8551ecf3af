//! The Internet checksum (RFC 1071) over transport segments.

use smoltcp::wire::checksum::{combine, pseudo_header_v4, pseudo_header_v6};
use std::net::IpAddr;

/// The one's complement sum of 16-bit words in network byte order, the last byte filled up with 0.
///
/// Words of any size and byte order give the same sum once it is folded (RFC 1071, 2), so that
/// the processor adds up as much at a time as it can. It is the greater part of what a data packet
/// costs, and done faster than by smoltcp.
fn data(bytes: &[u8]) -> u16 {
    const LANES: usize = 8;
    let mut lanes = [0u64; LANES];
    let (chunks, rest) = bytes.as_chunks::<{ 8 * LANES }>();
    for chunk in chunks {
        let (words, _) = chunk.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            let word = u64::from_ne_bytes(*word);
            // Halves, so that no carry is lost: a packet has not enough of them to overflow.
            *lane += (word & 0xffff_ffff) + (word >> 32);
        }
    }
    let mut sum: u64 = lanes.iter().sum();
    let (words, rest) = rest.as_chunks::<4>();
    for word in words {
        sum += u64::from(u32::from_ne_bytes(*word));
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    sum += u64::from(u32::from_ne_bytes(last));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::from_be(sum as u16)
}

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

#[cfg(test)]
mod tests {
    use super::data;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_are_those_of_smoltcp(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert_eq!(data(&bytes), smoltcp::wire::checksum::data(&bytes));
        }
    }

    #[test]
    fn the_largest_sum_is_not_cut_off() {
        for len in [0, 1, 2, 3, 63, 64, 65, 65_534, 65_535] {
            for byte in [0, 1, 0xff] {
                let bytes = vec![byte; len];
                assert_eq!(
                    data(&bytes),
                    smoltcp::wire::checksum::data(&bytes),
                    "{byte} x {len}"
                );
            }
        }
    }
}

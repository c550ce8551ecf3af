//! The Internet checksum (RFC 1071) over transport segments.

use crate::headers::IPV4_HEADER;
use std::net::IpAddr;

/// The one's complement sum of 16-bit words in network byte order; an odd last byte is padded with 0.
///
/// Words of every size and byte order have the same folded sum (RFC 1071, 2), so the function adds
/// 64-bit words in 128 bits: one addition with carry for each word. The checksum is most of the cost
/// of a data packet, and this sum is several times faster than smoltcp's.
fn data(bytes: &[u8]) -> u16 {
    fold(words(bytes))
}

fn words(bytes: &[u8]) -> u128 {
    let word = |bytes: [u8; 8]| u128::from(u64::from_ne_bytes(bytes));
    // Two sums, so that one addition does not wait for the other.
    let (mut even, mut odd) = (0, 0);
    let (blocks, rest) = bytes.as_chunks::<64>();
    for block in blocks {
        let (pairs, _) = block.as_chunks::<16>();
        for pair in pairs {
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *pair;
            even += word([a, b, c, d, e, f, g, h]);
            odd += word([i, j, k, l, m, n, o, p]);
        }
    }
    let (whole, rest) = rest.as_chunks::<8>();
    for bytes in whole {
        even += word(*bytes);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    even + odd + word(last)
}

#[inline]
fn fold(sum: u128) -> u16 {
    let sum = u128::from(sum as u64) + (sum >> 64);
    let mut sum = (sum as u64).wrapping_add((sum >> 64) as u64);
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    u16::from_be(sum as u16)
}

/// Whether the checksum inside of `bytes` is correct: then the sum is all ones.
pub(crate) fn is_valid(bytes: &[u8]) -> bool {
    data(bytes) == !0
}

/// The checksum of an IPv4 header without options, whose checksum field holds zero.
#[inline]
pub(crate) fn of_header(header: &[u8; IPV4_HEADER]) -> u16 {
    let (words, _) = header.as_chunks::<4>();
    let words = words.iter().map(|word| u32::from_ne_bytes(*word));
    !fold(words.map(u128::from).sum())
}

/// Whether the checksum inside of `segment` is correct for a segment between these addresses.
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
    fold(pseudo_words(ends, protocol, segment.len()) + words(segment))
}

/// The sum of the pseudo-header: the same for TCP (RFC 9293, 3.1), UDP (RFC 768) and ICMPv6
/// (RFC 8200, 8.1).
pub(crate) fn pseudo_header(ends: (IpAddr, IpAddr), protocol: u8, length: usize) -> u16 {
    fold(pseudo_words(ends, protocol, length))
}

fn pseudo_words(ends: (IpAddr, IpAddr), protocol: u8, length: usize) -> u128 {
    // A segment in an IP packet is never longer than 65,535 bytes.
    let rest = u128::from(u16::from(protocol).to_be()) + u128::from((length as u16).to_be());
    match ends {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let word = |octets: [u8; 4]| u128::from(u32::from_ne_bytes(octets));
            word(source.octets()) + word(destination.octets()) + rest
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            words(&source.octets()) + words(&destination.octets()) + rest
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

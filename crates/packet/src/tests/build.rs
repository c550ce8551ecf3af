//! Packets for tests, made without the code under test: checksums included.

use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) const A4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const B4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
pub(super) const A6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
pub(super) const B6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;

/// The Internet checksum of RFC 1071, word by word.
pub(super) fn internet_checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// IPv4 from A4 to B4. Options must be a multiple of four bytes.
pub(super) fn v4(protocol: u8, options: &[u8], body: &[u8]) -> Vec<u8> {
    let header_len = 20 + options.len();
    let total = (header_len + body.len()) as u16;
    let mut packet = vec![0x40 | (header_len / 4) as u8, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0xab, 0xcd, 0, 0, 61, protocol, 0, 0]);
    packet.extend(A4.octets());
    packet.extend(B4.octets());
    packet.extend(options);
    packet.extend(body);
    fix_v4(&mut packet);
    packet
}

/// Makes the IPv4 header checksum right.
pub(super) fn fix_v4(packet: &mut [u8]) {
    let header_len = usize::from(packet[0] & 0xf) * 4;
    packet[10..12].fill(0);
    let checksum = internet_checksum(&[&packet[..header_len]]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// With other bytes of an address at `at`.
pub(super) fn with_address(mut bytes: Vec<u8>, at: usize, address: &[u8]) -> Vec<u8> {
    bytes[at..at + address.len()].copy_from_slice(address);
    if bytes[0] >> 4 == 4 {
        fix_v4(&mut bytes);
    }
    bytes
}

/// IPv4 with other flags and another fragment offset.
pub(super) fn with_fragment_field(mut bytes: Vec<u8>, field: u16) -> Vec<u8> {
    bytes[6..8].copy_from_slice(&field.to_be_bytes());
    fix_v4(&mut bytes);
    bytes
}

/// IPv6 from A6 to B6.
pub(super) fn v6(next_header: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([next_header, 61]);
    packet.extend(A6.octets());
    packet.extend(B6.octets());
    packet.extend(body);
    packet
}

/// An IPv6 header of hop-by-hop or destination options: the length in units of 8 bytes, less one. The
/// options are of an experimental type that a host skips (RFC 4727).
pub(super) fn ext(next_header: u8, units: u8) -> Vec<u8> {
    let mut header = vec![next_header, units];
    let mut room = (usize::from(units) + 1) * 8 - 2;
    while room > 0 {
        let len = room.min(257);
        match len {
            1 => header.push(0),
            _ => header.extend([0x1e, (len - 2) as u8]),
        }
        header.resize(header.len() + len.saturating_sub(2), 0xab);
        room -= len;
    }
    header
}

/// An IPv6 routing header without segments left: the length in units of 8 bytes, less one.
pub(super) fn routing(next_header: u8, units: u8) -> Vec<u8> {
    let mut header = vec![0; (usize::from(units) + 1) * 8];
    (header[0], header[1]) = (next_header, units);
    header
}

/// An IPv6 fragment header; `offset` in bytes.
pub(super) fn fragment_header(next_header: u8, offset: u16, more: bool, id: u32) -> Vec<u8> {
    let mut header = vec![next_header, 0];
    header.extend((offset | u16::from(more)).to_be_bytes());
    header.extend(id.to_be_bytes());
    header
}

/// A TCP segment from port 4000 to 80, without a checksum. Options a multiple of four bytes.
pub(super) fn tcp(flags: u8, seq: u32, ack: u32, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(4000u16.to_be_bytes());
    segment.extend(80u16.to_be_bytes());
    segment.extend(seq.to_be_bytes());
    segment.extend(ack.to_be_bytes());
    segment.extend([((20 + options.len()) / 4 * 16) as u8, flags]);
    segment.extend(1234u16.to_be_bytes());
    segment.extend([0, 0, 0, 0]);
    segment.extend(options);
    segment.extend(payload);
    segment
}

/// A UDP datagram from port 5000 to 53, without a checksum.
pub(super) fn udp(payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(5000u16.to_be_bytes());
    datagram.extend(53u16.to_be_bytes());
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// An ICMP message, without a checksum.
pub(super) fn icmp(kind: u8, code: u8, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, 0x12, 0x34, 0, 9];
    message.extend(payload);
    message
}

/// Where the checksum of a protocol is, in its header.
fn checksum_at(protocol: u8) -> usize {
    match protocol {
        6 => 16,
        17 => 6,
        _ => 2,
    }
}

/// The checksum of a segment whose checksum field holds zero, or the sum of one that is complete.
pub(super) fn segment_checksum_v4(protocol: u8, ends: (Ipv4Addr, Ipv4Addr), body: &[u8]) -> u16 {
    let length = (body.len() as u16).to_be_bytes();
    let pseudo = [
        &ends.0.octets()[..],
        &ends.1.octets(),
        &[0, protocol],
        &length,
    ];
    match protocol {
        1 => internet_checksum(&[body]),
        _ => internet_checksum(&[pseudo.concat().as_slice(), body]),
    }
}

/// The same for IPv6.
pub(super) fn segment_checksum_v6(protocol: u8, ends: (Ipv6Addr, Ipv6Addr), body: &[u8]) -> u16 {
    let length = (body.len() as u32).to_be_bytes();
    let pseudo = [
        &ends.0.octets()[..],
        &ends.1.octets(),
        &length,
        &[0, 0, 0, protocol],
    ];
    internet_checksum(&[pseudo.concat().as_slice(), body])
}

/// A segment for IPv4 between A4 and B4, its checksum made right.
pub(super) fn summed_v4(protocol: u8, mut body: Vec<u8>) -> Vec<u8> {
    let checksum = segment_checksum_v4(protocol, (A4, B4), &body);
    body[checksum_at(protocol)..][..2].copy_from_slice(&checksum.to_be_bytes());
    body
}

/// A segment for IPv6 between A6 and B6, its checksum made right.
pub(super) fn summed_v6(protocol: u8, mut body: Vec<u8>) -> Vec<u8> {
    let checksum = segment_checksum_v6(protocol, (A6, B6), &body);
    body[checksum_at(protocol)..][..2].copy_from_slice(&checksum.to_be_bytes());
    body
}

/// Checks a packet that was written, without the parser: lengths and all checksums.
pub(super) fn assert_well_formed(packet: &[u8]) {
    if packet[0] >> 4 == 4 {
        assert_eq!(packet[0], 0x45, "no options");
        assert_eq!(
            usize::from(u16::from_be_bytes([packet[2], packet[3]])),
            packet.len()
        );
        assert_eq!(
            internet_checksum(&[&packet[..20]]),
            0,
            "IPv4 header checksum"
        );
        let word = |at| Ipv4Addr::from_octets(packet[at..at + 4].try_into().unwrap());
        let ends = (word(12), word(16));
        assert_eq!(
            segment_checksum_v4(packet[9], ends, &packet[20..]),
            0,
            "transport checksum"
        );
    } else {
        assert_eq!(packet[0] >> 4, 6);
        assert_eq!(
            usize::from(u16::from_be_bytes([packet[4], packet[5]])),
            packet.len() - 40
        );
        let address = |at| Ipv6Addr::from_octets(packet[at..at + 16].try_into().unwrap());
        let ends = (address(8), address(24));
        assert_eq!(
            segment_checksum_v6(packet[6], ends, &packet[40..]),
            0,
            "transport checksum"
        );
    }
}

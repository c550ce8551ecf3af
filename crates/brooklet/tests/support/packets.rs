//! Packets made by hand, without the code under test.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use smoltcp::wire::{Ipv4Packet, Ipv6Packet};
use std::net::{IpAddr, SocketAddr};

/// The Internet checksum (RFC 1071).
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u32 = words
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    let sum = (sum >> 16) + (sum & 0xffff);
    !((sum >> 16) as u16 + sum as u16)
}

/// An IP packet with identification 7.
pub fn ip(from: IpAddr, to: IpAddr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet;
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            packet = vec![0x45, 0, 0, 0, 0, 7, 0, 0, 64, protocol, 0, 0];
            packet.extend([from.octets(), to.octets()].concat());
            packet.extend(body);
            let length = packet.len() as u16;
            packet[2..4].copy_from_slice(&length.to_be_bytes());
            fix(&mut packet);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            packet = vec![0x60, 0, 0, 0];
            packet.extend((body.len() as u16).to_be_bytes());
            packet.extend([protocol, 64]);
            packet.extend([from.octets(), to.octets()].concat());
            packet.extend(body);
        }
        _ => panic!("two families"),
    }
    packet
}

/// Makes the IPv4 header checksum right.
pub fn fix(packet: &mut [u8]) {
    Ipv4Packet::new_unchecked(packet).fill_checksum();
}

/// A packet whose body has a checksum over the pseudo-header at `at`.
pub fn summed(from: IpAddr, to: IpAddr, protocol: u8, mut body: Vec<u8>, at: usize) -> Vec<u8> {
    let octets = |address| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    body[at..at + 2].fill(0);
    let length = (body.len() as u32).to_be_bytes();
    let pseudo = [
        &octets(from)[..],
        &octets(to),
        &length,
        &[0, 0, 0, protocol],
    ]
    .concat();
    let sum = match protocol {
        1 => checksum(&[&body]),
        _ => checksum(&[&pseudo, &body]),
    };
    body[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    ip(from, to, protocol, &body)
}

pub fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut body = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    body.extend((8 + payload.len() as u16).to_be_bytes());
    body.extend([0, 0]);
    body.extend(payload);
    summed(from.ip(), to.ip(), 17, body, 6)
}

/// A SYN without options.
pub fn syn(from: SocketAddr, to: SocketAddr, seq: u32) -> Vec<u8> {
    let mut body = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    body.extend(seq.to_be_bytes());
    body.extend([0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
    summed(from.ip(), to.ip(), 6, body, 16)
}

/// An echo request.
pub fn ping(from: IpAddr, to: IpAddr, data: &[u8]) -> Vec<u8> {
    let (protocol, kind) = if from.is_ipv4() { (1, 8) } else { (58, 128) };
    let mut body = vec![kind, 0, 0, 0, 0, 1, 0, 2];
    body.extend(data);
    summed(from, to, protocol, body, 2)
}

/// Cuts a packet without options at these places of its body, all but the last multiples of 8.
pub fn fragments(packet: &[u8], places: &[usize]) -> Vec<Vec<u8>> {
    let header_len = if packet[0] >> 4 == 4 { 20 } else { 40 };
    let (header, body) = packet.split_at(header_len);
    let ends = places.iter().copied().chain([body.len()]);
    let mut start = 0;
    ends.map(|end| {
        let piece = fragment(header, start, end < body.len(), &body[start..end]);
        start = end;
        piece
    })
    .collect()
}

/// One fragment with the addresses of `header` and identification 7.
pub fn fragment(header: &[u8], offset: usize, more: bool, body: &[u8]) -> Vec<u8> {
    let offset = offset as u16;
    if header[0] >> 4 == 4 {
        let mut packet = [&header[..20], body].concat();
        let length = packet.len() as u16;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        let field = (offset / 8) | (u16::from(more) << 13);
        packet[6..8].copy_from_slice(&field.to_be_bytes());
        fix(&mut packet);
        return packet;
    }
    let mut packet = header[..40].to_vec();
    packet.extend([header[6], 0]);
    packet.extend((offset | u16::from(more)).to_be_bytes());
    packet.extend([0, 0, 0, 7]);
    packet.extend(body);
    let mut view = Ipv6Packet::new_unchecked(&mut packet[..]);
    view.set_next_header(smoltcp::wire::IpProtocol::Ipv6Frag);
    view.set_payload_len((8 + body.len()) as u16);
    packet
}

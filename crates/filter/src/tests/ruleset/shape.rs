//! Packets of every kind that rules tell apart.

use crate::{Direction, Filter, Ruleset, Verdict};
use brooklet_packet::Packet;
use std::net::IpAddr;

/// The fields of a packet without options.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    /// The ports, or the type and code of an ICMP message and its checksum.
    pub(super) first: [u16; 2],
    pub(super) flags: u8,
    pub(super) dscp: u8,
    pub(super) fragment: bool,
}

impl Shape {
    pub(super) fn udp(from: &str, to: &str) -> Self {
        let from: std::net::SocketAddr = from.parse().unwrap();
        let to: std::net::SocketAddr = to.parse().unwrap();
        Self {
            source: from.ip(),
            destination: to.ip(),
            protocol: 17,
            first: [from.port(), to.port()],
            flags: 0,
            dscp: 0,
            fragment: false,
        }
    }

    pub(super) fn icmp(from: &str, to: &str, protocol: u8, kind: u8) -> Self {
        Self {
            source: from.parse().unwrap(),
            destination: to.parse().unwrap(),
            protocol,
            first: [u16::from_be_bytes([kind, 7]), 0],
            ..Self::udp("10.0.0.1:1", "10.0.0.2:2")
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut body = vec![0; 20];
        body[..2].copy_from_slice(&self.first[0].to_be_bytes());
        body[2..4].copy_from_slice(&self.first[1].to_be_bytes());
        match self.protocol {
            6 => body[12..14].copy_from_slice(&[5 << 4, self.flags]),
            17 => body[4..6].copy_from_slice(&20_u16.to_be_bytes()),
            _ => {}
        }
        let mut bytes;
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                bytes = vec![
                    0x45,
                    self.dscp << 2,
                    0,
                    40,
                    0,
                    0,
                    0,
                    0,
                    64,
                    self.protocol,
                    0,
                    0,
                ];
                bytes[6] = if self.fragment { 0x20 } else { 0 };
                bytes.extend(source.octets());
                bytes.extend(destination.octets());
                let words = bytes
                    .chunks(2)
                    .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
                let sum: u32 = words.sum();
                let sum = (sum & 0xffff) + (sum >> 16);
                bytes[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let chain = if self.fragment { 8 } else { 0 };
                bytes = vec![
                    0x60 | self.dscp >> 2,
                    self.dscp << 6,
                    0,
                    0,
                    0,
                    20 + chain,
                    0,
                    64,
                ];
                bytes[6] = if self.fragment { 44 } else { self.protocol };
                bytes.extend(source.octets());
                bytes.extend(destination.octets());
                if self.fragment {
                    bytes.extend([self.protocol, 0, 0, 1, 0, 0, 0, 7]);
                    body.resize(24, 0);
                    bytes[5] += 4;
                }
            }
            _ => panic!("two families"),
        }
        bytes.extend(body);
        bytes
    }

    pub(super) fn verdict(&self, rules: &Ruleset) -> Verdict {
        rules.verdict(&Packet::parse(&self.bytes()).unwrap(), Direction::Inbound)
    }
}

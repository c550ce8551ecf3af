mod cidr;
mod ruleset;
#[cfg(feature = "serde")]
mod serde;
mod verdicts;

use crate::{CidrSet, Criterion, Direction, Filter, InSet, IpNet, Match, Rules, Ruleset};
use brooklet_packet::{Packet, icmp, udp};
use static_assertions::{assert_impl_all, assert_not_impl_any};

assert_impl_all!(Rules: Send, Sync, Filter);
assert_impl_all!(Rules<Criterion>: Send, Sync, Filter);
assert_impl_all!(Ruleset: Send, Sync, Filter);
assert_impl_all!(Rules<Box<dyn Match>>: Filter);
assert_not_impl_any!(Rules<Box<dyn Match>>: Send, Sync);
assert_impl_all!(InSet<std::sync::Arc<CidrSet>>: Send, Sync, Match);

/// A UDP packet.
fn packet(from: &str, to: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    udp::write(
        &mut bytes,
        from.parse().unwrap(),
        to.parse().unwrap(),
        64,
        b"payload",
    )
    .unwrap();
    bytes
}

/// The same as a first fragment: IPv4 with "more fragments", and the checksum amended (RFC 1624).
fn fragment(from: &str, to: &str) -> Vec<u8> {
    let mut bytes = packet(from, to);
    bytes[6] = 0x20;
    bytes[10..12].fill(0);
    let words = bytes[..20]
        .chunks(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    bytes[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    assert!(Packet::parse(&bytes).unwrap().fragment().is_some());
    bytes
}

/// An ICMP packet, from `to` to `from`.
fn icmp(from: &str, to: &str) -> Vec<u8> {
    let (offending, mut bytes) = (packet(from, to), Vec::new());
    let offending = Packet::parse(&offending).unwrap();
    assert!(icmp::error(&mut bytes, &offending, icmp::Unreachable::Port));
    bytes
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn matches(of: &impl Match, bytes: &[u8]) -> bool {
    of.matches(&Packet::parse(bytes).unwrap(), Direction::Inbound)
}

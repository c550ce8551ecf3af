//! Keys, flags, protocols and addresses.

use super::build::*;
use crate::{FlowKey, Protocol, SourcePrefix, TcpFlags, is_martian, is_unicast};
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn keys_hold_both_ends() {
    for (from, to) in [
        ("10.0.0.1:1", "192.0.2.7:65535"),
        ("[fd00::1]:0", "[::ffff:10.0.0.1]:9"),
    ] {
        let key = FlowKey::new(addr(from), addr(to)).unwrap();
        assert_eq!((key.source(), key.destination()), (addr(from), addr(to)));
        assert_eq!(key.reversed(), FlowKey::new(addr(to), addr(from)).unwrap());
        assert_eq!(key.is_ipv6(), from.starts_with('['));
        assert_eq!(format!("{key:?}"), format!("{from} -> {to}"));
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(format!("{from}->{to}").parse(), Ok(key));
    }
}

#[test]
fn keys_are_of_one_family() {
    assert_eq!(FlowKey::new(addr("10.0.0.1:1"), addr("[fd00::1]:1")), None);
    assert_eq!(FlowKey::new(addr("[fd00::1]:1"), addr("10.0.0.1:1")), None);
    assert_eq!(
        FlowKey::new(addr("10.0.0.1:1"), addr("[::ffff:10.0.0.1]:1")),
        None
    );
}

#[test]
fn a_text_that_is_no_key_is_an_error() {
    for text in [
        "",
        "10.0.0.1:1",
        "10.0.0.1:1 -> ",
        "10.0.0.1 -> 10.0.0.2",
        "10.0.0.1:1 -> [fd00::1]:1",
        "10.0.0.1:1 -> 10.0.0.2:2 -> 10.0.0.3:3",
    ] {
        assert!(text.parse::<FlowKey>().is_err(), "{text}");
    }
}

#[test]
fn keys_of_ipv4_come_before_those_of_ipv6() {
    let key = |text: &str| text.parse::<FlowKey>().unwrap();
    let sorted = [
        key("10.0.0.1:9 -> 10.0.0.2:1"),
        key("10.0.0.1:1 -> 10.0.0.3:1"),
        key("255.0.0.1:1 -> 10.0.0.1:1"),
        key("[::1]:1 -> [::1]:1"),
    ];
    assert!(sorted.is_sorted());
}

#[test]
fn an_ipv6_source_is_a_64_bit_prefix() {
    let source = |text: &str| SourcePrefix::new(text.parse().unwrap());
    assert_eq!(source("fd00::1"), source("fd00::ffff:ffff:ffff:ffff"));
    assert_ne!(source("fd00::"), source("fd00:0:0:1::"));
    assert_ne!(source("10.0.0.1"), source("10.0.0.2"));
    // The same bits in both families are two sources.
    assert_ne!(source("0.0.0.1"), source("0:0:0:1::"));
    assert_eq!(source("fd00::1").to_string(), "fd00::/64");
    assert_eq!(format!("{:?}", source("10.0.0.1")), "10.0.0.1");
}

#[test]
fn the_scope_is_not_part_of_a_key() {
    let scoped = addr("[fe80::1%3]:5");
    let key = FlowKey::new(scoped, scoped).unwrap();
    assert_eq!(
        key,
        FlowKey::new(addr("[fe80::1]:5"), addr("[fe80::1]:5")).unwrap()
    );
    assert_eq!(key.source(), addr("[fe80::1]:5"));
}

#[test]
fn every_part_of_a_key_tells_flows_apart() {
    let ends = [
        "10.0.0.1:1",
        "10.0.0.1:2",
        "10.0.0.2:1",
        "[fd00::1]:1",
        "[fd00::1]:2",
        "[fd00::2]:1",
    ];
    let mut keys = HashSet::new();
    for from in ends {
        for to in ends {
            keys.extend(FlowKey::new(addr(from), addr(to)));
        }
    }
    assert_eq!(keys.len(), 18);
    assert!(keys.iter().all(|key| keys.contains(&key.reversed())));
}

/// Counts what a key feeds to a hasher, and takes nothing but integers.
#[derive(Default)]
struct Integers(u32);

impl Hasher for Integers {
    fn write(&mut self, bytes: &[u8]) {
        panic!("{} bytes instead of an integer", bytes.len());
    }
    fn write_u32(&mut self, _: u32) {
        self.0 += 1;
    }
    fn write_u128(&mut self, _: u128) {
        self.0 += 1;
    }
    fn finish(&self) -> u64 {
        self.0.into()
    }
}

#[test]
fn hashing_is_a_few_integers() {
    for (end, writes) in [("10.0.0.1:1", 1), ("[fd00::1]:1", 3)] {
        let mut hasher = Integers::default();
        FlowKey::new(addr(end), addr(end))
            .unwrap()
            .hash(&mut hasher);
        assert_eq!(hasher.finish(), writes);
    }
}

#[test]
fn flags_read_and_print() {
    let none = TcpFlags::from_bits(0);
    assert_eq!(format!("{none:?}"), "none");
    assert_eq!(none, TcpFlags::default());
    let all = TcpFlags::from_bits(0xff);
    assert_eq!(format!("{all:?}"), "FIN|SYN|RST|PSH|ACK|URG|ECE|CWR");
    assert_eq!(format!("{:?}", TcpFlags::from_bits(SYN | ACK)), "SYN|ACK");
    type Reads = fn(TcpFlags) -> bool;
    let reads: [Reads; 8] = [
        TcpFlags::fin,
        TcpFlags::syn,
        TcpFlags::rst,
        TcpFlags::psh,
        TcpFlags::ack,
        TcpFlags::urg,
        TcpFlags::ece,
        TcpFlags::cwr,
    ];
    for (bit, read) in reads.into_iter().enumerate() {
        for other in 0..8 {
            assert_eq!(read(TcpFlags::from_bits(1 << other)), bit == other);
        }
    }
}

#[test]
fn flags_print_like_tcpdump_and_read_back() {
    for bits in 0..=u8::MAX {
        let flags = TcpFlags::from_bits(bits);
        assert_eq!(flags.to_string().parse(), Ok(flags));
    }
    let text = |flags: TcpFlags| flags.to_string();
    assert_eq!(text(TcpFlags::SYN | TcpFlags::ACK), "[S.]");
    assert_eq!(text(TcpFlags::PSH | TcpFlags::ACK), "[P.]");
    assert_eq!(text(TcpFlags::SYN | TcpFlags::ECE | TcpFlags::CWR), "[SEW]");
    assert_eq!(text(TcpFlags::default()), "[none]");
    assert_eq!(format!("{:>6}", TcpFlags::RST), "   [R]");
    // A letter twice is the same flag twice.
    assert_eq!("SS".parse(), Ok(TcpFlags::SYN));
    assert_eq!("".parse(), Ok(TcpFlags::default()));
    for wrong in ["X", "s", "[S", "S]", "S A", "SYN|ACK"] {
        assert!(wrong.parse::<TcpFlags>().is_err(), "{wrong}");
    }
}

#[test]
fn protocols_read_names_numbers_and_their_own_text() {
    for number in 0..=255 {
        let protocol = Protocol::from(number);
        assert_eq!(protocol.to_string().parse(), Ok(protocol));
        assert_eq!(number.to_string().parse(), Ok(protocol));
    }
    assert_eq!("ipv6-icmp".parse(), Ok(Protocol::Icmpv6));
    for wrong in ["", "tcp ", "-1", "256", "sctp"] {
        assert!(wrong.parse::<Protocol>().is_err(), "{wrong}");
    }
}

#[test]
fn protocols_are_their_numbers() {
    for number in 0..=255 {
        let protocol = Protocol::from(number);
        assert_eq!(u8::from(protocol), number);
        assert_eq!(
            protocol == Protocol::Other(number),
            ![1, 6, 17, 58].contains(&number)
        );
    }
    let names = [1, 6, 17, 58, 99].map(|number| Protocol::from(number).to_string());
    assert_eq!(names, ["ICMP", "TCP", "UDP", "ICMPv6", "protocol 99"]);
}

#[test]
fn unicast_addresses() {
    let is = |text: &str| is_unicast(text.parse::<IpAddr>().unwrap());
    for text in [
        "1.0.0.0",
        "10.0.0.255",
        "127.0.0.1",
        "223.255.255.255",
        "::1",
        "fe80::1",
        "2001:db8::",
    ] {
        assert!(is(text), "{text}");
    }
    for text in [
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "::",
        "ff02::1",
    ] {
        assert!(!is(text), "{text}");
    }
    assert!(!is("255.255.255.255"));
    assert!(!is("::ffff:224.0.0.1"));
    assert!(is("::ffff:10.0.0.1"));
}

#[test]
fn martian_addresses() {
    let is = |source: &str, destination: &str| {
        is_martian(source.parse().unwrap(), destination.parse().unwrap())
    };
    // The address, and whether it is martian as a source and as a destination.
    for (address, source, destination) in [
        ("0.0.0.0", true, true),
        ("0.1.2.3", true, true),
        ("1.0.0.0", false, false),
        ("10.0.0.255", false, false),
        ("126.255.255.255", false, false),
        ("127.0.0.0", true, true),
        ("127.255.255.255", true, true),
        ("128.0.0.0", false, false),
        ("223.255.255.255", false, false),
        ("224.0.0.1", true, false),
        ("239.255.255.255", true, false),
        ("240.0.0.1", true, true),
        ("255.255.255.254", true, true),
        ("255.255.255.255", true, false),
    ] {
        assert_eq!(is(address, "192.0.2.1"), source, "from {address}");
        assert_eq!(is("192.0.2.1", address), destination, "to {address}");
    }
    for (address, source, destination) in [
        ("::", true, true),
        ("::1", true, true),
        ("::2", false, false),
        ("::ffff:10.0.0.1", true, true),
        ("::ffff:224.0.0.1", true, true),
        ("64:ff9b::10.0.0.1", false, false),
        ("fe80::1", false, false),
        ("fd00::1", false, false),
        ("ff02::1", true, false),
    ] {
        assert_eq!(is(address, "2001:db8::1"), source, "from {address}");
        assert_eq!(is("2001:db8::1", address), destination, "to {address}");
    }
}

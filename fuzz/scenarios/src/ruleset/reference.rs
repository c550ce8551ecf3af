//! A naive reading of a rule: its text, word by word, for one packet.

use brooklet_filter::Direction;
use brooklet_packet::{Packet, Protocol};
use std::net::{IpAddr, Ipv4Addr};
use std::str::SplitWhitespace;

/// The words of nftables for types of ICMP messages, with those of ICMPv6.
const ICMP_TYPES: [(&str, u8, u8); 14] = [
    ("echo-reply", 0, 129),
    ("destination-unreachable", 3, 1),
    ("source-quench", 4, NONE),
    ("redirect", 5, NONE),
    ("echo-request", 8, 128),
    ("router-advertisement", 9, NONE),
    ("router-solicitation", 10, NONE),
    ("time-exceeded", 11, 3),
    ("parameter-problem", 12, 4),
    ("timestamp-request", 13, NONE),
    ("timestamp-reply", 14, NONE),
    ("info-request", 15, NONE),
    ("info-reply", 16, NONE),
    ("packet-too-big", NONE, 2),
];
const MORE_V4: [(&str, u8); 2] = [("address-mask-request", 17), ("address-mask-reply", 18)];
const MORE_V6: [(&str, u8); 12] = [
    ("mld-listener-query", 130),
    ("mld-listener-report", 131),
    ("mld-listener-done", 132),
    ("nd-router-solicit", 133),
    ("nd-router-advert", 134),
    ("nd-neighbor-solicit", 135),
    ("nd-neighbor-advert", 136),
    ("nd-redirect", 137),
    ("router-renumbering", 138),
    ("ind-neighbor-solicit", 141),
    ("ind-neighbor-advert", 142),
    ("mld2-listener-report", 143),
];
/// No type of that protocol.
const NONE: u8 = 255;

/// Whether a packet meets the conditions in `text`, a rule as the ruleset prints it.
pub(super) fn matches(text: &str, packet: &Packet<'_>, direction: Direction) -> bool {
    let mut words = text.split_whitespace();
    let mut matches = true;
    while let Some(word) = words.next() {
        matches &= match word {
            "inbound" => direction == Direction::Inbound,
            "outbound" => direction == Direction::Outbound,
            "pkttype" => {
                let kind = words.next().expect("a type");
                kind == packet_type(packet.destination())
            }
            "saddr" => any(&mut words, |word| contains(word, packet.source())),
            "daddr" => any(&mut words, |word| contains(word, packet.destination())),
            "dscp" => {
                let class = traffic_class(packet);
                any(&mut words, |word| dscp(word) == class >> 2)
            }
            "tcp" => packet.protocol() == Protocol::Tcp,
            "udp" => packet.protocol() == Protocol::Udp,
            "icmp" => packet.protocol() == Protocol::Icmpv4,
            "icmpv6" => packet.protocol() == Protocol::Icmpv6,
            "igmp" => u8::from(packet.protocol()) == 2,
            "protocol" => {
                let number = words.next().expect("a number");
                number.parse() == Ok(u8::from(packet.protocol()))
            }
            "sport" => ports(&mut words, packet, 0),
            "dport" => ports(&mut words, packet, 2),
            "type" => {
                let is_v6 = text.contains("icmpv6 ");
                let found = packet.transport().first().copied();
                let found = found.filter(|_| packet.fragment().is_none());
                let meets = any(&mut words, |word| Some(icmp_type(word, is_v6)) == found);
                meets && found.is_some()
            }
            "flags" => {
                let value = flags(words.next().expect("flags"));
                assert_eq!(words.next(), Some("/"));
                let mask = flags(words.next().expect("a mask"));
                let is_segment = packet.protocol() == Protocol::Tcp && packet.fragment().is_none();
                is_segment && packet.transport()[13] & mask == value
            }
            // The verdict ends the rule.
            "pass" | "drop" | "divert" | "reject" => return matches,
            other => panic!("the word `{other}` in `{text}`"),
        };
    }
    panic!("no verdict in `{text}`")
}

/// Reads a value or a list of values, and returns whether the field is one of them, or with `!=` none
/// of them.
fn any(words: &mut SplitWhitespace<'_>, equals: impl Fn(&str) -> bool) -> bool {
    let mut word = words.next().expect("a value");
    let negated = word == "!=";
    if negated {
        word = words.next().expect("a value");
    }
    let mut found = false;
    if word == "{" {
        for word in words.take_while(|word| *word != "}") {
            found |= equals(word.trim_end_matches(','));
        }
    } else {
        found = equals(word);
    }
    found != negated
}

fn ports(words: &mut SplitWhitespace<'_>, packet: &Packet<'_>, at: usize) -> bool {
    let has_ports =
        packet.fragment().is_none() && matches!(packet.protocol(), Protocol::Tcp | Protocol::Udp);
    let port = || u16::from_be_bytes([packet.transport()[at], packet.transport()[at + 1]]);
    let meets = any(words, |word| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last): (u16, u16) = (
            first.parse().expect("a port"),
            last.parse().expect("a port"),
        );
        has_ports && first <= port() && port() <= last
    });
    has_ports && meets
}

/// Whether an address has the bits of a network. One that is mapped into IPv6 counts as both.
fn contains(network: &str, address: IpAddr) -> bool {
    let (base, length) = match network.split_once('/') {
        Some((base, length)) => (base, Some(length.parse::<u32>().expect("a length"))),
        None => (network, None),
    };
    let base: IpAddr = base.parse().expect("an address");
    let mapped = match address {
        IpAddr::V6(address) => address.to_ipv4_mapped().map(IpAddr::V4),
        IpAddr::V4(_) => None,
    };
    let same = |address: IpAddr| match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            let (base, address): (u32, u32) = (base.into(), address.into());
            (0..length.unwrap_or(32)).all(|bit| base << bit >> 31 == address << bit >> 31)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            let (base, address): (u128, u128) = (base.into(), address.into());
            (0..length.unwrap_or(128)).all(|bit| base << bit >> 127 == address << bit >> 127)
        }
        _ => false,
    };
    same(address) || mapped.is_some_and(same)
}

fn packet_type(destination: IpAddr) -> &'static str {
    let v4 = match destination {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    };
    match (v4, destination) {
        (Some(Ipv4Addr::BROADCAST), _) => "broadcast",
        (Some(address), _) if address.octets()[0] >> 4 == 14 => "multicast",
        (None, IpAddr::V6(address)) if address.octets()[0] == 0xff => "multicast",
        _ => "unicast",
    }
}

fn traffic_class(packet: &Packet<'_>) -> u8 {
    match packet.bytes() {
        [first, second, ..] if first >> 4 == 6 => first << 4 | second >> 4,
        bytes => bytes[1],
    }
}

/// RFC 2474 and RFC 2597 in place of a list: csN is 8 N, and afXY is 8 X + 2 Y.
fn dscp(word: &str) -> u8 {
    let digits: Vec<u8> = word
        .bytes()
        .filter(u8::is_ascii_digit)
        .map(|digit| digit - b'0')
        .collect();
    match (
        word.trim_end_matches(|last: char| last.is_ascii_digit()),
        &digits[..],
    ) {
        ("cs", [class]) => 8 * class,
        ("af", [class, drops]) => 8 * class + 2 * drops,
        ("ef", []) => 46,
        ("va", []) => 44,
        ("lephb", []) => 1,
        _ => word.parse().expect("a number"),
    }
}

fn icmp_type(word: &str, is_v6: bool) -> u8 {
    let shared = ICMP_TYPES
        .iter()
        .map(|(name, v4, v6)| (*name, if is_v6 { *v6 } else { *v4 }));
    let more = if is_v6 { &MORE_V6[..] } else { &MORE_V4 };
    let mut all = shared.chain(more.iter().copied());
    all.find(|(name, number)| *name == word && *number != NONE)
        .map_or_else(|| word.parse().expect("a number"), |(_, number)| number)
}

fn flags(word: &str) -> u8 {
    const NAMES: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];
    if word == "0x0" {
        return 0;
    }
    let bit = |name| {
        NAMES
            .iter()
            .position(|other| *other == name)
            .expect("a flag")
    };
    word.split(',').map(|name| 1 << bit(name)).sum()
}

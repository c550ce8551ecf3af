//! Rulesets: their text, their index, and their counters.

use super::*;
use crate::{Counters, PacketType, Reject, Rule, Ruleset, Verdict};
use brooklet_packet::icmp::Unreachable;
use brooklet_packet::{Protocol, TcpFlags};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn ruleset(text: &str) -> Ruleset {
    text.parse().unwrap()
}

/// The fields of a packet without options.
#[derive(Clone, Copy, Debug)]
struct Shape {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    /// The ports, or the type and code of an ICMP message and its checksum.
    first: [u16; 2],
    flags: u8,
    dscp: u8,
    fragment: bool,
}

impl Shape {
    fn udp(from: &str, to: &str) -> Self {
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

    fn icmp(from: &str, to: &str, protocol: u8, kind: u8) -> Self {
        Self {
            source: from.parse().unwrap(),
            destination: to.parse().unwrap(),
            protocol,
            first: [u16::from_be_bytes([kind, 7]), 0],
            ..Self::udp("10.0.0.1:1", "10.0.0.2:2")
        }
    }

    fn bytes(&self) -> Vec<u8> {
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

    fn verdict(&self, rules: &Ruleset) -> Verdict {
        rules.verdict(&Packet::parse(&self.bytes()).unwrap(), Direction::Inbound)
    }
}

const TEXT: &str = "\
policy inbound pass
policy outbound drop
inbound udp dport 443 reject
saddr 10.0.0.0/8 tcp dport { 80, 443, 8000-8999 } pass
saddr != { 10.0.0.0/8, fd00::/8 } daddr 192.0.2.7 tcp flags syn / syn,ack reject with icmp admin-prohibited
icmp type echo-request drop
icmpv6 type { echo-request, 200, mld2-listener-report } pass
igmp divert
protocol 47 drop
outbound pkttype multicast dscp { ef, 7 } sport 53 dport != 53 reject with icmp packet-too-big 1400
tcp sport 0-1023 flags 0x0 / fin,syn,rst,psh,ack,urg reject with icmp net-unreachable
daddr 2001:db8::7 udp reject with icmp port-unreachable
drop
";

#[test]
fn the_text_is_printed_back() {
    let rules = ruleset(TEXT);
    assert_eq!(rules.to_string(), TEXT);
    for rule in rules.rules() {
        assert_eq!(rule.to_string().parse().as_ref(), Ok(rule));
    }
}

#[test]
fn the_order_of_conditions_and_white_space_do_not_matter() {
    let rules = ruleset(
        "# comment\r\n\n\t dport{53,80-80}udp\tinbound daddr !=10.1.2.3/8 pass # why\npolicy drop\n\
         tcp flags syn drop\nprotocol 6 dport { 443 } reject with tcp reset",
    );
    assert_eq!(
        rules.to_string(),
        "policy drop\n\
         inbound daddr != 10.0.0.0/8 udp dport { 53, 80 } pass\n\
         tcp flags syn / syn drop\n\
         tcp dport 443 reject\n",
    );
}

#[test]
fn errors_name_the_place_the_expected_and_the_found() {
    let host = "an IPv4 or IPv6 address or network";
    let field = "no second match by the same field";
    for (text, line, column, expected, found) in [
        (
            "pass\n\n  accept",
            3,
            3,
            "a match or a verdict",
            Some("accept"),
        ),
        ("udp", 1, 4, "a match or a verdict", None),
        ("udp  # then what?", 1, 4, "a match or a verdict", None),
        ("drop drop", 1, 6, "the end of the line", Some("drop")),
        ("saddr example.com drop", 1, 7, host, Some("example.com")),
        (
            "saddr 10.0.0.0/33 drop",
            1,
            7,
            "a prefix length from 0 to 32",
            Some("10.0.0.0/33"),
        ),
        (
            "daddr { ::/129 } drop",
            1,
            9,
            "a prefix length from 0 to 128",
            Some("::/129"),
        ),
        (
            "daddr { 10.0.0.1 ::1 } drop",
            1,
            18,
            "`,` or `}`",
            Some("::1"),
        ),
        ("daddr { 10.0.0.1, } drop", 1, 19, host, Some("}")),
        ("daddr { 10.0.0.1", 1, 17, "`,` or `}`", None),
        (
            "dport 65536 drop",
            1,
            7,
            "a port or a range of ports",
            Some("65536"),
        ),
        (
            "dport +53 drop",
            1,
            7,
            "a port or a range of ports",
            Some("+53"),
        ),
        (
            "dport 2-1 drop",
            1,
            7,
            "a range of ports with the lower port first",
            Some("2-1"),
        ),
        ("dport 1 dport 2 drop", 1, 9, field, Some("dport")),
        ("tcp udp drop", 1, 5, field, Some("udp")),
        ("inbound outbound drop", 1, 9, field, Some("outbound")),
        (
            "icmp dport 1 drop",
            1,
            6,
            "`tcp` or `udp` in a rule with a port",
            Some("dport"),
        ),
        (
            "dport 1 protocol 47 drop",
            1,
            18,
            "`tcp` or `udp` in a rule with a port",
            Some("47"),
        ),
        (
            "type 8 drop",
            1,
            1,
            "`icmp` or `icmpv6` before `type`",
            Some("type"),
        ),
        (
            "udp flags syn drop",
            1,
            5,
            "`tcp` before `flags`",
            Some("flags"),
        ),
        (
            "tcp flags syn,ack drop",
            1,
            19,
            "`/` and the flags to compare",
            Some("drop"),
        ),
        (
            "tcp flags SYN drop",
            1,
            11,
            "a TCP flag such as `syn`",
            Some("SYN"),
        ),
        (
            "pkttype many drop",
            1,
            9,
            "`unicast`, `multicast` or `broadcast`",
            Some("many"),
        ),
        ("reject with tcp rst", 1, 17, "`reset`", Some("rst")),
        (
            "reject by",
            1,
            8,
            "`with` or the end of the line",
            Some("by"),
        ),
        ("reject with", 1, 12, "`tcp` or `icmp`", None),
        (
            "policy drop\npolicy inbound pass",
            2,
            1,
            "one policy for each direction",
            Some("policy"),
        ),
        (
            "policy udp drop",
            1,
            8,
            "`pass`, `drop`, `reject` or `divert`",
            Some("udp"),
        ),
        // Columns are characters.
        ("saddr größe drop", 1, 7, host, Some("größe")),
        ("\u{2003}saddr { ::, ä } x", 1, 14, host, Some("ä")),
    ] {
        let error = text.parse::<Ruleset>().unwrap_err();
        assert_eq!(
            (error.line(), error.column()),
            (line, column),
            "{text}: {error}"
        );
        assert_eq!(
            (error.expected(), error.found()),
            (expected, found),
            "{text}"
        );
        assert!(!error.to_string().contains('\n'));
    }
    for (text, number) in [
        ("dscp 64 drop", "from 0 to 63"),
        ("icmp type 256 drop", "from 0 to 255"),
    ] {
        let error = text.parse::<Ruleset>().unwrap_err().to_string();
        assert!(error.contains(number), "{error}");
    }
}

#[test]
fn a_rule_matches_where_every_condition_holds() {
    let dns = Shape::udp("10.0.0.1:5000", "192.0.2.7:53");
    let tcp = Shape {
        protocol: 6,
        flags: 0x02,
        ..dns
    };
    let v6 = Shape::udp("[fd00::1]:5000", "[2001:db8::7]:53");
    let mapped = Shape::udp("[::ffff:10.0.0.1]:5000", "[::ffff:192.0.2.7]:53");
    let fragment = Shape {
        fragment: true,
        ..dns
    };
    let ping = Shape::icmp("10.0.0.1", "192.0.2.7", 1, 8);
    let ping6 = Shape::icmp("fd00::1", "2001:db8::7", 58, 128);
    let mdns = Shape::udp("10.0.0.1:5353", "224.0.0.251:5353");
    let dhcp = Shape::udp("0.0.0.0:68", "255.255.255.255:67");
    let fast = Shape { dscp: 46, ..dns };
    let fast6 = Shape { dscp: 46, ..v6 };
    let all = [
        dns, tcp, v6, mapped, fragment, ping, ping6, mdns, dhcp, fast, fast6,
    ];
    for (condition, matches) in [
        ("inbound", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10][..]),
        ("outbound", &[]),
        ("tcp", &[1]),
        ("udp", &[0, 2, 3, 4, 7, 8, 9, 10]),
        ("icmp", &[5]),
        ("icmpv6", &[6]),
        ("protocol 47", &[]),
        ("daddr 192.0.2.0/24", &[0, 1, 3, 4, 5, 9]),
        ("daddr != 192.0.2.0/24", &[2, 6, 7, 8, 10]),
        ("saddr { fd00::1, 0.0.0.0 }", &[2, 6, 8, 10]),
        ("saddr ::/0", &[2, 3, 6, 10]),
        ("daddr { }", &[]),
        ("dport 53", &[0, 1, 2, 3, 9, 10]),
        ("dport != 53", &[7, 8]),
        ("tcp dport 53", &[1]),
        ("udp dport { 60-70, 5000-6000 }", &[7, 8]),
        ("sport 5000-5100", &[0, 1, 2, 3, 9, 10]),
        ("icmp type echo-request", &[5]),
        ("icmp type echo-reply", &[]),
        ("icmp type != echo-reply", &[5]),
        ("icmpv6 type { 1, 128 }", &[6]),
        ("tcp flags syn / syn,ack", &[1]),
        ("tcp flags 0x0 / syn,ack", &[]),
        ("dscp ef", &[9, 10]),
        ("dscp != { ef, 1 } icmp", &[5]),
        ("pkttype multicast", &[7]),
        ("pkttype broadcast", &[8]),
        ("pkttype unicast udp dport 53", &[0, 2, 3, 9, 10]),
    ] {
        let rules = ruleset(&format!("{condition} drop"));
        let dropped = |(_, shape): &(usize, &Shape)| shape.verdict(&rules) == Verdict::Drop;
        let found: Vec<usize> = all
            .iter()
            .enumerate()
            .filter(dropped)
            .map(|(at, _)| at)
            .collect();
        assert_eq!(found, matches, "{condition}");
    }
}

#[test]
fn policies_decide_without_a_match() {
    let rules = ruleset("policy inbound reject\npolicy outbound divert\ntcp pass");
    let bytes = Shape::udp("10.0.0.1:1", "10.0.0.2:2").bytes();
    let packet = Packet::parse(&bytes).unwrap();
    let reject = Verdict::Reject(Reject::TcpReset);
    assert_eq!(rules.verdict(&packet, Direction::Inbound), reject);
    assert_eq!(rules.verdict(&packet, Direction::Outbound), Verdict::Divert);
    let one = rules.policy_counters(Direction::Outbound);
    assert_eq!((one.packets, one.bytes), (1, 40));
}

#[test]
fn counters_go_to_equal_rules_of_the_next_ruleset() {
    let dns = Shape::udp("10.0.0.1:5000", "192.0.2.7:53");
    let other = Shape {
        first: [1, 2],
        ..dns
    };
    let old = ruleset("udp dport 53 pass\nudp dport 53 pass\nudp pass\ntcp pass");
    for _ in 0..3 {
        dns.verdict(&old);
    }
    other.verdict(&old);
    let new = ruleset("udp pass\ndrop\nudp dport 53 pass\nudp dport 53 drop");
    new.add_counters_of(&old);
    let packets: Vec<u64> = new.counters().map(|counters| counters.packets).collect();
    assert_eq!(packets, [1, 0, 3, 0]);
    let bytes: u64 = new.counters().map(|counters| counters.bytes).sum();
    assert_eq!(bytes, 4 * 40);
    assert_eq!(new.policy_counters(Direction::Inbound), Counters::default());
}

#[test]
#[should_panic(expected = "no packet can match")]
fn a_rule_by_type_of_another_protocol() {
    let _ = Rule::new(Verdict::Drop)
        .protocol(Protocol::Udp)
        .icmp_type(Protocol::Icmpv4, [8]);
}

#[test]
#[should_panic(expected = "the protocol has no ports")]
fn a_rule_by_port_of_a_protocol_without_ports() {
    let _ = Rule::new(Verdict::Drop)
        .protocol(Protocol::Icmpv4)
        .destination_port([8]);
}

#[test]
fn values_without_a_text_are_left_out() {
    #[expect(
        clippy::reversed_empty_ranges,
        reason = "a range without ports is the case"
    )]
    let ports = [9..=8, 1..=2];
    let rule = Rule::new(Verdict::Drop)
        .destination(["10.1.2.3/8".parse::<IpNet>().unwrap()])
        .destination_port(ports)
        .dscp([64, 1])
        .protocol(Protocol::Tcp)
        .tcp_flags(TcpFlags::SYN | TcpFlags::FIN, TcpFlags::SYN);
    let text = "daddr 10.0.0.0/8 dscp lephb tcp dport 1-2 flags syn / syn drop";
    assert_eq!(rule.to_string(), text);
    assert_eq!(text.parse(), Ok(rule));
}

/// Addresses close to one another, so that networks contain one another and packets meet them.
fn addr_v4() -> impl Strategy<Value = Ipv4Addr> {
    let near = (0..4_u8, select(vec![0_u8, 1, 127, 128, 255])).prop_map(|(c, d)| [10, 0, c, d]);
    let far = select(vec![[0, 0, 0, 0], [224, 0, 0, 1], [255; 4], [192, 0, 2, 7]]);
    prop_oneof![4 => near, 1 => far].prop_map(Ipv4Addr::from)
}

fn addr_v6() -> impl Strategy<Value = Ipv6Addr> {
    let near = (0..3_u16, 0..3_u16).prop_map(|(g, h)| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, g, h));
    let far = select(vec![
        "::",
        "ff02::1",
        "2001:db8::7",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ]);
    let far = far.prop_map(|addr| addr.parse().unwrap());
    let mapped = addr_v4().prop_map(|addr| addr.to_ipv6_mapped());
    prop_oneof![3 => near, 1 => far, 2 => mapped]
}

fn network() -> impl Strategy<Value = IpNet> {
    let v4 = (addr_v4(), 0..=32_u8).prop_map(|(addr, len)| IpNet::new(addr.into(), len).unwrap());
    let host = addr_v4().prop_map(|addr| IpAddr::V4(addr).into());
    let v6 = (addr_v6(), 0..=128_u8).prop_map(|(addr, len)| IpNet::new(addr.into(), len).unwrap());
    prop_oneof![v4, host, v6]
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![4 => 50..60_u16, 1 => select(vec![0, 1, 1023, 65534, 65535])]
}

fn ports() -> impl Strategy<Value = (u16, u16)> {
    prop_oneof![port().prop_map(|port| (port, port)), (port(), port())]
        .prop_map(|(a, b)| (a.min(b), a.max(b)))
}

fn verdict() -> impl Strategy<Value = Verdict> {
    select(vec![
        Verdict::Pass,
        Verdict::Drop,
        Verdict::Divert,
        Verdict::Reject(Reject::TcpReset),
        Verdict::Reject(Reject::Icmp(Unreachable::Host)),
        Verdict::Reject(Reject::Icmp(Unreachable::PacketTooBig { mtu: 1280 })),
    ])
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(vec![1_u8, 2, 6, 17, 47, 58]).prop_map(Protocol::from)
}

/// A condition in the form of a function that adds it to a rule.
struct Condition(Box<dyn Fn(Rule) -> Rule>);

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&(self.0)(Rule::new(Verdict::Pass)).to_string())
    }
}

fn condition(add: impl Fn(Rule) -> Rule + 'static) -> Condition {
    Condition(Box::new(add))
}

fn networks() -> impl Strategy<Value = Condition> {
    (vec(network(), 0..4), 0..6_u8).prop_map(|(networks, which)| {
        condition(move |rule| {
            let networks = networks.clone();
            match which {
                0 => rule.source_except(networks),
                1 | 2 => rule.source(networks),
                3 => rule.destination_except(networks),
                _ => rule.destination(networks),
            }
        })
    })
}

fn transport() -> impl Strategy<Value = Condition> {
    let by_protocol =
        protocol().prop_map(|protocol| condition(move |rule| rule.protocol(protocol)));
    let numbers = (
        vec(ports(), 0..4),
        0..6_u8,
        select(vec![None, Some(6), Some(17)]),
    );
    let by_port = numbers.prop_map(|(ports, which, protocol)| {
        condition(move |rule| {
            let ports = ports.iter().map(|(first, last)| *first..=*last);
            let rule = match protocol {
                Some(protocol) => rule.protocol(Protocol::from(protocol)),
                None => rule,
            };
            match which {
                0 => rule.source_port(ports),
                1 => rule.source_port_except(ports),
                2 => rule.destination_port_except(ports),
                3 => rule.source_port([55]).destination_port(ports),
                _ => rule.destination_port(ports),
            }
        })
    });
    let kinds = (any::<bool>(), vec(select(vec![0_u8, 8, 128, 255]), 0..3));
    let by_type = kinds.prop_map(|(v6, types)| {
        let protocol = if v6 {
            Protocol::Icmpv6
        } else {
            Protocol::Icmpv4
        };
        condition(move |rule| rule.icmp_type(protocol, types.clone()))
    });
    let flags = (any::<u8>(), select(vec![0x02_u8, 0x12, 0x17, 0xff, 0]));
    let by_flags = flags.prop_map(|(value, mask)| {
        let [value, mask] = [value, mask].map(TcpFlags::from_bits);
        condition(move |rule| rule.tcp_flags(value, mask))
    });
    let none = Just(()).prop_map(|()| condition(|rule| rule));
    prop_oneof![2 => none, 2 => by_protocol, 6 => by_port, 2 => by_type, 1 => by_flags]
}

fn rare() -> impl Strategy<Value = Condition> {
    (0..12_u8, 0..64_u8).prop_map(|(which, dscp)| {
        condition(move |rule| match which {
            0 => rule.packet_type(PacketType::Multicast),
            1 => rule.packet_type(PacketType::Unicast),
            2 => rule.packet_type(PacketType::Broadcast),
            3 => rule.dscp([dscp, 46]),
            4..6 => rule.direction(Direction::Inbound),
            6 => rule.direction(Direction::Outbound),
            _ => rule,
        })
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    (verdict(), vec(networks(), 0..3), transport(), rare()).prop_map(
        |(verdict, networks, transport, rare)| {
            let rule = (rare.0)((transport.0)(Rule::new(verdict)));
            networks
                .iter()
                .fold(rule, |rule, condition| (condition.0)(rule))
        },
    )
}

fn shape() -> impl Strategy<Value = Shape> {
    let v4 = (addr_v4(), addr_v4()).prop_map(|(a, b)| (IpAddr::V4(a), IpAddr::V4(b)));
    let v6 = (addr_v6(), addr_v6()).prop_map(|(a, b)| (IpAddr::V6(a), IpAddr::V6(b)));
    let kind = select(vec![[0_u8, 0], [8, 0], [128, 7], [255, 255]]).prop_map(u16::from_be_bytes);
    (
        prop_oneof![v4, v6],
        protocol(),
        (port(), port(), kind),
        (any::<u8>(), select(vec![0_u8, 46, 63])),
        (0..8_u8).prop_map(|draw| draw == 0),
    )
        .prop_map(
            |((source, destination), protocol, numbers, (flags, dscp), fragment)| {
                let is_icmp = matches!(protocol, Protocol::Icmpv4 | Protocol::Icmpv6);
                Shape {
                    source,
                    destination,
                    protocol: protocol.into(),
                    first: if is_icmp {
                        [numbers.2, 0]
                    } else {
                        [numbers.0, numbers.1]
                    },
                    flags,
                    dscp,
                    fragment,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The index finds the rule that a comparison with one rule after the other finds.
    #[test]
    fn the_first_match_decides_in_every_ruleset(
        rules in vec(rule(), 0..60),
        shapes in vec(shape(), 40),
    ) {
        let ruleset = Ruleset::new(Verdict::Pass, rules.clone());
        let mut counts = vec![Counters::default(); rules.len()];
        for shape in shapes {
            let bytes = shape.bytes();
            let packet = Packet::parse(&bytes).unwrap();
            for direction in [Direction::Inbound, Direction::Outbound] {
                let first = rules.iter().position(|rule| rule.matches(&packet, direction));
                let expected = first.map_or(Verdict::Pass, |first| rules[first].verdict());
                prop_assert_eq!(ruleset.verdict(&packet, direction), expected, "{:?}", shape);
                if let Some(first) = first {
                    counts[first].packets += 1;
                    counts[first].bytes += packet.total_len() as u64;
                }
                // The counters tell rules with the same verdict apart.
                prop_assert!(ruleset.counters().eq(counts.iter().copied()), "{:?}", shape);
            }
        }
    }

    #[test]
    fn a_ruleset_is_read_back_from_its_text(
        rules in vec(rule(), 0..20),
        policies in (verdict(), verdict()),
    ) {
        let rules = Ruleset::new(policies.0, rules).policy(Direction::Outbound, policies.1);
        let text = rules.to_string();
        let read: Ruleset = text.parse().unwrap();
        prop_assert_eq!(&read, &rules);
        prop_assert_eq!(read.to_string(), text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(
        words in vec(select(vec![
            "policy", "inbound", "saddr", "daddr", "!=", "{", "}", ",", "10.0.0.0/8", "::", "tcp", "udp",
            "icmp", "type", "flags", "syn", "/", "0x0", "sport", "dport", "80", "1-9", "9-1", "dscp",
            "pkttype", "multicast", "protocol", "47", "pass", "drop", "reject", "with", "reset",
            "packet-too-big", "divert", "\n", "#", "ß", "",
        ]), 0..40),
        noise in ".{0,20}",
    ) {
        for text in [words.join(" "), words.concat(), noise] {
            if let Ok(rules) = text.parse::<Ruleset>() {
                prop_assert_eq!(rules.to_string().parse::<Ruleset>(), Ok(rules));
            }
        }
    }
}

/// The product of the lists is larger than the index divides a rule into.
#[test]
fn long_lists_in_every_field() {
    let hosts = |net: u8| (0..40).map(move |host| IpAddr::from([10, 0, net, host]));
    let big = Rule::new(Verdict::Drop)
        .source(hosts(1))
        .destination(hosts(2))
        .source_port((0..20).map(|port| port * 2))
        .destination_port((0..20).map(|port| port * 3));
    let filler =
        (0..9).map(|host| Rule::new(Verdict::Divert).destination([IpAddr::from([10, 0, 3, host])]));
    let rules: Vec<Rule> = filler.chain([big]).collect();
    let ruleset = Ruleset::new(Verdict::Pass, rules.clone());
    for (from, to) in [
        ("10.0.1.39:38", "10.0.2.39:57"),
        ("10.0.1.40:38", "10.0.2.39:57"),
        ("10.0.1.39:37", "10.0.2.39:57"),
        ("10.0.1.39:38", "10.0.2.40:57"),
        ("10.0.1.39:38", "10.0.2.39:58"),
        ("10.0.1.39:38", "10.0.3.8:57"),
    ] {
        let shape = Shape::udp(from, to);
        let bytes = shape.bytes();
        let packet = Packet::parse(&bytes).unwrap();
        let first = rules
            .iter()
            .find(|rule| rule.matches(&packet, Direction::Inbound));
        let expected = first.map_or(Verdict::Pass, Rule::verdict);
        assert_eq!(shape.verdict(&ruleset), expected, "{from} {to}");
    }
}

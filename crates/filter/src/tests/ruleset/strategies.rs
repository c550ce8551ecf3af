//! Random rules and packets that meet often.

use super::shape::Shape;
use crate::{Direction, IpNet, PacketType, Reject, Rule, Verdict};
use brooklet_packet::icmp::Unreachable;
use brooklet_packet::{Protocol, TcpFlags};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

pub(super) fn verdict() -> impl Strategy<Value = Verdict> {
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

pub(super) fn rule() -> impl Strategy<Value = Rule> {
    (verdict(), vec(networks(), 0..3), transport(), rare()).prop_map(
        |(verdict, networks, transport, rare)| {
            let rule = (rare.0)((transport.0)(Rule::new(verdict)));
            networks
                .iter()
                .fold(rule, |rule, condition| (condition.0)(rule))
        },
    )
}

/// A rule with few different values in its conditions, so that many rules differ in nothing else.
pub(super) fn similar_rule() -> impl Strategy<Value = Rule> {
    let dscps =
        vec(0..64_u8, 1..4).prop_map(|dscps| condition(move |rule| rule.dscp(dscps.clone())));
    let all_but = (0..64_u8)
        .prop_map(|dscp| condition(move |rule| rule.dscp((0..64).filter(|other| *other != dscp))));
    let flags = (any::<u8>(), any::<u8>()).prop_map(|(value, mask)| {
        let [value, mask] = [value, mask].map(TcpFlags::from_bits);
        condition(move |rule| rule.tcp_flags(value, mask))
    });
    let few = select(vec![PacketType::Unicast, PacketType::Multicast]);
    let kind = few.prop_map(|kind| condition(move |rule| rule.packet_type(kind)));
    let tcp = Just(()).prop_map(|()| condition(|rule| rule.protocol(Protocol::Tcp)));
    let conditions = vec(
        prop_oneof![3 => dscps, 1 => all_but, 3 => flags, 1 => kind, 1 => tcp],
        1..4,
    );
    (verdict(), conditions).prop_map(|(verdict, conditions)| {
        let rule = Rule::new(verdict);
        conditions
            .iter()
            .fold(rule, |rule, condition| (condition.0)(rule))
    })
}

pub(super) fn shape() -> impl Strategy<Value = Shape> {
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

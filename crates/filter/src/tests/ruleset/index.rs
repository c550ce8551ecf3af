//! The index finds the rule that a comparison with one rule after the other finds.

use super::shape::Shape;
use super::strategies::{rule, shape, similar_rule, verdict};
use crate::{Counters, Direction, Filter, IpNet, Match, Rule, Ruleset, Verdict};
use brooklet_packet::{Packet, Protocol, TcpFlags};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::net::{IpAddr, Ipv4Addr};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_first_match_decides_in_every_ruleset(
        rules in vec(rule(), 0..60),
        shapes in vec(shape(), 40),
    ) {
        the_first_match_decides(&rules, &shapes)?;
    }

    #[test]
    fn the_first_match_decides_among_rules_without_addresses_and_ports(
        rules in vec(similar_rule(), 0..200),
        shapes in vec(shape(), 20),
        dscps in vec(0..64_u8, 20),
    ) {
        let of_each_dscp = shapes.iter().zip(dscps).map(|(shape, dscp)| Shape { dscp, ..*shape });
        the_first_match_decides(&rules, &of_each_dscp.collect::<Vec<_>>())?;
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

/// Compares the verdicts and the counters with those of one rule after the other.
fn the_first_match_decides(rules: &[Rule], shapes: &[Shape]) -> Result<(), TestCaseError> {
    let ruleset = Ruleset::new(Verdict::Pass, rules.to_vec());
    let mut counts = vec![Counters::default(); rules.len()];
    for shape in shapes {
        let bytes = shape.bytes();
        let packet = Packet::parse(&bytes).unwrap();
        for direction in [Direction::Inbound, Direction::Outbound] {
            let first = rules
                .iter()
                .position(|rule| rule.matches(&packet, direction));
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
    Ok(())
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

#[test]
fn a_rule_with_the_conditions_of_an_earlier_one_never_decides() {
    let rules: Ruleset =
        "daddr != 10.0.0.9 drop\ndaddr != 10.0.0.9 divert\ninbound daddr != 10.0.0.9 pass"
            .parse()
            .unwrap();
    let shape = Shape::udp("10.0.0.1:1", "10.0.0.2:2");
    assert_eq!(shape.verdict(&rules), Verdict::Drop);
    let packets: Vec<u64> = rules.counters().map(|counters| counters.packets).collect();
    assert_eq!(packets, [1, 0, 0]);
}

#[test]
fn ten_thousand_rules_without_addresses_and_ports_are_not_compared_one_after_the_other() {
    let dscps = |number: u32| [(number % 63) as u8, (number / 63 % 63) as u8];
    let by_dscp = (0..10_000).map(|number| {
        Rule::new(Verdict::Drop)
            .direction(Direction::Inbound)
            .dscp(dscps(number))
    });
    // Every value of every mask, and as many as there are, one DSCP each.
    let by_flags = (0..10_000_u32).map(|number| {
        let [value, mask, ..] = number.to_le_bytes().map(TcpFlags::from_bits);
        let mask = TcpFlags::from_bits(mask.bits().wrapping_mul(7) | 1);
        Rule::new(Verdict::Drop)
            .dscp([(number % 63) as u8])
            .tcp_flags(value, mask)
    });
    for rules in [by_dscp.collect::<Vec<_>>(), by_flags.collect()] {
        let packets = vec![
            Shape {
                dscp: 63,
                ..Shape::udp("10.0.0.1:5000", "10.0.0.2:53")
            }
            .bytes();
            100
        ];
        is_faster_than_one_after_the_other(&rules, &packets);
    }
}

#[test]
fn ten_thousand_rules_are_not_compared_one_after_the_other() {
    let host = |number: u32| IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + number * 7));
    let rules: Vec<Rule> = (0..10_000)
        .map(|number| match number % 3 {
            0 => Rule::new(Verdict::Drop)
                .destination([host(number)])
                .destination_port([53]),
            1 => Rule::new(Verdict::Drop).destination([IpNet::new(host(number), 28).unwrap()]),
            _ => Rule::new(Verdict::Drop)
                .protocol(Protocol::Tcp)
                .destination_port([number as u16]),
        })
        .collect();
    let packets: Vec<Vec<u8>> = (0..100)
        .map(|number| {
            let shape = Shape::udp("10.0.0.1:5000", "10.0.0.2:53");
            Shape {
                destination: host(number * 97),
                ..shape
            }
            .bytes()
        })
        .collect();
    is_faster_than_one_after_the_other(&rules, &packets);
}

#[expect(clippy::disallowed_methods, reason = "the test measures")]
fn is_faster_than_one_after_the_other(rules: &[Rule], packets: &[Vec<u8>]) {
    let ruleset = Ruleset::new(Verdict::Pass, rules.to_vec());
    let time = |verdict: &dyn Fn(&Packet<'_>) -> Verdict| {
        let start = std::time::Instant::now();
        let verdicts: Vec<Verdict> = packets
            .iter()
            .map(|bytes| verdict(&Packet::parse(bytes).unwrap()))
            .collect();
        (verdicts, start.elapsed())
    };
    let (found, with_index) = time(&|packet| ruleset.verdict(packet, Direction::Inbound));
    let (expected, without) = time(&|packet| {
        let first = rules
            .iter()
            .find(|rule| rule.matches(packet, Direction::Inbound));
        first.map_or(Verdict::Pass, Rule::verdict)
    });
    assert_eq!(found, expected);
    // Some hundred times faster, and this holds on a busy machine too.
    assert!(with_index * 10 < without, "{with_index:?} and {without:?}");
}

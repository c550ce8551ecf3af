//! Rulesets: their text, what their rules match, and their counters.

mod index;
mod shape;
mod strategies;

use crate::{Counters, Direction, Filter, IpNet, Reject, Rule, Ruleset, Verdict};
use brooklet_packet::{Packet, Protocol, TcpFlags};
use shape::Shape;

fn ruleset(text: &str) -> Ruleset {
    text.parse().unwrap()
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

//! Invariants of the rules of a filter that are read from a text.

use brooklet_filter::{Direction, Filter, Match, Ruleset};
use brooklet_packet::Packet;

/// Reads `data` as a ruleset. An error names a place in the text; rules print and read back the same,
/// and give the verdict of their first rule that matches. Returns whether `data` is a ruleset.
pub fn ruleset(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let rules: Ruleset = match text.parse() {
        Ok(rules) => rules,
        Err(error) => {
            let line = text
                .lines()
                .nth(error.line() - 1)
                .expect("a line of the text");
            assert!(
                (1..=line.chars().count() + 1).contains(&error.column()),
                "{error}"
            );
            assert!(!error.to_string().contains('\n'), "{error}");
            return false;
        }
    };
    let printed = rules.to_string();
    let read: Ruleset = printed.parse().expect("what is printed can be read");
    assert!(read == rules, "{printed}");
    assert_eq!(read.to_string(), printed);
    for bytes in crate::seeds() {
        let Ok(packet) = Packet::parse(&bytes) else {
            continue;
        };
        for direction in [Direction::Inbound, Direction::Outbound] {
            let mut list = rules.rules().iter();
            let first = list.find(|rule| rule.matches(&packet, direction));
            let policy = rules.policy_verdict(direction);
            let expected = first.map_or(policy, |rule| rule.verdict());
            assert_eq!(rules.verdict(&packet, direction), expected, "{printed}");
        }
    }
    true
}

/// Rules with every word that there is, for the addresses and ports of the packets in
/// [`seeds`](crate::seeds).
pub const RULES: [&str; 4] = [
    "policy drop\ninbound udp dport 53 pass\ntcp dport { 80, 443, 8000-8999 } reject\n",
    "policy inbound pass\npolicy outbound drop # by default\n\n\
     saddr 10.0.0.0/8 daddr != { 192.0.2.7, fd00::/8 } pass\n\
     daddr { 2001:db8::7, 192.0.2.0/24 } sport 4000 tcp flags syn / syn,ack reject with tcp reset\n",
    "icmp type { echo-request, 0 } divert\nicmpv6 type != 128 reject with icmp admin-prohibited\n\
     igmp drop\nprotocol 47 dscp { ef, 7 } reject with icmp packet-too-big 1400\n",
    "pkttype multicast drop\npkttype unicast sport != 1-1023 udp dport 53 drop\n\
     outbound daddr ::/0 reject with icmp net-unreachable\ntcp flags 0x0 / rst drop\ndrop\n",
];

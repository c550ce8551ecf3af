//! Rules of a filter from a text, and a packet for them.

mod reference;

use crate::bytes::repair;
use brooklet_filter::{Direction, Filter, Match, Ruleset};
use brooklet_packet::Packet;

/// Reads `data` up to its first byte of 0 as a ruleset, and the rest of `data` as a packet. An error
/// names a place in the text; rules print and read back the same, and give the verdict that a naive
/// reading of their text gives, for the packet and for [`seeds`](crate::seeds). Returns whether the
/// text is a ruleset.
///
/// # Panics
///
/// Where one of these does not hold.
pub fn ruleset(data: &[u8]) -> bool {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let text = String::from_utf8_lossy(parts.next().unwrap_or_default());
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
    let own = parts.next().map(|bytes| {
        let mut bytes = bytes.to_vec();
        repair(&mut bytes);
        bytes
    });
    for bytes in crate::seeds().into_iter().chain(own) {
        if let Ok(packet) = Packet::parse(&bytes) {
            for direction in [Direction::Inbound, Direction::Outbound] {
                verdict(&rules, &packet, direction);
            }
        }
    }
    true
}

fn verdict(rules: &Ruleset, packet: &Packet<'_>, direction: Direction) {
    let mut first = None;
    for rule in rules.rules() {
        let text = rule.to_string();
        let matches = rule.matches(packet, direction);
        assert_eq!(
            matches,
            reference::matches(&text, packet, direction),
            "{text}: {packet:?}"
        );
        if matches && first.is_none() {
            first = Some(rule.verdict());
        }
    }
    let expected = first.unwrap_or_else(|| rules.policy_verdict(direction));
    assert_eq!(rules.verdict(packet, direction), expected, "{rules}");
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

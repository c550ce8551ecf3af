//! The reader of rulesets.

use super::names::{self, DSCPS, Names, TCP_FLAGS, decimal};
use super::packet_type::PacketType;
use super::rule::{FlagsMatch, IGMP, Rule, truncated};
use super::set::Set;
use super::words::{RulesetError, Words};
use crate::verdict::REASONS;
use crate::{Direction, IpNet, ListErrorKind, Ports, Reject, Verdict, list};
use brooklet_packet::icmp::Unreachable;
use brooklet_packet::{Protocol, TcpFlags};

/// One line of a ruleset that is not blank.
pub(super) enum Line {
    /// `None` stands for both directions.
    Policy(Option<Direction>, Verdict),
    Rule(Rule),
}

const MATCH_OR_VERDICT: &str = "a match or a verdict";
const TCP_OR_UDP: &str = "`tcp` or `udp` in a rule with a port";

/// Reads the policy line or the rule in `words`.
pub(super) fn line(words: &mut Words<'_>) -> Result<Line, RulesetError> {
    if !words.take("policy") {
        return rule(words).map(Line::Rule);
    }
    let direction = direction(words);
    let verdict = verdict(words)?;
    Ok(Line::Policy(direction, verdict))
}

fn direction(words: &mut Words<'_>) -> Option<Direction> {
    let direction = words.peek()?.parse().ok();
    if direction.is_some() {
        words.skip();
    }
    direction
}

/// Reads a rule: matches in any order, and the verdict.
pub(super) fn rule(words: &mut Words<'_>) -> Result<Rule, RulesetError> {
    // The verdict is known last.
    let mut rule = Rule::new(Verdict::Pass);
    while let Some(word) = words.peek() {
        match word {
            "inbound" | "outbound" => {
                once(words, &rule.direction)?;
                rule.direction = direction(words);
            }
            "pkttype" => {
                field(words, &rule.packet_type)?;
                rule.packet_type = Some(words.read(packet_type)?);
            }
            "saddr" => {
                field(words, &rule.source)?;
                rule.source = Some(truncated(set(words, network)?));
            }
            "daddr" => {
                field(words, &rule.destination)?;
                rule.destination = Some(truncated(set(words, network)?));
            }
            "dscp" => {
                field(words, &rule.dscp)?;
                let expected = "a DSCP: a number from 0 to 63 or a name such as `ef`";
                rule.dscp = Some(set(words, number(DSCPS, 63, expected))?);
            }
            "sport" => {
                require(words, rule.protocol.is_none_or(has_ports), TCP_OR_UDP)?;
                field(words, &rule.source_port)?;
                rule.source_port = Some(set(words, ports)?);
            }
            "dport" => {
                require(words, rule.protocol.is_none_or(has_ports), TCP_OR_UDP)?;
                field(words, &rule.destination_port)?;
                rule.destination_port = Some(set(words, ports)?);
            }
            "type" => {
                let is_icmp = matches!(rule.protocol, Some(Protocol::Icmpv4 | Protocol::Icmpv6));
                require(words, is_icmp, "`icmp` or `icmpv6` before `type`")?;
                field(words, &rule.icmp_type)?;
                let names = names::icmp_types(rule.protocol);
                let expected =
                    "an ICMP type: a number from 0 to 255 or a name such as `echo-request`";
                rule.icmp_type = Some(set(words, number(names, u8::MAX, expected))?);
            }
            "flags" => {
                let is_tcp = rule.protocol == Some(Protocol::Tcp);
                require(words, is_tcp, "`tcp` before `flags`")?;
                field(words, &rule.tcp_flags)?;
                rule.tcp_flags = Some(flags_match(words)?);
            }
            "pass" | "drop" | "reject" | "divert" => {
                rule.verdict = verdict(words)?;
                return Ok(rule);
            }
            "protocol" => {
                field(words, &rule.protocol)?;
                let expected = "a protocol: a number from 0 to 255 or a name such as `udp`";
                let protocol = words.peek().and_then(protocol);
                set_protocol(words, &mut rule, protocol, expected)?;
            }
            word => {
                let protocol = named_protocol(word);
                if protocol.is_some() {
                    once(words, &rule.protocol)?;
                }
                set_protocol(words, &mut rule, protocol, MATCH_OR_VERDICT)?;
            }
        }
    }
    Err(words.error(MATCH_OR_VERDICT))
}

/// Sets the protocol that the next word stands for.
fn set_protocol(
    words: &mut Words<'_>,
    rule: &mut Rule,
    protocol: Option<Protocol>,
    expected: &'static str,
) -> Result<(), RulesetError> {
    let matches_port = rule.source_port.is_some() || rule.destination_port.is_some();
    require(words, protocol.is_some(), expected)?;
    require(
        words,
        !matches_port || protocol.is_some_and(has_ports),
        TCP_OR_UDP,
    )?;
    words.skip();
    rule.protocol = protocol;
    Ok(())
}

/// Skips the name of a field that has no condition yet.
fn field<T>(words: &mut Words<'_>, condition: &Option<T>) -> Result<(), RulesetError> {
    once(words, condition)?;
    words.skip();
    Ok(())
}

fn once<T>(words: &Words<'_>, condition: &Option<T>) -> Result<(), RulesetError> {
    require(
        words,
        condition.is_none(),
        "no second match by the same field",
    )
}

fn require(words: &Words<'_>, holds: bool, expected: &'static str) -> Result<(), RulesetError> {
    if holds {
        Ok(())
    } else {
        Err(words.error(expected))
    }
}

fn has_ports(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Tcp | Protocol::Udp)
}

fn named_protocol(word: &str) -> Option<Protocol> {
    match word {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        "icmp" => Some(Protocol::Icmpv4),
        "icmpv6" => Some(Protocol::Icmpv6),
        "igmp" => Some(IGMP),
        _ => None,
    }
}

fn protocol(word: &str) -> Option<Protocol> {
    named_protocol(word).or_else(|| decimal::<u8>(word).map(Protocol::from))
}

/// Reads one value, or values in braces, both with `!=` before them or without.
fn set<'a, T>(
    words: &mut Words<'a>,
    read: impl Fn(&'a str) -> Result<T, &'static str>,
) -> Result<Set<T>, RulesetError> {
    let negated = words.take("!=");
    let mut values = Vec::new();
    if !words.take("{") {
        values.push(words.read(read)?);
    } else if !words.take("}") {
        loop {
            values.push(words.read(&read)?);
            if words.take("}") {
                break;
            }
            require(words, words.peek() == Some(","), "`,` or `}`")?;
            words.skip();
        }
    }
    Ok(Set { negated, values })
}

fn packet_type(word: &str) -> Result<PacketType, &'static str> {
    let named = PacketType::NAMES.iter().find(|(name, _)| *name == word);
    named
        .map(|(_, packet_type)| *packet_type)
        .ok_or("`unicast`, `multicast` or `broadcast`")
}

fn network(word: &str) -> Result<IpNet, &'static str> {
    list::network(word).map_err(|error| match error {
        ListErrorKind::Address => "an IPv4 or IPv6 address or network",
        ListErrorKind::PrefixLength { longest: 32 } => "a prefix length from 0 to 32",
        ListErrorKind::PrefixLength { .. } => "a prefix length from 0 to 128",
    })
}

fn ports(word: &str) -> Result<Ports, &'static str> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    match (decimal::<u16>(first), decimal::<u16>(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first..=last).into()),
        (Some(_), Some(_)) => Err("a range of ports with the lower port first"),
        _ => Err("a port or a range of ports"),
    }
}

fn number(
    names: Names,
    max: u8,
    expected: &'static str,
) -> impl Fn(&str) -> Result<u8, &'static str> {
    move |word| names::number(names, max, word).ok_or(expected)
}

/// Reads `syn / syn,ack`, or one flag.
fn flags_match(words: &mut Words<'_>) -> Result<FlagsMatch, RulesetError> {
    let value = flags(words)?;
    if words.take("/") {
        let mask = flags(words)?;
        let value = TcpFlags::from_bits(value.bits() & mask.bits());
        return Ok(FlagsMatch { value, mask });
    }
    require(
        words,
        value.bits().is_power_of_two(),
        "`/` and the flags to compare",
    )?;
    Ok(FlagsMatch { value, mask: value })
}

fn flags(words: &mut Words<'_>) -> Result<TcpFlags, RulesetError> {
    let flag = |word: &str| {
        let named = TCP_FLAGS.iter().find(|(name, _)| *name == word);
        named.map(|(_, bit)| *bit).ok_or("a TCP flag such as `syn`")
    };
    if words.take("0x0") {
        return Ok(TcpFlags::default());
    }
    let mut bits = words.read(flag)?;
    while words.take(",") {
        bits |= words.read(flag)?;
    }
    Ok(TcpFlags::from_bits(bits))
}

/// Reads a verdict, which the line ends with.
pub(crate) fn verdict(words: &mut Words<'_>) -> Result<Verdict, RulesetError> {
    let verdict = match words.peek() {
        Some("pass") => Verdict::Pass,
        Some("drop") => Verdict::Drop,
        Some("divert") => Verdict::Divert,
        Some("reject") => {
            words.skip();
            let reject = reject(words)?;
            words.end()?;
            return Ok(Verdict::Reject(reject));
        }
        _ => return Err(words.error("`pass`, `drop`, `reject` or `divert`")),
    };
    words.skip();
    words.end()?;
    Ok(verdict)
}

fn reject(words: &mut Words<'_>) -> Result<Reject, RulesetError> {
    if words.peek().is_none() {
        return Ok(Reject::TcpReset);
    }
    require(
        words,
        words.peek() == Some("with"),
        "`with` or the end of the line",
    )?;
    words.skip();
    if words.take("tcp") {
        require(words, words.peek() == Some("reset"), "`reset`")?;
        words.skip();
        return Ok(Reject::TcpReset);
    }
    require(words, words.peek() == Some("icmp"), "`tcp` or `icmp`")?;
    words.skip();
    if words.take("packet-too-big") {
        let mtu = words.read(|word| decimal(word).ok_or("an MTU in bytes"))?;
        return Ok(Reject::Icmp(Unreachable::PacketTooBig { mtu }));
    }
    let reason = |word: &str| {
        let known = REASONS.iter().find(|(known, _)| *known == word);
        known
            .map(|(_, reason)| Reject::Icmp(*reason))
            .ok_or("an ICMP reason such as `port-unreachable`")
    };
    words.read(reason)
}

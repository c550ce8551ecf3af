//! Ordered rules from a text, with an index.

mod counters;
mod index;
mod matches;
mod names;
mod packet_type;
mod parse;
mod print;
mod rule;
mod set;
mod words;

pub use counters::Counters;
pub use packet_type::PacketType;
pub use rule::Rule;
pub use words::RulesetError;

use crate::{Direction, Filter, Verdict};
use brooklet_packet::Packet;
use counters::Decision;
use index::Index;
use parse::Line;
use std::{collections::HashMap, fmt, str::FromStr};
use words::Words;

/// An ordered list of rules as in a file, with a default verdict for each direction: the policy. The
/// first rule that matches decides; the policy decides about a packet that no rule matches.
///
/// An index finds the first rule that matches, so that a verdict takes about the same time with 10
/// rules and with 10,000, unless thousands of rules overlap in one of the ways listed under
/// [Cost](#cost). Each rule counts the packets that it decides on. A verdict takes no lock.
///
/// A ruleset does not change. [`Rules`](crate::Rules) is a list of closures and other matches.
///
/// # Text
///
/// Each line has one rule: conditions in any order, and the verdict. `#` starts a comment. The words
/// are those of nftables where nftables has them.
///
/// ```
/// let rules: brooklet_filter::Ruleset = "
///     policy outbound drop                      # otherwise: pass
///
///     inbound udp dport 443 reject              # programs fall back from QUIC to TCP
///     saddr 10.0.0.0/8 tcp dport { 80, 443, 8000-8999 } pass
///     daddr != { 10.0.0.0/8, fd00::/8 } tcp flags syn / syn,ack reject with icmp admin-prohibited
///     icmpv6 type { echo-request, 129 } pass
///     igmp divert
///     pkttype multicast drop
///     outbound dscp ef pass
/// ".parse()?;
/// assert_eq!(rules.rules().len(), 7);
/// # Ok::<(), brooklet_filter::RulesetError>(())
/// ```
///
/// | condition | matches packets |
/// |---|---|
/// | `inbound`, `outbound` | in that [`Direction`] |
/// | `saddr`, `daddr` | from, to addresses and networks |
/// | `tcp`, `udp`, `icmp`, `icmpv6`, `igmp`, `protocol 47` | of that protocol |
/// | `sport`, `dport` | of TCP and UDP from, to ports and ranges of ports |
/// | `icmp type`, `icmpv6 type` | of ICMP with a type, by name or number |
/// | `tcp flags syn / syn,ack` | of TCP with SYN among SYN and ACK; `tcp flags syn`: with SYN |
/// | `dscp` | with a DSCP (RFC 2474), by name or number |
/// | `pkttype` | to a `unicast`, `multicast` or `broadcast` address ([`PacketType`]) |
///
/// The conditions that take a value take a list in braces as well, and `!=` before the value or the
/// list; directions, protocols, flags and packet types do not. [`Verdict`] and [`Reject`](crate::Reject)
/// list the verdicts. A line `policy drop`, `policy inbound pass` or `policy outbound drop` sets the
/// policy, which is `pass` without one.
///
/// [`Display`](fmt::Display) writes the policy and the rules, in the order and with the values of the
/// rules, and without comments. Reading that text gives an equal ruleset, and writing it again the
/// same text.
///
/// # Replacing the rules of a running stack
///
/// brooklet's `SharedFilter` replaces the whole ruleset at once: each packet gets its verdict from
/// the old rules or from the new ones, and a packet that both pass, passes. A wrong text gives an
/// error before anything is replaced, so the old rules stay. The documentation of `SharedFilter` has
/// an example. [`add_counters_of`](Self::add_counters_of) lets rules that stay go on counting.
///
/// # Cost
///
/// A verdict looks up the prefixes of the packet's addresses, service (protocol and destination
/// port) and source port that rules name, and where many rules are alike in these, its DSCP, TCP
/// flags and packet type. The cost grows with the number of networks and port ranges that contain one
/// another, and with the number of rules that differ only in the addresses, ports or ICMP types that
/// `!=` excludes, or whose lists make up more than 4,096 combinations. A rule with the conditions of
/// an earlier one costs nothing, and never decides. Building an index of 10,000 rules takes tens of
/// milliseconds.
pub struct Ruleset {
    rules: Vec<Rule>,
    /// One for each rule, and behind these the policies of both directions.
    decisions: Vec<Decision>,
    /// Of both directions.
    inbound: Index,
    outbound: Index,
}

impl Ruleset {
    /// Returns a ruleset of `rules`, in that order. `policy` is the verdict, in both directions, on
    /// packets that no rule matches.
    ///
    /// ```
    /// use brooklet_filter::{Rule, Ruleset, Verdict};
    /// use brooklet_packet::Protocol;
    ///
    /// let dns = Rule::new(Verdict::Pass).protocol(Protocol::Udp).destination_port([53]);
    /// let rules = Ruleset::new(Verdict::Drop, [dns]);
    /// assert_eq!(rules.to_string(), "policy drop\nudp dport 53 pass\n");
    /// ```
    pub fn new(policy: Verdict, rules: impl IntoIterator<Item = Rule>) -> Self {
        Self::with_policies([policy; 2], rules.into_iter().collect())
    }

    /// Returns the ruleset with another policy for one direction. The counter of that policy starts
    /// at 0.
    ///
    /// ```
    /// use brooklet_filter::{Direction, Ruleset, Verdict};
    ///
    /// let rules = Ruleset::new(Verdict::Pass, []).policy(Direction::Inbound, Verdict::Drop);
    /// assert_eq!(rules.to_string(), "policy inbound drop\npolicy outbound pass\n");
    /// ```
    #[must_use]
    pub fn policy(mut self, direction: Direction, policy: Verdict) -> Self {
        let place = self.policy_place(direction);
        self.decisions[place] = Decision::new(policy);
        self
    }

    fn with_policies(policies: [Verdict; 2], rules: Vec<Rule>) -> Self {
        let verdicts = rules.iter().map(Rule::verdict).chain(policies);
        Self {
            decisions: verdicts.map(Decision::new).collect(),
            inbound: Index::new(&rules, Direction::Inbound),
            outbound: Index::new(&rules, Direction::Outbound),
            rules,
        }
    }

    /// Returns the rules in their order.
    ///
    /// ```
    /// let rules: brooklet_filter::Ruleset = "tcp pass\nudp drop".parse()?;
    /// assert_eq!(rules.rules()[1].to_string(), "udp drop");
    /// # Ok::<(), brooklet_filter::RulesetError>(())
    /// ```
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Returns the verdict on packets in that direction that no rule matches.
    ///
    /// ```
    /// use brooklet_filter::{Direction, Ruleset, Verdict};
    ///
    /// let rules: Ruleset = "policy outbound drop".parse()?;
    /// assert_eq!(rules.policy_verdict(Direction::Inbound), Verdict::Pass);
    /// assert_eq!(rules.policy_verdict(Direction::Outbound), Verdict::Drop);
    /// # Ok::<(), brooklet_filter::RulesetError>(())
    /// ```
    pub fn policy_verdict(&self, direction: Direction) -> Verdict {
        self.decisions[self.policy_place(direction)].verdict
    }

    /// Returns the counters of the rules, in the order of the rules. [`Counters`] has an example.
    pub fn counters(&self) -> impl ExactSizeIterator<Item = Counters> {
        self.decisions[..self.rules.len()]
            .iter()
            .map(Decision::counters)
    }

    /// Returns the counters of the packets in that direction that no rule matches.
    ///
    /// ```
    /// use brooklet_filter::{Counters, Direction, Ruleset, Verdict};
    ///
    /// let rules = Ruleset::new(Verdict::Pass, []);
    /// assert_eq!(rules.policy_counters(Direction::Inbound), Counters::default());
    /// ```
    pub fn policy_counters(&self, direction: Direction) -> Counters {
        self.decisions[self.policy_place(direction)].counters()
    }

    /// Adds the counters of each rule of `old` to those of the equal rule of `self`, if there is one,
    /// and the counters of the policies. Of equal rules in one ruleset, the first belongs to the
    /// first, the second to the second, and so on.
    ///
    /// Call this after `self` has replaced `old`. A packet whose verdict `old` gives afterwards
    /// is not counted in `self`.
    ///
    /// ```
    /// use brooklet_filter::{Direction, Filter, Ruleset};
    /// # use brooklet_packet::{Packet, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:53".parse()?, 64, b"x")?;
    /// # let packet = Packet::parse(&bytes)?;
    ///
    /// let old: Ruleset = "udp dport 53 pass".parse()?;
    /// old.verdict(&packet, Direction::Inbound);
    ///
    /// let new: Ruleset = "tcp dport 25 drop\nudp dport 53 pass".parse()?;
    /// new.add_counters_of(&old);
    /// let packets: Vec<u64> = new.counters().map(|counters| counters.packets).collect();
    /// assert_eq!(packets, [0, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_counters_of(&self, old: &Self) {
        // Each rule of `old` with the places of its equals, the last place first.
        let mut places: HashMap<&Rule, Vec<usize>> = HashMap::new();
        for (place, rule) in old.rules.iter().enumerate().rev() {
            places.entry(rule).or_default().push(place);
        }
        for (rule, decision) in self.rules.iter().zip(&self.decisions) {
            if let Some(place) = places.get_mut(rule).and_then(Vec::pop) {
                decision.add(old.decisions[place].counters());
            }
        }
        for direction in [Direction::Inbound, Direction::Outbound] {
            let decision = &self.decisions[self.policy_place(direction)];
            decision.add(old.policy_counters(direction));
        }
    }

    fn policy_place(&self, direction: Direction) -> usize {
        match direction {
            Direction::Inbound => self.rules.len(),
            Direction::Outbound => self.rules.len() + 1,
        }
    }
}

impl Filter for Ruleset {
    fn verdict(&self, packet: &Packet<'_>, direction: Direction) -> Verdict {
        let index = match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        };
        let rule = index.first_match(&self.rules, packet, direction);
        let place = rule.unwrap_or_else(|| self.policy_place(direction));
        let decision = &self.decisions[place];
        decision.add(Counters {
            packets: 1,
            bytes: packet.total_len() as u64,
        });
        decision.verdict
    }
}

/// Rulesets are equal if their rules and policies are, whatever their counters.
impl PartialEq for Ruleset {
    fn eq(&self, other: &Self) -> bool {
        let policies = |rules: &Self| {
            [Direction::Inbound, Direction::Outbound]
                .map(|direction| rules.policy_verdict(direction))
        };
        self.rules == other.rules && policies(self) == policies(other)
    }
}

impl Eq for Ruleset {}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inbound = self.policy_verdict(Direction::Inbound);
        let outbound = self.policy_verdict(Direction::Outbound);
        if inbound == outbound {
            writeln!(f, "policy {inbound}")?;
        } else {
            writeln!(f, "policy inbound {inbound}\npolicy outbound {outbound}")?;
        }
        self.rules.iter().try_for_each(|rule| writeln!(f, "{rule}"))
    }
}

impl FromStr for Ruleset {
    type Err = RulesetError;

    fn from_str(text: &str) -> Result<Self, RulesetError> {
        let (mut policies, mut rules) = ([None; 2], Vec::new());
        for (index, line) in text.lines().enumerate() {
            let mut words = Words::new(index + 1, line);
            let start = words.clone();
            if words.peek().is_none() {
                continue;
            }
            match parse::line(&mut words)? {
                Line::Rule(rule) => rules.push(rule),
                Line::Policy(direction, verdict) => {
                    let [inbound, outbound] = &mut policies;
                    let places = match direction {
                        Some(Direction::Inbound) => vec![inbound],
                        Some(Direction::Outbound) => vec![outbound],
                        None => vec![inbound, outbound],
                    };
                    for place in places {
                        if place.replace(verdict).is_some() {
                            return Err(start.error("one policy for each direction"));
                        }
                    }
                }
            }
        }
        let policies = policies.map(|policy| policy.unwrap_or(Verdict::Pass));
        Ok(Self::with_policies(policies, rules))
    }
}

impl FromStr for Rule {
    type Err = RulesetError;

    fn from_str(text: &str) -> Result<Self, RulesetError> {
        parse::rule(&mut Words::new(1, text))
    }
}

/// Reads a verdict alone.
pub(crate) fn read_verdict(text: &str) -> Result<Verdict, RulesetError> {
    parse::verdict(&mut Words::new(1, text))
}

impl fmt::Debug for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ruleset")
            .field("rules", &self.rules.len())
            .field("inbound", &self.policy_verdict(Direction::Inbound))
            .field("outbound", &self.policy_verdict(Direction::Outbound))
            .finish()
    }
}

//! A packet filter for any program that reads IP packets from a TUN device.
//!
//! A [`Filter`] returns a [`Verdict`] on a parsed packet: pass, drop, reject with an answer, or divert
//! to the program. Two filters are ordered lists in which the first match decides:
//!
//! - A [`Ruleset`] is read from a text, counts the packets of each rule, and has an index for many
//!   thousand rules.
//! - [`Rules`] match by address and network, by a set of networks, by port, protocol and
//!   [`Direction`], or by a closure, and combine with and, or and not. They are compared one after the
//!   other.
//!
//! [`UnicastOnly`] is a ready-made filter, and a closure is a filter too ([`filter_fn`]). A filter
//! judges each packet alone and keeps no state of connections.
//!
//! # Rules from a text
//!
//! ```
//! use brooklet_filter::{Direction, Filter, Reject, Ruleset, Verdict};
//! use brooklet_packet::{Packet, udp};
//!
//! let rules: Ruleset = "
//!     policy drop
//!     udp dport 443 reject                    # programs fall back from QUIC to TCP
//!     daddr 192.168.7.0/24 tcp dport { 80, 443 } pass
//!     icmp type echo-request pass
//! ".parse()?;
//!
//! # let mut bytes = Vec::new();
//! # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:443".parse()?, 64, b"initial")?;
//! let quic = Packet::parse(&bytes)?;
//! let verdict = rules.verdict(&quic, Direction::Inbound);
//! assert_eq!(verdict, Verdict::Reject(Reject::TcpReset));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Blocking QUIC
//!
//! A program that cannot reach a server over QUIC falls back to TCP.
//!
//! ```
//! use brooklet_filter::{Direction, Filter, Match, Rules, Verdict, destination_port, protocol};
//! use brooklet_packet::{Packet, Protocol, udp};
//!
//! let rules = Rules::new(Verdict::Pass)
//!     .rule(protocol(Protocol::Udp).and(destination_port(443)), Verdict::Drop);
//!
//! let mut bytes = Vec::new();
//! udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:443".parse()?, 64, b"initial")?;
//! let quic = Packet::parse(&bytes)?;
//! assert_eq!(rules.verdict(&quic, Direction::Inbound), Verdict::Drop);
//! # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:53".parse()?, 64, b"question")?;
//! # assert_eq!(rules.verdict(&Packet::parse(&bytes)?, Direction::Inbound), Verdict::Pass);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Allowing one network only
//!
//! ```
//! use brooklet_filter::{Direction, Filter, IpNet, Rules, Verdict, destination, source};
//! use brooklet_packet::{Packet, udp};
//!
//! let office: IpNet = "192.168.7.0/24".parse()?;
//! let rules = Rules::new(Verdict::Drop)
//!     .rule(destination(office), Verdict::Pass)
//!     .rule(source(office), Verdict::Pass);
//!
//! # let mut bytes = Vec::new();
//! # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.168.7.9:53".parse()?, 64, b"x")?;
//! let to_the_office = Packet::parse(&bytes)?;
//! assert_eq!(rules.verdict(&to_the_office, Direction::Inbound), Verdict::Pass);
//! # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.168.8.9:53".parse()?, 64, b"x")?;
//! let elsewhere = Packet::parse(&bytes)?;
//! assert_eq!(rules.verdict(&elsewhere, Direction::Inbound), Verdict::Drop);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Ports, fragments and mapped addresses
//!
//! A match by port applies to TCP and UDP. A packet without ports never matches one, whatever the
//! range: ICMP and other protocols have none, and the parser reads no ports of a *fragment*, not even
//! of the first. Rules by port do not hold against fragments that a filter passes. Reassemble the
//! packets before the filter, as brooklet does by default, or add a rule on
//! [`Headers::fragment`](brooklet_packet::Headers::fragment) with [`matching`].
//!
//! An IPv4 address mapped into IPv6 (`::ffff:192.0.2.1`) reaches the IPv4 host when a program connects
//! to it, so the networks of both families match it.
//!
//! # Features
//!
//! - `serde`: [`CidrSet`] is a list of strings; [`Direction`], [`Verdict`], [`Rule`] and [`Ruleset`]
//!   are strings.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod cidr;
mod criteria;
mod direction;
mod filter;
mod list;
mod matching;
mod rules;
mod ruleset;
#[cfg(feature = "serde")]
mod serde_text;
mod verdict;

pub use cidr::{CidrSet, Networks};
pub use criteria::{
    Criterion, InSet, Ports, any, destination, destination_in, destination_port, direction,
    protocol, source, source_in, source_port,
};
pub use direction::{Direction, ParseDirectionError};
pub use filter::{Filter, PassAll, UnicastOnly, filter_fn};
pub use ipnet::{IpNet, Ipv4Net, Ipv6Net};
pub use list::{ListError, ListErrorKind};
pub use matching::{And, Match, Matching, Not, Or, matching};
pub use rules::Rules;
pub use ruleset::{Counters, PacketType, Rule, Ruleset, RulesetError};
pub use verdict::{ParseVerdictError, Reject, Verdict};

#[cfg(test)]
mod tests;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! A packet filter for any program that reads IP packets from a TUN device.
//!
//! A [`Filter`] gives a [`Verdict`] on a parsed packet. [`Rules`] is an ordered list in which the
//! first match decides, built from what a packet can be matched by: addresses and networks, sets
//! of networks, ports, the protocol, the [`Direction`], or any function. [`UnicastOnly`] is a
//! preset, and a closure is a filter too.
//!
//! Everything is judged from one packet alone; nothing is remembered from one to the next.
//!
//! # Blocking QUIC
//!
//! Programs that cannot reach a server over QUIC fall back to TCP.
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
//! A match by port looks at TCP and UDP. A packet that shows no port never matches one, whatever
//! the range: ICMP and other protocols have none, and of a *fragment* no port is read, not even
//! of the first. A rule that lets fragments by can be walked around with them; either put the
//! packets together before they are judged, or add a rule on
//! [`Headers::fragment`](brooklet_packet::Headers::fragment) with [`matching`].
//!
//! An IPv4 address that is mapped into IPv6 (`::ffff:192.0.2.1`) reaches the IPv4 host where a
//! program connects to it, so it is matched by the networks of both families.

mod cidr;
mod criteria;
mod filter;
mod list;
mod matching;
mod rules;

pub use cidr::CidrSet;
pub use criteria::{
    Criterion, InSet, Ports, any, destination, destination_in, destination_port, direction,
    protocol, source, source_in, source_port,
};
pub use filter::{Direction, Filter, PassAll, UnicastOnly, Verdict};
pub use ipnet::{IpNet, Ipv4Net, Ipv6Net};
pub use list::{ListError, ListErrorKind};
pub use matching::{And, Match, Matching, Not, Or, matching};
pub use rules::Rules;

#[cfg(test)]
mod tests;

//! Matches by address, port, protocol and direction.

use crate::{CidrSet, Direction, Match};
use brooklet_packet::{Packet, Protocol};
use ipnet::IpNet;
use std::{fmt, net::IpAddr, ops::RangeInclusive};

/// A match by one property of a packet: [`source`], [`destination`], [`source_port`],
/// [`destination_port`], [`protocol`], [`direction`] or [`any`].
///
/// ```
/// use brooklet_filter::{Criterion, Rules, Verdict, destination_port};
///
/// let criteria: Vec<Criterion> = [25, 465, 587].map(destination_port).into();
/// let rules = criteria.into_iter().fold(Rules::new(Verdict::Pass), |rules, mail| {
///     rules.rule(mail, Verdict::Drop)
/// });
/// # let _ = rules;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Criterion(Property);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Property {
    Any,
    Direction(Direction),
    Protocol(Protocol),
    Source(IpNet),
    Destination(IpNet),
    SourcePort(Ports),
    DestinationPort(Ports),
}

/// Matches every packet.
///
/// ```
/// # use brooklet_filter::{Rules, Verdict, any, direction, Direction};
/// let rules = Rules::new(Verdict::Pass)
///     .rule(direction(Direction::Outbound), Verdict::Pass)
///     .rule(any(), Verdict::Drop);
/// ```
pub fn any() -> Criterion {
    Criterion(Property::Any)
}

/// Matches packets in that direction.
///
/// ```
/// # use brooklet_filter::{Direction, Rules, Verdict, direction};
/// let receive_only = Rules::new(Verdict::Pass)
///     .rule(direction(Direction::Inbound), Verdict::Drop);
/// # let _ = receive_only;
/// ```
pub fn direction(direction: Direction) -> Criterion {
    Criterion(Property::Direction(direction))
}

/// Matches packets of that protocol, also fragments. The protocol of an IPv6 packet is the one behind
/// the extension headers.
///
/// ```
/// # use brooklet_filter::{Rules, Verdict, protocol};
/// use brooklet_packet::Protocol;
///
/// let no_ping = Rules::new(Verdict::Pass)
///     .rule(protocol(Protocol::Icmpv4), Verdict::Drop)
///     .rule(protocol(Protocol::Icmpv6), Verdict::Drop);
/// # let _ = no_ping;
/// ```
pub fn protocol(protocol: Protocol) -> Criterion {
    Criterion(Property::Protocol(protocol))
}

/// Matches packets from an address, or from the addresses of a network. An IPv4 address mapped into
/// IPv6 is in networks of both families.
///
/// ```
/// # use brooklet_filter::{IpNet, source};
/// let network = source("10.0.0.0/8".parse::<IpNet>()?);
/// let host = source(std::net::IpAddr::from([10, 0, 0, 1]));
/// # assert_ne!(network, host);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn source(network: impl Into<IpNet>) -> Criterion {
    Criterion(Property::Source(network.into()))
}

/// Matches packets to an address, or to the addresses of a network. An IPv4 address mapped into IPv6
/// is in networks of both families.
///
/// ```
/// # use brooklet_filter::{IpNet, destination};
/// let host = std::net::IpAddr::from([10, 0, 0, 1]);
/// assert_eq!(destination(host), destination("10.0.0.1/32".parse::<IpNet>()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn destination(network: impl Into<IpNet>) -> Criterion {
    Criterion(Property::Destination(network.into()))
}

/// Matches TCP and UDP packets from a port, or from a range of ports. Fragments and packets of other
/// protocols never match.
///
/// ```
/// # use brooklet_filter::source_port;
/// assert_eq!(source_port(53), source_port(53..=53));
/// ```
pub fn source_port(ports: impl Into<Ports>) -> Criterion {
    Criterion(Property::SourcePort(ports.into()))
}

/// Matches TCP and UDP packets to a port, or to a range of ports. Fragments and packets of other
/// protocols never match.
///
/// ```
/// # use brooklet_filter::destination_port;
/// assert_eq!(destination_port(443), destination_port(443..=443));
/// ```
pub fn destination_port(ports: impl Into<Ports>) -> Criterion {
    Criterion(Property::DestinationPort(ports.into()))
}

impl Match for Criterion {
    fn matches(&self, packet: &Packet<'_>, direction: Direction) -> bool {
        match self.0 {
            Property::Any => true,
            Property::Direction(wanted) => direction == wanted,
            Property::Protocol(wanted) => packet.protocol() == wanted,
            Property::Source(network) => within(network, packet.source()),
            Property::Destination(network) => within(network, packet.destination()),
            Property::SourcePort(ports) => {
                has_ports(packet) && ports.contain(packet.key().source().port())
            }
            Property::DestinationPort(ports) => {
                has_ports(packet) && ports.contain(packet.key().destination().port())
            }
        }
    }
}

/// An IPv4 address mapped into IPv6 is in networks of both families.
pub(crate) fn within(network: IpNet, addr: IpAddr) -> bool {
    network.contains(&addr) || network.contains(&addr.to_canonical())
}

/// Whether the ports of the key are those of the packet. Otherwise they are 0.
pub(crate) fn has_ports(packet: &Packet<'_>) -> bool {
    matches!(packet.protocol(), Protocol::Tcp | Protocol::Udp) && packet.fragment().is_none()
}

/// A port, or a range of ports with both ends included. A range that ends before it begins is empty.
///
/// [`Display`](fmt::Display) writes `443` or `1024-65535`.
///
/// ```
/// use brooklet_filter::Ports;
///
/// assert_eq!(Ports::from(443), Ports::from(443..=443));
/// assert_eq!(Ports::from(1024..=65535).to_string(), "1024-65535");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ports {
    pub(crate) first: u16,
    pub(crate) last: u16,
}

impl Ports {
    pub(crate) fn contain(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl From<u16> for Ports {
    fn from(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }
}

impl From<RangeInclusive<u16>> for Ports {
    fn from(ports: RangeInclusive<u16>) -> Self {
        Self {
            first: *ports.start(),
            last: *ports.end(),
        }
    }
}

/// The match of [`source_in`] and [`destination_in`].
///
/// ```
/// use brooklet_filter::{CidrSet, InSet, source_in};
///
/// let local: InSet<CidrSet> = source_in("10.0.0.0/8\nfd00::/8".parse()?);
/// # let _ = local;
/// # Ok::<(), brooklet_filter::ListError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InSet<S = CidrSet> {
    end: End,
    set: S,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum End {
    Source,
    Destination,
}

/// Matches packets whose source is in a set of networks: a [`CidrSet`] or an
/// [`Arc`](std::sync::Arc) of one.
///
/// ```
/// use brooklet_filter::{CidrSet, Match, destination_in, source_in};
/// use std::sync::Arc;
///
/// let bogons: Arc<CidrSet> = Arc::new("192.0.2.0/24\n198.51.100.0/24".parse()?);
/// let either_way = source_in(bogons.clone()).or(destination_in(bogons));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn source_in<S: AsRef<CidrSet>>(set: S) -> InSet<S> {
    InSet {
        end: End::Source,
        set,
    }
}

/// Matches packets whose destination is in a set of networks: a [`CidrSet`] or an
/// [`Arc`](std::sync::Arc) of one.
///
/// ```
/// use brooklet_filter::{CidrSet, Rules, Verdict, destination_in};
///
/// let blocked: CidrSet = "192.0.2.0/24\n198.51.100.0/24".parse()?;
/// let rules = Rules::new(Verdict::Pass).rule(destination_in(blocked), Verdict::Drop);
/// # let _ = rules;
/// # Ok::<(), brooklet_filter::ListError>(())
/// ```
pub fn destination_in<S: AsRef<CidrSet>>(set: S) -> InSet<S> {
    InSet {
        end: End::Destination,
        set,
    }
}

impl<S: AsRef<CidrSet>> Match for InSet<S> {
    fn matches(&self, packet: &Packet<'_>, _: Direction) -> bool {
        self.set.as_ref().contains(match self.end {
            End::Source => packet.source(),
            End::Destination => packet.destination(),
        })
    }
}

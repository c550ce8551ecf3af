//! What a packet can be matched by.

use crate::{CidrSet, Direction, Match};
use brooklet_packet::{Packet, Protocol};
use ipnet::IpNet;
use std::{net::IpAddr, ops::RangeInclusive};

/// One fact that a packet is matched by.
///
/// Made by [`source`], [`destination`], [`source_port`], [`destination_port`], [`protocol`],
/// [`direction`] and [`any`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Criterion(Fact);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
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
    Criterion(Fact::Any)
}

/// Matches packets that go that way.
pub fn direction(direction: Direction) -> Criterion {
    Criterion(Fact::Direction(direction))
}

/// Matches packets of that protocol, fragments included. With IPv6 it is what follows the
/// extension headers.
pub fn protocol(protocol: Protocol) -> Criterion {
    Criterion(Fact::Protocol(protocol))
}

/// Matches packets that come from the network, or from the one address.
///
/// ```
/// # use brooklet_filter::{IpNet, source};
/// let network = source("10.0.0.0/8".parse::<IpNet>()?);
/// let host = source(std::net::IpAddr::from([10, 0, 0, 1]));
/// # assert_ne!(network, host);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn source(network: impl Into<IpNet>) -> Criterion {
    Criterion(Fact::Source(network.into()))
}

/// Matches packets that go to the network, or to the one address.
pub fn destination(network: impl Into<IpNet>) -> Criterion {
    Criterion(Fact::Destination(network.into()))
}

/// Matches TCP and UDP packets from that port, or from a port in that range. Packets that show no
/// port never match.
pub fn source_port(ports: impl Into<Ports>) -> Criterion {
    Criterion(Fact::SourcePort(ports.into()))
}

/// Matches TCP and UDP packets to that port, or to a port in that range. Packets that show no port
/// never match: other protocols, and fragments.
///
/// ```
/// # use brooklet_filter::destination_port;
/// assert_eq!(destination_port(443), destination_port(443..=443));
/// ```
pub fn destination_port(ports: impl Into<Ports>) -> Criterion {
    Criterion(Fact::DestinationPort(ports.into()))
}

impl Match for Criterion {
    fn matches(&self, packet: &Packet<'_>, direction: Direction) -> bool {
        match self.0 {
            Fact::Any => true,
            Fact::Direction(wanted) => direction == wanted,
            Fact::Protocol(wanted) => packet.protocol() == wanted,
            Fact::Source(network) => within(network, packet.source()),
            Fact::Destination(network) => within(network, packet.destination()),
            Fact::SourcePort(ports) => {
                has_ports(packet) && ports.contain(packet.key().source().port())
            }
            Fact::DestinationPort(ports) => {
                has_ports(packet) && ports.contain(packet.key().destination().port())
            }
        }
    }
}

/// A mapped IPv4 address lies in networks of both families.
fn within(network: IpNet, addr: IpAddr) -> bool {
    network.contains(&addr) || network.contains(&addr.to_canonical())
}

/// Whether port 0 in the key would be a port.
fn has_ports(packet: &Packet<'_>) -> bool {
    matches!(packet.protocol(), Protocol::Tcp | Protocol::Udp) && packet.fragment().is_none()
}

/// One port, or a range of them with both ends included. A range that ends before it begins is
/// empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    fn contain(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
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

/// Whether one of the addresses is in a set of networks; made by [`source_in`] and
/// [`destination_in`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InSet<S = CidrSet> {
    end: End,
    set: S,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Source,
    Destination,
}

/// Matches packets that come from a network of the set: a [`CidrSet`] or an
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

/// Matches packets that go to a network of the set; see [`source_in`].
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

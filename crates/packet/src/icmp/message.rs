//! The reasons that ICMP errors give, and their numbers.

use crate::{Packet, is_unicast};
use std::fmt;

/// The length of the ICMP header, in bytes.
pub(super) const HEADER: usize = 8;

// RFC 792
pub(super) const V4_UNREACHABLE: u8 = 3;
// RFC 4443
pub(super) const V6_UNREACHABLE: u8 = 1;
pub(super) const V6_PACKET_TOO_BIG: u8 = 2;
pub(super) const V6_PARAMETER_PROBLEM: u8 = 4;
pub(super) const V6_UNRECOGNISED_NEXT_HEADER: u8 = 1;

/// The reason of an ICMP error "destination unreachable" or "packet too big".
///
/// ```
/// use brooklet_packet::icmp::Unreachable;
///
/// assert_eq!(Unreachable::Port.to_string(), "port unreachable");
/// let too_big = Unreachable::PacketTooBig { mtu: 1400 };
/// assert_eq!(too_big.to_string(), "packet too big, MTU 1400");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Unreachable {
    /// There is no route to the destination. IPv4 code 0, IPv6 code 0.
    Network,
    /// The host does not answer. IPv4 code 1, IPv6 code 3.
    Host,
    /// The host does not support the protocol. IPv4 code 2. IPv6 has a parameter problem, code 1,
    /// that points to the next-header field that names the protocol (RFC 4443, 3.4).
    Protocol,
    /// No socket is bound to the port. IPv4 code 3, IPv6 code 4.
    Port,
    /// A packet filter prohibits the communication. IPv4 code 13 (RFC 1812, 5.2.7.1), IPv6 code 1.
    Prohibited,
    /// The packet is longer than the MTU of a link on its path. IPv4 code 4 (RFC 1191, 4); IPv6
    /// has a message of its own (RFC 4443, 3.2).
    PacketTooBig {
        /// The MTU of that link, in bytes. An IPv4 error carries at most 65,535.
        mtu: u32,
    },
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "network unreachable",
            Self::Host => "host unreachable",
            Self::Protocol => "protocol unreachable",
            Self::Port => "port unreachable",
            Self::Prohibited => "administratively prohibited",
            Self::PacketTooBig { mtu } => return write!(f, "packet too big, MTU {mtu}"),
        })
    }
}

/// The kind of an ICMP error.
///
/// ```
/// use brooklet_packet::icmp::{IcmpErrorKind, Unreachable};
///
/// let kind = IcmpErrorKind::Unreachable(Unreachable::Host);
/// assert_eq!(kind.to_string(), "host unreachable");
/// assert_eq!(IcmpErrorKind::TimeExceeded.to_string(), "time exceeded");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum IcmpErrorKind {
    /// The packet did not reach its destination, for this reason. A code without a variant of its
    /// own in [`Unreachable`] counts as the variant that the code refines.
    ///
    /// [`PacketTooBig`](Unreachable::PacketTooBig) has the MTU that the error carries: 0 from an
    /// IPv4 router older than RFC 1191, and never below 1,280 with IPv6.
    Unreachable(Unreachable),
    /// The hop limit reached 0, or a fragment did not arrive in time for the reassembly.
    TimeExceeded,
    /// A header field other than the protocol is invalid or unknown.
    ParameterProblem,
}

impl fmt::Display for IcmpErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => why.fmt(f),
            Self::TimeExceeded => f.write_str("time exceeded"),
            Self::ParameterProblem => f.write_str("parameter problem"),
        }
    }
}

/// Whether source and destination are addresses of one host each.
pub(super) fn between_hosts(packet: &Packet<'_>) -> bool {
    is_unicast(packet.source()) && is_unicast(packet.destination())
}

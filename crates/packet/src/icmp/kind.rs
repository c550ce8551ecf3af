//! The reasons that ICMP errors give.

use std::error::Error;
use std::{fmt, io};

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
/// let kind = IcmpErrorKind::from(Unreachable::Host);
/// assert_eq!(kind.to_string(), "host unreachable");
/// assert_eq!(IcmpErrorKind::HopLimitExceeded.to_string(), "hop limit exceeded");
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
    /// The time to live or the hop limit reached 0 at a router: time exceeded, code 0 (RFC 792;
    /// RFC 4443, 3.3).
    HopLimitExceeded,
    /// Not all fragments of the packet arrived in time at its destination: time exceeded, code 1
    /// (RFC 792; RFC 4443, 3.3).
    ReassemblyTimeExceeded,
    /// A header field other than the protocol is invalid or unknown.
    ParameterProblem(ParameterProblem),
}

impl IcmpErrorKind {
    /// Returns the kind of the error that a socket reports for this ICMP error.
    ///
    /// | ICMP error | kind |
    /// |---|---|
    /// | port or protocol unreachable | [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) |
    /// | host unreachable, a time exceeded | [`HostUnreachable`](io::ErrorKind::HostUnreachable) |
    /// | network unreachable | [`NetworkUnreachable`](io::ErrorKind::NetworkUnreachable) |
    /// | administratively prohibited | [`PermissionDenied`](io::ErrorKind::PermissionDenied) |
    /// | packet too big, parameter problem | [`Other`](io::ErrorKind::Other) |
    ///
    /// ```
    /// use brooklet_packet::icmp::{IcmpErrorKind, Unreachable};
    /// use std::io;
    ///
    /// let refused = IcmpErrorKind::from(Unreachable::Port);
    /// assert_eq!(refused.error_kind(), io::ErrorKind::ConnectionRefused);
    /// ```
    #[must_use]
    pub fn error_kind(self) -> io::ErrorKind {
        match self {
            Self::Unreachable(why) => match why {
                Unreachable::Port | Unreachable::Protocol => io::ErrorKind::ConnectionRefused,
                Unreachable::Host => io::ErrorKind::HostUnreachable,
                Unreachable::Network => io::ErrorKind::NetworkUnreachable,
                Unreachable::Prohibited => io::ErrorKind::PermissionDenied,
                Unreachable::PacketTooBig { .. } => io::ErrorKind::Other,
            },
            Self::HopLimitExceeded | Self::ReassemblyTimeExceeded => io::ErrorKind::HostUnreachable,
            Self::ParameterProblem(_) => io::ErrorKind::Other,
        }
    }
}

impl From<Unreachable> for IcmpErrorKind {
    fn from(why: Unreachable) -> Self {
        Self::Unreachable(why)
    }
}

impl From<ParameterProblem> for IcmpErrorKind {
    fn from(problem: ParameterProblem) -> Self {
        Self::ParameterProblem(problem)
    }
}

impl fmt::Display for IcmpErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => why.fmt(f),
            Self::HopLimitExceeded => f.write_str("hop limit exceeded"),
            Self::ReassemblyTimeExceeded => f.write_str("fragment reassembly time exceeded"),
            Self::ParameterProblem(problem) => problem.fmt(f),
        }
    }
}

impl Error for IcmpErrorKind {}

/// The place and the kind of a problem with a header field (RFC 792; RFC 4443, 3.4).
///
/// ```
/// use brooklet_packet::icmp::{ParameterProblem, ParameterProblemKind};
///
/// let problem = ParameterProblem { pointer: 42, kind: ParameterProblemKind::Option };
/// assert_eq!(problem.to_string(), "unknown option at byte 42");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ParameterProblem {
    /// The offset of the field from the start of the packet, in bytes. An IPv4 error carries at
    /// most 255.
    pub pointer: u32,
    /// The kind of the problem.
    pub kind: ParameterProblemKind,
}

impl fmt::Display for ParameterProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind, self.pointer)
    }
}

/// The kind of a [`ParameterProblem`]. IPv4 errors do not tell the kinds apart: all are written
/// with code 0 and read as [`HeaderField`](Self::HeaderField).
///
/// ```
/// use brooklet_packet::icmp::ParameterProblemKind;
///
/// assert_eq!(ParameterProblemKind::HeaderField.to_string(), "erroneous header field");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum ParameterProblemKind {
    /// A header field has an erroneous value. IPv6 code 0. A code without a variant of its own is
    /// read as this one.
    HeaderField,
    /// A next-header field has an unknown value. IPv6 code 1. An error with this code is read as
    /// [`Unreachable::Protocol`], and [`icmp::error`](crate::icmp::error) finds the pointer of
    /// that one by itself.
    NextHeader,
    /// An IPv6 option is unknown. IPv6 code 2.
    Option,
    /// The first fragment does not hold all headers of the packet. IPv6 code 3 (RFC 7112, 6).
    IncompleteHeaderChain,
}

impl fmt::Display for ParameterProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HeaderField => "erroneous header field",
            Self::NextHeader => "unknown next header",
            Self::Option => "unknown option",
            Self::IncompleteHeaderChain => "incomplete header chain",
        })
    }
}

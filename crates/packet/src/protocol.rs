//! The protocol inside an IP packet.

use std::fmt;

/// What an IP packet carries: the IPv4 protocol field, or the last next-header field of IPv6.
///
/// ```
/// use brooklet_packet::Protocol;
///
/// assert_eq!(Protocol::from(6), Protocol::Tcp);
/// assert_eq!(u8::from(Protocol::Icmpv6), 58);
/// assert_eq!(Protocol::from(47).to_string(), "protocol 47");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// TCP, 6.
    Tcp,
    /// UDP, 17.
    Udp,
    /// ICMP for IPv4, 1.
    Icmpv4,
    /// ICMP for IPv6, 58.
    Icmpv6,
    /// Any other number of the IANA register. [`From<u8>`](#impl-From%3Cu8%3E-for-Protocol) gives
    /// a protocol that has a name here its name, so prefer it to building this by hand.
    Other(u8),
}

pub(crate) const ICMPV4: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;

impl From<u8> for Protocol {
    fn from(number: u8) -> Self {
        match number {
            ICMPV4 => Self::Icmpv4,
            TCP => Self::Tcp,
            UDP => Self::Udp,
            ICMPV6 => Self::Icmpv6,
            other => Self::Other(other),
        }
    }
}

impl From<Protocol> for u8 {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Icmpv4 => ICMPV4,
            Protocol::Tcp => TCP,
            Protocol::Udp => UDP,
            Protocol::Icmpv6 => ICMPV6,
            Protocol::Other(number) => number,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("TCP"),
            Self::Udp => f.write_str("UDP"),
            Self::Icmpv4 => f.write_str("ICMP"),
            Self::Icmpv6 => f.write_str("ICMPv6"),
            Self::Other(number) => write!(f, "protocol {number}"),
        }
    }
}

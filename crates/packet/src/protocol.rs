//! The protocol inside an IP packet.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// The protocol that an IP packet carries: the IPv4 protocol field, or the last next-header field
/// of IPv6.
///
/// [`FromStr`] reads `tcp`, `udp`, `icmp`, `icmpv6`, a number, and the text that
/// [`Display`](fmt::Display) writes, in upper or lower case.
///
/// ```
/// use brooklet_packet::Protocol;
///
/// assert_eq!(Protocol::from(6), Protocol::Tcp);
/// assert_eq!(u8::from(Protocol::Icmpv6), 58);
/// assert_eq!(Protocol::from(47).to_string(), "protocol 47");
/// assert_eq!("udp".parse(), Ok(Protocol::Udp));
/// assert_eq!("17".parse(), Ok(Protocol::Udp));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// Any other number of the IANA registry. Make it with
    /// [`From<u8>`](#impl-From%3Cu8%3E-for-Protocol), which returns the named variant where there
    /// is one.
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

impl FromStr for Protocol {
    type Err = ParseProtocolError;

    fn from_str(text: &str) -> Result<Self, ParseProtocolError> {
        let text = text.to_ascii_lowercase();
        match text.as_str() {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "icmp" => Ok(Self::Icmpv4),
            // The second is the keyword of the IANA registry.
            "icmpv6" | "ipv6-icmp" => Ok(Self::Icmpv6),
            other => {
                let number = other.strip_prefix("protocol ").unwrap_or(other);
                let number = number.parse::<u8>().map_err(|_| ParseProtocolError(()))?;
                Ok(number.into())
            }
        }
    }
}

/// The error of reading a [`Protocol`] from a text.
///
/// ```
/// use brooklet_packet::Protocol;
///
/// let error = "256".parse::<Protocol>().unwrap_err();
/// assert_eq!(error.to_string(), "neither tcp, udp, icmp, icmpv6 nor a number from 0 to 255");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseProtocolError(());

impl fmt::Display for ParseProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither tcp, udp, icmp, icmpv6 nor a number from 0 to 255")
    }
}

impl Error for ParseProtocolError {}

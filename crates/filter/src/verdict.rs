//! The verdict on a packet.

use crate::ruleset;
use brooklet_packet::icmp::Unreachable;
use std::{error::Error, fmt, str::FromStr};

/// What happens to a packet.
///
/// [`Display`](fmt::Display) writes the words of nftables where nftables has them, and [`FromStr`]
/// reads them: `pass`, `drop`, `divert`, and `reject` in the forms that [`Reject`] lists. With the
/// feature `serde` a verdict is that text.
///
/// ```
/// use brooklet_filter::{Reject, Verdict};
/// use brooklet_packet::icmp::Unreachable;
///
/// assert_eq!(Verdict::Pass.to_string(), "pass");
/// assert_eq!("drop".parse(), Ok(Verdict::Drop));
/// let reject = Verdict::Reject(Reject::Icmp(Unreachable::Host));
/// assert_eq!(reject.to_string(), "reject with icmp host-unreachable");
/// assert_eq!("reject".parse(), Ok(Verdict::Reject(Reject::TcpReset)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// The packet passes.
    Pass,
    /// The packet is dropped without an answer.
    Drop,
    /// The packet is dropped, and its sender gets an answer.
    Reject(Reject),
    /// The packet goes to the program as a raw packet, and not to a protocol of the stack.
    ///
    /// A packet that a raw or an ICMP socket sends passes instead, so that the program can send what
    /// was diverted to it.
    Divert,
}

/// The answer to a rejected packet.
///
/// No answer is sent where a host must not send one (RFC 9293, 3.10.7.1; RFC 1122, 3.2.2; RFC 4443,
/// 2.4(e)): to a RST, to an ICMP error, to a fragment other than the first, and to a packet to or
/// from a multicast or broadcast address.
///
/// | text | reject |
/// |---|---|
/// | `reject`, `reject with tcp reset` | [`TcpReset`](Self::TcpReset) |
/// | `reject with icmp net-unreachable` | [`Icmp(Network)`](Unreachable::Network) |
/// | `reject with icmp host-unreachable` | [`Icmp(Host)`](Unreachable::Host) |
/// | `reject with icmp prot-unreachable` | [`Icmp(Protocol)`](Unreachable::Protocol) |
/// | `reject with icmp port-unreachable` | [`Icmp(Port)`](Unreachable::Port) |
/// | `reject with icmp admin-prohibited` | [`Icmp(Prohibited)`](Unreachable::Prohibited) |
/// | `reject with icmp packet-too-big 1400` | [`Icmp(PacketTooBig)`](Unreachable::PacketTooBig) with that MTU |
///
/// `icmp` stands for ICMP with IPv4 and for ICMPv6 with IPv6.
///
/// ```
/// use brooklet_filter::{Reject, Verdict};
/// use brooklet_packet::icmp::Unreachable;
///
/// let verdict: Verdict = "reject with icmp admin-prohibited".parse()?;
/// assert_eq!(verdict, Verdict::Reject(Reject::Icmp(Unreachable::Prohibited)));
/// # Ok::<(), brooklet_filter::ParseVerdictError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reject {
    /// A RST answers a TCP segment, and an ICMP error "port unreachable" answers every other packet.
    /// A client's `connect` fails with `ConnectionRefused` in both cases.
    TcpReset,
    /// An ICMP error answers the packet, TCP segments included.
    Icmp(Unreachable),
}

/// The words of nftables, also for the reasons that ICMPv6 names otherwise.
pub(crate) const REASONS: [(&str, Unreachable); 5] = [
    ("net-unreachable", Unreachable::Network),
    ("host-unreachable", Unreachable::Host),
    ("prot-unreachable", Unreachable::Protocol),
    ("port-unreachable", Unreachable::Port),
    ("admin-prohibited", Unreachable::Prohibited),
];

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.pad("pass"),
            Self::Drop => f.pad("drop"),
            Self::Divert => f.pad("divert"),
            Self::Reject(Reject::TcpReset) => f.pad("reject"),
            Self::Reject(Reject::Icmp(reason)) => {
                if let Unreachable::PacketTooBig { mtu } = reason {
                    return write!(f, "reject with icmp packet-too-big {mtu}");
                }
                let known = REASONS.iter().find(|(_, known)| known == reason);
                write!(
                    f,
                    "reject with icmp {}",
                    known.map_or("unknown", |(word, _)| word)
                )
            }
        }
    }
}

impl FromStr for Verdict {
    type Err = ParseVerdictError;

    fn from_str(text: &str) -> Result<Self, ParseVerdictError> {
        ruleset::read_verdict(text).map_err(|_| ParseVerdictError(()))
    }
}

/// The error of reading a [`Verdict`] from a text.
///
/// ```
/// let error = "accept".parse::<brooklet_filter::Verdict>().unwrap_err();
/// assert_eq!(error.to_string(), "not a verdict: `pass`, `drop`, `reject` or `divert`");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseVerdictError(());

impl fmt::Display for ParseVerdictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a verdict: `pass`, `drop`, `reject` or `divert`")
    }
}

impl Error for ParseVerdictError {}

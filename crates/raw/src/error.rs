//! Packets that cannot be sent.

use brooklet_packet::ParseError;
use std::{error::Error, fmt, io, net::IpAddr};

/// A packet or message that cannot be sent, now or later.
///
/// Calls report it inside an [`io::Error`] of the kind
/// [`InvalidInput`](io::ErrorKind::InvalidInput).
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
/// # let engine = example::engine();
/// use brooklet_raw::{RawConfig, SendError};
///
/// let socket = engine.binder().bind_raw(RawConfig::new())?;
/// let error = futures_lite::future::block_on(socket.send(&[0x45, 0])).unwrap_err();
/// let why = error.get_ref().and_then(|e| e.downcast_ref::<SendError>());
/// assert!(matches!(why, Some(SendError::Malformed(_))));
/// # }
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The bytes are not an IP packet that a host could receive.
    Malformed(ParseError),
    /// "Don't fragment" is set, and the packet does not fit the MTU; or the payload does not fit
    /// an IP packet. Send a shorter payload, or clear "don't fragment".
    TooLong {
        /// The length of the IP packet, in bytes.
        len: usize,
        /// The longest packet that can be sent, in bytes: the MTU, or the longest IP packet.
        limit: usize,
    },
    /// One address is IPv4 and the other IPv6. An IPv4-mapped IPv6 address counts as IPv6.
    Families {
        /// The source address.
        from: IpAddr,
        /// The destination address.
        to: IpAddr,
    },
    /// The address is not that of one host, so that no reply could match.
    NotUnicast {
        /// The source or destination address.
        address: IpAddr,
    },
    /// The destination is an IPv6 address, and IPv6 is switched off.
    NoIpv6 {
        /// The destination address.
        to: IpAddr,
    },
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "not an IP packet that can be sent: {why}"),
            Self::TooLong { len, limit } => write!(
                f,
                "a packet of {len} bytes exceeds the limit of {limit} bytes and may not be fragmented"
            ),
            Self::Families { from, to } => {
                write!(
                    f,
                    "cannot send from {from} to {to}: the address families differ"
                )
            }
            Self::NotUnicast { address } => write!(f, "{address} is not the address of one host"),
            Self::NoIpv6 { to } => write!(f, "cannot send to {to}: IPv6 is switched off"),
        }
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Malformed(why) => Some(why),
            _ => None,
        }
    }
}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

use brooklet_packet::ParseError;
use std::net::IpAddr;
use std::{error::Error, fmt, io};

/// A packet that cannot be sent, now or later.
///
/// Calls report it inside an [`io::Error`] of the kind
/// [`InvalidInput`](io::ErrorKind::InvalidInput).
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # use brooklet_io::Clock;
/// # use brooklet_raw::{Config, Engine, Interface, RawConfig};
/// use brooklet_packet::ParseError;
/// use brooklet_raw::SendError;
///
/// # let clock = Clock::new(std::time::Instant::now);
/// # let engine = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), clock);
/// # let socket = engine.binder().bind_raw(RawConfig::new()).unwrap();
/// let error = futures_lite::future::block_on(socket.send(b"?")).unwrap_err();
/// let why = error.get_ref().and_then(|error| error.downcast_ref::<SendError>());
/// assert_eq!(why, Some(&SendError::Malformed(ParseError::Version)));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The bytes are not an IP packet.
    Malformed(ParseError),
    /// Bytes follow the end of the packet.
    Trailing {
        /// The length of the packet, in bytes.
        len: usize,
        /// The number of bytes that were passed.
        passed: usize,
    },
    /// One address is IPv4 and the other IPv6.
    Families {
        /// The source address.
        from: IpAddr,
        /// The destination address.
        to: IpAddr,
    },
    /// The payload is longer than the longest packet.
    TooLong {
        /// The length of the payload, in bytes.
        len: usize,
    },
    /// The destination is an IPv6 address, and IPv6 is switched off.
    NoIpv6 {
        /// The destination address.
        to: IpAddr,
    },
    /// No ICMP error may be sent about this packet: it is itself an ICMP error, a fragment other
    /// than the first, or its source or destination is no unicast address (RFC 1122, 3.2.2; RFC
    /// 4443, 2.4(e)).
    NoError,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "not an IP packet: {error}"),
            Self::Trailing { len, passed } => write!(
                f,
                "a packet of {len} bytes was passed with {passed} bytes; pass the packet alone"
            ),
            Self::Families { from, to } => {
                write!(
                    f,
                    "cannot send from {from} to {to}: the address families differ"
                )
            }
            Self::TooLong { len } => {
                write!(
                    f,
                    "a payload of {len} bytes does not fit the longest IP packet"
                )
            }
            Self::NoIpv6 { to } => write!(f, "cannot send to {to}: IPv6 is switched off"),
            Self::NoError => f.write_str(
                "no ICMP error may be sent about this packet: it is an ICMP error, a later fragment, \
                 or not between two hosts",
            ),
        }
    }
}

impl Error for SendError {}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

use std::{error::Error, fmt, io, net::SocketAddr};

/// A datagram that cannot be sent, now or later.
///
/// Calls report it inside an [`io::Error`] of the kind
/// [`InvalidInput`](io::ErrorKind::InvalidInput).
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_udp::{Config, Engine, Interface, SendError};
///
/// let (_engine, socket) = Engine::<brooklet_cell::Threaded>::new(Interface::default(), Config::default());
/// let (from, to) = ("192.0.2.1:1".parse().unwrap(), "10.0.0.1:2".parse().unwrap());
/// let sent = futures_lite::future::block_on(socket.send_to(&[0; 1473], from, to));
/// let error = sent.unwrap_err();
/// let why = error.get_ref().and_then(|e| e.downcast_ref::<SendError>());
/// assert!(matches!(why, Some(SendError::TooLong { limit: 1472, .. })));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The payload does not fit the MTU. Send a shorter payload, or raise the MTU.
    TooLong {
        /// The length of the payload, in bytes.
        len: usize,
        /// The longest payload that fits, in bytes.
        limit: usize,
        /// The MTU, in bytes.
        mtu: usize,
    },
    /// One address is IPv4 and the other IPv6. An IPv4-mapped IPv6 address counts as IPv6.
    Families {
        /// The source address.
        from: SocketAddr,
        /// The destination address.
        to: SocketAddr,
    },
    /// The destination is an IPv6 address, and IPv6 is switched off.
    NoIpv6 {
        /// The destination address.
        to: SocketAddr,
    },
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len, limit, mtu } => write!(
                f,
                "a payload of {len} bytes exceeds the limit of {limit} bytes at an MTU of {mtu}; \
                 datagrams are not fragmented"
            ),
            Self::Families { from, to } => {
                write!(
                    f,
                    "cannot send from {from} to {to}: the address families differ"
                )
            }
            Self::NoIpv6 { to } => write!(f, "cannot send to {to}: IPv6 is switched off"),
        }
    }
}

impl Error for SendError {}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

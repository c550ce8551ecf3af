use std::{error::Error, fmt, io, net::SocketAddr};

/// A datagram that cannot be sent, now or later.
///
/// Calls report it inside an [`io::Error`]: of the kind
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied) for [`Filtered`](Self::Filtered), and of
/// the kind [`InvalidInput`](io::ErrorKind::InvalidInput) for the others.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_udp::{Clock, Config, Datagram, Engine, Interface, SendError};
/// use futures_lite::future::block_on;
/// use std::time::Instant;
///
/// let (_engine, socket) = Engine::<brooklet_cell::Threaded>::new(
///     Interface::new(),
///     Config::new(),
///     Clock::new(Instant::now),
///     [1, 2],
/// );
/// let (from, to) = ("192.0.2.1:1".parse().unwrap(), "10.0.0.1:2".parse().unwrap());
/// let datagram = Datagram::new([0; 1473], from, to);
/// assert!(block_on(socket.send_datagram(&datagram)).is_ok(), "in fragments");
///
/// let sent = block_on(socket.send_datagram(&datagram.dont_fragment(true)));
/// let error = sent.unwrap_err();
/// let why = error.get_ref().and_then(|e| e.downcast_ref::<SendError>());
/// assert!(matches!(why, Some(SendError::TooLong { limit: 1472, .. })));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The payload is too long for a datagram; or the datagram, or one of a batch, does not fit
    /// the path MTU and may not be fragmented. Send a shorter payload.
    TooLong {
        /// The length of the payload, in bytes.
        len: usize,
        /// The longest payload that fits, in bytes.
        limit: usize,
        /// The path MTU, in bytes.
        mtu: usize,
    },
    /// A batch has too many datagrams. Send several batches.
    TooMany {
        /// The number of datagrams.
        count: usize,
        /// The largest number.
        limit: usize,
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
    /// A session sends to its client only.
    OtherClient {
        /// The destination of the datagram.
        to: SocketAddr,
        /// The client of the session.
        client: SocketAddr,
    },
    /// The client of the session has not sent to the source of the datagram, and the
    /// [`Filtering`](crate::Filtering) of the session asks for that.
    Filtered {
        /// The source of the datagram.
        from: SocketAddr,
        /// The client of the session.
        to: SocketAddr,
    },
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len, limit, mtu } => write!(
                f,
                "a payload of {len} bytes exceeds the limit of {limit} bytes at a path MTU of {mtu}"
            ),
            Self::TooMany { count, limit } => write!(
                f,
                "a batch of {count} datagrams exceeds the limit of {limit} datagrams"
            ),
            Self::Families { from, to } => {
                write!(
                    f,
                    "cannot send from {from} to {to}: the address families differ"
                )
            }
            Self::NoIpv6 { to } => write!(f, "cannot send to {to}: IPv6 is switched off"),
            Self::OtherClient { to, client } => {
                write!(
                    f,
                    "cannot send to {to} in the session of the client {client}"
                )
            }
            Self::Filtered { from, to } => write!(
                f,
                "the filtering of the session lets {from} send nothing to the client {to}, which \
                 has not sent to that address"
            ),
        }
    }
}

impl Error for SendError {}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        let kind = match error {
            SendError::Filtered { .. } => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

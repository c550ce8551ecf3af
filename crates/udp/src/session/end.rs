use std::{error::Error, fmt, io};

/// Why a [`UdpSession`](crate::UdpSession) has ended.
///
/// Calls on the session report it inside an [`io::Error`]: of the kind
/// [`TimedOut`](io::ErrorKind::TimedOut) for [`Idle`](Self::Idle), and of the kind
/// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) for [`Evicted`](Self::Evicted).
///
/// ```
/// use brooklet_udp::SessionEnd;
/// use std::io;
///
/// /// Whether the error is the end of a session, and not of the stack.
/// fn is_end(error: &io::Error) -> bool {
///     error.get_ref().is_some_and(|inner| inner.is::<SessionEnd>())
/// }
/// assert!(is_end(&SessionEnd::Idle.into()));
/// assert_eq!(io::Error::from(SessionEnd::Idle).kind(), io::ErrorKind::TimedOut);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionEnd {
    /// No datagram has passed for the
    /// [`idle_timeout`](crate::SessionConfig#structfield.idle_timeout) or the
    /// [`dns_timeout`](crate::SessionConfig#structfield.dns_timeout).
    Idle,
    /// A new session needed the place, and this one was the least recently used.
    Evicted,
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "the UDP session has ended: no datagram has passed for its timeout",
            Self::Evicted => {
                "the UDP session has ended: it was the least recently used, and a new one needed \
                 its place"
            }
        })
    }
}

impl Error for SessionEnd {}

impl From<SessionEnd> for io::Error {
    fn from(end: SessionEnd) -> Self {
        let kind = match end {
            SessionEnd::Idle => io::ErrorKind::TimedOut,
            SessionEnd::Evicted => io::ErrorKind::ConnectionAborted,
        };
        Self::new(kind, end)
    }
}

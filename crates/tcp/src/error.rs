use brooklet_io::StackClosed;
use std::io;

/// Why a connection ended, other than by a FIN from both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer sent a RST.
    Reset,
    /// The peer answered our SYN with a RST.
    Refused,
    /// The peer did not answer in time.
    TimedOut,
    /// An ICMP error answered our SYN: the peer's network cannot be reached.
    NetworkUnreachable,
    /// An ICMP error answered our SYN: the peer cannot be reached.
    HostUnreachable,
    /// The program aborted the connection.
    Aborted,
    /// The stack's driver has ended.
    StackClosed,
}

impl From<End> for io::Error {
    fn from(end: End) -> Self {
        match end {
            End::Reset => Self::new(
                io::ErrorKind::ConnectionReset,
                "the peer reset the connection",
            ),
            End::Refused => Self::new(
                io::ErrorKind::ConnectionRefused,
                "the peer refused the connection",
            ),
            End::TimedOut => Self::new(io::ErrorKind::TimedOut, "the peer stopped answering"),
            End::NetworkUnreachable => Self::new(
                io::ErrorKind::NetworkUnreachable,
                "there is no way to the peer's network",
            ),
            End::HostUnreachable => {
                Self::new(io::ErrorKind::HostUnreachable, "the peer cannot be reached")
            }
            End::Aborted => Self::new(
                io::ErrorKind::ConnectionAborted,
                "the connection was aborted here",
            ),
            End::StackClosed => StackClosed.into(),
        }
    }
}

pub(crate) fn request_gone() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "the request is gone: the client withdrew it or it expired",
    )
}

/// The addresses of a `connect` or `bind` cannot be used; `why` names the address and the rule.
pub(crate) fn not_available(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::AddrNotAvailable, why)
}

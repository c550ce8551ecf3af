use std::fmt;
use std::io;

/// How a connection ended, other than by both ends closing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer reset it.
    Reset,
    /// The peer refused it: a reset in answer to our SYN.
    Refused,
    /// The peer did not answer in time.
    TimedOut,
    /// A router said that the peer's network, or the peer, cannot be had.
    NetworkUnreachable,
    HostUnreachable,
    /// This side aborted it.
    Aborted,
    /// The driver ended.
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
            End::StackClosed => stack_closed(),
        }
    }
}

/// The driver ended or was dropped, so nothing moves any more.
///
/// The inner error of every [`io::Error`] of kind [`NetworkDown`](io::ErrorKind::NetworkDown)
/// that a connection or a listener gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackClosed;

impl fmt::Display for StackClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stack's driver has ended; keep it running as long as its handles are used")
    }
}

impl std::error::Error for StackClosed {}

pub(crate) fn stack_closed() -> io::Error {
    io::Error::new(io::ErrorKind::NetworkDown, StackClosed)
}

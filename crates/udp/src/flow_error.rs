use brooklet_packet::icmp::{IcmpError, IcmpErrorKind, Unreachable};
use std::{
    error::Error,
    fmt, io,
    net::{IpAddr, SocketAddr},
};

/// An ICMP error about a datagram that a [`UdpSocket`](crate::UdpSocket) or a
/// [`UdpSession`](crate::UdpSession) has sent.
///
/// The next call on the socket or session fails once with the error, inside an [`io::Error`] of one of
/// these kinds:
///
/// - [`ConnectionRefused`](io::ErrorKind::ConnectionRefused): port or protocol unreachable;
/// - [`HostUnreachable`](io::ErrorKind::HostUnreachable): host unreachable, or a time was exceeded;
/// - [`NetworkUnreachable`](io::ErrorKind::NetworkUnreachable): network unreachable;
/// - [`PermissionDenied`](io::ErrorKind::PermissionDenied): administratively prohibited;
/// - [`Other`](io::ErrorKind::Other): any other ICMP error.
///
/// They are those of Linux with two exceptions. Linux tells "protocol unreachable" by `ENOPROTOOPT`,
/// which has no kind, and "administratively prohibited" in IPv4 by `EHOSTUNREACH`.
///
/// ```
/// use brooklet_udp::FlowError;
/// use std::io;
///
/// /// The sender of the ICMP error, such as a router on the path.
/// fn reporter(error: &io::Error) -> Option<std::net::IpAddr> {
///     let error = error.get_ref()?.downcast_ref::<FlowError>()?;
///     Some(error.reporter)
/// }
/// assert_eq!(reporter(&io::ErrorKind::ConnectionRefused.into()), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FlowError {
    /// The kind of the ICMP error.
    pub kind: IcmpErrorKind,
    /// The source of the datagram: the address of the socket, or the remote address of a session.
    pub from: SocketAddr,
    /// The destination of the datagram.
    pub to: SocketAddr,
    /// The host that sent the ICMP error: the destination, or a router.
    pub reporter: IpAddr,
}

impl FlowError {
    pub(crate) fn new(error: &IcmpError) -> Self {
        Self {
            kind: error.kind,
            from: error.key.source(),
            to: error.key.destination(),
            reporter: error.from,
        }
    }

    /// Whether the error states a path MTU.
    pub(crate) fn is_too_big(&self) -> bool {
        matches!(
            self.kind,
            IcmpErrorKind::Unreachable(Unreachable::PacketTooBig { .. })
        )
    }

    /// Whether the error says that the destination cannot be reached, rather than that one
    /// datagram was lost.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self.kind, IcmpErrorKind::Unreachable(_))
    }
}

impl fmt::Display for FlowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            from,
            to,
            reporter,
        } = self;
        write!(
            f,
            "a datagram from {from} did not reach {to}: {reporter} reports {kind}"
        )
    }
}

/// The [`kind`](FlowError#structfield.kind) is the source.
impl Error for FlowError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.kind)
    }
}

impl From<FlowError> for io::Error {
    fn from(error: FlowError) -> Self {
        Self::new(error.kind.error_kind(), error)
    }
}

//! ICMP errors as errors of the operating system, and back.

use brooklet_packet::icmp::{IcmpErrorKind, Unreachable};
use std::io::{self, ErrorKind};

/// Returns the ICMP error that tells a client what `error` told a proxy.
///
/// A proxy that cannot reach a host answers its client with this ICMP error, and the client sees the
/// error that it would have seen without the proxy. The result is the same for both IP versions:
///
/// | error of the host's socket | ICMP error |
/// |---|---|
/// | connection refused | port unreachable |
/// | host unreachable, host down | host unreachable |
/// | network unreachable, network down, address not available | network unreachable |
/// | permission denied | administratively prohibited |
/// | too many open files, no buffer space, out of memory | administratively prohibited |
/// | protocol not supported | protocol unreachable |
///
/// Other errors have no ICMP error, for example a timeout, to which silence is the answer.
///
/// Resources that have run out are reported as prohibited and not as a refusal: a client takes a
/// refusal for the answer of the host.
///
/// ```
/// use brooklet_packet::icmp::{IcmpErrorKind, Unreachable};
/// use brooklet_raw::icmp_error_of;
/// use std::io::{Error, ErrorKind};
///
/// let refused = Error::from(ErrorKind::ConnectionRefused);
/// assert_eq!(icmp_error_of(&refused), Some(IcmpErrorKind::Unreachable(Unreachable::Port)));
/// assert_eq!(icmp_error_of(&ErrorKind::TimedOut.into()), None);
/// ```
#[must_use]
pub fn icmp_error_of(error: &io::Error) -> Option<IcmpErrorKind> {
    let why = match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Unreachable::Port,
        ErrorKind::HostUnreachable => Unreachable::Host,
        ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown | ErrorKind::AddrNotAvailable => {
            Unreachable::Network
        }
        ErrorKind::PermissionDenied | ErrorKind::OutOfMemory | ErrorKind::QuotaExceeded => {
            Unreachable::Prohibited
        }
        _ => by_number(error.raw_os_error()?)?,
    };
    Some(why.into())
}

/// The errors that have no [`ErrorKind`] of their own.
#[cfg(unix)]
fn by_number(number: i32) -> Option<Unreachable> {
    use rustix::io::Errno;
    let has = |errno: Errno| errno.raw_os_error() == number;
    if [Errno::MFILE, Errno::NFILE, Errno::NOBUFS]
        .into_iter()
        .any(has)
    {
        Some(Unreachable::Prohibited)
    } else if has(Errno::HOSTDOWN) {
        Some(Unreachable::Host)
    } else if has(Errno::PROTONOSUPPORT) || has(Errno::NOPROTOOPT) {
        Some(Unreachable::Protocol)
    } else {
        None
    }
}

/// The errors that have no [`ErrorKind`] of their own.
#[cfg(not(unix))]
fn by_number(number: i32) -> Option<Unreachable> {
    match number {
        // WSAEMFILE and WSAENOBUFS
        10_024 | 10_055 => Some(Unreachable::Prohibited),
        // WSAEHOSTDOWN
        10_064 => Some(Unreachable::Host),
        // WSAEPROTONOSUPPORT
        10_043 => Some(Unreachable::Protocol),
        _ => None,
    }
}

/// Returns the error of a socket that an ICMP error causes, as Linux reports it.
///
/// | ICMP error | kind |
/// |---|---|
/// | port unreachable, protocol unreachable | [`ConnectionRefused`](ErrorKind::ConnectionRefused) |
/// | host unreachable, time exceeded | [`HostUnreachable`](ErrorKind::HostUnreachable) |
/// | network unreachable | [`NetworkUnreachable`](ErrorKind::NetworkUnreachable) |
/// | administratively prohibited | [`PermissionDenied`](ErrorKind::PermissionDenied) |
/// | packet too big, parameter problem | [`InvalidInput`](ErrorKind::InvalidInput) |
///
/// The text of the error is that of the ICMP error.
///
/// ```
/// use brooklet_packet::icmp::{IcmpErrorKind, Unreachable};
/// use brooklet_raw::io_error_of;
///
/// let error = io_error_of(IcmpErrorKind::Unreachable(Unreachable::Port));
/// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
/// assert_eq!(error.to_string(), "port unreachable");
/// ```
#[must_use]
pub fn io_error_of(kind: IcmpErrorKind) -> io::Error {
    let error = match kind {
        IcmpErrorKind::Unreachable(why) => match why {
            Unreachable::Network => ErrorKind::NetworkUnreachable,
            Unreachable::Port | Unreachable::Protocol => ErrorKind::ConnectionRefused,
            Unreachable::Prohibited => ErrorKind::PermissionDenied,
            Unreachable::PacketTooBig { .. } => ErrorKind::InvalidInput,
            _ => ErrorKind::HostUnreachable,
        },
        IcmpErrorKind::ParameterProblem(_) => ErrorKind::InvalidInput,
        _ => ErrorKind::HostUnreachable,
    };
    io::Error::new(error, kind.to_string())
}

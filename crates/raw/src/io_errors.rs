//! I/O errors of an upstream as ICMP errors, and back.

use brooklet_packet::icmp::{IcmpErrorKind, Unreachable};
use std::{error::Error, io};

/// Returns the ICMP error that tells a client what the I/O error of an upstream socket says, or
/// `None` if no ICMP error says that.
///
/// The mapping is the same for both address families: the kinds of this crate choose the codes of
/// ICMP or ICMPv6.
///
/// | I/O error | ICMP error |
/// |---|---|
/// | an [`IcmpErrorKind`] inside the error, or among its sources | that one |
/// | `ConnectionRefused` (`ECONNREFUSED`), `ConnectionReset` | port unreachable |
/// | `HostUnreachable` (`EHOSTUNREACH`), `EHOSTDOWN` | host unreachable |
/// | `NetworkUnreachable` (`ENETUNREACH`), `NetworkDown`, `AddrNotAvailable`, `EAFNOSUPPORT` | network unreachable |
/// | `PermissionDenied` (`EACCES`, `EPERM`) | administratively prohibited |
/// | `EMFILE`, `ENFILE`, `ENOBUFS`, `OutOfMemory` (`ENOMEM`), `QuotaExceeded` | administratively prohibited |
/// | `ENOPROTOOPT`, `EPROTONOSUPPORT` | protocol unreachable |
/// | anything else | `None` |
///
/// `ConnectionReset` is what a UDP socket of Windows reports for "port unreachable". A shortage of
/// this program, such as `EMFILE`, is no refusal: a client takes a refusal for the answer of the
/// host.
///
/// Without an ICMP error are, among others:
///
/// - `EMSGSIZE`: "packet too big" needs the MTU. Ask the socket for it (`IP_MTU`, `IPV6_MTU`) and
///   use [`Unreachable::PacketTooBig`].
/// - `TimedOut`: a host that does not answer is told by silence.
///
/// ```
/// use brooklet_packet::icmp::Unreachable;
/// use brooklet_raw::icmp_error_of;
/// use std::io;
///
/// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
/// assert_eq!(icmp_error_of(&refused), Some(Unreachable::Port.into()));
/// assert_eq!(icmp_error_of(&io::ErrorKind::TimedOut.into()), None);
/// ```
pub fn icmp_error_of(error: &io::Error) -> Option<IcmpErrorKind> {
    if let Some(kind) = inner(error) {
        return Some(kind);
    }
    // The number comes first: the kind of these errors is none that a program could match.
    let why = error.raw_os_error().and_then(by_number);
    why.or_else(|| by_kind(error.kind())).map(Into::into)
}

/// Returns the I/O error that a socket reports for an ICMP error. The `IcmpErrorKind` is inside:
/// [`icmp_error_of`] finds it again.
///
/// | ICMP error | kind of the I/O error |
/// |---|---|
/// | port or protocol unreachable | `ConnectionRefused` |
/// | host unreachable, hop limit exceeded, reassembly time exceeded | `HostUnreachable` |
/// | network unreachable | `NetworkUnreachable` |
/// | administratively prohibited | `PermissionDenied` |
/// | packet too big, parameter problem | `Other` |
///
/// ```
/// use brooklet_packet::icmp::{IcmpErrorKind, Unreachable};
/// use brooklet_raw::{icmp_error_of, io_error_of};
/// use std::io;
///
/// let error = io_error_of(Unreachable::PacketTooBig { mtu: 1280 });
/// assert_eq!(error.to_string(), "packet too big, MTU 1280");
/// assert_eq!(icmp_error_of(&error), Some(Unreachable::PacketTooBig { mtu: 1280 }.into()));
///
/// let error = io_error_of(IcmpErrorKind::HopLimitExceeded);
/// assert_eq!(error.kind(), io::ErrorKind::HostUnreachable);
/// ```
pub fn io_error_of(kind: impl Into<IcmpErrorKind>) -> io::Error {
    let kind = kind.into();
    io::Error::new(kind.error_kind(), kind)
}

/// The ICMP error inside of an I/O error.
fn inner(error: &io::Error) -> Option<IcmpErrorKind> {
    let mut inner: &(dyn Error + 'static) = error.get_ref()?;
    loop {
        if let Some(kind) = inner.downcast_ref::<IcmpErrorKind>() {
            return Some(*kind);
        }
        inner = inner.source()?;
    }
}

fn by_kind(kind: io::ErrorKind) -> Option<Unreachable> {
    match kind {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
            Some(Unreachable::Port)
        }
        io::ErrorKind::HostUnreachable => Some(Unreachable::Host),
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable => Some(Unreachable::Network),
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::OutOfMemory
        | io::ErrorKind::QuotaExceeded => Some(Unreachable::Prohibited),
        _ => None,
    }
}

/// The errors to which the standard library gives no stable kind.
#[cfg(unix)]
fn by_number(number: i32) -> Option<Unreachable> {
    use rustix::io::Errno;
    match Errno::from_raw_os_error(number) {
        Errno::HOSTDOWN => Some(Unreachable::Host),
        Errno::AFNOSUPPORT => Some(Unreachable::Network),
        Errno::NOPROTOOPT | Errno::PROTONOSUPPORT => Some(Unreachable::Protocol),
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS => Some(Unreachable::Prohibited),
        _ => None,
    }
}

/// The errors of Windows Sockets to which the standard library gives no stable kind.
#[cfg(not(unix))]
fn by_number(number: i32) -> Option<Unreachable> {
    const WSAEMFILE: i32 = 10_024;
    const WSAENOPROTOOPT: i32 = 10_042;
    const WSAEPROTONOSUPPORT: i32 = 10_043;
    const WSAEAFNOSUPPORT: i32 = 10_047;
    const WSAENOBUFS: i32 = 10_055;
    const WSAEHOSTDOWN: i32 = 10_064;
    match number {
        WSAEHOSTDOWN => Some(Unreachable::Host),
        WSAEAFNOSUPPORT => Some(Unreachable::Network),
        WSAENOPROTOOPT | WSAEPROTONOSUPPORT => Some(Unreachable::Protocol),
        WSAEMFILE | WSAENOBUFS => Some(Unreachable::Prohibited),
        _ => None,
    }
}

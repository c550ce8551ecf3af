//! I/O errors as ICMP errors, and back.

use crate::{icmp_error_of, io_error_of};
use brooklet_packet::icmp::{IcmpErrorKind, ParameterProblem, ParameterProblemKind, Unreachable};
use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

#[test]
fn every_kind_of_io_error_has_its_icmp_error_or_none() {
    let table = [
        (ErrorKind::ConnectionRefused, Some(Unreachable::Port)),
        (ErrorKind::HostUnreachable, Some(Unreachable::Host)),
        (ErrorKind::NetworkUnreachable, Some(Unreachable::Network)),
        (ErrorKind::NetworkDown, Some(Unreachable::Network)),
        (ErrorKind::AddrNotAvailable, Some(Unreachable::Network)),
        (ErrorKind::PermissionDenied, Some(Unreachable::Prohibited)),
        (ErrorKind::TimedOut, None),
        (ErrorKind::ConnectionReset, Some(Unreachable::Port)),
        (ErrorKind::WouldBlock, None),
        (ErrorKind::OutOfMemory, Some(Unreachable::Prohibited)),
        (ErrorKind::QuotaExceeded, Some(Unreachable::Prohibited)),
        (ErrorKind::InvalidInput, None),
        (ErrorKind::Other, None),
    ];
    for (kind, why) in table {
        let expected = why.map(IcmpErrorKind::from);
        assert_eq!(icmp_error_of(&kind.into()), expected, "{kind:?}");
        let with_text = io::Error::new(kind, "text");
        assert_eq!(icmp_error_of(&with_text), expected, "{kind:?}");
    }
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[test]
fn every_number_of_linux_has_its_icmp_error_or_none() {
    let table = [
        (111, "ECONNREFUSED", Some(Unreachable::Port)),
        (113, "EHOSTUNREACH", Some(Unreachable::Host)),
        (112, "EHOSTDOWN", Some(Unreachable::Host)),
        (101, "ENETUNREACH", Some(Unreachable::Network)),
        (100, "ENETDOWN", Some(Unreachable::Network)),
        (99, "EADDRNOTAVAIL", Some(Unreachable::Network)),
        (97, "EAFNOSUPPORT", Some(Unreachable::Network)),
        (13, "EACCES", Some(Unreachable::Prohibited)),
        (1, "EPERM", Some(Unreachable::Prohibited)),
        (92, "ENOPROTOOPT", Some(Unreachable::Protocol)),
        (93, "EPROTONOSUPPORT", Some(Unreachable::Protocol)),
        (90, "EMSGSIZE", None),
        (110, "ETIMEDOUT", None),
        (24, "EMFILE", Some(Unreachable::Prohibited)),
        (23, "ENFILE", Some(Unreachable::Prohibited)),
        (105, "ENOBUFS", Some(Unreachable::Prohibited)),
        (12, "ENOMEM", Some(Unreachable::Prohibited)),
        (11, "EAGAIN", None),
    ];
    for (number, name, why) in table {
        let error = io::Error::from_raw_os_error(number);
        assert_eq!(icmp_error_of(&error), why.map(Into::into), "{name}");
    }
}

#[test]
fn every_icmp_error_survives_as_an_io_error() {
    let problem = ParameterProblem {
        pointer: 42,
        kind: ParameterProblemKind::Option,
    };
    let table = [
        (Unreachable::Port.into(), ErrorKind::ConnectionRefused),
        (Unreachable::Protocol.into(), ErrorKind::ConnectionRefused),
        (Unreachable::Host.into(), ErrorKind::HostUnreachable),
        (Unreachable::Network.into(), ErrorKind::NetworkUnreachable),
        (Unreachable::Prohibited.into(), ErrorKind::PermissionDenied),
        (
            Unreachable::PacketTooBig { mtu: 1280 }.into(),
            ErrorKind::Other,
        ),
        (IcmpErrorKind::HopLimitExceeded, ErrorKind::HostUnreachable),
        (
            IcmpErrorKind::ReassemblyTimeExceeded,
            ErrorKind::HostUnreachable,
        ),
        (problem.into(), ErrorKind::Other),
    ];
    for (kind, expected) in table {
        let error = io_error_of(kind);
        assert_eq!(
            (error.kind(), error.to_string()),
            (expected, kind.to_string())
        );
        assert_eq!(icmp_error_of(&error), Some(kind));
    }
}

/// An error of a program that names an ICMP error as its source.
#[derive(Debug)]
struct Relayed(IcmpErrorKind);

impl fmt::Display for Relayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("relayed")
    }
}

impl Error for Relayed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn an_icmp_error_among_the_sources_is_found() {
    let kind = IcmpErrorKind::HopLimitExceeded;
    let error = io::Error::new(ErrorKind::ConnectionRefused, Relayed(kind));
    assert_eq!(icmp_error_of(&error), Some(kind));
}

//! The error queue of a socket: `IP_RECVERR` and `IPV6_RECVERR`, see ip(7).

use super::icmp_kind::{kind_v4, kind_v6};
use super::report::Report;
use nix::libc;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

/// More than a router quotes: 576 bytes for IPv4 (RFC 1812, section 4.3.2.3), 1,280 for IPv6.
const QUOTED: usize = 1280;

/// Queues errors about the packets that the socket sends from now on.
pub(super) fn enable(socket: &impl AsFd, ipv6: bool, on: bool) -> io::Result<()> {
    if ipv6 {
        setsockopt(socket, sockopt::Ipv6RecvErr, &on)?;
    } else {
        setsockopt(socket, sockopt::Ipv4RecvErr, &on)?;
    }
    Ok(())
}

/// Takes the oldest report from the queue. Never waits: `None` if the queue is empty.
///
/// Skips the errors that the host itself found, which the call that sent the packet has returned.
pub(super) fn take(socket: &impl AsFd) -> Option<Report> {
    loop {
        if let Some(report) = next(socket).ok()? {
            return Some(report);
        }
    }
}

/// Takes an entry from the queue; `None` if it is no ICMP error.
fn next(socket: &impl AsFd) -> nix::Result<Option<Report>> {
    let mut quoted = vec![0; QUOTED];
    // The error, the address of its reporter, and the hop limit and traffic class of the packet that
    // brought it. Without room for all of them, the kernel's answer is cut off.
    let mut space = nix::cmsg_space!(
        (libc::sock_extended_err, libc::sockaddr_in6),
        libc::c_int,
        libc::c_int
    );
    let mut parts = [IoSliceMut::new(&mut quoted)];
    let fd = socket.as_fd().as_raw_fd();
    let flags = MsgFlags::MSG_ERRQUEUE;
    let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut space), flags)?;
    let (length, destination) = (message.bytes, message.address.as_ref().and_then(address));
    let found = message.cmsgs()?.find_map(|cmsg| match cmsg {
        ControlMessageOwned::Ipv4RecvErr(error, Some(from)) => {
            let from = Ipv4Addr::from_bits(u32::from_be(from.sin_addr.s_addr));
            Some((error, IpAddr::V4(from)))
        }
        ControlMessageOwned::Ipv6RecvErr(error, Some(from)) => {
            let from = Ipv6Addr::from(from.sin6_addr.s6_addr);
            Some((error, IpAddr::V6(from)))
        }
        _ => None,
    });
    let (Some((error, reporter)), Some(destination)) = (found, destination) else {
        return Ok(None);
    };
    let kind = match error.ee_origin {
        libc::SO_EE_ORIGIN_ICMP => kind_v4(error.ee_type, error.ee_code, error.ee_info),
        libc::SO_EE_ORIGIN_ICMP6 => kind_v6(error.ee_type, error.ee_code, error.ee_info),
        _ => return Ok(None),
    };
    quoted.truncate(length);
    Ok(Some(Report {
        destination,
        reporter,
        error: io::Error::from_raw_os_error(error.ee_errno.cast_signed()),
        kind,
        quoted,
    }))
}

/// Returns the address as the standard library's type.
pub(super) fn address(address: &SockaddrStorage) -> Option<SocketAddr> {
    match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(&v4), _) => Some(SocketAddr::V4(v4.into())),
        (_, Some(&v6)) => Some(SocketAddr::V6(v6.into())),
        _ => None,
    }
}

//! The part of rtnetlink (RFC 3549) that a new network namespace needs: bring an interface up and
//! set default routes.

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::IpAddr;

/// Brings up an interface of the calling thread's network namespace.
///
/// # Errors
///
/// If there is no such interface, or without `CAP_NET_ADMIN` in the namespace.
pub(crate) fn set_up(interface: &str) -> io::Result<()> {
    let index = nix::net::if_::if_nametoindex(interface)?;
    let up = libc::IFF_UP as u32;
    // struct ifinfomsg: family, padding, type, index, flags, and which flags to change.
    let mut body = vec![0; 4];
    body.extend([index, up, up].map(u32::to_ne_bytes).as_flattened());
    request(libc::RTM_NEWLINK, 0, &body)
}

/// Sets the default route to `gateway`, through an interface of the calling thread's network
/// namespace.
///
/// # Errors
///
/// If the gateway is not in a network of the interface, or without `CAP_NET_ADMIN`.
pub(crate) fn set_default_route(interface: &str, gateway: IpAddr) -> io::Result<()> {
    let index = nix::net::if_::if_nametoindex(interface)?;
    let family = match gateway {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    // struct rtmsg: family, lengths of destination and source, type of service, table, protocol,
    // scope, type, flags.
    let (main, protocol, scope) = (
        libc::RT_TABLE_MAIN,
        libc::RTPROT_STATIC,
        libc::RT_SCOPE_UNIVERSE,
    );
    let mut body = vec![
        family as u8,
        0,
        0,
        0,
        main,
        protocol,
        scope,
        libc::RTN_UNICAST,
    ];
    body.extend([0; 4]);
    match gateway {
        IpAddr::V4(address) => attribute(&mut body, libc::RTA_GATEWAY, &address.octets()),
        IpAddr::V6(address) => attribute(&mut body, libc::RTA_GATEWAY, &address.octets()),
    }
    attribute(&mut body, libc::RTA_OIF, &index.to_ne_bytes());
    request(libc::RTM_NEWROUTE, libc::NLM_F_CREATE, &body)
}

/// Appends a `struct rtattr`. The length of `value` is a multiple of four, so that no padding is
/// needed.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend((4 + value.len() as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
}

/// Sends one request to the kernel and reads the answer.
fn request(kind: u16, flags: libc::c_int, body: &[u8]) -> io::Result<()> {
    let family = AddressFamily::Netlink;
    let protocol = SockProtocol::NetlinkRoute;
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    let mut socket = File::from(socket);

    // struct nlmsghdr: length, type, flags, sequence number, port (0 is the kernel's).
    let flags = flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK;
    let mut message = Vec::new();
    message.extend((16 + body.len() as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((flags as u16).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    socket.write_all(&message)?;

    // The answer is an nlmsghdr and a struct nlmsgerr, which begins with 0 or a negative errno.
    let mut answer = [0; 4096];
    let n = socket.read(&mut answer)?;
    let code = answer[..n]
        .get(16..20)
        .and_then(|bytes| bytes.try_into().ok());
    match code.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::Error::other("the kernel's answer is cut off")),
    }
}

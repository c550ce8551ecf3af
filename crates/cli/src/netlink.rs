//! The part of rtnetlink (RFC 3549) that a new network namespace needs: bring an interface up, set
//! default routes, and have TCP use a table of its own.

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

/// A table of routes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Table {
    Main,
    /// The one of [`use_tcp_table`].
    Tcp,
}

impl Table {
    fn number(self) -> u8 {
        match self {
            Self::Main => libc::RT_TABLE_MAIN,
            Self::Tcp => 77,
        }
    }
}

/// Adds a default route to `gateway` to a table, through an interface of the calling thread's network
/// namespace. `mtu` is the MTU of the route in bytes, if it is less than that of the interface.
///
/// # Errors
///
/// If the gateway is not in a network of the interface, without `CAP_NET_ADMIN`, or if the table has a
/// default route (`EEXIST`).
pub(crate) fn add_default_route(
    interface: &str,
    gateway: IpAddr,
    table: Table,
    mtu: Option<u16>,
) -> io::Result<()> {
    let index = nix::net::if_::if_nametoindex(interface)?;
    // struct rtmsg: family, lengths of destination and source, type of service, table, protocol,
    // scope, type, flags.
    let (protocol, scope) = (libc::RTPROT_STATIC, libc::RT_SCOPE_UNIVERSE);
    let (family, table) = (family(gateway), table.number());
    let mut body = vec![family, 0, 0, 0, table, protocol, scope, libc::RTN_UNICAST];
    body.extend([0; 4]);
    match gateway {
        IpAddr::V4(address) => attribute(&mut body, libc::RTA_GATEWAY, &address.octets()),
        IpAddr::V6(address) => attribute(&mut body, libc::RTA_GATEWAY, &address.octets()),
    }
    attribute(&mut body, libc::RTA_OIF, &index.to_ne_bytes());
    if let Some(mtu) = mtu {
        let mut metrics = Vec::new();
        attribute(&mut metrics, RTAX_MTU, &u32::from(mtu).to_ne_bytes());
        attribute(&mut body, libc::RTA_METRICS, &metrics);
    }
    add(libc::RTM_NEWROUTE, &body)
}

/// Has TCP look for routes in [`Table::Tcp`] before it uses a default route of [`Table::Main`]. Rules
/// that are there already stay.
///
/// # Errors
///
/// If the kernel has no rules for protocols (Linux 4.17 and later have), or without `CAP_NET_ADMIN`.
pub(crate) fn use_tcp_table(gateway: IpAddr) -> io::Result<()> {
    // Routes of the main table other than the default come first.
    let mut main = rule(gateway, Table::Main, 100);
    attribute(&mut main, FRA_SUPPRESS_PREFIXLEN, &0_u32.to_ne_bytes());
    let mut tcp = rule(gateway, Table::Tcp, 101);
    attribute(&mut tcp, FRA_IP_PROTO, &[libc::IPPROTO_TCP as u8]);
    for body in [main, tcp] {
        match add(libc::RTM_NEWRULE, &body) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result?,
        }
    }
    Ok(())
}

/// From linux/rtnetlink.h.
const RTAX_MTU: u16 = 2;
/// From linux/fib_rules.h, as the next ones.
const FR_ACT_TO_TBL: u8 = 1;
const FRA_PRIORITY: u16 = 6;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_IP_PROTO: u16 = 22;

/// A rule for every packet in the family of `gateway`.
fn rule(gateway: IpAddr, table: Table, priority: u32) -> Vec<u8> {
    // struct fib_rule_hdr: family, lengths of destination and source, type of service, table, two
    // reserved bytes, action, flags.
    let (family, table) = (family(gateway), table.number());
    let mut body = vec![family, 0, 0, 0, table, 0, 0, FR_ACT_TO_TBL];
    body.extend([0; 4]);
    attribute(&mut body, FRA_PRIORITY, &priority.to_ne_bytes());
    body
}

fn family(gateway: IpAddr) -> u8 {
    let family = match gateway {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    family as u8
}

/// Appends a `struct rtattr`, padded to a multiple of four bytes.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend((4 + value.len() as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// Adds an object that must be new.
fn add(kind: u16, body: &[u8]) -> io::Result<()> {
    request(kind, libc::NLM_F_CREATE | libc::NLM_F_EXCL, body)
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

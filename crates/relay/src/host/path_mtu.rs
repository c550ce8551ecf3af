use std::io;
use std::net::IpAddr;

/// Returns the path MTU that the host knows for a destination, in bytes: that of the interface, or
/// less if a router has said so.
///
/// # Errors
///
/// The host has no route, or the system does not tell.
#[cfg(target_os = "linux")]
pub fn path_mtu(to: IpAddr) -> io::Result<u32> {
    use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
    let any = match to {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // The kernel tells it of connected sockets only. No port matters: nothing is sent.
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((to, 9))?;
    let mtu = match to {
        IpAddr::V4(_) => rustix::net::sockopt::ip_mtu(&socket)?,
        IpAddr::V6(_) => rustix::net::sockopt::ipv6_mtu(&socket)?,
    };
    Ok(mtu)
}

/// Returns the path MTU that the host knows for a destination.
///
/// # Errors
///
/// Always: the system does not tell.
#[cfg(not(target_os = "linux"))]
pub fn path_mtu(_: IpAddr) -> io::Result<u32> {
    Err(io::ErrorKind::Unsupported.into())
}

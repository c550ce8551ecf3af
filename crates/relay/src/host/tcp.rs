use super::{Fields, HostStream, Report};
use brooklet_reactor::Async;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::SocketAddr;

/// Why a connection of the host failed.
#[derive(Debug)]
pub struct DialError {
    /// The error.
    pub error: io::Error,
    /// The ICMP error that caused it, on a system that tells.
    pub report: Option<Report>,
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        Self {
            error,
            report: None,
        }
    }
}

/// Connects to `to`. The packets of the handshake have the hop limit and traffic class of `fields`;
/// after the handshake the host's default hop limit applies. Small writes are sent at once
/// (`TCP_NODELAY`).
///
/// # Errors
///
/// Those of the system, with the ICMP error that caused them on Linux.
pub async fn connect(to: SocketAddr, fields: Fields) -> Result<HostStream, DialError> {
    let domain = Domain::for_address(to);
    let socket = nonblocking(domain)?;
    // The client's TCP has delayed small writes already, if the client allows that.
    socket.set_tcp_nodelay(true)?;
    let default = fields
        .hop_limit
        .map(|_| hop_limit(&socket, to))
        .transpose()?;
    if let Some(limit) = fields.hop_limit {
        set_hop_limit(&socket, to, limit.max(1).into())?;
    }
    if fields.traffic_class.bits() != 0 {
        set_traffic_class(&socket, to, fields.traffic_class.bits().into())?;
    }
    #[cfg(target_os = "linux")]
    super::error_queue::enable(&socket, to.is_ipv6(), true)?;
    let connected = match socket.connect(&SockAddr::from(to)) {
        Err(error) if in_progress(&error) => None,
        other => Some(other),
    };
    let socket = Async::new_nonblocking(std::net::TcpStream::from(socket))?;
    let connected = match connected {
        Some(result) => result,
        None => {
            socket.writable().await?;
            socket.get_ref().take_error()?.map_or(Ok(()), Err)
        }
    };
    if let Err(error) = connected {
        return Err(failure(socket.get_ref(), error));
    }
    // With the queue, an ICMP error would end the open connection (RFC 1122, 4.2.3.9).
    #[cfg(target_os = "linux")]
    super::error_queue::enable(socket.get_ref(), to.is_ipv6(), false)?;
    if let Some(limit) = default {
        set_hop_limit(&socket2::SockRef::from(socket.get_ref()), to, limit)?;
    }
    Ok(HostStream::from_async(socket))
}

#[cfg(any(target_os = "android", target_os = "freebsd", target_os = "linux"))]
fn nonblocking(domain: Domain) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))
}

#[cfg(not(any(target_os = "android", target_os = "freebsd", target_os = "linux")))]
fn nonblocking(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(target_os = "linux")]
fn failure(socket: &std::net::TcpStream, error: io::Error) -> DialError {
    // The last report is the one that ended the attempt.
    let reports = std::iter::from_fn(|| super::error_queue::take(socket));
    let report = reports.take(64).last();
    DialError { error, report }
}

#[cfg(not(target_os = "linux"))]
fn failure(_: &std::net::TcpStream, error: io::Error) -> DialError {
    error.into()
}

fn hop_limit(socket: &Socket, to: SocketAddr) -> io::Result<u32> {
    match to {
        SocketAddr::V4(_) => socket.ttl_v4(),
        SocketAddr::V6(_) => socket.unicast_hops_v6(),
    }
}

fn set_hop_limit(socket: &Socket, to: SocketAddr, limit: u32) -> io::Result<()> {
    match to {
        SocketAddr::V4(_) => socket.set_ttl_v4(limit),
        SocketAddr::V6(_) => socket.set_unicast_hops_v6(limit),
    }
}

/// Without effect where the system has no such option.
fn set_traffic_class(socket: &Socket, to: SocketAddr, class: u32) -> io::Result<()> {
    match to {
        SocketAddr::V4(_) => socket.set_tos_v4(class),
        #[cfg(target_os = "linux")]
        SocketAddr::V6(_) => socket.set_tclass_v6(class),
        #[cfg(not(target_os = "linux"))]
        SocketAddr::V6(_) => Ok(()),
    }
}

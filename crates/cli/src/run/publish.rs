//! The sockets of the host whose clients reach programs in the namespace.

use crate::args::{Protocol, Publish};
use brooklet_relay::Relay;
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

/// The backlog of a listener, which the kernel bounds by `net.core.somaxconn`.
const BACKLOG: i32 = 1024;

/// Sockets of the host that nobody reads yet, each with the port in the namespace.
#[derive(Debug, Default)]
pub(super) struct Published {
    tcp: Vec<(TcpListener, u16)>,
    udp: Vec<(UdpSocket, u16)>,
}

impl Published {
    /// Binds the sockets.
    ///
    /// # Errors
    ///
    /// One line that names the address and what to do.
    pub(super) fn bind(all: &[Publish]) -> io::Result<Self> {
        let mut published = Self::default();
        for publish in all {
            let protocol = publish.protocol;
            for (host, inside) in publish.ports() {
                let addresses = match publish.address {
                    Some(address) => vec![address],
                    None => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
                };
                for address in addresses {
                    let at = SocketAddr::new(address, host);
                    match published.add(protocol, at, inside) {
                        // A host without IPv6 has no ::1.
                        Err(error)
                            if address.is_ipv6()
                                && publish.address.is_none()
                                && is_missing(&error) => {}
                        result => result.map_err(|error| failed(protocol, at, &error))?,
                    }
                }
            }
        }
        Ok(published)
    }

    fn add(&mut self, protocol: Protocol, at: SocketAddr, inside: u16) -> io::Result<()> {
        let kind = match protocol {
            Protocol::Tcp => Type::STREAM,
            Protocol::Udp => Type::DGRAM,
        };
        let socket = Socket::new(Domain::for_address(at), kind, None)?;
        if at.is_ipv6() {
            // So that 0.0.0.0 can have the same port.
            socket.set_only_v6(true)?;
        }
        match protocol {
            Protocol::Tcp => {
                // Connections in TIME-WAIT, from an earlier run, do not keep the port.
                socket.set_reuse_address(true)?;
                socket.bind(&at.into())?;
                socket.listen(BACKLOG)?;
                self.tcp.push((socket.into(), inside));
            }
            Protocol::Udp => {
                socket.bind(&at.into())?;
                self.udp.push((socket.into(), inside));
            }
        }
        Ok(())
    }

    /// Relays from the sockets to the namespace, whose addresses are these.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub(super) fn start(self, relay: &Relay, inside: &[IpAddr]) -> io::Result<()> {
        for (listener, port) in self.tcp {
            let servers = servers(&listener.local_addr()?, inside, port);
            relay.publish_tcp(listener, &servers)?;
        }
        for (socket, port) in self.udp {
            let servers = servers(&socket.local_addr()?, inside, port);
            relay.publish_udp(socket, &servers)?;
        }
        Ok(())
    }
}

/// Returns the servers in the namespace, those of the client's family first.
fn servers(host: &SocketAddr, inside: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    let mut servers: Vec<IpAddr> = inside.to_vec();
    servers.sort_by_key(|server| server.is_ipv6() != host.is_ipv6());
    let servers = servers.into_iter();
    servers
        .map(|server| SocketAddr::new(server, port))
        .collect()
}

fn is_missing(error: &io::Error) -> bool {
    let no_family = nix::errno::Errno::EAFNOSUPPORT as i32;
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(no_family)
}

fn failed(protocol: Protocol, at: SocketAddr, error: &io::Error) -> io::Error {
    let help = match error.kind() {
        ErrorKind::AddrInUse => {
            "the port is in use: publish another one, or end the program that has it (ss -lntup)"
        }
        ErrorKind::PermissionDenied => {
            "publish a port from 1024 on, or run as root \
             (or lower net.ipv4.ip_unprivileged_port_start)"
        }
        ErrorKind::AddrNotAvailable => "the host has no such address: `ip address` lists them",
        _ if error.raw_os_error() == Some(nix::errno::Errno::EMFILE as i32) => {
            "publish fewer ports, or raise the limit of open files (ulimit -n)"
        }
        _ if is_missing(error) => "the host has no IPv6",
        _ => "the system says",
    };
    let text = format!("cannot listen on {protocol} {at}: {help}: {error}");
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(text: &str) -> io::Result<Published> {
        Published::bind(&[text.parse().unwrap()])
    }

    #[test]
    fn the_loopback_is_the_default() {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let published = publish(&format!("{port}:53/udp")).unwrap();
        for (socket, inside) in &published.udp {
            assert!(socket.local_addr().unwrap().ip().is_loopback());
            assert_eq!(*inside, 53);
        }
        assert_eq!(published.udp[0].0.local_addr().unwrap().port(), port);
        assert!(published.tcp.is_empty());
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = publish(&format!("{address}:80")).unwrap_err().to_string();
        for part in [&address.to_string(), "the port is in use", "ss -lntup"] {
            assert!(error.contains(part), "no {part:?} in {error}");
        }
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn an_address_of_another_host_is_named() {
        let error = publish("192.0.2.1:8080:80").unwrap_err().to_string();
        assert!(error.contains("192.0.2.1:8080"), "{error}");
        assert!(error.contains("no such address"), "{error}");
    }

    #[test]
    fn the_family_of_the_client_comes_first() {
        let inside = ["10.77.0.2", "fd77::2"].map(|ip| ip.parse().unwrap());
        let first = |host: &str| servers(&host.parse().unwrap(), &inside, 80)[0].to_string();
        assert_eq!(first("127.0.0.1:8080"), "10.77.0.2:80");
        assert_eq!(first("[::1]:8080"), "[fd77::2]:80");
    }
}

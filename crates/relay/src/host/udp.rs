use super::message::{EARLIER_ERRORS, Messages, is_icmp};
use super::{Fields, Report, error_queue};
use async_io::Async;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// An unconnected UDP socket of the host: one port for all remote hosts.
#[derive(Debug)]
pub struct HostUdpSocket {
    socket: Async<UdpSocket>,
    messages: Messages,
}

/// What arrives at a [`HostUdpSocket`].
#[derive(Debug)]
pub enum UdpArrival {
    /// A datagram.
    Datagram {
        /// The sender.
        from: SocketAddr,
        /// The payload.
        payload: Vec<u8>,
        /// The fields of the IP header.
        fields: Fields,
    },
    /// An error about a datagram that this socket sent.
    Report(Report),
}

impl HostUdpSocket {
    /// Binds a socket to an unused port of all IPv4 or all IPv6 addresses.
    ///
    /// # Errors
    ///
    /// Those of the system: too many open files, or no such address family.
    pub fn bind(ipv6: bool) -> io::Result<Self> {
        let any = if ipv6 {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        } else {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        };
        let socket = UdpSocket::bind((any, 0))?;
        error_queue::enable(&socket, ipv6, true)?;
        let messages = Messages::new(&socket, ipv6)?;
        Ok(Self {
            socket: Async::new(socket)?,
            messages,
        })
    }

    /// Returns the local address.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    /// Sends a datagram without waiting.
    ///
    /// # Errors
    ///
    /// - [`WouldBlock`](ErrorKind::WouldBlock): the buffer of the socket is full.
    /// - `EMSGSIZE`: the datagram exceeds the path MTU, and the host may not fragment it:
    ///   [`path_mtu`](super::path_mtu).
    /// - The host has no route, or its firewall prohibits the datagram.
    pub fn send(&self, to: SocketAddr, payload: &[u8], fields: Fields) -> io::Result<()> {
        self.messages
            .send(self.socket.get_ref(), to, payload, fields)
    }

    /// Receives a datagram, or an error about a datagram that this socket sent.
    ///
    /// # Errors
    ///
    /// Those of the system that are about no datagram.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has taken nothing.
    pub async fn recv(&self) -> io::Result<UdpArrival> {
        self.socket.read_with(|_| self.try_recv()).await
    }

    /// Receives without waiting: [`WouldBlock`](ErrorKind::WouldBlock) if nothing has arrived.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    pub fn try_recv(&self) -> io::Result<UdpArrival> {
        let socket = self.socket.get_ref();
        for _ in 0..EARLIER_ERRORS {
            let error = match self.messages.receive(socket) {
                Ok((payload, Some(from), fields)) => {
                    return Ok(UdpArrival::Datagram {
                        from,
                        payload,
                        fields,
                    });
                }
                Ok(_) => continue, // the kernel names the sender of every datagram
                Err(error) => error,
            };
            // An error that the host found by itself makes the socket readable, and no call fail.
            if let Some(report) = error_queue::take(socket) {
                return Ok(UdpArrival::Report(report));
            }
            if !is_icmp(&error) {
                return Err(error);
            }
        }
        // Each call has cleared an error without a report. The next one wakes the task again.
        Err(ErrorKind::WouldBlock.into())
    }
}

use super::messages::Messages;
use super::{Fields, Report};
use brooklet_reactor::Async;
use socket2::{Domain, SockAddr, Socket, Type};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::task::{Context, Poll};

/// An unconnected UDP socket of the host: one port for all remote hosts.
///
/// On Linux, datagrams pass in batches: several in one system call (`sendmmsg`, `recvmmsg`), and
/// several of one flow in one packet (`UDP_SEGMENT`, `UDP_GRO`).
#[derive(Debug)]
pub struct HostUdpSocket {
    socket: Async<UdpSocket>,
    messages: Messages,
}

/// A datagram for a [`HostUdpSocket`] to send.
#[derive(Clone, Copy, Debug)]
pub struct UdpTransmit<'a> {
    /// The destination.
    pub to: SocketAddr,
    /// The payload.
    pub payload: &'a [u8],
    /// The fields of the IP header.
    pub fields: Fields,
    /// The payload is a batch of datagrams with this many bytes each; the last one may have fewer.
    /// `None`: one datagram.
    pub segment_size: Option<NonZeroU16>,
}

/// What arrives at a [`HostUdpSocket`].
#[derive(Debug)]
pub enum UdpArrival {
    /// A datagram, or a batch of datagrams.
    Datagram {
        /// The sender.
        from: SocketAddr,
        /// The payload.
        payload: Vec<u8>,
        /// The fields of the IP header.
        fields: Fields,
        /// The payload is a batch of datagrams with this many bytes each; the last one may have
        /// fewer. `None`: one datagram.
        segment_size: Option<NonZeroU16>,
    },
    /// An error about a datagram that this socket sent: on Linux only.
    Report(Report),
}

impl HostUdpSocket {
    /// Binds a socket to an unused port of all IPv4 or all IPv6 addresses.
    ///
    /// # Errors
    ///
    /// Those of the system: too many open files, or no such address family.
    pub fn bind(ipv6: bool) -> io::Result<Self> {
        let (domain, any) = if ipv6 {
            (Domain::IPV6, IpAddr::V6(Ipv6Addr::UNSPECIFIED))
        } else {
            (Domain::IPV4, IpAddr::V4(Ipv4Addr::UNSPECIFIED))
        };
        #[cfg(target_os = "linux")]
        let socket = Socket::new(domain, Type::DGRAM.nonblocking(), None)?;
        #[cfg(not(target_os = "linux"))]
        let socket = Socket::new(domain, Type::DGRAM, None)?;
        #[cfg(not(target_os = "linux"))]
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::from(SocketAddr::new(any, 0)))?;
        let socket = UdpSocket::from(socket);
        let messages = Messages::new(&socket, ipv6)?;
        Ok(Self {
            socket: Async::new_nonblocking(socket)?,
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

    /// Sends the first of these datagrams and as many of the next ones as one system call takes,
    /// without waiting. Returns how many were sent, at least 1 unless there are none.
    ///
    /// A call sends datagrams with the same fields only: call again with the rest, until all are
    /// sent.
    ///
    /// # Errors
    ///
    /// Those of the first datagram, which is not sent. Later ones do not fail: the next call returns
    /// their error.
    ///
    /// - [`WouldBlock`](io::ErrorKind::WouldBlock): the buffer of the socket is full:
    ///   [`poll_send_batch`](Self::poll_send_batch) waits.
    /// - `EMSGSIZE`: the datagram exceeds the path MTU, and the host may not fragment it:
    ///   [`path_mtu`](super::path_mtu). Not with a socket that other systems than Linux have.
    /// - The host has no route, or its firewall prohibits the datagram.
    /// - A batch with a [`segment_size`](UdpTransmit#structfield.segment_size) fails as a whole, also
    ///   where the host takes no batches, or not with datagrams of this length. Send its datagrams
    ///   one by one then.
    pub fn send_batch(&self, transmits: &[UdpTransmit<'_>]) -> io::Result<usize> {
        match transmits {
            [] => Ok(0),
            _ => self.messages.send_batch(self.socket.get_ref(), transmits),
        }
    }

    /// Waits until the buffer of the socket has room, and sends as [`send_batch`](Self::send_batch)
    /// does. For one task.
    ///
    /// # Errors
    ///
    /// As for [`send_batch`](Self::send_batch), without `WouldBlock`.
    pub fn poll_send_batch(
        &self,
        cx: &mut Context<'_>,
        transmits: &[UdpTransmit<'_>],
    ) -> Poll<io::Result<usize>> {
        if transmits.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.socket
            .poll_write_with(cx, |socket| self.messages.send_batch(socket, transmits))
    }

    /// Waits until something arrives, and appends what has arrived to `arrivals`: datagrams, and
    /// errors about datagrams that this socket sent. One call takes up to 16 datagrams or batches.
    ///
    /// # Errors
    ///
    /// Those of the system that are about no datagram.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has taken nothing.
    ///
    /// ```
    /// use brooklet_relay::host::{Fields, HostUdpSocket, UdpArrival, UdpTransmit};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (near, far) = (HostUdpSocket::bind(false)?, HostUdpSocket::bind(false)?);
    /// let to = ([127, 0, 0, 1], far.local_addr()?.port()).into();
    /// let datagram = UdpTransmit { to, payload: b"hello", fields: Fields::default(), segment_size: None };
    /// assert_eq!(near.send_batch(&[datagram])?, 1);
    ///
    /// let mut arrivals = Vec::new();
    /// brooklet_reactor::block_on(far.recv_batch(&mut arrivals))?;
    /// assert!(matches!(&arrivals[0], UdpArrival::Datagram { payload, .. } if payload == b"hello"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv_batch(&self, arrivals: &mut Vec<UdpArrival>) -> io::Result<()> {
        poll_fn(|cx| self.poll_recv_batch(cx, arrivals)).await
    }

    /// The poll form of [`recv_batch`](Self::recv_batch), for one task.
    ///
    /// # Errors
    ///
    /// As for [`recv_batch`](Self::recv_batch).
    pub fn poll_recv_batch(
        &self,
        cx: &mut Context<'_>,
        arrivals: &mut Vec<UdpArrival>,
    ) -> Poll<io::Result<()>> {
        let before = arrivals.len();
        let polled = self.socket.poll_drain_with(cx, |socket| {
            let emptied = self.messages.receive_batch(socket, arrivals)?;
            Ok(((), emptied))
        });
        if matches!(polled, Poll::Ready(Ok(()))) && arrivals.len() == before {
            // There was something that is nobody's, and there may be more.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        polled
    }
}

#[cfg(all(test, target_os = "linux"))]
impl HostUdpSocket {
    pub(super) fn messages(&self) -> &Messages {
        &self.messages
    }
}

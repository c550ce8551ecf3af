//! The two kinds of hosts that the traffic comes from: a stack, and the kernel.

use brooklet::{Echo, IcmpMessage, IcmpSocketConfig, Stack};
use futures_lite::{AsyncRead, AsyncWrite};
use smol::Async;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

/// A host that opens connections, sends datagrams and pings.
pub(crate) trait Host: Clone + Send + Sync + 'static {
    /// Its connections.
    type Stream: Stream;
    /// Its UDP sockets.
    type Datagrams: Datagrams;

    /// Connects.
    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Binds a UDP socket to an address of the host.
    fn bind(&self, address: IpAddr) -> io::Result<Self::Datagrams>;

    /// Pings, and returns the payload of the answer.
    fn ping(
        &self,
        from: IpAddr,
        to: IpAddr,
        sequence: u16,
        payload: Vec<u8>,
    ) -> impl Future<Output = io::Result<Vec<u8>>> + Send;
}

/// A connection that can be reset.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Resets the connection.
    fn reset(self);
}

/// A UDP socket.
pub(crate) trait Datagrams: Send + Sync + 'static {
    /// Sends a datagram.
    fn send(&self, payload: &[u8], to: SocketAddr) -> impl Future<Output = io::Result<()>> + Send;

    /// Receives a datagram.
    fn receive(
        &self,
        buf: &mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send;
}

impl Host for Stack {
    type Stream = brooklet::TcpStream;
    type Datagrams = brooklet::UdpSocket;

    async fn connect(&self, to: SocketAddr) -> io::Result<Self::Stream> {
        Self::connect(self, to).await
    }

    fn bind(&self, address: IpAddr) -> io::Result<Self::Datagrams> {
        self.bind_udp((address, 0).into())
    }

    async fn ping(
        &self,
        from: IpAddr,
        to: IpAddr,
        sequence: u16,
        payload: Vec<u8>,
    ) -> io::Result<Vec<u8>> {
        let config = IcmpSocketConfig::new()
            .echo_requests(false)
            .reply_timeout(Duration::from_secs(1));
        let socket = self.bind_icmp_with(config)?;
        let echo = Echo {
            identifier: sequence ^ 0x5555,
            sequence,
        };
        socket.send_echo_request(from, to, echo, &payload).await?;
        loop {
            match socket.recv().await? {
                IcmpMessage::EchoReply(reply) if reply.sequence() == sequence => {
                    return Ok(reply.payload().to_vec());
                }
                IcmpMessage::Error(error) => {
                    return Err(io::Error::other(format!("an ICMP error: {error:?}")));
                }
                _ => {}
            }
        }
    }
}

impl Stream for brooklet::TcpStream {
    fn reset(self) {
        self.abort();
    }
}

impl Datagrams for brooklet::UdpSocket {
    async fn send(&self, payload: &[u8], to: SocketAddr) -> io::Result<()> {
        self.send_to(payload, to).await.map(drop)
    }

    async fn receive(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_from(buf).await
    }
}

/// The kernel of the network namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel;

impl Host for Kernel {
    type Stream = smol::net::TcpStream;
    type Datagrams = Async<UdpSocket>;

    async fn connect(&self, to: SocketAddr) -> io::Result<Self::Stream> {
        smol::net::TcpStream::connect(to).await
    }

    fn bind(&self, address: IpAddr) -> io::Result<Self::Datagrams> {
        Async::<UdpSocket>::bind((address, 0))
    }

    async fn ping(
        &self,
        from: IpAddr,
        to: IpAddr,
        sequence: u16,
        payload: Vec<u8>,
    ) -> io::Result<Vec<u8>> {
        // The kernel writes the identifier and the checksum.
        let (domain, protocol, request, reply) = match to {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8, 0),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128, 129),
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        let socket = Async::new(UdpSocket::from(socket))?;
        let [high, low] = sequence.to_be_bytes();
        let mut message = vec![request, 0, 0, 0, 0, 0, high, low];
        message.extend(payload);
        socket.send_to(&message, (to, 0)).await?;
        let mut buf = vec![0; 65_536];
        loop {
            let (len, _) = socket.recv_from(&mut buf).await?;
            if len >= 8 && buf[0] == reply && buf[6..8] == [high, low] {
                return Ok(buf[8..len].to_vec());
            }
        }
    }
}

impl Stream for smol::net::TcpStream {
    fn reset(self) {
        // Fails only for a descriptor that is not a socket.
        let _ = SockRef::from(&self).set_linger(Some(Duration::ZERO));
    }
}

impl Datagrams for Async<UdpSocket> {
    async fn send(&self, payload: &[u8], to: SocketAddr) -> io::Result<()> {
        self.send_to(payload, to).await.map(drop)
    }

    async fn receive(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_from(buf).await
    }
}

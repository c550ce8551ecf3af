//! quinn over the UDP sockets of a stack.

use brooklet::{Datagram, Stack, TrafficClass, UdpSendError, UdpSocket};
use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, ServerConfig, SmolRuntime, UdpPoller};
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The most datagrams of a segment batch (UDP GSO).
const SEGMENTS: usize = 64;

/// Makes a QUIC endpoint on a UDP socket of the stack: a server with a `config`, and a client only
/// without one. Its tasks run on smol's executor.
///
/// # Errors
///
/// Those of [`Stack::bind_udp`].
pub fn endpoint(
    stack: &Stack,
    address: SocketAddr,
    config: Option<ServerConfig>,
) -> io::Result<Endpoint> {
    let socket = Arc::new(QuicSocket::new(stack.bind_udp(address)?));
    let runtime = Arc::new(SmolRuntime);
    Endpoint::new_with_abstract_socket(EndpointConfig::default(), config, socket, runtime)
}

/// A UDP socket of a stack as the socket of a QUIC endpoint: with ECN, with segment batches, and
/// without fragmentation, for the discovery of the path MTU (RFC 9000, section 14).
#[derive(Debug)]
pub struct QuicSocket(UdpSocket);

impl QuicSocket {
    /// Makes the socket of an endpoint from a socket that nobody else reads.
    pub fn new(socket: UdpSocket) -> Self {
        socket.set_gro(true);
        Self(socket)
    }
}

impl AsyncUdpSocket for QuicSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        // The socket knows its own address.
        let from = transmit.destination;
        let segment_size = transmit
            .segment_size
            .and_then(|size| u16::try_from(size).ok());
        let ecn = transmit.ecn.map_or(0, |ecn| ecn as u8);
        let datagram = Datagram::new(transmit.contents, from, transmit.destination)
            .traffic_class(TrafficClass::from_bits(ecn))
            .dont_fragment(true)
            .segment_size(segment_size.and_then(NonZeroU16::new));
        match self.0.try_send_datagram(&datagram) {
            // A probe that exceeds the path MTU is lost, as it would be at a router.
            Err(error) if is_too_long(&error) => Ok(()),
            sent => sent,
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut datagram = ready!(self.0.poll_recv_datagram(cx))?;
        let places = bufs.len().min(meta.len());
        let mut received = 0;
        loop {
            meta[received] = fill(&mut bufs[received], &datagram);
            received += 1;
            if received == places {
                break;
            }
            match self.0.try_recv_datagram() {
                Ok(next) => datagram = next,
                // The next call waits, or reports the error.
                Err(_) => break,
            }
        }
        Poll::Ready(Ok(received))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        SEGMENTS
    }

    fn max_receive_segments(&self) -> usize {
        SEGMENTS
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// Copies a datagram, or a batch, into a buffer of quinn. Bytes beyond the buffer are lost: its
/// length is that of the longest batch that the endpoint accepts.
fn fill(buf: &mut [u8], datagram: &Datagram) -> RecvMeta {
    let len = datagram.payload.len().min(buf.len());
    buf[..len].copy_from_slice(&datagram.payload[..len]);
    RecvMeta {
        addr: datagram.from,
        len,
        stride: datagram.segment_size.map_or(len, |size| size.get().into()),
        ecn: EcnCodepoint::from_bits(datagram.traffic_class.bits()),
        dst_ip: Some(datagram.to.ip()),
    }
}

fn is_too_long(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    error.kind() == ErrorKind::InvalidInput && matches!(inner, Some(UdpSendError::TooLong { .. }))
}

/// Wakes a connection when the socket has room.
#[derive(Debug)]
struct Room(Arc<QuicSocket>);

impl UdpPoller for Room {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.0.poll_writable(cx)
    }
}

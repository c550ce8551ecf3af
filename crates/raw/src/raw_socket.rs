//! The socket for whole IP packets.

use crate::{
    error::SendError,
    hub::Hub,
    outbound::{Kind, Outbound, poll_send},
    queue::{Queue, poll_pop},
};
use brooklet_cell::{Flavor, Shared, wakers::Waiter};
use brooklet_io::{PacketBuf, PacketIo};
use brooklet_packet::{Packet, Protocol};
use std::{
    fmt,
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

/// A packet that a [`RawSocket`] has received. Another example is at [`RawSocket`].
///
/// ```
/// use brooklet_packet::Packet;
/// use brooklet_raw::RawPacket;
///
/// fn print(packet: &RawPacket) {
///     if let Ok(ip) = Packet::parse(&packet.bytes) {
///         let direction = if packet.outbound { "outbound" } else { "inbound" };
///         println!("{direction}: {} of {} bytes", ip.protocol(), packet.bytes.len());
///     }
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawPacket {
    /// The whole IP packet. Fragments were reassembled.
    pub bytes: Vec<u8>,
    /// Whether the stack has made the packet, which a filter has diverted on its way out.
    pub outbound: bool,
}

impl fmt::Debug for RawPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawPacket")
            .field("bytes", &self.bytes.len())
            .field("outbound", &self.outbound)
            .finish()
    }
}

/// A socket for whole IP packets, with their IP headers: those of other protocols than TCP, UDP and
/// ICMP, multicast, and packets that a rule of the filter diverts.
///
/// [`Binder::bind_raw`](crate::Binder::bind_raw) makes a socket, and its
/// [`RawConfig`](crate::RawConfig) says which packets the socket receives. Each socket that asks for
/// a packet receives a copy, as with the raw sockets of Linux. Clones share one queue: each packet
/// goes to one of them. When the last clone is dropped, the packets in the queue are dropped, too.
///
/// The socket is a [`PacketIo`]: `brooklet_device::PacketDevice` makes a device of smoltcp of it,
/// and another stack can run on it. With the feature `futures` the socket is a `Stream` of packets,
/// which ends with the stack.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
/// # let engine = example::engine();
/// use brooklet_packet::{Packet, udp};
/// use brooklet_raw::RawConfig;
///
/// let socket = engine.binder().bind_raw(RawConfig::new())?;
/// # let mut bytes = Vec::new();
/// # udp::write(&mut bytes, "10.0.0.1:68".parse().unwrap(), "10.0.0.2:67".parse().unwrap(), 64, b"discover").unwrap();
/// # let _ = engine.handle_diverted(&Packet::parse(&bytes).unwrap(), false);
/// # futures_lite::future::block_on(async {
/// // A rule diverts UDP to port 67.
/// let received = socket.recv_packet().await?;
/// let request = Packet::parse(&received.bytes).expect("the stack has parsed the packet before");
/// let (from, to) = (request.key().destination(), request.key().source());
///
/// let mut answer = Vec::new();
/// udp::write(&mut answer, from, to, 64, b"offer").expect("both are IPv4");
/// socket.send(&answer).await?;
/// # std::io::Result::Ok(())
/// # })?;
/// # assert_eq!(engine.stats().raw_packets_out, 1);
/// # }
/// # std::io::Result::Ok(())
/// ```
pub struct RawSocket<F: Flavor> {
    hub: Hub<F>,
    /// The key is that of the `Stream`.
    waiter: Waiter<F, Queue<RawPacket>>,
}

impl<F: Flavor> RawSocket<F> {
    /// Takes over the one handle that `queue` counts.
    pub(crate) fn new(hub: Hub<F>, queue: &Shared<F, Queue<RawPacket>>) -> Self {
        let waiter = Waiter::new(queue, ());
        Self { hub, waiter }
    }

    /// Receives one packet into `buf`, and returns the number of bytes in `buf`. Bytes of the packet
    /// that do not fit `buf` are discarded.
    ///
    /// The call is cancel safe: a packet is received or remains in the queue.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// # use brooklet_packet::{Packet, udp};
    /// let socket = engine.binder().bind_raw(Default::default())?;
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:68".parse().unwrap(), "10.0.0.2:67".parse().unwrap(), 64, b"discover").unwrap();
    /// # let _ = engine.handle_diverted(&Packet::parse(&bytes).unwrap(), false);
    /// # futures_lite::future::block_on(async {
    /// let mut buf = [0; 1500];
    /// let len = socket.recv(&mut buf).await?;
    /// assert_eq!(Packet::parse(&buf[..len]).unwrap().payload(), b"discover");
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended and every packet in
    /// the queue has been received.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let packet = self.recv_packet().await?.bytes;
        let len = packet.len().min(buf.len());
        buf[..len].copy_from_slice(&packet[..len]);
        Ok(len)
    }

    /// Receives one whole packet, in a buffer of its own.
    ///
    /// The call is cancel safe: a packet is received or remains in the queue. An example is at
    /// [`RawSocket`].
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub async fn recv_packet(&self) -> io::Result<RawPacket> {
        let Waiter { queue, key, .. } = &mut Waiter::new(&self.waiter.queue, ());
        poll_fn(|cx| poll_pop(queue, Some(key), cx)).await
    }

    /// The poll form of [`recv_packet`](Self::recv_packet).
    ///
    /// On `Pending`, a packet or the end of the driver wakes the task of `cx`. Up to 1,024 tasks
    /// wait by this method; one more wakes the others.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn poll_recv_packet(&self, cx: &mut Context<'_>) -> Poll<io::Result<RawPacket>> {
        poll_pop(&self.waiter.queue, None, cx)
    }

    /// Sends `packet`, one whole IP packet with its checksums, and returns its length. Bytes beyond
    /// the length in the IP header are not sent.
    ///
    /// The packet may have any source address. Its headers have to be such that a host could receive
    /// the packet, with a correct IPv4 header checksum; the transport checksum is not verified. A
    /// packet that is longer than the path MTU is fragmented, unless it is an IPv4 packet with
    /// "don't fragment". The filter judges the packet like any other, except that the verdict to
    /// divert passes it.
    ///
    /// Waits while the outbound queue is full. `Ok` means that the packet is in that queue. The call
    /// is cancel safe: the packet is queued or not sent at all. An example is at [`RawSocket`].
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) with a [`SendError`] inside when the bytes are
    /// not a packet that a host could receive, when the packet may not be fragmented and is longer
    /// than the MTU, or when IPv6 is switched off; [`NetworkDown`](io::ErrorKind::NetworkDown) when
    /// the driver has ended.
    pub async fn send(&self, packet: &[u8]) -> io::Result<usize> {
        let packet = self.check(packet)?;
        let Waiter { queue, key, .. } = &mut Waiter::new(self.hub.queue_of(packet.key()), ());
        let send = |queue: &mut Outbound| send(queue, &packet);
        poll_fn(|cx| poll_send(queue, Some(key), cx, send)).await?;
        Ok(packet.bytes().len())
    }

    /// The poll form of [`send`](Self::send).
    ///
    /// On `Pending` nothing was sent, and room or the end of the driver wakes the task of `cx`. Up
    /// to 1,024 tasks wait by this method; one more wakes the others.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn poll_send_packet(&self, cx: &mut Context<'_>, packet: &[u8]) -> Poll<io::Result<usize>> {
        let packet = self.check(packet)?;
        let queue = self.hub.queue_of(packet.key());
        poll_send(queue, None, cx, |queue| send(queue, &packet)).map_ok(|()| packet.bytes().len())
    }

    fn check<'a>(&self, bytes: &'a [u8]) -> Result<Packet<'a>, SendError> {
        let interface = self.hub.interface();
        let packet = Packet::parse(bytes).map_err(SendError::Malformed)?;
        let (len, limit) = (packet.total_len(), interface.mtu);
        let is_ipv6 = packet.key().is_ipv6();
        if is_ipv6 && !interface.ipv6 {
            let to = packet.destination();
            return Err(SendError::NoIpv6 { to });
        }
        if !is_ipv6 && packet.dont_fragment() && len > limit {
            return Err(SendError::TooLong { len, limit });
        }
        Ok(packet)
    }

    #[cfg(feature = "futures")]
    pub(crate) fn poll_next_packet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<RawPacket>> {
        let Waiter { queue, key, .. } = &mut self.waiter;
        poll_pop(queue, Some(key), cx)
    }
}

fn send(queue: &mut Outbound, packet: &Packet<'_>) -> io::Result<bool> {
    let bytes = packet.bytes();
    queue.send(Kind::Raw, bytes.len(), |out, _identification| {
        out.extend_from_slice(bytes);
        Ok(())
    })
}

/// Whether a packet of this protocol can be asked for by its protocol.
pub(crate) fn is_for_raw_sockets(protocol: Protocol) -> bool {
    !matches!(protocol, Protocol::Tcp | Protocol::Udp)
}

/// The packets that the socket receives are those that the device delivers, and packets sent to the
/// device leave the stack.
///
/// After the end of the driver, and once every packet in the queue has been received, both methods
/// fail with [`UnexpectedEof`](io::ErrorKind::UnexpectedEof). A packet that cannot be sent is
/// dropped and counted as [`invalid_out`](crate::Stats::invalid_out).
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
/// # let engine = example::engine();
/// use brooklet_io::{PacketBuf, PacketIo};
/// use std::task::{Context, Waker};
///
/// let mut device = engine.binder().bind_raw(Default::default())?;
/// assert_eq!(device.mtu(), Some(1500));
/// let mut cx = Context::from_waker(Waker::noop());
/// assert!(device.poll_recv(&mut cx, &mut PacketBuf::default()).is_pending());
/// # }
/// # std::io::Result::Ok(())
/// ```
impl<F: Flavor> PacketIo for RawSocket<F> {
    fn mtu(&self) -> Option<usize> {
        Some(self.hub.interface().mtu)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        let received = ready!(self.poll_recv_packet(cx));
        let received = received.map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        *packet = received.bytes.into();
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        let Ok(packet) = self.check(packet) else {
            // Any queue counts: the counters are added up.
            self.hub.outbound()[0].with(|queue| queue.stats.invalid_out += 1);
            return Poll::Ready(Ok(()));
        };
        let queue = self.hub.queue_of(packet.key());
        let sent = ready!(poll_send(queue, None, cx, |queue| send(queue, &packet)));
        Poll::Ready(sent.map_err(|_| io::ErrorKind::UnexpectedEof.into()))
    }
}

impl<F: Flavor> Clone for RawSocket<F> {
    fn clone(&self) -> Self {
        self.waiter.queue.with(Queue::add_handle);
        Self::new(self.hub.clone(), &self.waiter.queue)
    }
}

impl<F: Flavor> Drop for RawSocket<F> {
    fn drop(&mut self) {
        let last = self.waiter.queue.with(Queue::remove_handle);
        if last.is_some() {
            let queue = &self.waiter.queue;
            let removed = self.hub.sockets.with(|sockets| {
                let place = sockets.raw.iter().position(|e| e.queue.same(queue));
                place.map(|place| sockets.raw.swap_remove(place))
            });
            drop(removed);
        }
        drop(last);
    }
}

impl<F: Flavor> fmt::Debug for RawSocket<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawSocket").finish_non_exhaustive()
    }
}

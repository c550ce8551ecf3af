use crate::error::SendError;
use crate::hub::Hub;
use crate::inbound::{Inbound, poll_read};
use crate::outbound::poll_send;
use crate::wait::Waiter;
use brooklet_cell::{Flavor, Shared};
use brooklet_io::{PacketBuf, PacketIo};
use brooklet_packet::{Headers, Protocol};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::{fmt, io};

/// The packets that a [`RawSocket`] takes.
///
/// ```
/// use brooklet_packet::Protocol;
/// use brooklet_raw::RawConfig;
///
/// // IGMP, and whatever the filter diverts.
/// let config = RawConfig::new().protocol(Protocol::Other(2));
/// assert!(config.diverted && !config.multicast);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct RawConfig {
    /// Protocols other than TCP, UDP and ICMP, and the ICMP errors about packets of these protocols.
    /// Default none.
    pub protocols: Vec<Protocol>,
    /// Packets of any protocol whose destination is multicast or broadcast. Default `false`.
    pub multicast: bool,
    /// Packets that a filter diverts, of any protocol. Default `true`.
    pub diverted: bool,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            protocols: Vec::new(),
            multicast: false,
            diverted: true,
        }
    }
}

impl RawConfig {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a protocol.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocols.push(protocol);
        self
    }

    /// Sets [`multicast`](Self#structfield.multicast).
    #[must_use]
    pub fn multicast(mut self, multicast: bool) -> Self {
        self.multicast = multicast;
        self
    }

    /// Sets [`diverted`](Self#structfield.diverted).
    #[must_use]
    pub fn diverted(mut self, diverted: bool) -> Self {
        self.diverted = diverted;
        self
    }
}

/// A packet of a [`RawSocket`].
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

/// A socket for whole IP packets.
///
/// A packet that several raw sockets take goes to each of them, as on Linux. Clones of one socket
/// share a queue: each packet goes to one of them. A full queue drops the packet that arrives.
///
/// A raw socket is a [`PacketIo`], the device of another network stack beside this one. For example
/// smoltcp's DHCP client runs on the packets that a filter diverts.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # use brooklet_io::Clock;
/// # use brooklet_packet::{Packet, udp};
/// # use brooklet_raw::{Config, Engine, Interface};
/// use brooklet_raw::RawConfig;
///
/// # let clock = Clock::new(std::time::Instant::now);
/// # let engine = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), clock);
/// let socket = engine.binder().bind_raw(RawConfig::new())?;
/// # let mut bytes = Vec::new();
/// # udp::write(&mut bytes, "10.0.0.1:68".parse()?, "10.0.0.2:67".parse()?, 64, b"discover")?;
/// // The driver passes a packet that the filter diverts.
/// assert!(engine.handle_diverted(&Packet::parse(&bytes)?, false));
/// # futures_lite::future::block_on(async {
/// let packet = socket.recv_packet().await?;
/// assert!(packet.bytes == bytes && !packet.outbound);
/// # std::io::Result::Ok(())
/// # })?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Cancel safety
///
/// A future that is dropped before it is done has neither taken nor sent a packet.
pub struct RawSocket<F: Flavor> {
    /// The key is that of the `Stream`.
    waiter: Waiter<F, Inbound<RawPacket>>,
    hub: Hub<F>,
}

impl<F: Flavor> RawSocket<F> {
    /// The queue counts the handle already.
    pub(crate) fn new(queue: Shared<F, Inbound<RawPacket>>, hub: &Hub<F>) -> Self {
        Self {
            waiter: Waiter::new(&queue),
            hub: hub.clone(),
        }
    }

    /// Receives one packet into `buf` and returns its number of bytes there. Bytes that do not fit
    /// are discarded.
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended and the queue is empty.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let packet = self.recv_packet().await?.bytes;
        let len = packet.len().min(buf.len());
        buf[..len].copy_from_slice(&packet[..len]);
        Ok(len)
    }

    /// Receives one packet, in a buffer of its own.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub async fn recv_packet(&self) -> io::Result<RawPacket> {
        let Waiter { queue, key } = &mut Waiter::new(&self.waiter.queue);
        poll_fn(|cx| poll_read(queue, Some(key), cx, Inbound::pop)).await
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
        poll_read(&self.waiter.queue, None, cx, Inbound::pop)
    }

    /// Sends a whole IP packet, with its checksums.
    ///
    /// Waits while the outbound queue is full. The filter judges the packet like any other. A packet
    /// above the MTU leaves in fragments, unless it is IPv4 and says "don't fragment": then it is
    /// dropped and counted.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) with a [`SendError`] inside if the bytes are not
    /// one IP packet, or an IPv6 packet while IPv6 is switched off;
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub async fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.check(packet)?;
        let Waiter { queue, key } = &mut Waiter::new(&self.hub.outbound);
        poll_fn(|cx| poll_send(queue, Some(key), cx, |out| self.write(out, packet))).await
    }

    /// The poll form of [`send`](Self::send).
    ///
    /// On `Pending` nothing was sent, and room or the end of the driver wakes the task of `cx`. Up
    /// to 1,024 tasks wait by this method; one more wakes the others.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn poll_send_packet(&self, cx: &mut Context<'_>, packet: &[u8]) -> Poll<io::Result<()>> {
        self.check(packet)?;
        poll_send(&self.hub.outbound, None, cx, |out| self.write(out, packet))
    }

    fn check(&self, packet: &[u8]) -> Result<(), SendError> {
        let headers = Headers::parse(packet).map_err(SendError::Malformed)?;
        if headers.total_len() != packet.len() {
            return Err(SendError::Trailing {
                len: headers.total_len(),
                passed: packet.len(),
            });
        }
        self.hub.check_family(headers.destination())
    }

    fn write(&self, out: &mut Vec<u8>, packet: &[u8]) -> io::Result<()> {
        out.extend_from_slice(packet);
        self.hub.state.with(|state| state.stats.packets_out += 1);
        Ok(())
    }
}

/// Packets out of the stack are received, and packets into the stack are sent.
impl<F: Flavor> PacketIo for RawSocket<F> {
    fn mtu(&self) -> Option<usize> {
        Some(self.hub.interface.mtu)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        self.poll_recv_packet(cx)
            .map_ok(|received| *packet = received.bytes.into())
    }

    /// Drops and counts a packet that is no IP packet, as a link does: one bad packet does not end
    /// the stack that uses the socket as its device.
    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        if self.check(packet).is_err() {
            self.hub.state.with(|state| state.stats.invalid += 1);
            return Poll::Ready(Ok(()));
        }
        self.poll_send_packet(cx, packet)
    }
}

/// Yields packets. The stream ends once the driver has ended and every packet in the queue has been
/// read.
#[cfg(feature = "futures")]
impl<F: Flavor> futures_core::Stream for RawSocket<F> {
    type Item = RawPacket;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        let Waiter { queue, key } = &mut self.waiter;
        poll_read(queue, Some(key), cx, Inbound::pop).map(Result::ok)
    }
}

impl<F: Flavor> Clone for RawSocket<F> {
    fn clone(&self) -> Self {
        self.waiter.queue.with(|queue| queue.handles += 1);
        Self {
            waiter: Waiter::new(&self.waiter.queue),
            hub: self.hub.clone(),
        }
    }
}

impl<F: Flavor> Drop for RawSocket<F> {
    fn drop(&mut self) {
        let queue = &self.waiter.queue;
        let last = queue.with(|queue| {
            queue.handles -= 1;
            queue.handles == 0
        });
        if last {
            // The packets go with the queue, once no cell is held.
            let _bound = self.hub.state.with(|state| {
                let at = state.raw.iter().position(|bound| bound.queue.same(queue))?;
                Some(state.raw.remove(at))
            });
        }
    }
}

impl<F: Flavor> fmt::Debug for RawSocket<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawSocket").finish_non_exhaustive()
    }
}

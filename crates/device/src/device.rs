use brooklet_io::{Checksum, Meta, PacketBuf, PacketIo, TxQueue};
use brooklet_packet::{Headers, Segmenter};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::{Duration, Instant};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

/// The default bound of each queue, in packets.
const QUEUE_PACKETS: usize = 64;

/// The longest packet that a [`PacketIo`] delivers, in bytes: IPv6 with a payload of 65,535 bytes.
const LONGEST: usize = 40 + 65_535;

/// The number of waits in a row that may return at once. The next one yields to the executor, so
/// that a busy device leaves the thread to other tasks.
const WAITS_BEFORE_YIELD: u8 = 8;

/// smoltcp's [`Device`] over any [`PacketIo`], such as a TUN device.
///
/// The device has a bounded queue in each direction. smoltcp's
/// [`Interface::poll`](smoltcp::iface::Interface::poll) reads from and writes to the queues and
/// never blocks; [`wait`](Self::wait) moves packets between the queues and the `PacketIo`. A
/// program calls the two in turn, on any executor:
///
/// ```
/// use brooklet_device::PacketDevice;
/// # use brooklet_io::{PacketBuf, PacketIo};
/// use smoltcp::iface::{Config, Interface, SocketSet};
/// use smoltcp::socket::udp;
/// use smoltcp::time::Instant;
/// use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
/// # use std::collections::VecDeque;
/// # use std::task::{Context, Poll};
/// #
/// # #[derive(Default)]
/// # struct Loopback(VecDeque<PacketBuf>);
/// # impl PacketIo for Loopback {
/// #     fn poll_recv(&mut self, _: &mut Context<'_>, p: &mut PacketBuf) -> Poll<std::io::Result<()>> {
/// #         match self.0.pop_front() {
/// #             Some(sent) => Poll::Ready(Ok(p.copy_from_slice(&sent))),
/// #             None => Poll::Pending,
/// #         }
/// #     }
/// #     fn poll_send(&mut self, _: &mut Context<'_>, p: &PacketBuf) -> Poll<std::io::Result<()>> {
/// #         self.0.push_back(p.clone());
/// #         Poll::Ready(Ok(()))
/// #     }
/// # }
///
/// # futures_lite::future::block_on(async {
/// // Usually a TUN device, whose packets have an MTU of 1,500 bytes.
/// let mut device = PacketDevice::new(Loopback::default(), 1500);
/// let config = Config::new(HardwareAddress::Ip);
/// let mut interface = Interface::new(config, &mut device, Instant::now());
/// let address = IpAddress::v4(10, 0, 0, 1);
/// interface.update_ip_addrs(|addresses| addresses.push(IpCidr::new(address, 24)).unwrap());
///
/// let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 4], vec![0; 4096]);
/// let mut socket = udp::Socket::new(buffer(), buffer());
/// socket.bind(53).unwrap();
/// socket.send_slice(b"a query", (address, 53)).unwrap();
/// let mut sockets = SocketSet::new(vec![]);
/// let handle = sockets.add(socket);
///
/// let query = loop {
///     interface.poll(Instant::now(), &mut device, &mut sockets);
///     if let Ok((query, _)) = sockets.get_mut::<udp::Socket>(handle).recv() {
///         break query;
///     }
///     let delay = interface.poll_delay(Instant::now(), &sockets);
///     device.wait(delay, async_io::Timer::after).await?;
/// };
/// assert_eq!(query, b"a query");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// # Checksums and segmentation
///
/// smoltcp verifies the checksums of every packet and never sees a packet that lacks one:
///
/// - Inbound, the device completes the TCP or UDP checksum of a
///   [`Partial`](brooklet_io::Checksum::Partial) packet. It segments a super-packet by its
///   [`gso_size`](brooklet_io::Meta::gso_size), so that smoltcp receives the segments as they
///   would have come over a wire, no longer than the sender's MTU.
/// - Outbound, smoltcp computes all checksums, except for that of TCP if the `PacketIo`
///   [offloads](brooklet_io::Offload::checksum) it. smoltcp may fragment a UDP datagram, whose
///   checksum no device could then complete; so the checksum of UDP is never left out.
///
/// # Queues
///
/// Each queue holds up to 64 packets, or [`queue_len`](Self::queue_len), and once that many times
/// the MTU in bytes. With a full outbound queue smoltcp keeps its data in the sockets. smoltcp
/// builds an immediate reply, such as an echo reply or a reset, without asking for room: the
/// device drops a reply for which there is none, and [counts](Self::dropped_replies) it.
#[derive(Debug)]
pub struct PacketDevice<D> {
    io: D,
    mtu: usize,
    offload_tcp_checksum: bool,
    /// The packet that `io` has delivered, perhaps a super-packet.
    received: PacketBuf,
    /// Segments the super-packet in `received`.
    segments: Option<Segmenter>,
    inbound: TxQueue<()>,
    outbound: TxQueue<()>,
    /// The packet that `io` has not taken yet, the first of the outbound ones.
    sending: Option<PacketBuf>,
    /// An error of `io` that is returned once smoltcp has received the packets before it.
    error: Option<io::Error>,
    malformed: u64,
    /// Waits in a row that returned at once.
    immediate_waits: u8,
}

impl<D: PacketIo> PacketDevice<D> {
    /// Creates a device over `io`, whose longest packet has `mtu` bytes.
    ///
    /// smoltcp requires an MTU of at least 576 for IPv4 and 1,280 for IPv6.
    pub fn new(io: D, mtu: usize) -> Self {
        let queue = || TxQueue::new(QUEUE_PACKETS, QUEUE_PACKETS.saturating_mul(mtu));
        Self {
            offload_tcp_checksum: io.offload().checksum,
            io,
            mtu,
            received: PacketBuf::with_capacity(LONGEST.max(mtu)),
            segments: None,
            inbound: queue(),
            outbound: queue(),
            sending: None,
            error: None,
            malformed: 0,
            immediate_waits: 0,
        }
    }

    /// Bounds each queue at `packets` packets (at least 2); 64 by default. Packets that wait in
    /// the queues are dropped.
    #[must_use]
    pub fn queue_len(mut self, packets: usize) -> Self {
        let queue = || TxQueue::new(packets, packets.saturating_mul(self.mtu));
        (self.inbound, self.outbound) = (queue(), queue());
        self
    }

    /// Returns the `PacketIo`.
    pub fn get_ref(&self) -> &D {
        &self.io
    }

    /// Converts the device into the `PacketIo`. Packets that wait in the queues are dropped; call
    /// [`flush`](Self::flush) first to send the outbound ones.
    pub fn into_inner(self) -> D {
        self.io
    }

    /// Returns the number of replies that were dropped because the outbound queue was full.
    pub fn dropped_replies(&self) -> u64 {
        self.outbound.refused()
    }

    /// Returns the number of inbound packets that were dropped because they lacked a checksum, or
    /// were super-packets, and their headers could not be parsed.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Moves packets until smoltcp has something to do: a packet has arrived, the outbound queue,
    /// which was full, is half empty, or `delay` has passed.
    ///
    /// `delay` is the result of
    /// [`Interface::poll_delay`](smoltcp::iface::Interface::poll_delay); `None` sets no limit.
    /// `timer` returns a future that completes after the given time: `async_io::Timer::after`,
    /// `smol::Timer::after`, `tokio::time::sleep` or the timer of a virtual clock. The device
    /// calls `timer` at most once.
    ///
    /// smoltcp asks for a delay of zero while a socket has data to send. With a full outbound
    /// queue the device ignores a delay of zero, so that a slow `PacketIo` does not make the
    /// program spin.
    ///
    /// # Cancel safety
    ///
    /// No packet is lost if the future is dropped.
    ///
    /// # Errors
    ///
    /// Returns the error of the `PacketIo`, once smoltcp has received the packets that arrived
    /// before the error.
    pub async fn wait<T: Future>(
        &mut self,
        delay: Option<Duration>,
        timer: impl FnOnce(std::time::Duration) -> T,
    ) -> io::Result<()> {
        let now = delay == Some(Duration::ZERO);
        let timer = delay.filter(|_| !now).map(|delay| timer(delay.into()));
        let mut timer = pin!(timer);
        let mut expired = false;
        poll_fn(|cx| {
            self.poll_io(cx)?;
            if !expired && let Some(timer) = timer.as_mut().as_pin_mut() {
                expired = timer.poll(cx).is_ready();
            }
            let now = now && !self.outbound.is_awaited();
            let room = self.outbound.next_waiting().is_some();
            if !(expired || now || room || !self.inbound.is_empty()) {
                self.immediate_waits = 0;
                return Poll::Pending;
            }
            if self.immediate_waits < WAITS_BEFORE_YIELD {
                self.immediate_waits += 1;
                return Poll::Ready(Ok(()));
            }
            self.immediate_waits = 0;
            expired = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    /// Sends the packets of the outbound queue and waits until the `PacketIo` has taken all of
    /// them: the last call of a program, after it has closed its sockets and polled smoltcp.
    ///
    /// # Errors
    ///
    /// Returns the error of the `PacketIo`.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_send(cx)).await
    }

    /// Moves packets in both directions until the `PacketIo` takes none and delivers none, or the
    /// inbound queue is full.
    fn poll_io(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.error.is_none()
            && let Poll::Ready(Err(error)) = self.poll_send(cx)
        {
            self.error = Some(error);
        }
        if self.error.is_none() {
            self.error = self.receive(cx).err();
        }
        // smoltcp receives the packets that arrived before the error first.
        match self.inbound.is_empty() {
            true => self.error.take().map_or(Ok(()), Err),
            false => Ok(()),
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(packet) = self.sending.take().or_else(|| self.outbound.pop()) {
            let sent = self.io.poll_send(cx, &packet);
            if sent.is_pending() {
                self.sending = Some(packet);
                return Poll::Pending;
            }
            self.outbound.recycle(packet);
            ready!(sent)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Receives packets until there are no more or the inbound queue is full.
    fn receive(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.inbound.has_room() {
            if let Some(segments) = &mut self.segments {
                let mut packet = self.inbound.buffer(segments.longest());
                packet.resize(segments.longest());
                match segments.next(&self.received, &mut packet) {
                    Some(len) => {
                        packet.resize(len);
                        let _ = self.inbound.push(packet);
                    }
                    None => {
                        self.inbound.recycle(packet);
                        self.segments = None;
                    }
                }
                continue;
            }
            match self.io.poll_recv(cx, &mut self.received) {
                Poll::Ready(received) => received?,
                Poll::Pending => break,
            }
            self.queue_received();
        }
        Ok(())
    }

    /// Queues the packet in `received` with its checksum completed, or begins to segment it.
    fn queue_received(&mut self) {
        let Meta {
            checksum, gso_size, ..
        } = self.received.meta();
        if gso_size.is_some() || checksum == Checksum::Partial {
            let Ok(headers) = Headers::parse(&self.received) else {
                self.malformed += 1;
                return;
            };
            if let Some(size) = gso_size {
                self.segments = Some(Segmenter::new(&headers, size));
                return;
            }
            headers.fill_checksum(&mut self.received);
        }
        let mut packet = self.inbound.buffer(self.received.len());
        packet.copy_from_slice(&self.received);
        let _ = self.inbound.push(packet);
    }
}

impl<D: PacketIo> Device for PacketDevice<D> {
    type RxToken<'a>
        = RxToken<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = TxToken<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        let packet = self.inbound.pop()?;
        let queue = &mut self.inbound;
        let reply = TxToken {
            queue: &mut self.outbound,
            offload_tcp_checksum: self.offload_tcp_checksum,
        };
        Some((RxToken { packet, queue }, reply))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        if !self.outbound.has_room() {
            if !self.outbound.is_awaited() {
                self.outbound.wait(());
            }
            return None;
        }
        Some(TxToken {
            queue: &mut self.outbound,
            offload_tcp_checksum: self.offload_tcp_checksum,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        if self.offload_tcp_checksum {
            capabilities.checksum.tcp = phy::Checksum::Rx;
        }
        capabilities
    }
}

/// A packet that smoltcp is about to receive.
///
/// ```
/// use brooklet_device::PacketDevice;
/// use smoltcp::phy::{Device, RxToken as _};
/// use smoltcp::time::Instant;
///
/// # use brooklet_io::{PacketBuf, PacketIo};
/// # use std::task::{Context, Poll};
/// # struct Tun;
/// # impl PacketIo for Tun {
/// #     fn poll_recv(&mut self, _: &mut Context<'_>, p: &mut PacketBuf) -> Poll<std::io::Result<()>> {
/// #         Poll::Ready(Ok(p.copy_from_slice(&PACKET)))
/// #     }
/// #     fn poll_send(&mut self, _: &mut Context<'_>, _: &PacketBuf) -> Poll<std::io::Result<()>> {
/// #         Poll::Ready(Ok(()))
/// #     }
/// # }
/// # const PACKET: [u8; 20] = [
/// #     0x45, 0, 0, 20, 0, 0, 0, 0, 64, 99, 0x66, 0x84, 10, 0, 0, 1, 10, 0, 0, 2,
/// # ];
/// let mut device = PacketDevice::new(Tun, 1500);
/// # futures_lite::future::block_on(async {
/// device.wait(None, |_| std::future::pending::<()>()).await?;
/// let (packet, _reply) = device.receive(Instant::now()).expect("a packet has arrived");
/// assert_eq!(packet.consume(|bytes| bytes.len()), 20);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct RxToken<'a> {
    packet: PacketBuf,
    queue: &'a mut TxQueue<()>,
}

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.packet);
        self.queue.recycle(self.packet);
        result
    }
}

/// A place for a packet that smoltcp is about to send.
///
/// ```
/// use brooklet_device::PacketDevice;
/// use smoltcp::phy::{Device, TxToken as _};
/// use smoltcp::time::Instant;
///
/// # use brooklet_io::{PacketBuf, PacketIo};
/// # use std::task::{Context, Poll};
/// # struct Tun;
/// # impl PacketIo for Tun {
/// #     fn poll_recv(&mut self, _: &mut Context<'_>, p: &mut PacketBuf) -> Poll<std::io::Result<()>> {
/// #         Poll::Ready(Ok(p.copy_from_slice(&PACKET)))
/// #     }
/// #     fn poll_send(&mut self, _: &mut Context<'_>, _: &PacketBuf) -> Poll<std::io::Result<()>> {
/// #         Poll::Ready(Ok(()))
/// #     }
/// # }
/// # const PACKET: [u8; 20] = [
/// #     0x45, 0, 0, 20, 0, 0, 0, 0, 64, 99, 0x66, 0x84, 10, 0, 0, 1, 10, 0, 0, 2,
/// # ];
/// let mut device = PacketDevice::new(Tun, 1500);
/// let place = device.transmit(Instant::now()).expect("the queue has room");
/// place.consume(20, |bytes| bytes.copy_from_slice(&PACKET));
/// ```
#[derive(Debug)]
pub struct TxToken<'a> {
    queue: &'a mut TxQueue<()>,
    offload_tcp_checksum: bool,
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = self.queue.buffer(len);
        packet.resize(len);
        let result = f(&mut packet);
        if self.offload_tcp_checksum
            && let Ok(headers) = Headers::parse(&packet)
            && headers.tcp().is_some()
        {
            headers.fill_partial_checksum(&mut packet);
            packet.set_meta(Meta::new().checksum(Checksum::Partial).gso_size(None));
        }
        // The queue counts a reply that finds no room.
        let _ = self.queue.push(packet);
        result
    }
}

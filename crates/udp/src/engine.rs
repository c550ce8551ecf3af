use crate::{
    config::Config, counters::Counters, inbound::Inbound, interface::Interface, outbound::Outbound,
    queues::Queues, received::Received, socket::TransparentUdpSocket, stats::Stats,
};
use brooklet_cell::{Flavor, Shared, wakers::WakeList};
use brooklet_packet::Packet;
use std::{fmt, num::NonZeroU8, task::Waker};

/// The driver's side of the UDP queues: packets in, packets out.
///
/// A driver works in turns. It passes the packets that the device has received to
/// [`handle_packet`](Self::handle_packet), sends what [`poll_transmit`](Self::poll_transmit)
/// returns until there is no packet, and then [registers](Self::register) its waker and sleeps.
///
/// Dropping the engine is a [`shutdown`](Self::shutdown).
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_udp::{Config, Engine, Interface};
/// use std::task::{Context, Poll};
///
/// /// Sends all packets; once the function returns, the next packet wakes the task.
/// fn poll_send(
///     engine: &Engine<brooklet_cell::Threaded>,
///     cx: &mut Context<'_>,
///     mut send: impl FnMut(&[u8]),
/// ) {
///     loop {
///         while let Some(packet) = engine.poll_transmit() {
///             send(&packet);
///             engine.recycle(packet);
///         }
///         if !engine.register(cx.waker()) {
///             break;
///         }
///     }
/// }
/// # let (engine, socket) = Engine::new(Interface::new(), Config::new());
/// # let sent = socket.send_to(b"x", ([1, 1, 1, 1], 1).into(), ([2, 2, 2, 2], 2).into());
/// # assert_eq!(futures_lite::future::block_on(sent).unwrap(), 1);
/// # let mut packets = 0;
/// # poll_send(&engine, &mut Context::from_waker(std::task::Waker::noop()), |_| packets += 1);
/// # assert_eq!(packets, 1);
/// # }
/// ```
pub struct Engine<F: Flavor> {
    queues: Queues<F>,
    /// The outbound queue of this engine.
    outbound: Shared<F, Outbound>,
}

impl<F: Flavor> Engine<F> {
    /// Creates an engine, and the first socket on it.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_udp::{Config, Engine, Interface};
    ///
    /// let (engine, socket) = Engine::<brooklet_cell::Threaded>::new(Interface::new().mtu(1280), Config::new());
    /// # let _ = (engine, socket);
    /// # }
    /// ```
    pub fn new(interface: Interface, config: Config) -> (Self, TransparentUdpSocket<F>) {
        let queues = Queues::new(NonZeroU8::MIN, interface, config);
        let outbound = queues.outbound()[0].clone();
        let socket = TransparentUdpSocket::new(&queues);
        (Self { queues, outbound }, socket)
    }

    /// Creates an engine for each queue of a device, and the first socket on all of them. Sockets
    /// do not know of the queues.
    ///
    /// Each engine accepts the packets of any flow. The datagrams of one flow leave through one
    /// engine, in their order. Each engine has an outbound queue of its own. The
    /// [shutdown](Self::shutdown) of one engine is the shutdown of all.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_udp::{Config, Engine, Interface};
    /// use std::num::NonZeroU8;
    ///
    /// let two = NonZeroU8::new(2).expect("it is 2");
    /// let (engines, socket) = Engine::<brooklet_cell::Threaded>::with_queues(
    ///     two,
    ///     Interface::new(),
    ///     Config::new(),
    /// );
    /// # let sent = socket.send_to(b"x", ([1, 1, 1, 1], 1).into(), ([2, 2, 2, 2], 2).into());
    /// # assert_eq!(futures_lite::future::block_on(sent).unwrap(), 1);
    /// let packets = engines.iter().filter_map(Engine::poll_transmit);
    /// assert_eq!(packets.count(), 1);
    /// # }
    /// ```
    pub fn with_queues(
        queues: NonZeroU8,
        interface: Interface,
        config: Config,
    ) -> (Vec<Self>, TransparentUdpSocket<F>) {
        let queues = Queues::new(queues, interface, config);
        let socket = TransparentUdpSocket::new(&queues);
        let engine = |outbound: &Shared<F, Outbound>| Self {
            queues: queues.clone(),
            outbound: outbound.clone(),
        };
        (queues.outbound().iter().map(engine).collect(), socket)
    }

    /// Queues the datagram in `packet` for the application, and wakes the tasks that wait for a
    /// datagram.
    ///
    /// The packet is a whole UDP datagram, not a fragment, and the caller has verified its
    /// checksum. A full queue drops the new datagram, not an older one. A source that holds more
    /// than its [share](crate#shares-of-the-inbound-queue) of the queue loses its new datagram,
    /// too. An example is at [`Received`].
    pub fn handle_packet(&self, packet: &Packet<'_>) -> Received {
        let mut wakes = WakeList::new();
        let inbound = &self.queues.inbound;
        let received = inbound.with(|inbound| inbound.receive(packet, &mut wakes));
        wakes.wake_all();
        received
    }

    /// Returns whether half of the inbound queue is taken, in datagrams or in bytes.
    ///
    /// A driver checks this before it reads the next packet from the device. If the queue has
    /// become congested during the batch, the driver ends the batch and lets the tasks run that
    /// [`handle_packet`](Self::handle_packet) has woken. Otherwise the batch could overrun the
    /// queue although the application keeps up. A segment batch (USO) of up to 128 datagrams fits
    /// into the other half of a queue with the default bounds.
    ///
    /// A queue that is still congested at the beginning of a batch has a reader that does not keep
    /// up. The driver then goes on as usual: the queue drops datagrams and counts them, and TCP
    /// does not suffer.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_packet::{Packet, udp};
    /// use brooklet_udp::{Config, Engine, Interface, Received};
    ///
    /// let config = Config::new().inbound_packets(4);
    /// let (engine, socket) = Engine::<brooklet_cell::Threaded>::new(Interface::new(), config);
    /// let mut bytes = Vec::new();
    /// udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?, 64, b"question")?;
    /// let packet = Packet::parse(&bytes)?;
    ///
    /// assert_eq!(engine.handle_packet(&packet), Received::Queued);
    /// assert!(!engine.is_congested());
    /// assert_eq!(engine.handle_packet(&packet), Received::Queued);
    /// assert!(engine.is_congested());
    ///
    /// futures_lite::future::block_on(socket.recv_datagram())?;
    /// assert!(!engine.is_congested());
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.queues
            .inbound
            .with(|inbound: &mut Inbound| inbound.is_half_full())
    }

    /// Returns the oldest packet to send: a whole IP packet with its checksums.
    ///
    /// Once half of the queue is free, the call wakes the tasks that wait for room. After `None`,
    /// [register](Self::register) the driver's waker.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
    /// # let (from, to) = ("9.9.9.9:53".parse().unwrap(), "10.0.0.1:5000".parse().unwrap());
    /// use brooklet_packet::Packet;
    ///
    /// futures_lite::future::block_on(socket.send_to(b"answer", from, to)).unwrap();
    /// let packet = engine.poll_transmit().expect("one packet waits");
    /// assert_eq!(Packet::parse(&packet).unwrap().payload(), b"answer");
    /// assert!(engine.poll_transmit().is_none());
    /// # }
    /// ```
    pub fn poll_transmit(&self) -> Option<Vec<u8>> {
        let mut wakes = WakeList::new();
        let packet = self.outbound.with(|queue| queue.transmit(&mut wakes));
        wakes.wake_all();
        packet
    }

    /// Takes back the buffer of a packet that was sent. The engine keeps up to 64 buffers of up to
    /// 2,048 bytes for later packets.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
    /// # let (from, to) = ("9.9.9.9:53".parse().unwrap(), "10.0.0.1:5000".parse().unwrap());
    /// # futures_lite::future::block_on(socket.send_to(b"answer", from, to)).unwrap();
    /// while let Some(packet) = engine.poll_transmit() {
    ///     println!("send {} bytes", packet.len());
    ///     engine.recycle(packet);
    /// }
    /// # }
    /// ```
    pub fn recycle(&self, packet: Vec<u8>) {
        self.outbound.with(|queue| queue.recycle(packet));
    }

    /// Registers `waker`, which the next packet wakes once. Returns whether a packet is in the
    /// queue already.
    ///
    /// The check and the registration are one step, so no packet is missed. A later call replaces
    /// the waker of an earlier one.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
    /// # let (from, to) = ("9.9.9.9:53".parse().unwrap(), "10.0.0.1:5000".parse().unwrap());
    /// use std::task::Waker;
    ///
    /// assert!(!engine.register(Waker::noop()), "no packet; the next one wakes the driver");
    /// futures_lite::future::block_on(socket.send_to(b"answer", from, to)).unwrap();
    /// assert!(engine.register(Waker::noop()), "call poll_transmit before you sleep");
    /// # }
    /// ```
    pub fn register(&self, waker: &Waker) -> bool {
        let (waiting, _replaced) = self.outbound.with(|queue| queue.register_driver(waker));
        waiting
    }

    /// Returns the counters of this moment.
    pub fn stats(&self) -> Stats {
        self.queues.stats()
    }

    /// Returns a handle that reads the counters from elsewhere.
    pub fn counters(&self) -> Counters<F> {
        Counters::new(&self.queues)
    }

    /// Ends every socket and every other engine.
    ///
    /// Pending and later calls on sockets fail with [`StackClosed`](crate::StackClosed). Datagrams
    /// in the inbound queue can still be read before that. Packets in the outbound queues are
    /// dropped. Wakers [registered](Self::register) with the other engines are woken.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_udp::{Config, Engine, Interface, StackClosed};
    ///
    /// let (engine, socket) = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new());
    /// engine.shutdown();
    /// let error = futures_lite::future::block_on(socket.recv_datagram()).unwrap_err();
    /// assert!(error.get_ref().is_some_and(|inner| inner.is::<StackClosed>()));
    /// # }
    /// ```
    pub fn shutdown(&self) {
        // All queues end before a task is woken: a waker that panics stops nothing.
        let mut wakes = WakeList::new();
        self.queues.inbound.with(|inbound| inbound.end(&mut wakes));
        for queue in self.queues.outbound() {
            let ended = queue.with(|queue| queue.end(&mut wakes));
            if !queue.same(&self.outbound) {
                wakes.extend(ended.driver);
            }
        }
        wakes.wake_all();
    }
}

impl<F: Flavor> Drop for Engine<F> {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl<F: Flavor> fmt::Debug for Engine<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(any(feature = "sync", feature = "local"))]
impl<F: Flavor> Engine<F> {
    /// Datagrams, bytes and sources in the inbound queue.
    pub(crate) fn queued(&self) -> (usize, usize, usize) {
        self.queues.inbound.with(|inbound| inbound.queued())
    }

    /// Buffers in the pools of the inbound and of this engine's outbound queue.
    pub(crate) fn pooled(&self) -> (usize, usize) {
        (
            self.queues.inbound.with(|inbound| inbound.pooled()),
            self.outbound.with(|outbound| outbound.pooled()),
        )
    }
}

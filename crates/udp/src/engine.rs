use crate::inbound::Inbound;
use crate::outbound::Outbound;
use crate::shared::Queues;
use crate::{Config, Counters, Interface, Stats, UdpSocket};
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::Packet;
use std::{fmt, num::NonZeroU8, task::Waker};

/// What became of a packet that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "`NoListener` asks for an ICMP port unreachable"]
pub enum Received {
    /// It waits for the application.
    Queued,
    /// Nobody can ever read it: every [`UdpSocket`] and
    /// [`UdpReadHalf`](crate::UdpReadHalf) has been dropped. The caller answers with an ICMP
    /// "port unreachable" (RFC 1122, section 4.1.3.1).
    NoListener,
    /// It was dropped and counted: the queue is full, it is not a whole UDP datagram, or the
    /// engine was shut down.
    Dropped,
}

/// The driver's side: packets in, packets out.
///
/// In turns: hand in what the device received, then take packets out until there is none, then
/// [`register`](Self::register) and sleep. Dropping the engine is a [`shutdown`](Self::shutdown).
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_udp::{Config, Engine, Interface};
/// use std::task::{Context, Poll};
///
/// /// Sends what waits; when it returns, the task will be woken for more.
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
/// # let (engine, socket) = Engine::new(Interface::default(), Config::default());
/// # let sent = socket.send_to(b"x", ([1, 1, 1, 1], 1).into(), ([2, 2, 2, 2], 2).into());
/// # assert_eq!(futures_lite::future::block_on(sent).unwrap(), 1);
/// # let mut packets = 0;
/// # poll_send(&engine, &mut Context::from_waker(std::task::Waker::noop()), |_| packets += 1);
/// # assert_eq!(packets, 1);
/// # }
/// ```
pub struct Engine<F: Flavor> {
    pub(crate) queues: Queues<F>,
    /// That of this engine.
    pub(crate) outbound: Shared<F, Outbound>,
}

impl<F: Flavor> Engine<F> {
    /// Makes an engine and the first socket on it.
    pub fn new(interface: Interface, config: Config) -> (Self, UdpSocket<F>) {
        let queues = Queues::new(NonZeroU8::MIN, interface, config);
        let outbound = queues.outbound()[0].clone();
        let socket = UdpSocket::new(&queues);
        (Self { queues, outbound }, socket)
    }

    /// Makes an engine for each queue of a device, and the first socket on all of them, which need
    /// not know of the queues.
    ///
    /// Datagrams may be handed in on any. Those of one flow are given out by the same engine, in
    /// their order; each has a queue of packets to send of its own. When one is
    /// [shut down](Self::shutdown), all are.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_udp::{Config, Engine, Interface};
    /// use std::num::NonZeroU8;
    ///
    /// let two = NonZeroU8::new(2).expect("it is 2");
    /// let (engines, socket) = Engine::<brooklet_cell::Threaded>::with_queues(
    ///     two,
    ///     Interface::default(),
    ///     Config::default(),
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
    ) -> (Vec<Self>, UdpSocket<F>) {
        let queues = Queues::new(queues, interface, config);
        let socket = UdpSocket::new(&queues);
        let engine = |outbound: &Shared<F, Outbound>| Self {
            queues: queues.clone(),
            outbound: outbound.clone(),
        };
        (queues.outbound().iter().map(engine).collect(), socket)
    }

    /// Takes in one packet from the device and wakes whoever waits for a datagram.
    ///
    /// The packet is a whole UDP datagram, not a fragment, and the caller has verified its
    /// checksum. When the queue is full the new datagram is dropped, not an older one.
    pub fn handle_packet(&self, packet: &Packet<'_>) -> Received {
        let (received, woken) = self.queues.inbound.with(|inbound| inbound.receive(packet));
        woken.wake();
        received
    }

    /// Gives out the oldest packet to send: a whole IP packet with its checksums.
    ///
    /// Senders that wait for room are woken once half of the queue is free, or it is empty. After
    /// `None`, [`register`](Self::register) says when to call again.
    pub fn poll_transmit(&self) -> Option<Vec<u8>> {
        let (packet, woken) = self.outbound.with(Outbound::transmit);
        woken.wake();
        packet
    }

    /// Takes a buffer back for later packets. At most 64 are kept, none above 2 KiB.
    pub fn recycle(&self, packet: Vec<u8>) {
        self.outbound.with(|queue| queue.recycle(packet));
    }

    /// Has `waker` woken when the next packet is there to be sent, once, and says whether one is
    /// there already. Both in one step, so nothing sent meanwhile is missed.
    pub fn register(&self, waker: &Waker) -> bool {
        let (waiting, replaced) = self.outbound.with(|queue| queue.set_driver(waker));
        drop(replaced);
        waiting
    }

    /// The figures of this moment.
    pub fn stats(&self) -> Stats {
        self.queues.stats()
    }

    /// A handle that reads the figures from elsewhere.
    pub fn counters(&self) -> Counters<F> {
        Counters(self.queues.clone())
    }

    /// Ends every socket and every other engine: pending and later calls fail with [`StackClosed`](crate::StackClosed),
    /// reading only once the datagrams already queued have been read. Packets not yet given out
    /// are dropped. Whoever is [registered](Self::register) with another engine is woken.
    pub fn shutdown(&self) {
        self.queues.inbound.with(Inbound::end).wake();
        for queue in self.queues.outbound() {
            let ended = queue.with(Outbound::end);
            ended.senders.wake();
            if let Some(driver) = ended.driver
                && !queue.same(&self.outbound)
            {
                driver.wake();
            }
        }
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

use crate::{
    arrival::Arrival, binder::UdpBinder, config::Config, counters::Counters, interface::Interface,
    outbound::Outbound, queues::Queues, received::Received, stats::Stats,
    transparent::TransparentUdpSocket,
};
use brooklet_cell::{Flavor, Shared, wakers::WakeList};
use brooklet_io::{Clock, PacketBuf};
use brooklet_packet::icmp::{IcmpError, IcmpErrorKind, Unreachable};
use brooklet_packet::{Packet, Protocol};
use std::{fmt, net::IpAddr, num::NonZeroU8, task::Waker, time::Instant};

/// The most sessions that end under one hold of the cell.
const SESSIONS_AT_ONCE: usize = 256;

/// The driver's side of the UDP queues: packets in, packets out.
///
/// A driver works in turns. It passes the packets that the device has received to
/// [`handle_packet`](Self::handle_packet), sends what [`poll_transmit`](Self::poll_transmit)
/// returns until there is no packet, and then [registers](Self::register) its waker and sleeps, at
/// most until [`poll_timeout`](Self::poll_timeout). Then it calls
/// [`handle_timeout`](Self::handle_timeout).
///
/// Dropping the engine is a [`shutdown`](Self::shutdown).
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_udp::{Clock, Config, Engine, Interface};
/// use std::task::Context;
/// # use std::time::Instant;
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
/// # let (engine, socket) = Engine::new(Interface::new(), Config::new(), Clock::new(Instant::now), [1, 2]);
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
    /// The number of the device queue.
    queue: usize,
}

impl<F: Flavor> Engine<F> {
    /// Creates an engine, and the first socket on it.
    ///
    /// `clock` tells the time when the application sends in a session. `secret` is two random
    /// numbers, which make ephemeral ports hard to guess.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_udp::{Clock, Config, Engine, Interface};
    /// use std::time::Instant;
    ///
    /// let (engine, socket) = Engine::<brooklet_cell::Threaded>::new(
    ///     Interface::new().mtu(1280),
    ///     Config::new(),
    ///     Clock::new(Instant::now),
    ///     [1, 2], // from a random number generator
    /// );
    /// # let _ = (engine, socket);
    /// # }
    /// ```
    pub fn new(
        interface: Interface,
        config: Config,
        clock: Clock,
        secret: [u64; 2],
    ) -> (Self, TransparentUdpSocket<F>) {
        let queues = Queues::new(NonZeroU8::MIN, interface, config, clock, secret);
        let outbound = queues.outbound()[0].clone();
        let socket = TransparentUdpSocket::new(&queues);
        let engine = Self {
            queues,
            outbound,
            queue: 0,
        };
        (engine, socket)
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
    /// use brooklet_udp::{Clock, Config, Engine, Interface};
    /// use std::num::NonZeroU8;
    /// use std::time::Instant;
    ///
    /// let two = NonZeroU8::new(2).expect("it is 2");
    /// let (engines, socket) = Engine::<brooklet_cell::Threaded>::with_queues(
    ///     two,
    ///     Interface::new(),
    ///     Config::new(),
    ///     Clock::new(Instant::now),
    ///     [1, 2],
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
        clock: Clock,
        secret: [u64; 2],
    ) -> (Vec<Self>, TransparentUdpSocket<F>) {
        let queues = Queues::new(queues, interface, config, clock, secret);
        let socket = TransparentUdpSocket::new(&queues);
        let engine = |(queue, outbound): (usize, &Shared<F, Outbound>)| Self {
            queues: queues.clone(),
            outbound: outbound.clone(),
            queue,
        };
        let engines = queues.outbound().iter().enumerate().map(engine).collect();
        (engines, socket)
    }

    /// Returns a handle that binds sockets.
    pub fn binder(&self) -> UdpBinder<F> {
        UdpBinder::new(&self.queues)
    }

    /// Queues the datagrams in `packet` for the application, and wakes the tasks that wait for a
    /// datagram.
    ///
    /// The packet is a whole UDP datagram, not a fragment, or a segment batch (GRO), and the caller
    /// has verified its checksum. A batch is split, unless its receiver asked for batches.
    ///
    /// A full queue drops the new datagram, not an older one. A source that holds more than its
    /// [share](crate#shares-of-the-inbound-queue) of the queue loses its new datagram, too. An
    /// example is at [`Received`].
    ///
    /// Call [`poll_timeout`](Self::poll_timeout) before the driver sleeps: the packet may have
    /// opened a session.
    pub fn handle_packet(&self, now: Instant, packet: &Packet<'_>, arrival: Arrival) -> Received {
        let mtu = self.exceeded_mtu(now, packet, arrival);
        let mut wakes = WakeList::new();
        let inbound = &self.queues.inbound;
        let (received, events) = inbound.with(|inbound| {
            let received = inbound.receive((now, self.queue), packet, arrival, mtu, &mut wakes);
            (received, inbound.sessions.take_events())
        });
        events.log(); // before what the woken tasks log
        wakes.wake_all();
        received
    }

    /// The stated path MTU of the packet's destination, if the packet exceeds it and may not be
    /// fragmented behind the stack.
    fn exceeded_mtu(&self, now: Instant, packet: &Packet<'_>, arrival: Arrival) -> Option<usize> {
        let mtu = self.queues.stated_path_mtu(now, packet.destination())?;
        let payload = packet.payload().len();
        let headers = packet.bytes().len() - payload;
        let longest = arrival
            .gso_size
            .map_or(payload, |size| payload.min(size.get().into()));
        let exceeds = packet.dont_fragment() && !arrival.reassembled && headers + longest > mtu;
        exceeds.then_some(mtu)
    }

    /// Delivers an ICMP error about a datagram that was sent, and returns whether a socket or a
    /// session has the flow of the datagram (RFC 5927). A path MTU is learned for its destination.
    ///
    /// The error is what [`parse_error`](brooklet_packet::icmp::parse_error) returns. Sockets report
    /// it as a [`FlowError`](crate::FlowError). Of errors about the datagrams of a
    /// [`TransparentUdpSocket`](crate::TransparentUdpSocket) only path MTUs are used. An error about
    /// such a socket, or about one that is not connected, counts if it quotes the addresses of one
    /// of the latest datagrams: anyone can send any other.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_packet::icmp::{self, Unreachable};
    /// use brooklet_packet::Packet;
    /// # use brooklet_udp::{Clock, Config, Engine, Interface};
    /// # use futures_lite::future::block_on;
    /// # use std::time::Instant;
    /// # let (engine, _all) = Engine::<brooklet_cell::Threaded>::new(
    /// #     Interface::new(), Config::new(), Clock::new(Instant::now), [1, 2]);
    ///
    /// let socket = engine.binder().bind("10.0.0.2:5000".parse()?)?;
    /// block_on(socket.connect("10.0.0.1:9".parse()?))?;
    /// block_on(socket.send(b"anyone?"))?;
    ///
    /// // The host 10.0.0.1 answers that the port is closed.
    /// let (sent, mut answer) = (engine.poll_transmit().expect("one packet"), Vec::new());
    /// icmp::error(&mut answer, &Packet::parse(&sent)?, Unreachable::Port);
    /// let error = icmp::parse_error(&Packet::parse(&answer)?).expect("an error");
    /// assert!(engine.handle_icmp_error(Instant::now(), &error));
    ///
    /// let refused = block_on(socket.recv(&mut [0; 1500])).unwrap_err();
    /// assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_icmp_error(&self, now: Instant, error: &IcmpError) -> bool {
        if error.protocol != Protocol::Udp {
            return false;
        }
        let mut wakes = WakeList::new();
        let inbound = &self.queues.inbound;
        let outbound = self.queues.of(error.key.source(), error.key.destination());
        let sent = outbound.with(|outbound| outbound.has_sent(error.key));
        let known = inbound.with(|inbound| inbound.handle_icmp_error(error, sent, &mut wakes));
        if known && let IcmpErrorKind::Unreachable(Unreachable::PacketTooBig { mtu }) = error.kind {
            let destination = error.key.destination().ip();
            self.learn_path_mtu(now, destination, mtu as usize);
        }
        wakes.wake_all();
        known
    }

    /// Changes the [MTU](Interface#structfield.mtu) of the link, for the engines of all queues.
    /// Datagrams that are queued already keep their length: the driver fragments those that are
    /// longer.
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_udp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let (interface, clock) = (Interface::new(), Clock::new(Instant::now));
    /// # let (engine, _) = Engine::<Threaded>::new(interface, Config::default(), clock, [1, 2]);
    /// engine.set_mtu(1280);
    /// assert_eq!(engine.path_mtu(Instant::now(), "192.0.2.7".parse()?), 1280);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn set_mtu(&self, mtu: usize) {
        self.queues.set_mtu(mtu);
    }

    /// Returns the path MTU of a destination, in bytes: that of the device if nothing less is
    /// known. The driver fragments packets that exceed it.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_udp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let (engine, _socket) = Engine::<brooklet_cell::Threaded>::new(
    /// #     Interface::new(), Config::new(), Clock::new(Instant::now), [1, 2]);
    /// let (now, host) = (Instant::now(), "10.0.0.1".parse().unwrap());
    /// assert_eq!(engine.path_mtu(now, host), 1500);
    /// engine.set_path_mtu(now, host, Some(1280));
    /// assert_eq!(engine.path_mtu(now, host), 1280);
    /// # }
    /// ```
    #[must_use]
    pub fn path_mtu(&self, now: Instant, destination: IpAddr) -> usize {
        self.queues.path_mtu(Some(now), destination)
    }

    /// States the path MTU of a destination, in bytes, or that nothing is known of it. A path MTU
    /// that is stated does not expire. An example is at [`path_mtu`](Self::path_mtu).
    ///
    /// Packets that arrive for the destination are compared with it, too:
    /// [`Received::TooBig`]. They are not compared with a path MTU that was
    /// [learned](Self::learn_path_mtu), which is about packets of the stack. All engines of the stack share the table, which holds up to 4,096
    /// destinations.
    pub fn set_path_mtu(&self, now: Instant, destination: IpAddr, mtu: Option<usize>) {
        self.queues
            .set_path_mtu(|mtus| mtus.set(now, destination, mtu));
    }

    /// Returns the path MTU that was [stated](Self::set_path_mtu) for a destination, in bytes, also
    /// by [`UdpBinder::learn_path_mtu`](crate::UdpBinder::learn_path_mtu).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_udp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let (engine, _socket) = Engine::<brooklet_cell::Threaded>::new(
    /// #     Interface::new(), Config::new(), Clock::new(Instant::now), [1, 2]);
    /// # let (now, host) = (Instant::now(), "10.0.0.1".parse().unwrap());
    /// engine.learn_path_mtu(now, host, 1280);
    /// assert_eq!(engine.stated_path_mtu(now, host), None);
    /// engine.set_path_mtu(now, host, Some(1400));
    /// assert_eq!(engine.stated_path_mtu(now, host), Some(1400));
    /// # }
    /// ```
    #[must_use]
    pub fn stated_path_mtu(&self, now: Instant, destination: IpAddr) -> Option<usize> {
        self.queues.stated_path_mtu(now, destination)
    }

    /// Learns the path MTU of a destination, in bytes, from an ICMP error about a packet of another
    /// protocol. It expires after 10 minutes (RFC 8201, 4).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_udp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let (engine, _socket) = Engine::<brooklet_cell::Threaded>::new(
    /// #     Interface::new(), Config::new(), Clock::new(Instant::now), [1, 2]);
    /// # let (now, host) = (Instant::now(), "10.0.0.1".parse().unwrap());
    /// engine.learn_path_mtu(now, host, 1280);
    /// assert_eq!(engine.path_mtu(now, host), 1280);
    /// # }
    /// ```
    pub fn learn_path_mtu(&self, now: Instant, destination: IpAddr, mtu: usize) {
        self.queues.set_path_mtu(|mtus| {
            mtus.learn(now, destination, mtu);
        });
    }

    /// Returns the time at which a session ends next, and
    /// [`handle_timeout`](Self::handle_timeout) is to be called. All engines of a stack return the
    /// same time.
    ///
    /// The time may change with each packet in either direction.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.queues.has_sessions() {
            return None;
        }
        let inbound = &self.queues.inbound;
        inbound.with(|inbound| inbound.sessions.poll_timeout())
    }

    /// Ends the sessions whose time is over, and wakes the tasks that wait for them.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_packet::{Packet, udp};
    /// # use brooklet_udp::{Arrival, Clock, Config, Engine, Interface, SessionConfig};
    /// # use std::time::Instant;
    /// # let (engine, socket) = Engine::<brooklet_cell::Threaded>::new(
    /// #     Interface::new(), Config::new(), Clock::new(Instant::now), [1, 2]);
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?, 64, b"question")?;
    /// # let packet = Packet::parse(&bytes)?;
    /// # let now = Instant::now();
    /// let config = SessionConfig::new();
    /// let _listener = socket.into_sessions(config);
    /// let _ = engine.handle_packet(now, &packet, Arrival::new());
    ///
    /// let end = engine.poll_timeout().expect("there is a session");
    /// assert_eq!(end, now + config.idle_timeout);
    /// engine.handle_timeout(end);
    /// assert_eq!((engine.stats().sessions, engine.stats().sessions_idle), (0, 1));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_timeout(&self, now: Instant) {
        let mut more = true;
        while more {
            let mut wakes = WakeList::new();
            let events;
            (more, events) = self.queues.inbound.with(|inbound| {
                let (sessions, stats) = (&mut inbound.sessions, &mut inbound.stats);
                let more = sessions.handle_timeout(now, SESSIONS_AT_ONCE, stats, &mut wakes);
                (more, sessions.take_events())
            });
            events.log();
            wakes.wake_all();
        }
    }

    /// Returns the oldest packet to send: a whole IP packet with its checksums.
    ///
    /// The packet may be longer than the [path MTU](Self::path_mtu): the driver fragments it then.
    /// With [`Interface::offload`](crate::Interface#structfield.offload) it may be a batch of
    /// datagrams, whose [`Meta`](brooklet_io::Meta) has a `gso_size`.
    ///
    /// Once half of the queue is free, the call wakes the tasks that wait for room. After `None`,
    /// [register](Self::register) the driver's waker.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
    /// # let (from, to) = ("9.9.9.9:53".parse().unwrap(), "10.0.0.1:5000".parse().unwrap());
    /// use brooklet_packet::Packet;
    ///
    /// futures_lite::future::block_on(socket.send_to(b"answer", from, to)).unwrap();
    /// let packet = engine.poll_transmit().expect("one packet waits");
    /// assert_eq!(Packet::parse(&packet).unwrap().payload(), b"answer");
    /// assert!(engine.poll_transmit().is_none());
    /// # }
    /// ```
    pub fn poll_transmit(&self) -> Option<PacketBuf> {
        let mut wakes = WakeList::new();
        let packet = self.outbound.with(|queue| queue.transmit(&mut wakes));
        wakes.wake_all();
        packet
    }

    /// Takes back the buffer of a packet that was sent. The engine keeps up to 64 buffers of up to
    /// 2,048 bytes, and 8 of up to 128 KiB, for later packets.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
    /// # let (from, to) = ("9.9.9.9:53".parse().unwrap(), "10.0.0.1:5000".parse().unwrap());
    /// # futures_lite::future::block_on(socket.send_to(b"answer", from, to)).unwrap();
    /// while let Some(packet) = engine.poll_transmit() {
    ///     println!("send {} bytes", packet.len());
    ///     engine.recycle(packet);
    /// }
    /// # }
    /// ```
    pub fn recycle(&self, packet: PacketBuf) {
        self.outbound.with(|queue| queue.recycle(packet));
    }

    /// Registers `waker`, which the next packet wakes once, and a session that opens without one.
    /// Returns whether a packet is in the queue already, or such a session has opened.
    ///
    /// The check and the registration are one step, so no packet is missed. A later call replaces
    /// the waker of an earlier one.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
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

    /// Ends every socket, every session and every other engine.
    ///
    /// Pending and later calls on sockets fail with [`StackClosed`](crate::StackClosed). Datagrams
    /// in the inbound queue can still be read before that. Packets in the outbound queues are
    /// dropped. Wakers [registered](Self::register) with the other engines are woken.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_udp::{Clock, Config, Engine, Interface, StackClosed};
    /// use std::time::Instant;
    ///
    /// let (engine, socket) = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), Clock::new(Instant::now), [1, 2]);
    /// engine.shutdown();
    /// let error = futures_lite::future::block_on(socket.recv_datagram()).unwrap_err();
    /// assert!(error.get_ref().is_some_and(|inner| inner.is::<StackClosed>()));
    /// # }
    /// ```
    pub fn shutdown(&self) {
        // All queues end before a task is woken: a waker that panics stops nothing.
        let mut wakes = WakeList::new();
        let events = self.queues.inbound.with(|inbound| {
            inbound.end(&mut wakes);
            inbound.sessions.take_events()
        });
        for queue in self.queues.outbound() {
            let ended = queue.with(|queue| queue.end(&mut wakes));
            if !queue.same(&self.outbound) {
                wakes.extend(ended.driver);
            }
        }
        events.log();
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

    /// Buffers in the pools of the inbound and of this engine's outbound queue: small ones, and
    /// large ones of the latter.
    pub(crate) fn pooled(&self) -> (usize, usize, usize) {
        let (small, large) = self.outbound.with(|outbound| outbound.pooled());
        let inbound = self.queues.inbound.with(|inbound| inbound.pooled());
        (inbound, small, large)
    }

    /// Sessions, room for sessions in the table, and bytes in the queues of sessions.
    pub(crate) fn session_memory(&self) -> (usize, usize, usize) {
        let inbound = &self.queues.inbound;
        inbound.with(|inbound| inbound.sessions.memory())
    }
}

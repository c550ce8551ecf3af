mod arrival;
mod closing;
mod mtu;
mod timeouts;

use crate::config::Config;
use crate::connection::Connection;
use crate::connector::Connector;
use crate::events::Watch;
use crate::interface::Interface;
use crate::listener::TcpListener;
use crate::listeners::CATCH_ALL;
use crate::queue::QueueShared;
use crate::seq::{Micros, NEVER};
use crate::shared::StackConfig;
use crate::stack::StackShared;
use crate::stats::{Dropped, Stats};
use brooklet_cell::wakers::WakeList;
use brooklet_cell::{Flavor, Shared};
use brooklet_io::Clock;
use brooklet_io::PacketBuf;
use brooklet_packet::FlowKey;
use std::num::NonZeroU8;
use std::task::Waker;
use std::time::Instant;

/// TCP over IP packets, without I/O, clock or tasks of its own.
///
/// The engine is the driver's side of the stack. The driver passes each received packet to
/// [`handle_packet`](Self::handle_packet) and ends a batch of packets with
/// [`flush`](Self::flush). It sends the packets that [`poll_transmit`](Self::poll_transmit)
/// returns, and calls [`handle_timeout`](Self::handle_timeout) at the time that
/// [`poll_timeout`](Self::poll_timeout) returns. When there is nothing left to do, the driver calls
/// [`sleep`](Self::sleep), which registers its waker: a handle that makes a packet or a deadline
/// wakes the driver.
///
/// ```
/// use brooklet_cell::Threaded;
/// use brooklet_tcp::{Clock, Config, Engine, Interface};
/// use std::time::Instant;
///
/// let (interface, config) = (Interface::new().mtu(1400), Config::default());
/// let clock = Clock::new(Instant::now);
/// let (mut engine, listener, connector) =
///     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
/// assert!(engine.poll_transmit().is_none());
/// assert!(engine.poll_timeout(Instant::now()).is_none());
///
/// /// One turn of a driver, with the packets that it has received.
/// fn turn(engine: &mut Engine<Threaded>, received: &[Vec<u8>], mut send: impl FnMut(&[u8])) {
///     let now = Instant::now();
///     for packet in received {
///         if let Ok(headers) = brooklet_packet::Headers::parse(packet)
///             && headers.verify_checksum(packet)
///         {
///             engine.handle_packet(now, packet, &headers);
///         }
///     }
///     engine.handle_timeout(now);
///     engine.flush(now);
///     while let Some(packet) = engine.poll_transmit() {
///         send(&packet);
///         engine.recycle(packet);
///     }
///     // Connections that found no room in the outbound queue.
///     engine.flush(now);
/// }
/// turn(&mut engine, &[], |packet| panic!("{packet:?} was sent by nobody"));
/// # drop((listener, connector));
/// ```
pub struct Engine<F: Flavor> {
    stack: StackShared<F>,
    /// The number of the engine's queue.
    queue: u8,
    queue_shared: Shared<F, QueueShared>,
    /// Connections that the current batch touched.
    touched: Vec<Shared<F, Connection<F>>>,
    /// Connections that delay an ACK so that data of the application can carry the ACK.
    ack_deferred: Vec<Shared<F, Connection<F>>>,
    /// The connection of the batch's last segment: the next segment is most often for the same
    /// one, and then takes no look into the table.
    last: Option<(FlowKey, Shared<F, Connection<F>>)>,
    /// The last moment that was converted to the stack's time.
    moment: (Instant, Micros),
    /// A SYN without its IP options and data.
    scratch: Vec<u8>,
    /// The deadlines that [`handle_timeout`](Self::handle_timeout) processes.
    due: Vec<(Micros, FlowKey)>,
    /// Timeouts were handled since the last [`poll_timeout`](Self::poll_timeout).
    timeouts_handled: bool,
    wakes: WakeList,
    /// The buffer of the packet that was sent last.
    recycled: Option<PacketBuf>,
    /// Why the last packet, or the last ICMP error, was dropped.
    dropped: Option<Dropped>,
    /// [`Connector::close`] was called, as of the last [`awake`](Self::awake).
    closing: bool,
    /// There is room for connections that wait for it. This is noted wherever the queue's cell is
    /// taken anyway: room is made here, and a task that leaves some unused wakes the driver.
    has_room: bool,
}

impl<F: Flavor> std::fmt::Debug for Engine<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl<F: Flavor> Engine<F> {
    /// Makes an engine, the listener that takes connections to every address, and the handle
    /// that begins connections.
    ///
    /// `secret` is the key of the hash that initial sequence numbers are derived from (RFC 6528).
    /// It must be random in a program and may be fixed in a simulation.
    ///
    /// ```
    /// use brooklet_cell::Threaded;
    /// use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// use std::hash::{BuildHasher, RandomState};
    ///
    /// // The keys of the standard library's hashers come from the system.
    /// let secret = [0, 1].map(|n| RandomState::new().hash_one(n));
    /// let interface = Interface::new().mtu(9000).ipv4(Some([10, 0, 0, 2].into()));
    /// let clock = Clock::new(std::time::Instant::now);
    /// let (engine, listener, connector) =
    ///     Engine::<Threaded>::new(interface, Config::default(), clock, secret);
    /// # drop((engine, listener, connector));
    /// ```
    pub fn new(
        interface: Interface,
        config: Config,
        clock: Clock,
        secret: [u64; 2],
    ) -> (Self, TcpListener<F>, Connector<F>) {
        let queues = NonZeroU8::MIN;
        let config = StackConfig::new(interface, config, clock, secret, queues);
        let stack = StackShared::new(queues, config);
        (
            Self::for_queue(&stack, 0),
            TcpListener::new(stack.clone(), CATCH_ALL),
            Connector::new(stack),
        )
    }

    /// Makes an engine for each queue of a device, and one listener and one connector for all of
    /// them.
    ///
    /// Each engine is driven as if it were alone, usually on a thread of its own. An accepted
    /// connection sends through the queue on which its SYN arrived, and a connection that begins
    /// here through a queue that the stack chooses; its segments may arrive on every queue. When
    /// one engine is [shut down](Self::shutdown), all are.
    ///
    /// ```
    /// use brooklet_cell::Threaded;
    /// use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// use std::num::NonZeroU8;
    ///
    /// let (interface, config) = (Interface::default(), Config::default());
    /// let clock = Clock::new(std::time::Instant::now);
    /// let two = NonZeroU8::new(2).expect("it is 2");
    /// let (mut engines, listener, _) =
    ///     Engine::<Threaded>::with_queues(two, interface, config, clock, [1, 2]);
    /// drop(engines.pop());
    /// assert!(!engines[0].awake());
    /// # drop(listener);
    /// ```
    pub fn with_queues(
        queues: NonZeroU8,
        interface: Interface,
        config: Config,
        clock: Clock,
        secret: [u64; 2],
    ) -> (Vec<Self>, TcpListener<F>, Connector<F>) {
        let config = StackConfig::new(interface, config, clock, secret, queues);
        let stack = StackShared::new(queues, config);
        let engine = |queue| Self::for_queue(&stack, queue);
        (
            (0..queues.get()).map(engine).collect(),
            TcpListener::new(stack.clone(), CATCH_ALL),
            Connector::new(stack),
        )
    }

    fn for_queue(stack: &StackShared<F>, queue: u8) -> Self {
        Self {
            stack: stack.clone(),
            queue,
            queue_shared: stack.queue(queue).clone(),
            touched: Vec::new(),
            ack_deferred: Vec::new(),
            last: None,
            moment: (stack.config.epoch, 0),
            scratch: Vec::new(),
            due: Vec::new(),
            timeouts_handled: false,
            wakes: WakeList::default(),
            recycled: None,
            dropped: None,
            closing: false,
            has_room: false,
        }
    }

    /// Ends a batch: every connection that the batch touched sends what it has to send, and tasks
    /// are woken.
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let interface = Interface::new().ipv4(Some([10, 0, 0, 2].into()));
    /// # let (config, clock) = (Config::default(), Clock::new(Instant::now));
    /// # let (mut engine, listener, connector) =
    /// #     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    /// let now = Instant::now();
    /// engine.handle_timeout(now);
    /// engine.flush(now);
    /// # drop((listener, connector));
    /// ```
    pub fn flush(&mut self, now: Instant) {
        let now = self.moment(now);
        self.last = None;
        for connection in self.touched.drain(..).chain(self.ack_deferred.drain(..)) {
            self.stack.enter(&connection, now, |connection, fx| {
                connection.touched = false;
                connection.ack_deferred = false;
                connection.flush(fx);
            });
        }
        self.resume_waiting(now);
        self.wakes.wake_all();
    }

    /// Ends a batch as [`flush`](Self::flush) does, except that a connection whose data wakes a
    /// reader defers its ACK: what the application writes carries the acknowledgement, and what it
    /// reads opens the window further (RFC 9293, 3.8.6.3).
    ///
    /// Returns whether there is such a connection. If so, let the woken tasks run and then call
    /// [`flush`](Self::flush).
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let interface = Interface::new().ipv4(Some([10, 0, 0, 2].into()));
    /// # let (config, clock) = (Config::default(), Clock::new(Instant::now));
    /// # let (mut engine, listener, connector) =
    /// #     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    /// let now = Instant::now();
    /// if engine.defer(now) {
    ///     std::thread::yield_now();
    ///     engine.flush(now);
    /// }
    /// # drop((listener, connector));
    /// ```
    pub fn defer(&mut self, now: Instant) -> bool {
        let now = self.moment(now);
        self.last = None;
        for connection in self.touched.drain(..) {
            let deferred = self.stack.enter(&connection, now, |connection, fx| {
                connection.touched = false;
                connection.ack_deferred = connection.wakes_reader();
                connection.flush(fx);
                connection.ack_deferred
            });
            if deferred {
                self.ack_deferred.push(connection);
            }
        }
        self.resume_waiting(now);
        self.wakes.wake_all();
        !self.ack_deferred.is_empty()
    }

    /// `now` in the stack's time. A batch has one moment, which is converted once.
    fn moment(&mut self, now: Instant) -> Micros {
        if self.moment.0 != now {
            self.moment = (now, self.stack.config.micros(now));
        }
        self.moment.1
    }

    /// Lets the connections send that found the outbound queue full, each once.
    fn resume_waiting(&mut self, now: Micros) {
        if !std::mem::take(&mut self.has_room) {
            return;
        }
        let callable = self.queue_shared.with(|queue| queue.tx.callable());
        for _ in 0..callable {
            let Some(key) = self.queue_shared.with(|queue| queue.tx.next_waiting()) else {
                break;
            };
            if let Some(connection) = self.stack.table.with(|table| table.connection(key)) {
                self.stack.enter(&connection, now, |connection, fx| {
                    // A later connection of the same 4-tuple may send through another queue.
                    if connection.queue() == self.queue {
                        connection.on_room(fx);
                    }
                });
            }
        }
    }

    /// The next packet to send. Give its buffer back with [`recycle`](Self::recycle).
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let interface = Interface::new().ipv4(Some([10, 0, 0, 2].into()));
    /// # let (config, clock) = (Config::default(), Clock::new(Instant::now));
    /// # let (mut engine, listener, connector) =
    /// #     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    /// # let mut connect = Box::pin(connector.connect("192.0.2.1:80".parse().unwrap()));
    /// # let pending = futures_lite::future::poll_once(&mut connect);
    /// # assert!(futures_lite::future::block_on(pending).is_none());
    /// while let Some(packet) = engine.poll_transmit() {
    ///     println!("a packet of {} bytes", packet.len());
    ///     engine.recycle(packet);
    /// }
    /// # assert_eq!(engine.stats().connects, 1);
    /// # drop(listener);
    /// ```
    pub fn poll_transmit(&mut self) -> Option<PacketBuf> {
        let recycled = self.recycled.take();
        let (packet, has_room) = self.queue_shared.with(|queue| queue.pop(recycled));
        self.has_room = has_room;
        packet
    }

    /// Takes back the buffer of a packet that was sent, for one of the next packets.
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let interface = Interface::new().ipv4(Some([10, 0, 0, 2].into()));
    /// # let (config, clock) = (Config::default(), Clock::new(Instant::now));
    /// # let (mut engine, listener, connector) =
    /// #     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    /// # let mut connect = Box::pin(connector.connect("192.0.2.1:80".parse().unwrap()));
    /// # let pending = futures_lite::future::poll_once(&mut connect);
    /// # assert!(futures_lite::future::block_on(pending).is_none());
    /// let packet = engine.poll_transmit().expect("a SYN");
    /// engine.recycle(packet);
    /// # drop(listener);
    /// ```
    pub fn recycle(&mut self, buffer: PacketBuf) {
        self.recycled = Some(buffer); // the next `poll_transmit` takes the queue's cell anyway
    }

    /// Lets the driver sleep until `until`, the last result of
    /// [`poll_timeout`](Self::poll_timeout), and registers its waker. Returns `false`, and
    /// registers nothing, if there is work.
    ///
    /// With `blocked` the packets that wait to be sent are no work: the device takes none now and
    /// wakes the driver itself once it does.
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let interface = Interface::new().ipv4(Some([10, 0, 0, 2].into()));
    /// # let (config, clock) = (Config::default(), Clock::new(Instant::now));
    /// # let (mut engine, listener, connector) =
    /// #     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    /// # let mut connect = Box::pin(connector.connect("192.0.2.1:80".parse().unwrap()));
    /// # let pending = futures_lite::future::poll_once(&mut connect);
    /// # assert!(futures_lite::future::block_on(pending).is_none());
    /// use std::task::Waker;
    ///
    /// assert!(!engine.sleep(Waker::noop(), None, false), "a SYN is to be sent");
    /// while engine.poll_transmit().is_some() {}
    /// let until = engine.poll_timeout(Instant::now());
    /// assert!(until.is_some(), "the SYN may have to be sent again");
    /// assert!(engine.sleep(Waker::noop(), until, false));
    /// assert!(engine.awake());
    /// # drop(listener);
    /// ```
    pub fn sleep(&mut self, waker: &Waker, until: Option<Instant>, blocked: bool) -> bool {
        let until = until.map_or(NEVER, |at| self.stack.config.micros(at));
        let recycled = self.recycled.take();
        let (closing, (sleeps, _old)) = self.queue_shared.with(|queue| {
            let slept = queue.sleep(recycled, waker, until, blocked);
            (queue.is_closing(), slept)
        });
        // A shutdown that has begun since `awake` keeps the driver from this sleep, and from no other
        // one: the driver has to learn of it here.
        self.closing = closing;
        self.has_room |= !sleeps;
        sleeps
    }

    /// Notes that the driver is awake, so that no handle wakes it needlessly. Returns `false` if
    /// the stack has ended because another of its engines was shut down. An example is at
    /// [`sleep`](Self::sleep).
    pub fn awake(&mut self) -> bool {
        let (_old, has_room, closing, gone) = self.queue_shared.with(|queue| {
            let (old, has_room) = (queue.awake(), queue.tx.callable() > 0);
            (old, has_room, queue.is_closing(), queue.is_gone())
        });
        self.has_room |= has_room;
        self.closing = closing;
        !gone
    }

    /// The counters and gauges of the stack's TCP side.
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let interface = Interface::new().ipv4(Some([10, 0, 0, 2].into()));
    /// # let (config, clock) = (Config::default(), Clock::new(Instant::now));
    /// # let (mut engine, listener, connector) =
    /// #     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    /// # let mut connect = Box::pin(connector.connect("192.0.2.1:80".parse().unwrap()));
    /// # let pending = futures_lite::future::poll_once(&mut connect);
    /// # assert!(futures_lite::future::block_on(pending).is_none());
    /// assert_eq!(engine.stats().connections, 1);
    /// # drop(listener);
    /// ```
    pub fn stats(&self) -> Stats {
        self.stack.stats()
    }

    /// Takes why the last packet, or the last ICMP error, was dropped: the counter of the reason is
    /// 1. Every counter is 0 if it was not dropped, or if the reason was taken before.
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_packet::Headers;
    /// # use brooklet_tcp::{Clock, Config, Engine, Interface, Stats};
    /// # use std::time::Instant;
    /// # let interface = Interface::new().ipv4(Some([10, 0, 0, 2].into()));
    /// # let (config, clock) = (Config::default(), Clock::new(Instant::now));
    /// # let (mut engine, listener, connector) =
    /// #     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    /// # let mut connect = Box::pin(connector.connect("192.0.2.1:80".parse().unwrap()));
    /// # let pending = futures_lite::future::poll_once(&mut connect);
    /// # assert!(futures_lite::future::block_on(pending).is_none());
    /// # let mut packet = engine.poll_transmit().expect("a SYN");
    /// packet[33] = 0b11; // SYN and FIN contradict each other
    /// let headers = Headers::parse(&packet)?;
    /// engine.handle_packet(Instant::now(), &packet, &headers);
    /// assert_eq!(engine.take_drop().bad_flags, 1);
    /// assert_eq!(engine.take_drop(), Stats::default());
    /// # drop(listener);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take_drop(&mut self) -> Stats {
        let mut stats = Stats::default();
        if let Some(dropped) = self.dropped.take() {
            stats.count(dropped);
        }
        stats
    }

    /// Ends every pending and later call on every handle with an error, and ends every other
    /// engine of the stack: their drivers are woken, and [`awake`](Self::awake) returns `false`.
    /// Dropping the engine does the same.
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let interface = Interface::new().ipv4(Some([10, 0, 0, 2].into()));
    /// # let (config, clock) = (Config::default(), Clock::new(Instant::now));
    /// # let (mut engine, listener, connector) =
    /// #     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    /// engine.shutdown();
    /// let error = futures_lite::future::block_on(listener.accept()).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::NetworkDown);
    /// # drop(connector);
    /// ```
    pub fn shutdown(&mut self) {
        self.touched.clear();
        self.ack_deferred.clear();
        self.last = None;
        let mut wakes = std::mem::take(&mut self.wakes);
        let connections = self.stack.table.with(|table| {
            let connections = table.connections();
            table.shut_down(&mut wakes);
            connections
        });
        let now = self.stack.moment();
        let mut events = Vec::new();
        for connection in connections {
            events.push(connection.with(|connection| {
                let watch = Watch::new(connection);
                connection.on_stack_shutdown(&mut wakes);
                watch.event(connection, now)
            }));
        }
        for (queue, number) in self.stack.queues().iter().zip(0..) {
            let driver = queue.with(QueueShared::end);
            wakes.extend(driver.filter(|_| number != self.queue));
        }
        for event in events {
            event.log();
        }
        wakes.wake_all();
    }
}

impl<F: Flavor> Drop for Engine<F> {
    fn drop(&mut self) {
        self.shutdown();
    }
}

#[cfg(all(test, feature = "sync"))]
mod tests;

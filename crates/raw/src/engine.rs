use crate::{
    binder::Binder,
    config::{Config, RawConfig},
    echo_policy::EchoAction,
    hub::Hub,
    icmp::{EchoPacket, Message},
    interface::Interface,
    outbound::Outbound,
    outcome::{Echoed, RawReceived},
    raw_socket::RawPacket,
    stats::Stats,
};
use brooklet_cell::{Flavor, Shared, wakers::WakeList};
use brooklet_io::Clock;
use brooklet_packet::icmp::{self, IcmpError};
use brooklet_packet::{Packet, is_unicast};
use std::{
    fmt,
    net::IpAddr,
    num::NonZeroU8,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    time::Instant,
};

/// The driver's side: ICMP messages and raw packets in, packets out.
///
/// A driver works in turns. It passes the packets that the device has received to the `handle_`
/// methods, sends what [`poll_transmit`](Self::poll_transmit) returns until there is no packet, and
/// then [registers](Self::register) its waker and sleeps. The engine has no timers.
///
/// Which method takes a packet:
///
/// | packet | method |
/// |---|---|
/// | diverted by the filter | [`handle_diverted`](Self::handle_diverted) |
/// | ICMP, and [`icmp::parse_error`] reads an error | [`handle_icmp_error`](Self::handle_icmp_error) |
/// | other ICMP | [`handle_echo_reply`](Self::handle_echo_reply), then [`handle_echo_request`](Self::handle_echo_request), then `handle_raw` |
/// | multicast, broadcast, or of a protocol that the stack does not handle | [`handle_raw`](Self::handle_raw) |
///
/// The packets are whole, not fragments.
///
/// Dropping the engine is a [`shutdown`](Self::shutdown).
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_packet::icmp::{self, Unreachable};
/// use brooklet_packet::Packet;
/// use brooklet_raw::{Echoed, Engine, RawReceived};
/// use std::time::Instant;
///
/// /// Takes an ICMP packet. Returns the answer to send, if there is one.
/// fn handle_icmp(
///     engine: &Engine<brooklet_cell::Threaded>,
///     now: Instant,
///     packet: &Packet<'_>,
/// ) -> Option<Vec<u8>> {
///     let mut answer = Vec::new();
///     if let Some(error) = icmp::parse_error(packet) {
///         engine.handle_icmp_error(now, packet, &error);
///         return None;
///     }
///     if engine.handle_echo_reply(now, packet) {
///         return None;
///     }
///     match engine.handle_echo_request(now, packet) {
///         Echoed::Answer => icmp::echo_reply(&mut answer, packet).then_some(answer),
///         Echoed::Reject(kind) => {
///             let permitted = icmp::error(&mut answer, packet, kind);
///             (permitted && engine.take_error_token(now, packet.source())).then_some(answer)
///         }
///         Echoed::NotEcho => {
///             let _ = engine.handle_raw(packet);
///             None
///         }
///         _ => None,
///     }
/// }
/// # let _ = handle_icmp;
/// # }
/// ```
pub struct Engine<F: Flavor> {
    hub: Hub<F>,
    /// The outbound queue of this engine.
    outbound: Shared<F, Outbound>,
    /// Whether the outbound queue has packets, for a look without the cell.
    has_packets: Arc<AtomicBool>,
}

impl<F: Flavor> Engine<F> {
    /// Creates an engine. Its [`binder`](Self::binder) makes sockets.
    ///
    /// The engine reads `clock` when a program sends an echo request or an ICMP error.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_cell::Threaded;
    /// use brooklet_raw::{Clock, Config, Engine, Interface};
    ///
    /// let clock = Clock::new(std::time::Instant::now);
    /// let engine = Engine::<Threaded>::new(Interface::new().mtu(1280), Config::new(), clock);
    /// # let _ = engine;
    /// # }
    /// ```
    pub fn new(interface: Interface, config: Config, clock: Clock) -> Self {
        let hub = Hub::new(NonZeroU8::MIN, interface, config, clock);
        Self::of_queue(&hub, &hub.outbound()[0])
    }

    fn of_queue(hub: &Hub<F>, outbound: &Shared<F, Outbound>) -> Self {
        Self {
            hub: hub.clone(),
            outbound: outbound.clone(),
            has_packets: outbound.with(|queue| queue.has_packets()),
        }
    }

    /// Creates an engine for each queue of a device. Sockets do not know of the queues.
    ///
    /// Each engine accepts any packet. The packets of one flow leave through one engine, in their
    /// order. Each engine has an outbound queue of its own. The [shutdown](Self::shutdown) of one
    /// engine is the shutdown of all.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_cell::Threaded;
    /// use brooklet_raw::{Clock, Config, Engine, Interface};
    /// use std::num::NonZeroU8;
    ///
    /// let two = NonZeroU8::new(2).expect("it is 2");
    /// let clock = Clock::new(std::time::Instant::now);
    /// let engines = Engine::<Threaded>::with_queues(two, Interface::new(), Config::new(), clock);
    /// assert_eq!(engines.len(), 2);
    /// # }
    /// ```
    pub fn with_queues(
        queues: NonZeroU8,
        interface: Interface,
        config: Config,
        clock: Clock,
    ) -> Vec<Self> {
        let hub = Hub::new(queues, interface, config, clock);
        let engine = |outbound| Self::of_queue(&hub, outbound);
        hub.outbound().iter().map(engine).collect()
    }

    /// Returns a handle that binds sockets. An example is at [`Binder`].
    pub fn binder(&self) -> Binder<F> {
        Binder::new(&self.hub)
    }

    /// Changes the [MTU](Interface#structfield.mtu) of the link, for the engines of all queues.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_cell::Threaded;
    /// use brooklet_raw::{Clock, Config, Engine, Interface};
    ///
    /// let clock = Clock::new(std::time::Instant::now);
    /// let engine = Engine::<Threaded>::new(Interface::new(), Config::new(), clock);
    /// engine.set_mtu(1280);
    /// # }
    /// ```
    pub fn set_mtu(&self, mtu: usize) {
        self.hub.set_mtu(mtu);
    }

    /// Decides by the [policy](Binder::set_echo_policy) about an echo request, and queues the
    /// request if the policy delivers it.
    ///
    /// The answer tells the driver what remains to do; an example is at [`Echoed`]. The method
    /// calls the program's policy, so the caller holds no cell.
    pub fn handle_echo_request(&self, now: Instant, packet: &Packet<'_>) -> Echoed {
        // RFC 1122, 3.2.2.6 leaves echo requests to a broadcast address to the host.
        if !is_unicast(packet.source()) || !is_unicast(packet.destination()) {
            return Echoed::NotEcho;
        }
        let Some(echo) = icmp::parse_echo_request(packet) else {
            return Echoed::NotEcho;
        };
        // The policy is a function of the program, so it is called and dropped with no cell held.
        let (policy, is_taken) = self
            .hub
            .sockets
            .with(|sockets| (sockets.policy.clone(), sockets.echo.is_some()));
        let action = match &policy {
            Some(policy) => policy.action(packet.destination()),
            None if is_taken => EchoAction::Deliver,
            None => self.hub.config.echo,
        };
        drop(policy);
        let mut wakes = WakeList::new();
        let echoed = self.hub.sockets.with(|sockets| {
            if sockets.closed {
                sockets.stats.dropped_other += 1;
                return Echoed::Dropped;
            }
            let entry = match action {
                EchoAction::Answer => {
                    sockets.stats.answered += 1;
                    return Echoed::Answer;
                }
                EchoAction::Reject(why) => {
                    sockets.stats.rejected += 1;
                    return Echoed::Reject(why.into());
                }
                EchoAction::Ignore => {
                    sockets.stats.ignored += 1;
                    return Echoed::Ignored;
                }
                EchoAction::Deliver => &sockets.echo,
            };
            let Some(entry) = entry else {
                sockets.stats.no_listener += 1;
                return Echoed::Dropped;
            };
            let make = || Message::Request(EchoPacket::new(now, packet, echo));
            let pushed = entry.queue.with(|queue| {
                let len = packet.bytes().len();
                queue.push(packet.source(), len, make, &mut wakes)
            });
            match pushed {
                Ok(()) => {
                    sockets.stats.echo_requests_in += 1;
                    Echoed::Queued
                }
                Err(why) => {
                    sockets.count_refused(why);
                    Echoed::Dropped
                }
            }
        });
        wakes.wake_all();
        echoed
    }

    /// Queues an echo reply for the socket that has sent the request. Returns whether there is such
    /// a socket. A reply that matches no outstanding request is left to the caller, and counted.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// use brooklet_packet::icmp::{self, Echo};
    /// use brooklet_packet::{IpFields, Packet};
    /// use std::time::Instant;
    ///
    /// let (from, to) = ("10.0.0.1".parse()?, "10.0.0.2".parse()?);
    /// let echo = Echo { identifier: 7, sequence: 1 };
    /// let mut bytes = Vec::new();
    /// icmp::write_echo_reply(&mut bytes, from, to, IpFields::new(), echo, b"ping")?;
    /// // Nobody has asked.
    /// assert!(!engine.handle_echo_reply(Instant::now(), &Packet::parse(&bytes)?));
    /// assert_eq!(engine.stats().unmatched, 1);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_echo_reply(&self, now: Instant, packet: &Packet<'_>) -> bool {
        let Some(echo) = icmp::parse_echo_reply(packet) else {
            return false;
        };
        let request = (packet.destination(), packet.source(), echo);
        let (source, len) = (packet.source(), packet.bytes().len());
        let mut wakes = WakeList::new();
        let matched = self.hub.sockets.with(|sockets| {
            let sent = sockets.icmp.iter().find_map(|entry| {
                let remove = |table: &mut crate::icmp::Outstanding| table.remove(now, &request);
                Some((entry, entry.outstanding.with(remove)?))
            });
            let Some((entry, round_trip)) = sent else {
                sockets.stats.unmatched += 1;
                return false;
            };
            let make = || Message::Reply(EchoPacket::new(now, packet, echo), round_trip);
            let pushed = entry
                .queue
                .with(|queue| queue.push(source, len, make, &mut wakes));
            match pushed {
                Ok(()) => sockets.stats.echo_replies_in += 1,
                Err(why) => sockets.count_refused(why),
            }
            true
        });
        wakes.wake_all();
        matched
    }

    /// Queues an ICMP error about an echo request for the socket that has sent the request, and one
    /// about another packet for each raw socket that asks for the protocol of that packet: such a
    /// socket receives `packet`, which carries the error. Returns whether there is such a socket. An
    /// error about an echo request that matches no outstanding request is left to the caller, and
    /// counted (RFC 5927).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// # let socket = engine.binder().bind_icmp()?;
    /// use brooklet_packet::icmp::{self, Echo, Unreachable};
    /// use brooklet_packet::Packet;
    /// use brooklet_raw::IcmpMessage;
    /// use std::time::Instant;
    ///
    /// # futures_lite::future::block_on(async {
    /// let (from, to) = ("10.0.0.2".parse()?, "10.0.0.1".parse()?);
    /// socket.send_echo_request(from, to, Echo { identifier: 7, sequence: 1 }, b"ping").await?;
    /// let (request, mut bytes) = (engine.poll_transmit().expect("one packet waits"), Vec::new());
    ///
    /// // A router answers with an error.
    /// let router = "10.0.0.254".parse()?;
    /// icmp::error_from(&mut bytes, router, &Packet::parse(&request)?, Unreachable::Host);
    /// let packet = Packet::parse(&bytes)?;
    /// let error = icmp::parse_error(&packet).expect("it is an error");
    /// assert!(engine.handle_icmp_error(Instant::now(), &packet, &error));
    ///
    /// let IcmpMessage::Error(received) = socket.recv().await? else { panic!("an error") };
    /// assert_eq!(received, error);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_icmp_error(&self, now: Instant, packet: &Packet<'_>, error: &IcmpError) -> bool {
        let Some(echo) = error.echo else {
            let wants = |config: &RawConfig| config.protocols.contains(&error.protocol);
            return self.deliver(packet, false, wants) != RawReceived::NoListener;
        };
        let (from, to) = error.key.addresses();
        let request = (from, to, echo);
        let mut wakes = WakeList::new();
        let matched = self.hub.sockets.with(|sockets| {
            let entry = sockets.icmp.iter().find(|entry| {
                let sent = entry.outstanding.with(|table| table.remove(now, &request));
                sent.is_some()
            });
            let Some(entry) = entry else {
                sockets.stats.unmatched += 1;
                return false;
            };
            let len = size_of::<Message>();
            let make = || Message::Error(*error);
            let pushed = entry
                .queue
                .with(|queue| queue.push(error.from, len, make, &mut wakes));
            match pushed {
                Ok(()) => sockets.stats.icmp_errors_in += 1,
                Err(why) => sockets.count_refused(why),
            }
            true
        });
        wakes.wake_all();
        matched
    }

    /// Queues a packet for each raw socket that asks for its protocol, or for multicast and
    /// broadcast if its destination is such an address.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// use brooklet_packet::{Packet, udp};
    /// use brooklet_raw::{RawConfig, RawReceived};
    ///
    /// let mut bytes = Vec::new();
    /// udp::write(&mut bytes, "10.0.0.1:5353".parse()?, "224.0.0.251:5353".parse()?, 255, b"who")?;
    /// let packet = Packet::parse(&bytes)?;
    /// assert_eq!(engine.handle_raw(&packet), RawReceived::NoListener);
    ///
    /// let _socket = engine.binder().bind_raw(RawConfig::new().multicast(true))?;
    /// assert_eq!(engine.handle_raw(&packet), RawReceived::Queued);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_raw(&self, packet: &Packet<'_>) -> RawReceived {
        let is_for_group = is_group(packet.destination());
        self.deliver(packet, false, |config| {
            config.protocols.contains(&packet.protocol()) || config.multicast && is_for_group
        })
    }

    /// Queues a packet that the filter diverts for each raw socket that asks for diverted packets.
    /// Without such a socket the packet is dropped and counted. `outbound` says whether the stack
    /// has made the packet. An example is at [`RawReceived`].
    pub fn handle_diverted(&self, packet: &Packet<'_>, outbound: bool) -> RawReceived {
        let received = self.deliver(packet, outbound, |config| config.diverted);
        if received == RawReceived::NoListener {
            let sockets = &self.hub.sockets;
            sockets.with(|sockets| sockets.stats.no_listener += 1);
        }
        received
    }

    fn deliver(
        &self,
        packet: &Packet<'_>,
        outbound: bool,
        wants: impl Fn(&RawConfig) -> bool,
    ) -> RawReceived {
        let mut wakes = WakeList::new();
        let received = self.hub.sockets.with(|sockets| {
            if sockets.closed {
                sockets.stats.dropped_other += 1;
                return RawReceived::Dropped;
            }
            let (source, bytes) = (packet.source(), packet.bytes());
            let mut received = RawReceived::NoListener;
            for place in 0..sockets.raw.len() {
                let entry = &sockets.raw[place];
                if !wants(&entry.config) {
                    continue;
                }
                let make = || RawPacket {
                    bytes: bytes.to_vec(),
                    outbound,
                };
                let pushed = entry
                    .queue
                    .with(|queue| queue.push(source, bytes.len(), make, &mut wakes));
                match pushed {
                    Ok(()) => {
                        sockets.stats.raw_packets_in += 1;
                        received = RawReceived::Queued;
                    }
                    Err(why) => {
                        sockets.count_refused(why);
                        if received == RawReceived::NoListener {
                            received = RawReceived::Dropped;
                        }
                    }
                }
            }
            received
        });
        wakes.wake_all();
        received
    }

    /// Takes a token for one ICMP error that the driver sends, and returns whether there was one.
    /// The error is about a packet from `source`.
    ///
    /// The limit (RFC 4443, 2.4(f); RFC 1812, 4.3.2.8) is 100 errors per second and 50 at once to
    /// one source, an IPv4 address or an IPv6 /64, and 1,000 per second and 500 at once to all. The
    /// errors of the driver and those of the program share it: take a token only for an error that
    /// may be sent. "Fragmentation needed" and "packet too big" need no token, as with Linux: path
    /// MTU discovery does not work without them.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// let (now, source) = (std::time::Instant::now(), "10.0.0.1".parse().unwrap());
    /// assert_eq!((0..60).filter(|_| engine.take_error_token(now, source)).count(), 50);
    /// # }
    /// ```
    #[must_use = "without a token the error is not sent"]
    pub fn take_error_token(&self, now: Instant, source: IpAddr) -> bool {
        self.hub.take_error_token(now, source)
    }

    /// Returns the oldest packet to send: a whole IP packet with its checksums, which may be longer
    /// than the MTU. The driver fragments such a packet.
    ///
    /// Once half of the queue is free, the call wakes the tasks that wait for room. After `None`,
    /// [register](Self::register) the driver's waker. A call while the queue is empty takes no lock.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// # let socket = engine.binder().bind_icmp()?;
    /// use brooklet_packet::icmp::Echo;
    ///
    /// let (from, to) = ("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
    /// let sent = socket.send_echo_request(from, to, Echo { identifier: 7, sequence: 1 }, b"ping");
    /// futures_lite::future::block_on(sent)?;
    /// let packet = engine.poll_transmit().expect("one packet waits");
    /// assert_eq!(packet.len(), 20 + 8 + 4);
    /// engine.recycle(packet);
    /// assert!(engine.poll_transmit().is_none());
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn poll_transmit(&self) -> Option<Vec<u8>> {
        if !self.has_packets.load(Ordering::Relaxed) {
            return None;
        }
        let mut wakes = WakeList::new();
        let packet = self.outbound.with(|queue| queue.transmit(&mut wakes));
        wakes.wake_all();
        packet
    }

    /// Takes back the buffer of a packet that was sent. The engine keeps up to 16 buffers of up to
    /// 2,048 bytes for later packets. An example is at [`poll_transmit`](Self::poll_transmit).
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
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// use std::task::Waker;
    ///
    /// assert!(!engine.register(Waker::noop()), "no packet; the next one wakes the driver");
    /// # }
    /// ```
    pub fn register(&self, waker: &Waker) -> bool {
        let (waiting, _replaced) = self.outbound.with(|queue| queue.register_driver(waker));
        waiting
    }

    /// Returns the counters of this moment.
    pub fn stats(&self) -> Stats {
        self.hub.stats()
    }

    /// Ends every socket and every other engine.
    ///
    /// Pending and later calls on sockets fail with [`StackClosed`](crate::StackClosed). Messages
    /// and packets in the inbound queues can still be received before that. Packets in the outbound
    /// queues are dropped. Wakers [registered](Self::register) with the other engines are woken.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// use brooklet_raw::StackClosed;
    ///
    /// let socket = engine.binder().bind_icmp()?;
    /// engine.shutdown();
    /// let error = futures_lite::future::block_on(socket.recv()).unwrap_err();
    /// assert!(error.get_ref().is_some_and(|inner| inner.is::<StackClosed>()));
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn shutdown(&self) {
        self.hub.shutdown(&self.outbound);
    }
}

/// Whether an address is that of several hosts.
fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_multicast(),
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

use crate::binder::Binder;
use crate::config::Config;
use crate::echo_policy::EchoAction;
use crate::hub::{Hub, Message};
use crate::inbound::Push;
use crate::interface::Interface;
use crate::raw_socket::RawPacket;
use crate::stats::Stats;
use brooklet_cell::Flavor;
use brooklet_cell::wakers::WakeList;
use brooklet_io::Clock;
use brooklet_packet::icmp::{self, IcmpError, Unreachable};
use brooklet_packet::{Packet, is_unicast};
use std::fmt;
use std::num::NonZeroU8;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Instant;

/// What [`Engine::handle_echo_request`] asks of its caller.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # use brooklet_io::Clock;
/// # use brooklet_packet::{IpFields, Packet, icmp};
/// # use brooklet_raw::{Config, Echoed, Engine, Interface};
/// # let clock = Clock::new(std::time::Instant::now);
/// # let engine = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), clock);
/// # let (client, host) = ("10.0.0.1".parse()?, "192.0.2.1".parse()?);
/// # let echo = icmp::Echo { identifier: 7, sequence: 1 };
/// # let mut request = Vec::new();
/// # icmp::write_echo_request(&mut request, client, host, IpFields::new(), echo, b"ping")?;
/// # let packet = Packet::parse(&request)?;
/// let mut reply = Vec::new();
/// if engine.handle_echo_request(&packet) == Echoed::Answer {
///     assert!(icmp::echo_reply(&mut reply, &packet));
/// }
/// # assert!(!reply.is_empty());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "`Answer` and `Reject` ask for a packet"]
#[non_exhaustive]
pub enum Echoed {
    /// The packet is no echo request between two hosts.
    NotEcho,
    /// The caller sends an echo reply.
    Answer,
    /// The caller sends this ICMP error, within its rate limit.
    Reject(Unreachable),
    /// The request is in the queue of the [`IcmpSocket`](crate::IcmpSocket).
    Delivered,
    /// The request was dropped and counted.
    Dropped,
}

/// The driver's side of ICMP and raw sockets: packets in, packets out.
///
/// Dropping the engine is a [`shutdown`](Self::shutdown).
pub struct Engine<F: Flavor> {
    hub: Hub<F>,
    /// Of several engines the first one sends.
    sends: bool,
}

impl<F: Flavor> Engine<F> {
    /// Creates an engine.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_io::Clock;
    /// use brooklet_raw::{Config, Engine, Interface};
    ///
    /// let clock = Clock::new(std::time::Instant::now);
    /// let engine = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), clock);
    /// assert!(engine.poll_transmit().is_none());
    /// # }
    /// ```
    #[must_use]
    pub fn new(interface: Interface, config: Config, clock: Clock) -> Self {
        Self {
            hub: Hub::new(interface, config, clock),
            sends: true,
        }
    }

    /// Creates an engine for each queue of a device. Sockets do not know of the queues.
    ///
    /// Each engine accepts any packet. All packets leave through the first engine, in their order.
    /// The [shutdown](Self::shutdown) of one engine is the shutdown of all.
    #[must_use]
    pub fn with_queues(
        queues: NonZeroU8,
        interface: Interface,
        config: Config,
        clock: Clock,
    ) -> Vec<Self> {
        let hub = Hub::new(interface, config, clock);
        let engine = |queue| Self {
            hub: hub.clone(),
            sends: queue == 0,
        };
        (0..queues.get()).map(engine).collect()
    }

    /// Returns a handle that binds sockets.
    pub fn binder(&self) -> Binder<F> {
        Binder::new(&self.hub)
    }

    /// Decides about an echo request by the [policy](Binder::set_echo_policy), and queues it for the
    /// ICMP socket if the policy says so.
    ///
    /// Requests to or from an address that is not unicast are dropped, as hosts do by default (RFC
    /// 1122, 3.2.2.6). An example is at [`Echoed`].
    pub fn handle_echo_request(&self, packet: &Packet<'_>) -> Echoed {
        let Some(echo) = icmp::parse_echo_request(packet) else {
            return Echoed::NotEcho;
        };
        let state = &self.hub.state;
        if !is_unicast(packet.source()) || !is_unicast(packet.destination()) {
            state.with(|state| state.stats.echo_ignored += 1);
            return Echoed::Dropped;
        }
        let action = match self.hub.policy.with(|policy| policy.clone()) {
            Some(policy) => policy.action(packet.destination()),
            None if state.with(|state| state.icmp.is_some()) => EchoAction::Deliver,
            None => self.hub.config.echo,
        };
        match action {
            EchoAction::Answer => Echoed::Answer,
            EchoAction::Reject(why) => Echoed::Reject(why),
            EchoAction::Ignore => {
                state.with(|state| state.stats.echo_ignored += 1);
                Echoed::Dropped
            }
            EchoAction::Deliver => {
                let bytes = packet.bytes();
                let make = || Message::Request(bytes.to_vec(), *packet.headers(), echo);
                match self.queue_message(packet, bytes.len(), make) {
                    Some(true) => {
                        state.with(|state| state.stats.echo_requests += 1);
                        Echoed::Delivered
                    }
                    Some(false) => Echoed::Dropped,
                    None => {
                        state.with(|state| state.stats.no_socket += 1);
                        Echoed::Dropped
                    }
                }
            }
        }
    }

    /// Queues the reply to an echo request that the program has sent lately. Returns whether it is
    /// such a reply; a reply that the queue has no room for was dropped and counted.
    pub fn handle_echo_reply(&self, now: Instant, packet: &Packet<'_>) -> bool {
        let Some(echo) = icmp::parse_echo_reply(packet) else {
            return false;
        };
        let request = (packet.destination(), packet.source(), echo);
        let known = self.hub.state.with(|state| {
            let known = state.outstanding.contains(now, request);
            state.stats.unmatched += u64::from(!known);
            known
        });
        if known {
            let bytes = packet.bytes();
            let make = || Message::Reply(bytes.to_vec(), *packet.headers(), echo);
            let queued = self.queue_message(packet, bytes.len(), make) == Some(true);
            let state = &self.hub.state;
            state.with(|state| state.stats.echo_replies += u64::from(queued));
        }
        known
    }

    /// Queues an ICMP error about an echo request that the program has sent lately (RFC 5927, 4), or
    /// about a packet of a protocol that a raw socket takes: such a socket gets the whole `packet`,
    /// which carries the error. Returns whether the error is about one of these.
    pub fn handle_icmp_error(&self, now: Instant, packet: &Packet<'_>, error: &IcmpError) -> bool {
        let Some(echo) = error.echo else {
            let takes = |config: &crate::RawConfig| config.protocols.contains(&error.protocol);
            return self.queue_raw(packet, false, takes);
        };
        let (from, to) = error.key.addresses();
        let known = self.hub.state.with(|state| {
            let known = state.outstanding.contains(now, (from, to, echo));
            state.stats.unmatched += u64::from(!known);
            known
        });
        if known {
            let make = || Message::Error(*error);
            let queued = self.queue_message(packet, size_of::<IcmpError>(), make) == Some(true);
            let state = &self.hub.state;
            state.with(|state| state.stats.echo_errors += u64::from(queued));
        }
        known
    }

    /// Queues a message for the ICMP socket. Returns whether it was queued, or `None` without a
    /// socket.
    fn queue_message(
        &self,
        packet: &Packet<'_>,
        bytes: usize,
        make: impl FnOnce() -> Message,
    ) -> Option<bool> {
        let mut wakes = WakeList::new();
        let queued = self.hub.state.with(|state| {
            let queue = state.icmp.as_ref()?;
            let push = queue.with(|queue| queue.push(packet.source(), bytes, &mut wakes, make));
            match push {
                Push::Queued => {}
                Push::Full => state.stats.dropped_full += 1,
                Push::SourceFull => state.stats.dropped_source += 1,
            }
            Some(push == Push::Queued)
        });
        wakes.wake_all();
        queued
    }

    /// Queues a copy of an inbound packet for each raw socket that takes it: by its protocol, or
    /// because its destination is multicast or broadcast. Returns whether a socket takes it; a copy
    /// that a queue has no room for was dropped and counted.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_io::Clock;
    /// # use brooklet_packet::{Packet, Protocol, udp};
    /// # use brooklet_raw::{Config, Engine, Interface};
    /// use brooklet_raw::RawConfig;
    ///
    /// # let clock = Clock::new(std::time::Instant::now);
    /// # let engine = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), clock);
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5353".parse()?, "224.0.0.251:5353".parse()?, 1, b"mdns")?;
    /// let mdns = Packet::parse(&bytes)?;
    /// assert!(!engine.handle_raw(&mdns));
    /// let _socket = engine.binder().bind_raw(RawConfig::new().multicast(true))?;
    /// assert!(engine.handle_raw(&mdns));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_raw(&self, packet: &Packet<'_>) -> bool {
        let group = !is_unicast(packet.destination());
        let takes = |config: &crate::RawConfig| {
            (group && config.multicast) || config.protocols.contains(&packet.protocol())
        };
        self.queue_raw(packet, false, takes)
    }

    /// Queues a copy of a packet that a filter diverts for each raw socket that takes
    /// [diverted](crate::RawConfig::diverted) packets. `outbound` says whether the stack has made
    /// the packet. Returns whether a socket takes it; without one the packet is counted.
    pub fn handle_diverted(&self, packet: &Packet<'_>, outbound: bool) -> bool {
        let taken = self.queue_raw(packet, outbound, |config| config.diverted);
        if !taken {
            self.hub.state.with(|state| state.stats.no_socket += 1);
        }
        taken
    }

    fn queue_raw(
        &self,
        packet: &Packet<'_>,
        outbound: bool,
        takes: impl Fn(&crate::RawConfig) -> bool,
    ) -> bool {
        let mut wakes = WakeList::new();
        let mut taken = false;
        self.hub.state.with(|state| {
            let bytes = packet.bytes();
            for raw in state.raw.iter().filter(|raw| takes(&raw.config)) {
                taken = true;
                let make = || RawPacket {
                    bytes: bytes.to_vec(),
                    outbound,
                };
                let push = raw
                    .queue
                    .with(|queue| queue.push(packet.source(), bytes.len(), &mut wakes, make));
                match push {
                    Push::Queued => state.stats.packets_in += 1,
                    _ => state.stats.dropped_full += 1,
                }
            }
        });
        wakes.wake_all();
        taken
    }

    /// Takes a token for one ICMP error. Returns whether there was one: the limit is 100 errors per
    /// second and 50 at once (RFC 4443, 2.4(f); RFC 1812, 4.3.2.8). The driver and the program take
    /// their tokens from one bucket.
    pub fn take_error_token(&self, now: Instant) -> bool {
        self.hub.state.with(|state| state.bucket.take(now))
    }

    /// Returns the oldest packet to send: a whole IP packet with its checksums, which may be longer
    /// than the MTU. After `None`, [register](Self::register) the driver's waker.
    ///
    /// A call while the queue is empty takes no lock.
    pub fn poll_transmit(&self) -> Option<Vec<u8>> {
        if !self.sends || !self.hub.has_packets.load(Ordering::Relaxed) {
            return None;
        }
        let mut wakes = WakeList::new();
        let packet = self.hub.outbound.with(|queue| queue.transmit(&mut wakes));
        wakes.wake_all();
        packet
    }

    /// Takes back the buffer of a packet that was sent.
    pub fn recycle(&self, packet: Vec<u8>) {
        self.hub.outbound.with(|queue| queue.recycle(packet));
    }

    /// Registers `waker`, which the next packet wakes once. Returns whether a packet is in the
    /// queue already.
    pub fn register(&self, waker: &Waker) -> bool {
        if !self.sends {
            return false;
        }
        let (waiting, _replaced) = self.hub.outbound.with(|queue| queue.register_driver(waker));
        waiting
    }

    /// Returns the counters of this moment.
    pub fn stats(&self) -> Stats {
        self.hub.state.with(|state| state.stats)
    }

    /// Ends every socket and every other engine. Pending and later calls on sockets fail with
    /// [`StackClosed`](crate::StackClosed); messages and packets in their queues can still be read
    /// before that.
    pub fn shutdown(&self) {
        self.hub.shutdown();
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

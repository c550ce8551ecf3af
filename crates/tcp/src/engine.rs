use crate::context::{Context, Fixed};
use crate::flow::Flow;
use crate::hub::Hub;
use crate::listeners::CATCH_ALL;
use crate::memory::Memory;
use crate::requests;
use crate::segment::{self, Segment};
use crate::table::{Route, Table};
use crate::train::Train;
use crate::wake::Wakes;
use crate::{Clock, Config, Connector, Stats, TcpListener, TcpOptions};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::PacketBuf;
use brooklet_packet::icmp::IcmpError;
use brooklet_packet::{FlowKey, Headers, Packet};
use std::num::NonZeroU8;
use std::task::Waker;
use std::time::{Duration, Instant};

/// Deadlines this near are not looked into: waking once for nothing costs less.
const HASTE: Duration = Duration::from_millis(1100);

/// TCP over IP packets, without I/O, clock or tasks of its own.
///
/// This is the driver's side. It is fed with [`handle_packet`](Self::handle_packet), as often as
/// packets are at hand, and then [`settle`](Self::settle)d; it gives packets to send from
/// [`poll_transmit`](Self::poll_transmit). When [`poll_timeout`](Self::poll_timeout) comes it wants
/// [`handle_timeout`](Self::handle_timeout). When nothing is left to do the driver says so with
/// [`sleep`](Self::sleep), and is woken when a handle has made a packet or a deadline.
///
/// ```
/// use brooklet_cell::Sync;
/// use brooklet_tcp::{Clock, Config, Engine};
/// use std::time::Instant;
///
/// let clock = Clock::new(Instant::now);
/// let (mut engine, listener, connector) = Engine::<Sync>::new(Config::default(), clock, [1, 2]);
/// assert!(engine.poll_transmit().is_none());
/// assert!(engine.poll_timeout(Instant::now()).is_none());
/// # drop((listener, connector));
/// ```
pub struct Engine<F: Flavor> {
    context: Context<F>,
    queue: u8,
    /// That of its queue.
    hub: Shared<F, Hub>,
    /// Connections that the current batch touched.
    touched: Vec<Shared<F, Flow>>,
    /// Connections whose acknowledgement waits for what the application writes.
    owing: Vec<Shared<F, Flow>>,
    /// What came last, which the next packet may go on with.
    train: Train,
    scratch: Vec<u8>,
    wakes: Wakes,
    /// The buffer of the packet that was sent last.
    spent: Option<PacketBuf>,
    /// Connections that wait for room may be called. It is noted wherever the hub is looked into
    /// anyway: room is made here, and who leaves some unused wakes the driver.
    callable: bool,
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
    /// `secret` is the key of the hash from which initial sequence numbers come (RFC 6528): it
    /// must be random in a program, and may be fixed in a simulation.
    pub fn new(
        config: Config,
        clock: Clock,
        secret: [u64; 2],
    ) -> (Self, TcpListener<F>, Connector<F>) {
        let context = context(NonZeroU8::MIN, config, clock, secret);
        (
            Self::of_queue(&context, 0),
            TcpListener::new(context.clone(), CATCH_ALL),
            Connector::new(context),
        )
    }

    /// Makes an engine for each queue of a device, and handles that are those of all: they need
    /// not know of the queues.
    ///
    /// Each engine is driven as if it were alone, as a rule on a thread of its own. A connection
    /// sends through the queue on which its SYN came, and one that begins here through any; what
    /// it receives may come on every queue. When one engine is [shut down](Self::shutdown), all
    /// are.
    ///
    /// ```
    /// use brooklet_cell::Sync;
    /// use brooklet_tcp::{Clock, Config, Engine};
    /// use std::num::NonZeroU8;
    ///
    /// let clock = Clock::new(std::time::Instant::now);
    /// let two = NonZeroU8::new(2).expect("it is 2");
    /// let (mut engines, listener, _) =
    ///     Engine::<Sync>::with_queues(two, Config::default(), clock, [1, 2]);
    /// drop(engines.pop());
    /// assert!(!engines[0].awake());
    /// # drop(listener);
    /// ```
    pub fn with_queues(
        queues: NonZeroU8,
        config: Config,
        clock: Clock,
        secret: [u64; 2],
    ) -> (Vec<Self>, TcpListener<F>, Connector<F>) {
        let context = context(queues, config, clock, secret);
        let engine = |queue| Self::of_queue(&context, queue);
        (
            (0..queues.get()).map(engine).collect(),
            TcpListener::new(context.clone(), CATCH_ALL),
            Connector::new(context),
        )
    }

    fn of_queue(context: &Context<F>, queue: u8) -> Self {
        Self {
            context: context.clone(),
            queue,
            hub: context.hub(queue).clone(),
            touched: Vec::new(),
            owing: Vec::new(),
            train: Train::default(),
            scratch: Vec::new(),
            wakes: Wakes::default(),
            spent: None,
            callable: false,
        }
    }

    /// Takes in one TCP packet whose checksums have been verified and which is not a fragment.
    ///
    /// `headers` are those of `packet`, which is altered where smoltcp would take it wrongly.
    /// Call [`settle`](Self::settle) after the last packet of a batch: that is when connections
    /// answer and tasks are woken.
    pub fn handle_packet(&mut self, now: Instant, packet: &mut [u8], headers: &Headers) {
        let packet = &mut packet[..headers.total_len()];
        if self.train.join(packet, headers) {
            return;
        }
        self.arrive(now);
        if !self.train.begin(packet, headers) {
            self.take_in(now, packet, headers, 1);
        }
    }

    /// Takes in the segments that were joined.
    fn arrive(&mut self, now: Instant) {
        let mut train = std::mem::take(&mut self.train);
        let segments = train.segments();
        if let Some((packet, headers)) = train.take() {
            self.take_in(now, packet, &headers, segments);
        }
        self.train = train;
    }

    /// Takes in a packet that so many segments were joined to; 1: as it came.
    fn take_in(&mut self, now: Instant, packet: &mut [u8], headers: &Headers, segments: usize) {
        let Some(tcp) = headers.tcp() else { return };
        let key = headers.key();
        let payload = !headers.payload_range().is_empty();
        let again = now + self.context.fixed.config.time_wait;
        let route = |table: &mut Table<F>| table.route(key, tcp, payload, again);
        match self.context.table.with(route) {
            Route::Flow(flow) => self.deliver(now, &flow, (packet, headers), segments),
            Route::Request => self.keep(now, packet, headers),
            Route::Acknowledge { seq, ack } => {
                let ack = Segment {
                    seq,
                    ack: Some(ack),
                    ..Segment::default()
                };
                self.reply(ack.packet(key.reversed()));
            }
            Route::Reset => self.reset(packet, headers),
            Route::Done => {}
        }
    }

    /// Takes in an ICMP error about a packet that was sent from here.
    ///
    /// It counts only if it quotes a segment that is under way (RFC 5927, 4.1). A packet that was
    /// too big makes smaller segments (RFC 1191, 8201); an error about a SYN fails the `connect`
    /// that sent it; other errors are left to timeouts (RFC 5927, 6.1).
    pub fn handle_icmp_error(&mut self, now: Instant, error: &IcmpError) {
        self.arrive(now);
        let Some(seq) = error.seq else { return };
        let key = error.key.reversed();
        if let Some(flow) = self.context.table.with(|table| table.flow(key)) {
            self.context
                .enter(&flow, now, |flow, work| flow.on_icmp(error.kind, seq, work));
        }
    }

    fn reset(&mut self, packet: &[u8], headers: &Headers) {
        let mut reply = Vec::new();
        if brooklet_packet::tcp::reset(&mut reply, &Packet::new(packet, *headers)) {
            self.context.table.with(|table| table.stats.resets += 1);
            self.reply(reply);
        }
    }

    fn deliver(
        &mut self,
        now: Instant,
        flow: &Shared<F, Flow>,
        (packet, headers): (&mut [u8], &Headers),
        segments: usize,
    ) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let plain = plain(&mut scratch, packet, headers);
        let first = self.context.enter(flow, now, |flow, work| {
            if let Some((bytes, headers)) = plain {
                flow.ingress(bytes, &headers, segments, work);
                if flow.end.is_some() {
                    // The next packet may be the SYN of a new connection, which must not meet
                    // what is left of this one.
                    flow.settle(work);
                }
            }
            !std::mem::replace(&mut flow.touched, true)
        });
        self.scratch = scratch;
        if first {
            self.touched.push(flow.clone());
        }
    }

    fn keep(&mut self, now: Instant, packet: &mut [u8], headers: &Headers) {
        let Some(tcp) = headers.tcp() else { return };
        let mut scratch = std::mem::take(&mut self.scratch);
        let syn = if packet.len() <= requests::SYN {
            Some(&*packet)
        } else {
            plain(&mut scratch, packet, headers)
                .map(|(syn, headers)| segment::without_data(syn, &headers))
        };
        if let Some(syn) = syn {
            let (config, wakes) = (&self.context.fixed.config, &mut self.wakes);
            let TcpOptions {
                recv_buffer,
                send_buffer,
                ..
            } = config.options;
            let memory = &self.context.fixed.memory;
            let queue = self.queue;
            let request = |table: &mut Table<F>| {
                // Each request has its place, so that it can be accepted.
                let known = table.requests.isn(headers.key()).is_some();
                if !known && !memory.has_room(table.requests.len() + 1, recv_buffer, send_buffer) {
                    table.stats.table_full += 1;
                    return true;
                }
                table.request((headers.key(), queue), tcp.seq, syn, now, config, wakes)
            };
            if !self.context.table.with(request) {
                self.reset(packet, headers);
            }
        }
        self.scratch = scratch;
    }

    fn reply(&mut self, packet: Vec<u8>) {
        let driver = self.hub.with(|hub| hub.push(packet.into(), false));
        self.wakes.extend(driver);
    }

    /// Ends a batch: every connection that it touched answers, and tasks are woken.
    pub fn settle(&mut self, now: Instant) {
        self.arrive(now);
        for flow in self.touched.drain(..).chain(self.owing.drain(..)) {
            self.context.enter(&flow, now, |flow, work| {
                flow.touched = false;
                flow.owing = false;
                flow.settle(work);
            });
        }
        self.call_waiting(now);
        self.wakes.wake();
    }

    /// Ends a batch as [`settle`](Self::settle) does, except that a connection whose data wakes
    /// somebody does not acknowledge it yet: an answer of the application would carry the
    /// acknowledgement, and what it reads opens the window further (RFC 9293, 3.8.6.3).
    ///
    /// Says whether there is such a connection. Then let the tasks that were woken have their
    /// turn, and call [`settle`](Self::settle).
    pub fn defer(&mut self, now: Instant) -> bool {
        self.arrive(now);
        for flow in self.touched.drain(..) {
            let owing = self.context.enter(&flow, now, |flow, work| {
                flow.touched = false;
                flow.owing = flow.wakes_reader();
                flow.settle(work);
                flow.owing
            });
            if owing {
                self.owing.push(flow);
            }
        }
        self.call_waiting(now);
        self.wakes.wake();
        !self.owing.is_empty()
    }

    /// Calls the connections that found the outbound queue full, each once.
    fn call_waiting(&mut self, now: Instant) {
        if !std::mem::take(&mut self.callable) {
            return;
        }
        let callable = self.hub.with(|hub| hub.queue.callable());
        for _ in 0..callable {
            let Some(key) = self.hub.with(|hub| hub.queue.next_waiting()) else {
                break;
            };
            if let Some(flow) = self.context.table.with(|table| table.flow(key)) {
                self.context.enter(&flow, now, |flow, work| {
                    // One that came after that which waited here may be of another queue.
                    if flow.queue() == self.queue {
                        flow.on_room(work);
                    }
                });
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do, as of this call; `None`
    /// if only a packet or a handle can bring work.
    ///
    /// Within the next second it may be a moment that has become needless since; a later one is
    /// needed, so that an idle stack sleeps.
    pub fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let config = &self.context.fixed.config;
        let (table, connections) = self
            .context
            .table
            .with(|table| (table.next_expiry(config), table.stats.connections));
        let limit = 2 * connections as usize + 1024;
        let (all, mut first) = self.hub.with(|hub| {
            let all = hub.timers.take_beyond(limit);
            (all, hub.timers.first())
        });
        if !all.is_empty() {
            self.put_back(all);
            first = self.hub.with(|hub| hub.timers.first());
        }
        while let Some((at, key)) = first
            && at > now + HASTE
            && !self.still_wanted(at, key)
        {
            first = self.hub.with(|hub| hub.timers.first());
        }
        let flows = first.map(|(at, _)| at);
        table.into_iter().chain(flows).min()
    }

    /// Puts back the deadlines that somebody waits for. All are taken out once the others are the
    /// greater part: those of connections that are gone would stay until they come.
    fn put_back(&mut self, all: Vec<(Instant, FlowKey)>) {
        // The driver, which is here, is the only one to take deadlines out.
        for (at, key) in all {
            let flow = self.context.table.with(|table| table.flow(key));
            let next = flow.and_then(|flow| {
                flow.with(|flow| {
                    if flow.wants(at) {
                        Some(at)
                    } else {
                        flow.rearm(at)
                    }
                })
            });
            if let Some(next) = next {
                self.hub.with(|hub| hub.timers.push(next, key));
            }
        }
    }

    /// Whether the connection `key` needs its deadline `at`; if not, takes that out and puts the
    /// one in that it needs.
    fn still_wanted(&mut self, at: Instant, key: FlowKey) -> bool {
        let flow = self.context.table.with(|table| table.flow(key));
        if flow
            .as_ref()
            .is_some_and(|flow| flow.with(|flow| flow.wants(at)))
        {
            return true;
        }
        if self.hub.with(|hub| hub.timers.pop_exactly((at, key)))
            && let Some(flow) = flow
            && let Some(next) = flow.with(|flow| flow.rearm(at))
        {
            self.hub.with(|hub| hub.timers.push(next, key));
        }
        false
    }

    /// Does what is due at `now`: retransmissions, probes, timeouts.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.arrive(now);
        let config = &self.context.fixed.config;
        self.context.table.with(|table| table.expire(now, config));
        while let Some((at, key)) = self.hub.with(|hub| hub.timers.pop_due(now)) {
            if let Some(flow) = self.context.table.with(|table| table.flow(key)) {
                self.context
                    .enter(&flow, now, |flow, work| flow.on_deadline(at, work));
            }
        }
    }

    /// The next packet to send. Give its buffer back with [`recycle`](Self::recycle).
    pub fn poll_transmit(&mut self) -> Option<PacketBuf> {
        let spent = self.spent.take();
        let (packet, callable) = self.hub.with(|hub| hub.pop(spent));
        self.callable = callable;
        packet
    }

    /// Takes back the buffer of a packet that has been sent.
    pub fn recycle(&mut self, buffer: PacketBuf) {
        self.spent = Some(buffer); // it goes back when the next packet is asked for
    }

    /// Lets the driver sleep until `until`, the last answer of
    /// [`poll_timeout`](Self::poll_timeout), and registers its waker; or says `false`, and
    /// registers nothing, because there is work.
    ///
    /// With `blocked` the packets that wait are no work: the device takes none, and wakes the
    /// driver itself when it does.
    pub fn sleep(&mut self, waker: &Waker, until: Option<Instant>, blocked: bool) -> bool {
        let (sleeps, _old) = self.hub.with(|hub| hub.sleep(waker, until, blocked));
        self.callable |= !sleeps;
        sleeps
    }

    /// Says that the driver is awake, so that nobody wakes it in vain. `false` is the answer when
    /// the stack has ended, by the end of another of its engines.
    pub fn awake(&mut self) -> bool {
        let (_old, callable, gone) = self
            .hub
            .with(|hub| (hub.awake(), hub.queue.callable() > 0, hub.is_gone()));
        self.callable |= callable;
        !gone
    }

    /// What has been done and what is held.
    pub fn stats(&self) -> Stats {
        self.context.stats()
    }
}

impl<F: Flavor> Engine<F> {
    /// Ends every pending and later call on every handle with an error, and every other engine of
    /// the stack: [`awake`](Self::awake) tells their drivers, which are woken. Dropping the engine
    /// does the same.
    pub fn shutdown(&mut self) {
        self.touched.clear();
        self.owing.clear();
        let mut wakes = std::mem::take(&mut self.wakes);
        let flows = self.context.table.with(|table| {
            let flows = table.flows();
            table.listeners.wake_all(&mut wakes);
            table.clear();
            flows
        });
        for flow in flows {
            flow.with(|flow| flow.strand(&mut wakes));
        }
        for (hub, queue) in self.context.hubs().iter().zip(0..) {
            let driver = hub.with(Hub::end);
            wakes.extend(driver.filter(|_| queue != self.queue));
        }
        wakes.wake();
    }
}

impl<F: Flavor> Drop for Engine<F> {
    fn drop(&mut self) {
        self.shutdown();
    }
}

fn context<F: Flavor>(
    queues: NonZeroU8,
    config: Config,
    clock: Clock,
    secret: [u64; 2],
) -> Context<F> {
    let config = config.usable();
    let fixed = Fixed {
        epoch: clock.now(),
        memory: Memory::new(config.memory),
        config,
        clock,
        secret,
    };
    Context::new(queues, fixed)
}

/// The packet without IP options and extension headers, which smoltcp does not walk.
fn plain<'a>(
    scratch: &'a mut Vec<u8>,
    packet: &'a mut [u8],
    headers: &Headers,
) -> Option<(&'a mut [u8], Headers)> {
    if !headers.has_options() {
        return Some((packet, *headers));
    }
    if !brooklet_packet::strip_options(scratch, &Packet::new(packet, *headers)) {
        return None;
    }
    let headers = Headers::parse(scratch).ok()?;
    Some((scratch, headers))
}

impl<F: Flavor> Context<F> {
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.table.with(|table| table.stats());
        for hub in self.hubs() {
            stats.outbound_full += hub.with(|hub| hub.queue.refused());
        }
        let held = self.fixed.memory.held();
        stats.awake = held.users as u64;
        stats.buffers = held.lent as u64;
        stats.spare_buffers = held.waiting as u64;
        stats
    }
}

#[cfg(all(test, feature = "sync"))]
mod tests;

//! Every tuple that is known: connection requests, connections, and ended connections.

use crate::Config;
use crate::context::Leaves;
use crate::error::stack_closed;
use crate::flow::Flow;
use crate::incoming::withdrawn;
use crate::listeners::{Listeners, Listening};
use crate::ports::Ports;
use crate::requests::{Request, Requests, Ticket};
use crate::seq::after;
use crate::stats::Stats;
use crate::wake::Wakes;
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::{FlowKey, TcpHeader, is_unicast};
use foldhash::fast::RandomState;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) struct Table<F: Flavor> {
    /// A tuple is here or among the requests, never both.
    entries: HashMap<FlowKey, Entry<F>, RandomState>,
    pub(crate) requests: Requests,
    pub(crate) listeners: Listeners,
    ports: Ports,
    /// When ended connections are forgotten, in order. May name some that are gone.
    time_waits: VecDeque<(Instant, FlowKey)>,
    pub(crate) gone: bool,
    pub(crate) stats: Stats,
}

enum Entry<F: Flavor> {
    Flow {
        flow: Shared<F, Flow>,
        /// The listener that answered it by itself.
        listener: Option<u32>,
        /// Its handshake is not done, and the listener counts it.
        shaking: bool,
    },
    TimeWait(TimeWait),
}

/// What is left of an ended connection.
#[derive(Clone, Copy)]
pub(crate) struct TimeWait {
    next: u32,
    acked: u32,
    until: Instant,
}

/// What a listener leaves behind.
pub(crate) struct Left<F: Flavor> {
    /// Requests that it has not been given.
    pub(crate) requests: Vec<Request>,
    /// Connections that it answered, also those that have been collected.
    pub(crate) answered: Vec<Shared<F, Flow>>,
    /// To be dropped where no cell is held.
    _listening: Listening,
}

/// TIME-WAIT is not begun anew more often, so that notes of it are few.
const ONCE_AGAIN: Duration = Duration::from_secs(1);

/// Where a packet goes.
pub(crate) enum Route<F: Flavor> {
    Flow(Shared<F, Flow>),
    /// To a listener: keep it with [`Table::request`].
    Request,
    /// Answer it with a bare acknowledgement.
    Acknowledge {
        seq: u32,
        ack: u32,
    },
    /// Answer it with a reset.
    Reset,
    /// Nothing is to be done.
    Done,
}

impl<F: Flavor> std::fmt::Debug for Table<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

/// The connection `key` if `listener` answered it and its handshake is not done.
fn shaking<F: Flavor>(
    entries: &HashMap<FlowKey, Entry<F>, RandomState>,
    key: FlowKey,
    listener: u32,
) -> Option<Shared<F, Flow>> {
    match entries.get(&key)? {
        Entry::Flow {
            flow,
            listener: Some(id),
            shaking: true,
        } if *id == listener => Some(flow.clone()),
        _ => None,
    }
}

impl<F: Flavor> Table<F> {
    pub(crate) fn new(config: &Config) -> Self {
        let mut listeners = Listeners::new();
        listeners.add(None);
        Self {
            entries: HashMap::default(),
            requests: Requests::new(config.backlog),
            listeners,
            ports: Ports::new(),
            time_waits: VecDeque::new(),
            gone: false,
            stats: Stats::default(),
        }
    }

    pub(crate) fn flow(&self, key: FlowKey) -> Option<Shared<F, Flow>> {
        match self.entries.get(&key) {
            Some(Entry::Flow { flow, .. }) => Some(flow.clone()),
            _ => None,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            requests: self.requests.len() as u64,
            ..self.stats
        }
    }

    /// Decides where a packet goes. Its checksum is good.
    ///
    /// A FIN that comes again keeps TIME-WAIT going until `again` (RFC 9293, 3.10.7.4).
    pub(crate) fn route(
        &mut self,
        key: FlowKey,
        tcp: TcpHeader,
        payload: bool,
        again: Instant,
    ) -> Route<F> {
        if self.gone {
            return Route::Done; // another engine has ended the stack
        }
        let flags = tcp.flags;
        let impossible = flags.syn() && (flags.fin() || flags.rst());
        if impossible || !(flags.syn() || flags.ack() || flags.rst()) {
            self.stats.bad_flags += 1;
            return Route::Done;
        }
        let opens = flags.syn() && !flags.ack();
        match self.entries.get_mut(&key) {
            Some(Entry::Flow { flow, .. }) => Route::Flow(flow.clone()),
            Some(Entry::TimeWait(wait)) => {
                let TimeWait { next, acked, until } = *wait;
                let few = self.time_waits.len() <= 2 * self.stats.time_wait as usize;
                if flags.fin() && few && again >= until + ONCE_AGAIN {
                    wait.until = again;
                    self.time_waits.push_back((again, key));
                }
                // A SYN beyond what was seen opens anew (RFC 9293, 3.10.7.4); a RST must not
                // end TIME-WAIT (RFC 1337).
                if opens && after(tcp.seq, acked) {
                    self.stats.time_wait -= 1;
                    self.entries.remove(&key);
                    return self.fresh(key);
                }
                // A bare acknowledgement is not answered with another: two ends that both wait
                // here would never stop.
                if flags.rst() || !(payload || flags.fin() || flags.syn()) {
                    return Route::Done;
                }
                Route::Acknowledge {
                    seq: next,
                    ack: acked,
                }
            }
            None => match self.requests.isn(key) {
                Some(isn) => self.requested(key, isn, tcp, opens),
                None if opens => self.fresh(key),
                None => Route::Reset,
            },
        }
    }

    /// Decides on a packet of a client whose SYN `isn` waits for an answer.
    fn requested(&mut self, key: FlowKey, isn: u32, tcp: TcpHeader, opens: bool) -> Route<F> {
        if tcp.flags.rst() {
            if tcp.seq == isn.wrapping_add(1) {
                self.requests.remove(key);
            }
            return Route::Done;
        }
        match opens {
            true if tcp.seq == isn => Route::Done, // it asks again
            true => Route::Request,                // a client that started anew
            false => Route::Reset,                 // it acknowledges what was never sent
        }
    }

    fn fresh(&mut self, key: FlowKey) -> Route<F> {
        let (peer, local) = (key.source(), key.destination());
        let addressable = |a: SocketAddr| is_unicast(a.ip()) && a.port() != 0;
        if !addressable(peer) || !addressable(local) || peer == local {
            self.stats.bad_address += 1;
            Route::Done
        } else if self.listeners.of(local).is_none() {
            Route::Reset
        } else {
            Route::Request
        }
    }

    /// Keeps a SYN that came on a queue until somebody answers it. `false`: whoever listened has gone since the SYN was
    /// routed, and it is to be refused.
    pub(crate) fn request(
        &mut self,
        (key, queue): (FlowKey, u8),
        isn: u32,
        syn: &[u8],
        now: Instant,
        config: &Config,
        wakes: &mut Wakes,
    ) -> bool {
        if self.gone {
            return true;
        }
        if self.requests.isn(key).is_some() {
            self.requests.renew(key, isn, syn);
            return true;
        }
        // A connection was begun from here since the packet was routed.
        if self.entries.contains_key(&key) {
            return true;
        }
        let Some(listener) = self.listeners.of(key.destination()) else {
            return false;
        };
        if self.stats.connections as usize >= config.max_connections {
            self.stats.table_full += 1;
            return true;
        }
        // Each request has its place among the connections, so that it can be accepted.
        let held = self.requests.len() + self.stats.connections as usize;
        if self.requests.of_source(key) >= config.backlog_per_source {
            self.requests.remove_oldest_of_source(key);
            self.stats.source_full += 1;
        } else if (self.requests.len() >= config.backlog || held >= config.max_connections)
            && self.requests.remove_oldest()
        {
            self.stats.backlog_full += 1;
        }
        self.stats.requested += 1;
        self.requests.insert((key, listener, queue), isn, syn, now);
        if let Some(listening) = self.listeners.get_mut(listener) {
            listening.acceptors.drain_into(wakes);
        }
        true
    }

    /// Puts a connection in the place of a request. With `listened` it is the listener's until
    /// its handshake is done.
    pub(crate) fn answer(
        &mut self,
        ticket: Ticket,
        flow: Shared<F, Flow>,
        listened: bool,
        now: Instant,
    ) -> io::Result<()> {
        if self.gone {
            return Err(stack_closed());
        }
        let Request { key, listener, .. } = self.requests.take(ticket).ok_or_else(withdrawn)?;
        let listener = listened.then_some(listener);
        if let Some(listening) = listener.and_then(|id| self.listeners.get_mut(id)) {
            listening.handshakes += 1;
            listening.answered.push_back((now, key));
        }
        let entry = Entry::Flow {
            flow,
            listener,
            shaking: listened,
        };
        self.entries.insert(key, entry);
        self.forget_handshakes(listener);
        self.stats.connections += 1;
        self.stats.accepted += 1;
        Ok(())
    }

    /// Whether a connection can begin here.
    pub(crate) fn is_free(&self, key: FlowKey) -> bool {
        let taken = matches!(self.entries.get(&key), Some(Entry::Flow { .. }));
        !taken && self.requests.isn(key).is_none()
    }

    /// A port to connect from `from` to `to`, that no connection between the two has used lately.
    pub(crate) fn port(
        &mut self,
        secret: [u64; 2],
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<u16> {
        let (entries, requests, listeners) = (&self.entries, &self.requests, &self.listeners);
        self.ports.pick(secret, from.ip(), Some(to), |port| {
            let from = SocketAddr::new(from.ip(), port);
            from != to
                && !listeners.is_bound(from)
                && FlowKey::new(to, from)
                    .is_some_and(|key| !entries.contains_key(&key) && requests.isn(key).is_none())
        })
    }

    /// Adds a listener that takes the connections to `address`; port 0 is replaced by a free one.
    pub(crate) fn bind(&mut self, secret: [u64; 2], address: SocketAddr) -> io::Result<u32> {
        if self.gone {
            return Err(stack_closed());
        }
        let mut bound = address;
        if address.port() == 0 {
            let listeners = &self.listeners;
            let free = |port| !listeners.is_bound(SocketAddr::new(address.ip(), port));
            let port = self.ports.pick(secret, address.ip(), None, free);
            bound.set_port(port.ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::AddrInUse,
                    format!("all ephemeral ports of {} are bound", address.ip()),
                )
            })?);
        } else if self.listeners.is_bound(address) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("another listener is bound to {address}"),
            ));
        }
        Ok(self.listeners.add(Some(bound)))
    }

    /// Adds a connection that begins here. The tuple is [free](Self::is_free).
    pub(crate) fn connect(&mut self, key: FlowKey, flow: Shared<F, Flow>) {
        let entry = Entry::Flow {
            flow,
            listener: None,
            shaking: false,
        };
        if let Some(Entry::TimeWait(_)) = self.entries.insert(key, entry) {
            self.stats.time_wait -= 1;
        }
        self.stats.connections += 1;
        self.stats.connects += 1;
    }

    /// The handshake of a connection that its listener answered is over: done, or failed.
    pub(crate) fn shaken(
        &mut self,
        key: FlowKey,
        flow: &Shared<F, Flow>,
        done: bool,
        wakes: &mut Wakes,
    ) {
        let listener = match self.entries.get_mut(&key) {
            Some(Entry::Flow {
                flow: here,
                listener: Some(listener),
                shaking: shaking @ true,
            }) if here.same(flow) => {
                *shaking = false;
                *listener
            }
            _ => return,
        };
        if let Some(listening) = self.listeners.get_mut(listener) {
            listening.handshakes -= 1;
            if done {
                listening.ready.push_back(key);
            }
            listening.acceptors.drain_into(wakes);
        }
    }

    /// The connection whose handshake the listener has waited for longest, if it has for `patience`.
    pub(crate) fn stale_handshake(
        &mut self,
        listener: u32,
        now: Instant,
        patience: Duration,
    ) -> Option<Shared<F, Flow>> {
        let answered = &mut self.listeners.get_mut(listener)?.answered;
        while let Some(&(at, key)) = answered.front() {
            let shaking = shaking(&self.entries, key, listener);
            if shaking.is_some() && now < at + patience {
                return None;
            }
            answered.pop_front();
            if shaking.is_some() {
                self.stats.handshakes_full += 1;
                return shaking;
            }
        }
        None
    }

    /// Keeps the list of handshakes from filling with those that are over.
    fn forget_handshakes(&mut self, listener: Option<u32>) {
        if let Some(id) = listener
            && let Some(listening) = self.listeners.get_mut(id)
            && listening.answered.len() > 2 * listening.handshakes + 64
        {
            let live = |key: FlowKey| shaking(&self.entries, key, id).is_some();
            listening.answered.retain(|(_, key)| live(*key));
        }
    }

    /// The oldest connection of the listener that is ready.
    pub(crate) fn next_ready(&mut self, listener: u32) -> Option<Shared<F, Flow>> {
        while let Some(key) = self.listeners.get_mut(listener)?.ready.pop_front() {
            if let Some(flow) = self.flow(key) {
                return Some(flow);
            }
        }
        None
    }

    /// A handle of a listener goes. If it was the last, returns what it leaves.
    pub(crate) fn unlisten(&mut self, id: u32) -> Option<Left<F>> {
        let listening = self.listeners.leave(id)?;
        let answered = self.entries.values().filter_map(|entry| match entry {
            Entry::Flow { flow, listener, .. } if *listener == Some(id) => Some(flow.clone()),
            _ => None,
        });
        Some(Left {
            requests: self.requests.take_offers(id),
            answered: answered.collect(),
            _listening: listening,
        })
    }

    /// A connection leaves. Says whether the driver has a new deadline to see.
    pub(crate) fn leave(
        &mut self,
        key: FlowKey,
        flow: &Shared<F, Flow>,
        leaves: Leaves,
        now: Instant,
        config: &Config,
    ) -> bool {
        match self.entries.get(&key) {
            Some(Entry::Flow { flow: here, .. }) if here.same(flow) => {}
            _ => return false,
        }
        self.stats.connections -= 1;
        let Leaves::TimeWait { next, acked } = leaves else {
            self.entries.remove(&key);
            return false;
        };
        let until = now + config.time_wait;
        self.entries
            .insert(key, Entry::TimeWait(TimeWait { next, acked, until }));
        self.stats.time_wait += 1;
        self.time_waits.push_back((until, key));
        while self.time_waits.len() > config.max_time_wait {
            if let Some((until, key)) = self.time_waits.pop_front() {
                self.end_time_wait(key, until);
            }
        }
        self.time_waits.len() == 1
    }

    fn is_time_wait(&self, key: FlowKey, until: Instant) -> bool {
        matches!(self.entries.get(&key), Some(Entry::TimeWait(wait)) if wait.until == until)
    }

    fn end_time_wait(&mut self, key: FlowKey, until: Instant) {
        if self.is_time_wait(key, until) {
            self.entries.remove(&key);
            self.stats.time_wait -= 1;
        }
    }

    /// When [`expire`](Self::expire) is to be called. A second late, so that what expires one by
    /// one is forgotten in batches and wakes nobody each time.
    pub(crate) fn next_expiry(&mut self, config: &Config) -> Option<Instant> {
        while let Some(&(until, key)) = self.time_waits.front()
            && !self.is_time_wait(key, until)
        {
            self.time_waits.pop_front();
        }
        let requests = self.requests.next_expiry(config.handshake_timeout);
        let waits = self.time_waits.front().map(|(at, _)| *at);
        Some(requests.into_iter().chain(waits).min()? + Duration::from_secs(1))
    }

    /// Forgets the requests and ended connections whose time has come.
    pub(crate) fn expire(&mut self, now: Instant, config: &Config) {
        self.stats.expired += self.requests.expire(now, config.handshake_timeout);
        while let Some(&(until, key)) = self.time_waits.front()
            && until <= now
        {
            self.time_waits.pop_front();
            self.end_time_wait(key, until);
        }
        self.give_back();
    }

    /// Gives back the memory of a burst that is over.
    fn give_back(&mut self) {
        let roomy = |len: usize, capacity: usize| capacity > 1024 && len * 4 < capacity;
        if roomy(self.entries.len(), self.entries.capacity()) {
            self.entries.shrink_to_fit();
        }
        if roomy(self.time_waits.len(), self.time_waits.capacity()) {
            self.time_waits.shrink_to_fit();
        }
    }

    /// Every connection, for when the driver ends.
    pub(crate) fn flows(&self) -> Vec<Shared<F, Flow>> {
        self.entries
            .values()
            .filter_map(|entry| match entry {
                Entry::Flow { flow, .. } => Some(flow.clone()),
                Entry::TimeWait(_) => None,
            })
            .collect()
    }

    /// Drops everything: the driver is gone.
    pub(crate) fn clear(&mut self) {
        self.gone = true;
        self.entries.clear();
        self.requests.clear();
        self.time_waits.clear();
    }
}

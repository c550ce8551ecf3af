//! Every tuple that is known: connection requests, connections, and ended connections.

use crate::Config;
use crate::context::Leaves;
use crate::flow::Flow;
use crate::seq::after;
use crate::stats::Stats;
use crate::syn::Syn;
use crate::wake::{WakerList, Wakes};
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::{FlowKey, TcpHeader, is_unicast};
use foldhash::fast::RandomState;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

pub(crate) struct Table<F: Flavor> {
    entries: HashMap<FlowKey, Entry<F>, RandomState>,
    /// Requests that nobody has been given yet, oldest first. May name some that are gone.
    offers: VecDeque<(FlowKey, u64)>,
    /// Connections of the listener with their handshake done. May name some that are gone.
    ready: VecDeque<FlowKey>,
    /// When requests expire, in order, as all wait equally long. May name some that are gone.
    expiry: VecDeque<(Instant, FlowKey, u64)>,
    /// The same for ended connections.
    time_waits: VecDeque<(Instant, FlowKey)>,
    /// Connections that the listener answered and whose handshake is not done.
    pub(crate) handshakes: usize,
    pub(crate) listeners: usize,
    pub(crate) acceptors: WakerList,
    pub(crate) gone: bool,
    pub(crate) stats: Stats,
    next_id: u64,
}

pub(crate) enum Entry<F: Flavor> {
    Request(Box<Request>),
    Flow(Shared<F, Flow>),
    TimeWait(TimeWait),
}

/// A SYN that waits for an answer.
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) facts: Syn,
    /// The whole packet, without IP options.
    pub(crate) syn: Box<[u8]>,
}

/// What is left of an ended connection.
#[derive(Clone, Copy)]
pub(crate) struct TimeWait {
    next: u32,
    acked: u32,
    until: Instant,
}

/// Where a packet goes.
pub(crate) enum Route<F: Flavor> {
    Flow(Shared<F, Flow>),
    /// To the listener: keep it with [`Table::request`].
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

impl<F: Flavor> Table<F> {
    pub(crate) fn new() -> Self {
        Self {
            entries: HashMap::default(),
            offers: VecDeque::new(),
            ready: VecDeque::new(),
            expiry: VecDeque::new(),
            time_waits: VecDeque::new(),
            handshakes: 0,
            listeners: 0,
            acceptors: WakerList::default(),
            gone: false,
            stats: Stats::default(),
            next_id: 0,
        }
    }

    pub(crate) fn flow(&self, key: FlowKey) -> Option<Shared<F, Flow>> {
        match self.entries.get(&key) {
            Some(Entry::Flow(flow)) => Some(flow.clone()),
            _ => None,
        }
    }

    /// Decides where a packet goes. Its checksum is good.
    pub(crate) fn route(&mut self, key: FlowKey, tcp: TcpHeader, payload: bool) -> Route<F> {
        let flags = tcp.flags;
        let impossible = flags.syn() && (flags.fin() || flags.rst());
        if impossible || !(flags.syn() || flags.ack() || flags.rst()) {
            self.stats.bad_flags += 1;
            return Route::Done;
        }
        let opens = flags.syn() && !flags.ack();
        match self.entries.get_mut(&key) {
            Some(Entry::Flow(flow)) => Route::Flow(flow.clone()),
            Some(Entry::Request(request)) => {
                if flags.rst() && tcp.seq == request.facts.isn.wrapping_add(1) {
                    self.remove_request(key);
                    return Route::Done;
                }
                match opens {
                    true if tcp.seq == request.facts.isn => Route::Done, // it asks again
                    true => Route::Request, // a client that started anew
                    false if flags.rst() => Route::Done,
                    false => Route::Reset, // it acknowledges what was never sent
                }
            }
            Some(Entry::TimeWait(wait)) => {
                let TimeWait { next, acked, .. } = *wait;
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
            None if opens => self.fresh(key),
            None => Route::Reset,
        }
    }

    fn fresh(&mut self, key: FlowKey) -> Route<F> {
        let (peer, local) = (key.source(), key.destination());
        let addressable = |a: std::net::SocketAddr| is_unicast(a.ip()) && a.port() != 0;
        if !addressable(peer) || !addressable(local) || peer == local {
            self.stats.bad_address += 1;
            Route::Done
        } else if self.listeners == 0 {
            Route::Reset
        } else {
            Route::Request
        }
    }

    /// Keeps a SYN until somebody answers it. `false`: the last listener has gone since the SYN
    /// was routed, and it is to be refused.
    pub(crate) fn request(
        &mut self,
        key: FlowKey,
        facts: Syn,
        syn: &[u8],
        now: Instant,
        config: &Config,
        wakes: &mut Wakes,
    ) -> bool {
        match self.entries.get_mut(&key) {
            Some(Entry::Request(request)) => {
                // Whoever holds the old request answers the new one.
                request.facts = facts;
                request.syn = syn.into();
                return true;
            }
            // A connection was begun from here since the packet was routed.
            Some(Entry::Flow(_)) => return true,
            _ => {}
        }
        if self.listeners == 0 {
            return false;
        }
        if self.stats.connections as usize >= config.max_connections {
            self.stats.table_full += 1;
            return true;
        }
        // Each request has its place among the connections, so that it can be accepted.
        let held = (self.stats.requests + self.stats.connections) as usize;
        if self.stats.requests as usize >= config.backlog || held >= config.max_connections {
            while let Some((_, key, id)) = self.expiry.pop_front() {
                if self.is_request(key, id) {
                    self.remove_request(key);
                    self.stats.backlog_full += 1;
                    break;
                }
            }
        }
        let id = self.next_id;
        self.next_id += 1;
        self.stats.requests += 1;
        self.stats.requested += 1;
        self.entries.insert(
            key,
            Entry::Request(Box::new(Request {
                id,
                facts,
                syn: syn.into(),
            })),
        );
        self.offers.push_back((key, id));
        self.expiry
            .push_back((now + config.handshake_timeout, key, id));
        self.forget_answered(config.backlog);
        self.acceptors.drain_into(wakes);
        true
    }

    /// Keeps the queues from filling with requests that have long been answered.
    fn forget_answered(&mut self, backlog: usize) {
        if self.expiry.len().max(self.offers.len()) > 2 * backlog + 64 {
            let entries = &self.entries;
            let live = |key: &FlowKey, id: u64| matches!(entries.get(key), Some(Entry::Request(request)) if request.id == id);
            self.expiry.retain(|(_, key, id)| live(key, *id));
            self.offers.retain(|(key, id)| live(key, *id));
        }
    }

    fn is_request(&self, key: FlowKey, id: u64) -> bool {
        matches!(self.entries.get(&key), Some(Entry::Request(request)) if request.id == id)
    }

    fn remove_request(&mut self, key: FlowKey) {
        self.entries.remove(&key);
        self.stats.requests -= 1;
    }

    /// The oldest request that nobody has been given.
    pub(crate) fn next_offer(&mut self) -> Option<(FlowKey, u64)> {
        while let Some((key, id)) = self.offers.pop_front() {
            if self.is_request(key, id) {
                return Some((key, id));
            }
        }
        None
    }

    /// The request `id`, if it still waits for an answer.
    pub(crate) fn pending(&self, key: FlowKey, id: u64) -> Option<&Request> {
        match self.entries.get(&key) {
            Some(Entry::Request(request)) if request.id == id => Some(request),
            _ => None,
        }
    }

    /// Every request that nobody has been given, for when the listener goes.
    pub(crate) fn take_offers(&mut self) -> Vec<Box<[u8]>> {
        let mut offers = Vec::new();
        while let Some((key, id)) = self.next_offer() {
            offers.extend(self.take(key, id));
        }
        offers
    }

    /// Takes the request `id` out, to be refused.
    pub(crate) fn take(&mut self, key: FlowKey, id: u64) -> Option<Box<[u8]>> {
        if !self.is_request(key, id) {
            return None;
        }
        match self.entries.remove(&key) {
            Some(Entry::Request(request)) => {
                self.stats.requests -= 1;
                Some(request.syn)
            }
            _ => None,
        }
    }

    /// Puts a connection in the place of the request `id`. Says whether it was still there.
    pub(crate) fn answer(
        &mut self,
        key: FlowKey,
        id: u64,
        flow: Shared<F, Flow>,
        listened: bool,
    ) -> bool {
        if !self.is_request(key, id) {
            return false;
        }
        self.entries.insert(key, Entry::Flow(flow));
        self.handshakes += usize::from(listened);
        self.stats.requests -= 1;
        self.stats.connections += 1;
        self.stats.accepted += 1;
        true
    }

    /// Adds a connection that begins here. Says whether the tuple was free.
    pub(crate) fn connect(&mut self, key: FlowKey, flow: Shared<F, Flow>) -> bool {
        match self.entries.get(&key) {
            Some(Entry::TimeWait(_)) => self.stats.time_wait -= 1,
            Some(_) => return false,
            None => {}
        }
        self.entries.insert(key, Entry::Flow(flow));
        self.stats.connections += 1;
        self.stats.connects += 1;
        true
    }

    /// The handshake of a connection that the listener answered is over: done, or failed.
    pub(crate) fn shaken(&mut self, key: FlowKey, done: bool, wakes: &mut Wakes) {
        self.handshakes -= 1;
        if done {
            self.ready.push_back(key);
        }
        self.acceptors.drain_into(wakes);
    }

    /// The oldest connection of the listener that is ready.
    pub(crate) fn next_ready(&mut self) -> Option<Shared<F, Flow>> {
        while let Some(key) = self.ready.pop_front() {
            if let Some(flow) = self.flow(key) {
                return Some(flow);
            }
        }
        None
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
            Some(Entry::Flow(here)) if here.same(flow) => {}
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
    pub(crate) fn next_expiry(&mut self) -> Option<Instant> {
        while let Some(&(_, key, id)) = self.expiry.front()
            && !self.is_request(key, id)
        {
            self.expiry.pop_front();
        }
        while let Some(&(until, key)) = self.time_waits.front()
            && !self.is_time_wait(key, until)
        {
            self.time_waits.pop_front();
        }
        let requests = self.expiry.front().map(|(at, ..)| *at);
        let waits = self.time_waits.front().map(|(at, _)| *at);
        Some(requests.into_iter().chain(waits).min()? + Duration::from_secs(1))
    }

    /// Forgets the requests and ended connections whose time has come.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(&(at, key, id)) = self.expiry.front()
            && at <= now
        {
            self.expiry.pop_front();
            if self.is_request(key, id) {
                self.remove_request(key);
                self.stats.expired += 1;
            }
        }
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
        if roomy(self.expiry.len(), self.expiry.capacity()) {
            self.expiry.shrink_to_fit();
        }
        if roomy(self.offers.len(), self.offers.capacity()) {
            self.offers.shrink_to_fit();
        }
        if roomy(self.ready.len(), self.ready.capacity()) {
            self.ready.shrink_to_fit();
        }
    }

    /// Every connection, for when the driver ends or the listener goes.
    pub(crate) fn flows(&self) -> Vec<Shared<F, Flow>> {
        self.entries
            .values()
            .filter_map(|entry| match entry {
                Entry::Flow(flow) => Some(flow.clone()),
                _ => None,
            })
            .collect()
    }

    /// Drops everything: the driver is gone.
    pub(crate) fn clear(&mut self) {
        self.gone = true;
        self.entries.clear();
        self.offers.clear();
        self.ready.clear();
        self.expiry.clear();
        self.time_waits.clear();
    }
}

#[cfg(all(test, feature = "sync"))]
mod tests {
    use super::*;
    use brooklet_cell::Sync;

    #[test]
    fn requests_that_nobody_looks_at_leave_nothing_behind() {
        #[allow(clippy::disallowed_methods, reason = "time begins somewhere")]
        let now = Instant::now();
        let config = Config {
            backlog: 4,
            ..Config::default()
        };
        let mut table = Table::<Sync>::new();
        table.listeners = 1;
        let mut wakes = Wakes::default();
        let facts = Syn {
            isn: 0,
            mss: None,
            window: 0,
            scale: None,
            sack: false,
            timestamp: None,
            ttl: 64,
        };
        for n in 0..10_000u16 {
            let key = FlowKey::new(([10, 0, 0, 1], n).into(), ([10, 0, 0, 2], 80).into()).unwrap();
            assert!(table.request(key, facts, &[], now, &config, &mut wakes));
        }
        assert_eq!(table.stats.requests, 4);
        assert!(table.offers.len() < 200, "{} offers", table.offers.len());
        assert!(table.expiry.len() < 200, "{} expiries", table.expiry.len());
    }
}

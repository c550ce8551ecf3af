//! The table of the UDP sessions.
//!
//! Every session is in one of two lists, in the order of the last activity: the one of the sessions
//! that end after the idle timeout, or the one of those that end after the shorter timeout of a
//! finished DNS exchange. The heads of the two lists therefore have the earliest deadline, and the
//! least recently used session is one of them. A list for each source has the least recently used
//! session of the source at its head. Every operation takes constant time.

mod ends;
mod session;

pub(crate) use session::{SentDatagrams, Session};

use super::SLOT;
use super::list::List;
use super::queue::{Incoming, Queue, Queued, Room};
use crate::datagram::Datagram;
use crate::error::SendError;
use crate::events::{Events, Reason};
use crate::flow::UdpFlow;
use crate::ledger::{Entry, Ledger};
use crate::session::{SessionConfig, SessionEnd};
use crate::stats::Stats;
use brooklet_cell::wakers::{WaitQueue, WakeList};
use brooklet_io::BufferPool;
use brooklet_packet::{FlowKey, SourcePrefix, SourceShares};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use session::{Dns, Traffic, remember};
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

/// The links of a session.
const ACTIVITY: usize = 0;
const SOURCE: usize = 1;
const BACKLOG: usize = 2;

/// The place of the sessions without a finished DNS exchange in [`Sessions::by_activity`].
const IDLE: usize = 0;

/// The port of DNS.
const DNS: u16 = 53;

/// The most remote addresses that the filtering of one session remembers. Of more, the one that the
/// client has sent to least recently is forgotten.
const REMOTES: usize = 64;

/// The most remote addresses that a session remembers to have sent from. An ICMP error is about one
/// of the latest datagrams.
const SENT_FROM: usize = 8;

/// The most slots that one call of [`Sessions::flows`] or [`Sessions::wakers`] looks at.
const FLOWS_AT_ONCE: usize = 256;

/// A table that has become empty keeps the memory for this many sessions.
const KEEP: usize = 64;

/// The most heap bytes of a session with one short datagram: its state, a queue with room for four
/// datagrams, and its places in the tables, which may have twice the room that they need.
const COST: usize = size_of::<Session>() + 4 * size_of::<Datagram>() + 320;

/// What a handle of a session knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) id: usize,
    pub(crate) client: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) device_queue: usize,
}

/// The sessions of one source.
struct Source {
    prefix: SourcePrefix,
    sessions: List<SOURCE>,
    /// How many of them wait to be accepted.
    waiting: usize,
    /// The bytes of payload in their queues.
    bytes: usize,
}

pub(crate) struct Sessions {
    /// What the sessions and their tables have on the heap, without the sessions' queues.
    held: Entry,
    config: SessionConfig,
    table: HashMap<FlowKey, usize, RandomState>,
    sessions: Slab<Box<Session>>,
    source_table: HashMap<SourcePrefix, usize, RandomState>,
    sources: Slab<Source>,
    /// The sessions in the order of their last activity: those that end after the idle timeout, and
    /// those with a finished DNS exchange.
    by_activity: [List<ACTIVITY>; 2],
    /// The sessions that wait to be accepted.
    backlog: List<BACKLOG>,
    pub(crate) acceptors: WaitQueue,
    pub(crate) listeners: usize,
    /// The bytes of payload in the queues of all sessions, also of those that have ended.
    bytes: usize,
    /// What is to be logged.
    events: Events,
    /// The ends of the sessions are noted already.
    stack_ended: bool,
}

impl Sessions {
    pub(crate) fn new(ledger: &Ledger) -> Self {
        Self {
            held: Entry::new(ledger),
            config: SessionConfig::default(),
            table: HashMap::default(),
            sessions: Slab::new(),
            source_table: HashMap::default(),
            sources: Slab::new(),
            by_activity: Default::default(),
            backlog: List::default(),
            acceptors: WaitQueue::new(),
            listeners: 0,
            bytes: 0,
            events: Events::default(),
            stack_ended: false,
        }
    }

    /// Takes what is to be logged once the cell is free.
    pub(crate) fn take_events(&mut self) -> Events {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn set_config(&mut self, config: SessionConfig) {
        let config = config.usable();
        let half = self.held.ledger().limit() / 2;
        let sessions = config.sessions.min(half / COST).max(1);
        self.config = SessionConfig {
            sessions,
            backlog: config.backlog.min(sessions),
            total_bytes: config.total_bytes.min(half),
            ..config
        };
    }

    /// Bytes of the sessions and their tables, without the sessions' queues.
    pub(crate) fn held(&self) -> usize {
        self.held.bytes()
    }

    /// The bytes that the wakers of waiting tasks take, of the sessions from the slot `first` on, up to
    /// [`FLOWS_AT_ONCE`] slots. Returns also the slot to go on with.
    pub(crate) fn wakers(&self, first: usize) -> (usize, Option<usize>) {
        let next = first + FLOWS_AT_ONCE;
        let sessions = (first..next).filter_map(|id| self.sessions.get(id));
        let wakers = sessions.map(|session| session.queue.readers.allocated());
        (
            wakers.sum(),
            (next < self.sessions.capacity()).then_some(next),
        )
    }

    /// Counts the memory of the tables after a change.
    fn settle(&mut self) {
        self.held.set(
            self.sessions.len() * size_of::<Session>()
                + self.sessions.capacity() * SLOT
                + self.table.allocation_size()
                + self.source_table.allocation_size()
                + self.sources.capacity() * size_of::<Source>(),
        );
    }

    /// Makes room for a new session within the memory budget, by the end of the least recently used
    /// one. Returns whether there is room now.
    fn make_room(&mut self, stats: &mut Stats, wakes: &mut WakeList) -> bool {
        if self.held.ledger().has_room(COST) {
            return true;
        }
        // A session that has ended gives its memory back once the program drops its handle. While
        // many are about to, no further one ends: a flood would end all of them at once.
        let ended = self.sessions.len() - self.table.len();
        if ended * COST < self.held.ledger().limit() / 16
            && let Some(oldest) = self.least_recently_used()
        {
            self.end(oldest, SessionEnd::Evicted, stats, wakes);
        }
        self.held.ledger().has_room(COST)
    }

    /// Whether a datagram can find a session or open one.
    #[inline]
    pub(crate) fn in_use(&self) -> bool {
        self.listeners > 0 || !self.table.is_empty()
    }

    /// The number of sessions that have not ended.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn get_mut(&mut self, id: usize) -> Option<&mut Session> {
        self.sessions.get_mut(id).map(|session| &mut **session)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.sessions.iter_mut().map(|(_, session)| &mut **session)
    }

    /// The session of the datagrams from `client` to `destination`.
    pub(crate) fn find(&self, client: SocketAddr, destination: SocketAddr) -> Option<usize> {
        let key = self.config.mapping.key(client, destination)?;
        self.table.get(&key).copied()
    }

    /// Opens a session for the datagram, and ends the least recently used one if there are too
    /// many. Counts the datagram as dropped if it opens none.
    pub(crate) fn open(
        &mut self,
        (now, device_queue): (Instant, usize),
        incoming: &Incoming<'_>,
        stats: &mut Stats,
        wakes: &mut WakeList,
    ) -> Option<usize> {
        let (client, destination) = (incoming.from, incoming.to);
        let key = self.config.mapping.key(client, destination)?;
        let free = self.config.backlog.saturating_sub(self.backlog.len());
        if free == 0 {
            stats.dropped_backlog += 1;
            return None;
        }
        let prefix = SourcePrefix::new(client.ip());
        if let Some(&source) = self.source_table.get(&prefix)
            && self.sources[source].waiting > free.saturating_mul(SourceShares::SHARE)
        {
            stats.dropped_source += 1;
            return None;
        }
        let room = self.config.total_bytes.saturating_sub(self.bytes);
        if incoming.longest() > room.min(self.config.bytes) {
            stats.dropped_full += 1;
            return None;
        }
        if let Some(&source) = self.source_table.get(&prefix)
            && self.sources[source].sessions.len() >= self.config.per_source
            && let Some(oldest) = self.sources[source].sessions.first()
        {
            self.end(oldest, SessionEnd::Evicted, stats, wakes);
        }
        while self.table.len() >= self.config.sessions
            && let Some(oldest) = self.least_recently_used()
        {
            self.end(oldest, SessionEnd::Evicted, stats, wakes);
        }
        if !self.make_room(stats, wakes) {
            stats.dropped_full += 1;
            return None;
        }
        // After the evictions, which may have removed the source.
        let sources = &mut self.sources;
        let source = *self.source_table.entry(prefix).or_insert_with(|| {
            sources.insert(Source {
                prefix,
                sessions: List::default(),
                waiting: 0,
                bytes: 0,
            })
        });
        let limit = Room {
            packets: self.config.packets,
            bytes: self.config.bytes,
        };
        let id = self.sessions.insert(Box::new(Session {
            key,
            client,
            destination,
            many_destinations: false,
            device_queue,
            queue: Queue::new(limit, self.config.gro, self.held.ledger()),
            end: None,
            handles: 0,
            waits: true,
            links: Default::default(),
            source,
            opened: now,
            last_activity: now,
            received: Traffic::default(),
            sent: Traffic::default(),
            finished: false,
            dns: Dns::default(),
            remotes: VecDeque::new(),
            sent_from: VecDeque::new(),
        }));
        self.table.insert(key, id);
        self.by_activity[IDLE].push_back(id, &mut self.sessions);
        self.sources[source]
            .sessions
            .push_back(id, &mut self.sessions);
        self.sources[source].waiting += 1;
        self.backlog.push_back(id, &mut self.sessions);
        self.settle();
        self.acceptors.drain_into(wakes);
        stats.sessions_opened += 1;
        self.events.opened(|| self.sessions[id].flow(now));
        Some(id)
    }

    /// Whether half of the backlog is taken.
    pub(crate) fn is_backlogged(&self) -> bool {
        self.backlog.len() >= self.config.backlog.div_ceil(2)
    }

    /// Queues a datagram of the client.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        id: usize,
        incoming: &Incoming<'_>,
        pool: &mut BufferPool,
        stats: &mut Stats,
    ) -> Queued {
        let Some(session) = self.sessions.get_mut(id) else {
            return Queued::default();
        };
        session.many_destinations |= incoming.to != session.destination;
        session.dns.other |= incoming.to.port() != DNS;
        session.dns.questions += incoming.count();
        if let Some(remote) = self.config.filtering.remote(incoming.to) {
            let more = remember(&mut session.remotes, remote, REMOTES);
            session.queue.hold(more);
        }
        let total = self.config.total_bytes;
        let (of_all, of_source) = (&mut self.bytes, &mut self.sources[session.source].bytes);
        let before = (stats.datagrams_in, stats.bytes_in);
        let queued = session.queue.receive(incoming, pool, stats, |len, _| {
            let free = total.saturating_sub(*of_all);
            let admitted =
                len == 0 || (len <= free && *of_source <= free.saturating_mul(SourceShares::SHARE));
            if admitted {
                *of_all += len;
                *of_source += len;
            }
            admitted
        });
        session.received.datagrams += stats.datagrams_in - before.0;
        session.received.bytes += stats.bytes_in - before.1;
        self.touch(now, id);
        queued
    }

    /// Takes the oldest datagram of a session.
    pub(crate) fn pop(&mut self, id: usize) -> Option<Datagram> {
        let session = self.sessions.get_mut(id)?;
        let datagram = session.queue.pop()?;
        let len = datagram.payload.len();
        self.bytes -= len;
        if session.end.is_none() {
            self.sources[session.source].bytes -= len;
        }
        Some(datagram)
    }

    /// Returns how many datagrams the session may send to the client, up to the first that it may
    /// not: `from` are their sources. Fails if the session has ended, or may not send the first one.
    pub(crate) fn check_send(
        &self,
        id: usize,
        from: impl Iterator<Item = SocketAddr>,
        stats: &mut Stats,
    ) -> io::Result<usize> {
        let filtering = self.config.filtering;
        let Some(session) = self.sessions.get(id) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        if let Some(end) = session.end {
            return Err(end.into());
        }
        let mut allowed = 0;
        for from in from {
            if let Some(remote) = filtering.remote(from)
                && !session.remotes.contains(&remote)
            {
                if allowed == 0 {
                    stats.filtered += 1;
                    let to = session.client;
                    return Err(SendError::Filtered { from, to }.into());
                }
                break;
            }
            allowed += 1;
        }
        Ok(allowed)
    }

    /// Notes datagrams to the client that are queued.
    pub(crate) fn note_sent(
        &mut self,
        now: Instant,
        id: usize,
        sent: impl Iterator<Item = SentDatagrams>,
    ) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        for SentDatagrams {
            from,
            datagrams,
            bytes,
        } in sent
        {
            session.sent.datagrams += datagrams as u64;
            session.sent.bytes += bytes as u64;
            session.dns.answers += usize::from(from.port() == DNS);
            let more = remember(&mut session.sent_from, from, SENT_FROM);
            session.queue.hold(more);
        }
        self.touch(now, id);
    }

    /// Appends the sessions from the slot `first` on, up to [`FLOWS_AT_ONCE`] slots. Returns the slot
    /// to go on with.
    pub(crate) fn flows(
        &self,
        first: usize,
        now: Instant,
        flows: &mut Vec<UdpFlow>,
    ) -> Option<usize> {
        let next = first + FLOWS_AT_ONCE;
        let sessions = (first..next).filter_map(|id| self.sessions.get(id));
        let open = sessions.filter(|session| session.end.is_none());
        flows.extend(open.map(|session| session.flow(now)));
        // No slot beyond the capacity is in use.
        (next < self.sessions.capacity()).then_some(next)
    }

    /// Takes the session that has waited longest to be accepted, with its first handle.
    pub(crate) fn accept(&mut self) -> Option<Accepted> {
        let id = self.backlog.first()?;
        self.backlog.remove(id, &mut self.sessions);
        let session = &mut self.sessions[id];
        session.handles = 1;
        session.waits = false;
        self.sources[session.source].waiting -= 1;
        Some(Accepted {
            id,
            client: session.client,
            destination: session.destination,
            device_queue: session.device_queue,
        })
    }

    pub(crate) fn add_handle(&mut self, id: usize) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.handles += 1;
        }
    }

    /// Drops a handle. With the last one the session ends.
    pub(crate) fn remove_handle(&mut self, id: usize, stats: &mut Stats) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.handles -= 1;
        if session.handles > 0 {
            return;
        }
        if session.end.is_none() {
            stats.sessions_closed += 1;
            self.log_end(id, Reason::Closed);
            self.unlink(id);
        }
        self.forget(id);
    }

    /// Drops a listener. With the last one the sessions that wait to be accepted end.
    pub(crate) fn remove_listener(&mut self, stats: &mut Stats) {
        self.listeners -= 1;
        while self.listeners == 0
            && let Some(id) = self.backlog.first()
        {
            stats.sessions_closed += 1;
            self.log_end(id, Reason::Closed);
            self.unlink(id);
            self.forget(id);
        }
    }
}

#[cfg(test)]
#[cfg(any(feature = "sync", feature = "local"))]
impl Sessions {
    /// Sessions, room for sessions in the table, and bytes in their queues.
    pub(crate) fn memory(&self) -> (usize, usize, usize) {
        let room = self.table.capacity() + self.sessions.capacity() + self.sources.capacity();
        (self.sessions.len(), room, self.bytes)
    }
}

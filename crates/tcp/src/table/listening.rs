//! The SYN queue, half-open connections and the accept queues of the listeners.

use super::{CookieSource, Entry, Origin, Table, Unlistened};
use crate::connection::Connection;
use crate::error::request_gone;
use crate::options::TcpOptions;
use crate::stats::Dropped;
use crate::syn_queue::{SynEntry, SynId};
use brooklet_cell::wakers::{WaitKey, WakeList};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::StackClosed;
use brooklet_packet::FlowKey;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::io;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant};

/// The connection of `key` if it is half-open and `listener` counts it.
fn half_open<F: Flavor>(
    entries: &HashMap<FlowKey, Entry<F>, RandomState>,
    key: FlowKey,
    listener: u32,
) -> Option<Shared<F, Connection<F>>> {
    match entries.get(&key)? {
        Entry::Connection {
            connection,
            origin: Origin::HalfOpen { listener: id, .. },
        } if *id == listener => Some(connection.clone()),
        _ => None,
    }
}

/// What becomes of a SYN.
pub(crate) enum Enqueued {
    /// The queue keeps it, or it was dropped and counted.
    Done,
    /// There is no listener any more since the SYN was routed: the SYN is to be refused.
    Refused,
    /// It is answered with a SYN cookie.
    Cookie(CookieSource),
}

/// A connection in the place of a SYN.
pub(crate) struct Answered<F: Flavor> {
    pub(crate) entry: SynEntry,
    /// A half-open connection that has lost its place, without SYN cookies.
    pub(crate) evicted: Option<Shared<F, Connection<F>>>,
}

impl<F: Flavor> Table<F> {
    /// Keeps a SYN that arrived on `queue` until the program answers it.
    pub(crate) fn enqueue_syn(
        &mut self,
        (key, queue): (FlowKey, u8),
        isn: u32,
        syn: &[u8],
        now: Instant,
        wakes: &mut WakeList,
    ) -> Enqueued {
        if self.gone {
            self.count(Dropped::Closed);
            return Enqueued::Done;
        }
        if self.is_closed() {
            return Enqueued::Refused;
        }
        // A task may have connected from here since the SYN was routed, or another driver may have
        // received the end of a handshake.
        if self.entries.contains_key(&key) || self.syn_queue.completed_of(key).is_some() {
            self.count(Dropped::UnexpectedSyn);
            return Enqueued::Done;
        }
        if self.syn_queue.isn(key) == Some(isn)
            && self.was_full(now)
            && self.syn_queue.is_pending(key)
            && let Some(entry) = self.syn_queue.remove(key, wakes)
        {
            let source = self.send_cookie(now, (key, entry.listener));
            return source.map_or(Enqueued::Refused, Enqueued::Cookie);
        }
        if self.syn_queue.isn(key).is_some() {
            self.syn_queue.restart(key, isn, syn, now);
            self.publish();
            return Enqueued::Done;
        }
        let Some(listener) = self.listeners.of(key.destination()) else {
            return Enqueued::Refused;
        };
        let config = &self.config.config;
        // Each entry has its place among the connections and its buffers promised, so that it can
        // be accepted.
        let cookies = config.syn_cookies;
        let held = if cookies { 0 } else { self.syn_queue.len() };
        if self.stats.connections as usize >= config.max_connections || !self.has_memory(held + 1) {
            self.count(Dropped::TableFull);
            return Enqueued::Done;
        }
        let of_source = || self.syn_queue.of_source(key);
        if config
            .backlog_per_source
            .is_some_and(|most| of_source() >= most)
        {
            self.count(Dropped::SourceFull);
            return Enqueued::Done;
        }
        if cookies {
            if self.is_under_pressure(now, listener, wakes) {
                let source = self.send_cookie(now, (key, listener));
                return source.map_or(Enqueued::Refused, Enqueued::Cookie);
            }
        } else if self.syn_queue.len() >= config.backlog
            || self.syn_queue.len() + self.stats.connections as usize >= config.max_connections
        {
            self.count(Dropped::BacklogFull);
            if !self.syn_queue.evict(wakes) {
                return Enqueued::Done;
            }
        }
        self.stats.requested += 1;
        self.syn_queue.insert((key, listener, queue), isn, syn, now);
        if let Some(listening) = self.listeners.get_mut(listener) {
            listening.acceptors.drain_into(wakes);
        }
        self.publish();
        Enqueued::Done
    }

    /// The oldest SYN that `listener` has not been given, and the options to accept it with.
    pub(crate) fn next_syn(
        &mut self,
        listener: u32,
    ) -> Option<(SynId, &SynEntry, Arc<TcpOptions>)> {
        let options = self.listeners.get(listener)?.options.clone();
        let (id, entry) = self.syn_queue.next_pending(listener)?;
        Some((id, entry, options))
    }

    pub(crate) fn syn(&self, id: SynId) -> Option<&SynEntry> {
        self.syn_queue.get(id)
    }

    /// Removes a SYN that the program answers otherwise than by a connection.
    pub(crate) fn take_syn(&mut self, id: SynId, wakes: &mut WakeList) -> Option<SynEntry> {
        let entry = self.syn_queue.take(id, wakes);
        self.publish();
        entry
    }

    /// Notes that the program leaves a SYN unanswered.
    pub(crate) fn leave_unanswered(&mut self, id: SynId) {
        self.stats.dropped_silently += 1;
        self.syn_queue.leave_unanswered(id);
    }

    /// Waits until the SYN is gone: returns `Ready` then, or registers the task of `cx`. The caller
    /// drops the waker once no cell is held.
    pub(crate) fn poll_withdrawn(
        &mut self,
        id: SynId,
        cx: &TaskContext<'_>,
        key: &mut WaitKey,
    ) -> (Poll<()>, Option<Waker>) {
        match self.syn_queue.register(id, cx, key) {
            Some(old) => (Poll::Pending, old),
            None => (Poll::Ready(()), None),
        }
    }

    /// Ends the wait of [`poll_withdrawn`](Self::poll_withdrawn).
    pub(crate) fn unregister_withdrawn(&mut self, id: SynId, key: &mut WaitKey) -> Option<Waker> {
        self.syn_queue.unregister(id, key)
    }

    /// Puts a connection in the place of a SYN. The listener counts it as half-open until its
    /// handshake is done, and with `listened` it belongs to the listener.
    ///
    /// A program may answer the requests that it was given although there are as many half-open
    /// connections as there may be: with SYN cookies no further SYN becomes a request meanwhile, and
    /// without them the oldest half-open connection gives its place.
    pub(crate) fn accept(
        &mut self,
        id: SynId,
        connection: Shared<F, Connection<F>>,
        listened: bool,
        now: Instant,
        wakes: &mut WakeList,
    ) -> io::Result<Answered<F>> {
        if self.is_closed() {
            return Err(StackClosed.into());
        }
        let entry = self.syn_queue.take(id, wakes).ok_or_else(request_gone)?;
        let SynEntry { key, listener, .. } = entry;
        let evicts = !self.config.config.syn_cookies && self.is_half_open_full(listener);
        let evicted = match evicts {
            true => self.oldest_half_open(listener, None),
            false => None,
        };
        self.stats.half_open += 1;
        if let Some(listening) = self.listeners.get_mut(listener) {
            listening.half_open += 1;
            listening.answered.push_back((now, key));
        }
        let origin = Origin::HalfOpen { listener, listened };
        self.entries
            .insert(key, Entry::Connection { connection, origin });
        self.forget_handshakes(listener);
        self.stats.connections += 1;
        self.stats.accepted += 1;
        self.publish();
        Ok(Answered { entry, evicted })
    }

    /// The handshake of a half-open connection is over: completed or failed.
    pub(crate) fn handshake_over(
        &mut self,
        key: FlowKey,
        connection: &Shared<F, Connection<F>>,
        completed: bool,
        wakes: &mut WakeList,
    ) {
        let Some(Entry::Connection {
            connection: here,
            origin,
        }) = self.entries.get_mut(&key)
        else {
            return;
        };
        let Origin::HalfOpen { listener, listened } = *origin else {
            return;
        };
        if !here.same(connection) {
            return;
        }
        *origin = match listened {
            true => Origin::Listener(listener),
            false => Origin::Program,
        };
        self.stats.half_open -= 1;
        if let Some(listening) = self.listeners.get_mut(listener) {
            listening.half_open -= 1;
            if completed && listened {
                listening.accept_queue.push_back(key);
            }
            listening.acceptors.drain_into(wakes);
        }
    }

    /// Whether `listener` has as many half-open connections as it may have.
    pub(crate) fn is_half_open_full(&self, listener: u32) -> bool {
        let listening = self.listeners.get(listener);
        listening.is_some_and(|listening| listening.half_open >= self.config.config.max_half_open)
    }

    /// The oldest half-open connection of `listener`, if it is older than `grace` and a SYN waits
    /// for its place.
    pub(crate) fn stale_half_open(
        &mut self,
        listener: u32,
        now: Instant,
        grace: Duration,
    ) -> Option<Shared<F, Connection<F>>> {
        if !self.syn_queue.has_pending(listener) {
            return None;
        }
        self.oldest_half_open(listener, Some((now, grace)))
    }

    /// Takes the oldest half-open connection of `listener` off the list, to be evicted. With `grace`
    /// only if it is older.
    fn oldest_half_open(
        &mut self,
        listener: u32,
        grace: Option<(Instant, Duration)>,
    ) -> Option<Shared<F, Connection<F>>> {
        let answered = &mut self.listeners.get_mut(listener)?.answered;
        while let Some(&(at, key)) = answered.front() {
            let oldest = half_open(&self.entries, key, listener);
            if oldest.is_some() && grace.is_some_and(|(now, grace)| now < at + grace) {
                return None;
            }
            answered.pop_front();
            if oldest.is_some() {
                self.stats.half_open_full += 1;
                return oldest;
            }
        }
        None
    }

    /// Keeps the list of handshakes from filling with those that are over.
    fn forget_handshakes(&mut self, id: u32) {
        if let Some(listening) = self.listeners.get_mut(id)
            && listening.answered.len() > 2 * listening.half_open + 64
        {
            let entries = &self.entries;
            listening
                .answered
                .retain(|(_, key)| half_open(entries, *key, id).is_some());
        }
    }

    /// Takes the oldest connection out of the listener's accept queue.
    pub(crate) fn next_accepted(&mut self, listener: u32) -> Option<Shared<F, Connection<F>>> {
        while let Some(key) = self.listeners.get_mut(listener)?.accept_queue.pop_front() {
            if let Some(connection) = self.connection(key) {
                return Some(connection);
            }
        }
        None
    }

    /// Drops a handle of a listener. Returns what the listener leaves if it was the last.
    pub(crate) fn unlisten(&mut self, id: u32, wakes: &mut WakeList) -> Option<Unlistened<F>> {
        let listening = self.listeners.leave(id)?;
        let connections = self.connections_of(|origin| origin.listener() == Some(id));
        let syns = self.syn_queue.take_pending(id, wakes);
        self.publish();
        Some(Unlistened {
            syns,
            connections,
            _listening: listening,
        })
    }
}

//! The SYN queue, half-open connections and the accept queues of the listeners.

use super::{Entry, Origin, Table, Unlistened};
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
            origin: Origin::HalfOpen(id),
        } if *id == listener => Some(connection.clone()),
        _ => None,
    }
}

impl<F: Flavor> Table<F> {
    /// Keeps a SYN that arrived on `queue` until the program answers it. Returns `false` if there is
    /// no listener any more since the SYN was routed: the SYN is to be refused.
    pub(crate) fn enqueue_syn(
        &mut self,
        (key, queue): (FlowKey, u8),
        isn: u32,
        syn: &[u8],
        now: Instant,
        wakes: &mut WakeList,
    ) -> bool {
        if self.gone {
            self.count(Dropped::Closed);
            return true;
        }
        if self.is_closed() {
            return false;
        }
        if self.syn_queue.isn(key).is_some() {
            self.syn_queue.restart(key, isn, syn, now);
            self.publish();
            return true;
        }
        // A task may have connected from here since the SYN was routed.
        if self.entries.contains_key(&key) {
            self.count(Dropped::UnexpectedSyn);
            return true;
        }
        let Some(listener) = self.listeners.of(key.destination()) else {
            return false;
        };
        let config = &self.config.config;
        // Each entry has its place among the connections and its buffers promised, so that it can
        // be accepted.
        if self.stats.connections as usize >= config.max_connections
            || !self.has_memory(self.syn_queue.len() + 1)
        {
            self.count(Dropped::TableFull);
            return true;
        }
        let of_source = || self.syn_queue.of_source(key);
        if config
            .backlog_per_source
            .is_some_and(|most| of_source() >= most)
        {
            self.count(Dropped::SourceFull);
            return true;
        }
        let held = self.syn_queue.len() + self.stats.connections as usize;
        if self.syn_queue.len() >= config.backlog || held >= config.max_connections {
            self.count(Dropped::BacklogFull);
            if !self.syn_queue.evict(wakes) {
                return true;
            }
        }
        self.stats.requested += 1;
        self.syn_queue.insert((key, listener, queue), isn, syn, now);
        if let Some(listening) = self.listeners.get_mut(listener) {
            listening.acceptors.drain_into(wakes);
        }
        self.publish();
        true
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

    /// Puts a connection in the place of a SYN. With `listened` the connection belongs to the
    /// listener until its handshake is done.
    pub(crate) fn accept(
        &mut self,
        id: SynId,
        connection: Shared<F, Connection<F>>,
        listened: bool,
        now: Instant,
        wakes: &mut WakeList,
    ) -> io::Result<()> {
        if self.is_closed() {
            return Err(StackClosed.into());
        }
        let entry = self.syn_queue.take(id, wakes).ok_or_else(request_gone)?;
        let SynEntry { key, listener, .. } = entry;
        let listener = listened.then_some(listener);
        if let Some(listening) = listener.and_then(|id| self.listeners.get_mut(id)) {
            listening.half_open += 1;
            listening.answered.push_back((now, key));
        }
        let entry = Entry::Connection {
            connection,
            origin: listener.map_or(Origin::Program, Origin::HalfOpen),
        };
        self.entries.insert(key, entry);
        self.forget_handshakes(listener);
        self.stats.connections += 1;
        self.stats.accepted += 1;
        self.publish();
        Ok(())
    }

    /// The handshake of a connection that its listener answered is over: completed or failed.
    pub(crate) fn handshake_over(
        &mut self,
        key: FlowKey,
        connection: &Shared<F, Connection<F>>,
        completed: bool,
        wakes: &mut WakeList,
    ) {
        let listener = match self.entries.get_mut(&key) {
            Some(Entry::Connection {
                connection: here,
                origin: origin @ Origin::HalfOpen(_),
            }) if here.same(connection) => {
                let Origin::HalfOpen(listener) = *origin else {
                    return;
                };
                *origin = Origin::Listener(listener);
                listener
            }
            _ => return,
        };
        if let Some(listening) = self.listeners.get_mut(listener) {
            listening.half_open -= 1;
            if completed {
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
        let answered = &mut self.listeners.get_mut(listener)?.answered;
        while let Some(&(at, key)) = answered.front() {
            let oldest = half_open(&self.entries, key, listener);
            if oldest.is_some() && now < at + grace {
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
    fn forget_handshakes(&mut self, listener: Option<u32>) {
        if let Some(id) = listener
            && let Some(listening) = self.listeners.get_mut(id)
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
        let connections = self.connections_of(|origin| match origin {
            Origin::HalfOpen(listener) | Origin::Listener(listener) => listener == id,
            Origin::Program => false,
        });
        let syns = self.syn_queue.take_pending(id, wakes);
        self.publish();
        Some(Unlistened {
            syns,
            connections,
            _listening: listening,
        })
    }
}

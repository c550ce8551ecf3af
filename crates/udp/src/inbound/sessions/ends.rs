//! The activity of sessions, and their ends.

use super::super::list::List;
use super::{KEEP, Sessions};
use crate::events::Reason;
use crate::session::{SessionConfig, SessionEnd};
use crate::stats::Stats;
use brooklet_cell::wakers::WakeList;
use slab::Slab;
use std::time::{Duration, Instant};

impl Sessions {
    /// Makes the session the most recently used one.
    pub(super) fn touch(&mut self, now: Instant, id: usize) {
        let Some(session) = self.sessions.get_mut(id).filter(|s| s.end.is_none()) else {
            return;
        };
        let finished = session.dns.is_finished();
        let was_finished = std::mem::replace(&mut session.finished, finished);
        if finished && !was_finished {
            // Name servers use a port for each question: there are many of these sessions.
            session.queue.release();
        }
        let source = session.source;
        let [before, list] = [was_finished, finished].map(usize::from);
        // The clocks of two threads may differ a little; the list stays in order all the same.
        let last = self.by_activity[list].last();
        let latest = last.map_or(now, |last| self.sessions[last].last_activity.max(now));
        self.sessions[id].last_activity = latest;
        if before == list {
            self.by_activity[list].move_to_back(id, &mut self.sessions);
        } else {
            self.by_activity[before].remove(id, &mut self.sessions);
            self.by_activity[list].push_back(id, &mut self.sessions);
        }
        let sessions = &mut self.sources[source].sessions;
        sessions.move_to_back(id, &mut self.sessions);
    }

    pub(super) fn least_recently_used(&self) -> Option<usize> {
        let heads = self.by_activity.iter().filter_map(List::first);
        heads.min_by_key(|&id| self.sessions[id].last_activity)
    }

    /// The sessions that end next, of each list, and the timeout of the list.
    fn next_to_end(&self) -> impl Iterator<Item = (usize, Duration)> + use<> {
        let SessionConfig {
            idle_timeout,
            dns_timeout,
            ..
        } = self.config;
        let [idle, finished] = &self.by_activity;
        let heads = [
            (idle.first(), idle_timeout),
            (finished.first(), dns_timeout),
        ];
        let head = |(id, timeout): (Option<usize>, Duration)| Some((id?, timeout));
        heads.into_iter().filter_map(head)
    }

    /// The earliest time at which a session ends.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next_to_end()
            .filter_map(|(id, timeout)| self.sessions[id].last_activity.checked_add(timeout))
            .min()
    }

    /// Ends up to `most` sessions whose time is over. Returns whether there may be more.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        most: usize,
        stats: &mut Stats,
        wakes: &mut WakeList,
    ) -> bool {
        for _ in 0..most {
            let mut next = self.next_to_end();
            let due = next.find(|&(id, timeout)| {
                now.saturating_duration_since(self.sessions[id].last_activity) >= timeout
            });
            match due {
                Some((id, _)) => self.end(id, SessionEnd::Idle, stats, wakes),
                None => return false,
            }
        }
        true
    }

    /// Ends a session that has not ended.
    pub(super) fn end(
        &mut self,
        id: usize,
        end: SessionEnd,
        stats: &mut Stats,
        wakes: &mut WakeList,
    ) {
        let reason = match end {
            SessionEnd::Idle => {
                stats.sessions_idle += 1;
                Reason::Idle
            }
            SessionEnd::Evicted => {
                stats.sessions_evicted += 1;
                Reason::Evicted
            }
        };
        self.log_end(id, reason);
        self.unlink(id);
        let session = &mut self.sessions[id];
        session.end = Some(end);
        session.queue.readers.drain_into(wakes);
        if session.handles == 0 {
            self.forget(id);
        }
    }

    /// Takes a session that has not ended out of the table and the lists.
    pub(super) fn unlink(&mut self, id: usize) {
        let session = &self.sessions[id];
        let (at, list, waits) = (session.source, usize::from(session.finished), session.waits);
        self.table.remove(&session.key);
        let source = &mut self.sources[at];
        source.bytes -= session.queue.bytes();
        source.waiting -= usize::from(waits);
        source.sessions.remove(id, &mut self.sessions);
        if source.sessions.len() == 0 {
            let prefix = source.prefix;
            self.sources.remove(at);
            self.source_table.remove(&prefix);
        }
        self.by_activity[list].remove(id, &mut self.sessions);
        if waits {
            self.backlog.remove(id, &mut self.sessions);
        }
        self.shrink();
        self.settle();
    }

    /// Frees the memory that a crowd of sessions has left.
    fn shrink(&mut self) {
        if self.table.capacity() > KEEP && self.table.len() * 8 < self.table.capacity() {
            self.table.shrink_to((self.table.len() * 2).max(KEEP / 2));
            self.source_table
                .shrink_to((self.source_table.len() * 2).max(KEEP / 2));
        }
        if self.sources.is_empty() && self.sources.capacity() > KEEP {
            self.sources = Slab::new();
        }
    }

    /// Frees a session that is in no list.
    pub(super) fn forget(&mut self, id: usize) {
        // It has no handle and therefore no reader: nothing foreign is dropped here.
        let session = self.sessions.remove(id);
        self.bytes -= session.queue.bytes();
        if self.sessions.is_empty() && self.sessions.capacity() > KEEP {
            self.sessions = Slab::new();
        }
        drop(session);
        self.settle();
    }

    /// Notes the end of a session that is not yet taken out of the lists. Its age at the end is
    /// that at its last datagram.
    pub(super) fn log_end(&mut self, id: usize, reason: Reason) {
        let session = &self.sessions[id];
        if !self.stack_ended {
            let flow = || session.flow(session.last_activity);
            self.events.ended(flow, reason);
        }
    }

    /// Notes the end of every session: the stack has ended.
    pub(crate) fn log_stack_end(&mut self) {
        let sessions = self.sessions.iter().map(|(_, session)| session);
        for session in sessions.filter(|session| session.end.is_none()) {
            let flow = || session.flow(session.last_activity);
            self.events.ended(flow, Reason::StackEnded);
        }
        self.stack_ended = true;
    }
}

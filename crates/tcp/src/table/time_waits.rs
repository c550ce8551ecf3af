//! The entries in TIME-WAIT (RFC 9293, 3.6.1).

use super::{Entry, Route, Table};
use crate::flow::Totals;
use crate::stats::Dropped;
use crate::time_wait::{Arrival, TimeWait, Verdict};
use brooklet_cell::Flavor;
use brooklet_packet::FlowKey;
use std::time::{Duration, Instant};

/// The 2 MSL timeout is not restarted more often, so that the list of ends stays short.
const MIN_RESTART_INTERVAL: Duration = Duration::from_secs(1);

impl<F: Flavor> Table<F> {
    pub(super) fn arrives_in_time_wait(
        &mut self,
        now: Instant,
        key: FlowKey,
        arrival: Arrival,
    ) -> Route<F> {
        let Some(Entry::TimeWait(entry)) = self.entries.get_mut(&key) else {
            return Route::Drop;
        };
        let config = &self.config.config;
        let (wait, until) = &mut **entry;
        match wait.segment_arrives(arrival, config.rfc1337) {
            Verdict::Drop => {
                self.count(match arrival.tcp.flags.rst() {
                    true => Dropped::BadRst,
                    false => Dropped::Late,
                });
                Route::Drop
            }
            Verdict::Acknowledge => Route::Acknowledge(*wait),
            Verdict::Restart => {
                let wait = *wait;
                let restarted = now + config.time_wait;
                let few = self.time_waits.len() <= 2 * self.stats.time_wait as usize;
                if few && restarted >= *until + MIN_RESTART_INTERVAL {
                    *until = restarted;
                    self.time_waits.push_back((restarted, key));
                    self.publish();
                }
                Route::Acknowledge(wait)
            }
            Verdict::End => {
                self.remove_time_wait(key);
                Route::Drop
            }
            Verdict::Open => {
                self.remove_time_wait(key);
                self.listen(key)
            }
        }
    }

    fn remove_time_wait(&mut self, key: FlowKey) {
        self.entries.remove(&key);
        self.stats.time_wait -= 1;
        self.publish();
    }

    /// Puts TIME-WAIT in the place of a connection. The oldest ends if there are too many.
    pub(super) fn enter_time_wait(&mut self, key: FlowKey, wait: TimeWait, now: Instant) {
        let until = now + self.config.config.time_wait;
        self.entries
            .insert(key, Entry::TimeWait(Box::new((wait, until))));
        self.stats.time_wait += 1;
        self.time_waits.push_back((until, key));
        while self.time_waits.len() > self.config.config.max_time_wait {
            if let Some((until, key)) = self.time_waits.pop_front() {
                self.end_time_wait(key, until);
            }
        }
    }

    fn is_time_wait(&self, key: FlowKey, until: Instant) -> bool {
        matches!(self.entries.get(&key), Some(Entry::TimeWait(entry)) if entry.1 == until)
    }

    fn end_time_wait(&mut self, key: FlowKey, until: Instant) {
        if self.is_time_wait(key, until) {
            self.entries.remove(&key);
            self.stats.time_wait -= 1;
        }
    }

    /// Each connection in TIME-WAIT, in no order.
    pub(crate) fn iter_time_waits(&self) -> impl Iterator<Item = (FlowKey, Totals)> {
        self.entries.iter().filter_map(|(key, entry)| match entry {
            Entry::TimeWait(entry) => Some((*key, entry.0.totals)),
            Entry::Connection { .. } => None,
        })
    }

    /// When the oldest TIME-WAIT ends.
    pub(super) fn next_time_wait_end(&mut self) -> Option<Instant> {
        while let Some(&(until, key)) = self.time_waits.front() {
            if self.is_time_wait(key, until) {
                return Some(until);
            }
            self.time_waits.pop_front();
        }
        None
    }

    pub(super) fn expire_time_waits(&mut self, now: Instant) {
        while let Some(&(until, key)) = self.time_waits.front()
            && until <= now
        {
            self.time_waits.pop_front();
            self.end_time_wait(key, until);
        }
    }
}

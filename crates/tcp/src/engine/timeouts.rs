//! Deadlines of connections and of the table.

use super::Engine;
use crate::seq::Micros;
use brooklet_cell::Flavor;
use brooklet_packet::FlowKey;
use std::time::{Duration, Instant};

/// A deadline nearer than this is not checked for being needed still: waking once too often costs
/// less. After a timeout it is: several such deadlines would wake an idle driver one after the other.
const TIMER_SLACK: Duration = Duration::from_millis(1100);

/// So many near deadlines are checked after a timeout at most, so that a stack with very many
/// connections does not stop for long.
const NEAR_AT_ONCE: usize = 1024;

/// The list of deadlines that are due keeps room for this many.
const MAX_KEPT: usize = 64;

impl<F: Flavor> Engine<F> {
    /// When [`handle_timeout`](Self::handle_timeout) has something to do, as of this call; `None`
    /// if only a packet or a handle can bring work.
    ///
    /// A moment within the next second may have become needless since; a later one is needed, and so
    /// is every one directly after [`handle_timeout`](Self::handle_timeout). So an idle stack sleeps:
    /// it wakes the driver once for nothing, within a second of its last work. Call it once before the
    /// driver sleeps.
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let interface = Interface::new().ipv4(Some([10, 0, 0, 2].into()));
    /// # let (config, clock) = (Config::default(), Clock::new(Instant::now));
    /// # let (mut engine, listener, connector) =
    /// #     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    /// let now = Instant::now();
    /// assert!(engine.poll_timeout(now).is_none(), "nothing to wait for");
    /// # drop((listener, connector));
    /// ```
    pub fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let limit = 2 * self.stack.summary.connections() + 1024;
        let soon = self.stack.config.micros(now + TIMER_SLACK);
        let mut near = match std::mem::take(&mut self.timeouts_handled) {
            true => NEAR_AT_ONCE,
            false => 0,
        };
        let (all, mut first) = self.queue_shared.with(|queue| {
            let all = queue.timers.take_beyond(limit);
            (all, queue.timers.first())
        });
        if !all.is_empty() {
            self.rearm_needed(all);
            first = self.queue_shared.with(|queue| queue.timers.first());
        }
        while let Some((at, key)) = first
            && (at > soon || near > 0)
            && !self.is_needed(at, key)
        {
            near = near.saturating_sub(1);
            first = self.queue_shared.with(|queue| queue.timers.first());
        }
        let expiry = self.stack.summary.next_expiry(self.stack.config.epoch);
        let connections = first.map(|(at, _)| self.stack.config.instant(at));
        expiry.into_iter().chain(connections).min()
    }

    /// Puts those of the deadlines back that a connection needs. All are taken out once the
    /// needless ones are the greater part: the deadlines of connections that are gone would stay
    /// until their time comes.
    fn rearm_needed(&mut self, all: Vec<(Micros, FlowKey)>) {
        // Only this driver takes deadlines out of its queue.
        for (at, key) in all {
            let connection = self.stack.table.with(|table| table.connection(key));
            let next = connection.and_then(|connection| {
                connection.with(|connection| {
                    if connection.wants(at) {
                        Some(at)
                    } else {
                        connection.rearm(at)
                    }
                })
            });
            if let Some(next) = next {
                self.queue_shared.with(|queue| queue.timers.push(next, key));
            }
        }
    }

    /// Whether the connection `key` needs its deadline `at`. If not, the deadline is replaced by
    /// the one that the connection needs.
    fn is_needed(&mut self, at: Micros, key: FlowKey) -> bool {
        let connection = self.stack.table.with(|table| table.connection(key));
        if connection
            .as_ref()
            .is_some_and(|connection| connection.with(|connection| connection.wants(at)))
        {
            return true;
        }
        if self
            .queue_shared
            .with(|queue| queue.timers.pop_exactly((at, key)))
            && let Some(connection) = connection
            && let Some(next) = connection.with(|connection| connection.rearm(at))
        {
            self.queue_shared.with(|queue| queue.timers.push(next, key));
        }
        false
    }

    /// Runs the timers that are due at `now`: retransmissions, probes, timeouts.
    ///
    /// One call handles each deadline at most once that was due when it began. It is cheap if
    /// nothing is due.
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let interface = Interface::new().ipv4(Some([10, 0, 0, 2].into()));
    /// # let (config, clock) = (Config::default(), Clock::new(Instant::now));
    /// # let (mut engine, listener, connector) =
    /// #     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    /// # let mut connect = Box::pin(connector.connect("192.0.2.1:80".parse().unwrap()));
    /// # let pending = futures_lite::future::poll_once(&mut connect);
    /// # assert!(futures_lite::future::block_on(pending).is_none());
    /// # while engine.poll_transmit().is_some() {}
    /// let now = Instant::now();
    /// if let Some(at) = engine.poll_timeout(now) {
    ///     // The driver sleeps until then.
    ///     engine.handle_timeout(at);
    ///     engine.flush(at);
    /// }
    /// # drop(listener);
    /// ```
    pub fn handle_timeout(&mut self, now: Instant) {
        self.timeouts_handled = true;
        let expiry = self.stack.summary.next_expiry(self.stack.config.epoch);
        if expiry.is_some_and(|at| at <= now) {
            let wakes = &mut self.wakes;
            self.stack.table.with(|table| table.expire(now, wakes));
            self.wakes.wake_all();
        }
        let mut due = std::mem::take(&mut self.due);
        let moment = self.moment(now);
        self.queue_shared
            .with(|queue| queue.timers.take_due(moment, &mut due));
        for (at, key) in due.drain(..) {
            let Some(connection) = self.stack.table.with(|table| table.connection(key)) else {
                continue;
            };
            self.stack.enter(&connection, moment, |connection, fx| {
                connection.on_deadline(at, fx);
            });
        }
        due.shrink_to(MAX_KEPT); // gives back the memory of a burst
        self.due = due;
    }
}

//! When a connection is to be looked at again.

use super::Flow;
use crate::context::Work;
use crate::error::End;
use brooklet_cell::Flavor;
use smoltcp::socket::tcp::State;
use std::time::Instant;

impl Flow {
    pub(super) fn arm<F: Flavor>(
        &mut self,
        deadlines: [Option<Instant>; 2],
        work: &mut Work<'_, F>,
    ) {
        let check = self.orphan.as_ref().map(|orphan| orphan.check);
        let [first, second] = deadlines;
        let (quiet, ask) = (self.quiet_until(), self.ask_at());
        let mut wanted = first;
        for at in [second, self.handshake_by, check, quiet, ask] {
            if let Some(at) = at
                && wanted.is_none_or(|wanted| at < wanted)
            {
                wanted = Some(at);
            }
        }
        self.wanted = wanted;
        if let Some(at) = self.wanted
            && self.armed.is_none_or(|armed| at < armed)
        {
            self.armed = Some(at);
            let driver = work.hub.with(|hub| hub.arm(at, self.key));
            work.wakes.extend(driver);
        }
    }

    /// Whether the deadline `at` among the timers is one that is needed.
    pub(crate) fn wants(&self, at: Instant) -> bool {
        self.armed == Some(at) && self.wanted.is_some_and(|wanted| wanted <= at) && !self.detached
    }

    /// The deadline `at` has been taken out: says which one is to be put in.
    pub(crate) fn rearm(&mut self, at: Instant) -> Option<Instant> {
        if self.armed == Some(at) {
            self.armed = self.wanted.filter(|_| !self.detached);
            return self.armed;
        }
        None // there is another one for this connection
    }

    /// When a peer that owes something counts as gone (RFC 9293, 3.8.3 and 3.8.4).
    fn quiet_until(&self) -> Option<Instant> {
        let asked_since = self.asked.map(|(_, since)| since);
        let since = [self.owed_since, asked_since].into_iter().flatten().min()?;
        Some(since + self.user_timeout?)
    }

    /// When the peer is asked whether it is still there (RFC 9293, 3.8.4).
    fn ask_at(&self) -> Option<Instant> {
        let interval = self.keepalive?;
        if !self.connected || self.end.is_some() || self.guard.send.flight() > 0 {
            return None; // what is under way is question enough
        }
        let last = self.asked.map_or(self.heard_at, |(last, _)| last);
        Some(last + interval)
    }

    /// Asks the peer for its acknowledgement and its window.
    fn ask<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        let now = work.context.fixed.micros(work.now);
        let received = self.received();
        let question = self.guard.question(now, received, self.ttl);
        let question = question.packet(self.key.reversed());
        let driver = work.hub.with(|hub| hub.push(question.into(), false));
        work.wakes.extend(driver);
    }

    /// The deadline `at` has come.
    pub(crate) fn on_deadline<F: Flavor>(&mut self, at: Instant, work: &mut Work<'_, F>) {
        if self.armed != Some(at) || self.detached {
            return; // an earlier one has taken its place
        }
        self.armed = None;
        let quiet = self.quiet_until();
        if self
            .handshake_by
            .into_iter()
            .chain(quiet)
            .any(|by| by <= work.now)
        {
            self.end.get_or_insert(End::TimedOut);
            self.break_off();
            // The reset may have to wait for room; deadlines that have passed must not stay.
            self.handshake_by = None;
            self.asked = None;
        } else if !matches!(self.state(), State::Closed) {
            let now = work.context.fixed.micros(work.now);
            let unsent = self.unsent();
            if self.guard.send.on_deadline(now, unsent) {
                self.ask(work);
            } else if self.ask_at().is_some_and(|at| at <= work.now) {
                let since = self.asked.map_or(work.now, |(_, since)| since);
                self.asked = Some((work.now, since));
                self.ask(work);
            }
        }
        self.check_orphan(work);
        self.settle(work);
    }
}

//! When a connection is to be looked at again.

use super::Flow;
use crate::context::Work;
use crate::error::End;
use brooklet_cell::Flavor;
use std::time::Instant;

impl Flow {
    pub(super) fn arm<F: Flavor>(&mut self, deadline: Option<Instant>, work: &mut Work<'_, F>) {
        let check = self.orphan.as_ref().map(|orphan| orphan.check);
        let deadlines = [deadline, self.handshake_by, check, self.quiet_until()];
        self.wanted = deadlines.into_iter().flatten().min();
        if let Some(at) = self.wanted
            && self.armed.is_none_or(|armed| at < armed)
        {
            self.armed = Some(at);
            let driver = work.context.hub.with(|hub| hub.arm(at, self.key));
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

    /// When a peer that owes an acknowledgement counts as gone (RFC 9293, 3.8.3).
    pub(super) fn quiet_until(&self) -> Option<Instant> {
        Some(self.owed_since? + self.user_timeout?)
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
            self.socket().abort();
            // The reset may have to wait for room; a deadline that has passed must not stay.
            self.handshake_by = None;
        }
        let timeout = work.context.fixed.config.orphan_timeout;
        let queued = self.socket().send_queue();
        if let Some(orphan) = &mut self.orphan
            && orphan.check <= work.now
        {
            let progress = queued > 0 && queued < orphan.queued;
            orphan.queued = queued;
            orphan.check = work.now + timeout;
            if !progress {
                self.socket().abort();
            }
        }
        self.settle(work);
    }
}

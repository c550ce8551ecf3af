//! What is done when nothing is heard: probes, and timeouts.

use super::{DELAYED_ACK, Recovery, Sender};
use crate::seq::{Micros, later};

impl Sender {
    /// When [`on_deadline`](Self::on_deadline) is to be called; `unsent` bytes wait.
    pub(crate) fn deadline(&mut self, now: Micros, unsent: usize) -> Option<Micros> {
        if self.board.flight() == 0 {
            let waits = self.closed() || self.silly(self.peer_window(), unsent) && !self.impatient;
            if unsent == 0 || !waits {
                self.timer = None;
                return None;
            }
            let from = *self.timer.get_or_insert(now);
            return Some(from + self.rtt.timeout(self.backoff));
        }
        let from = *self.timer.get_or_insert(now);
        let timeout = from + self.rtt.timeout(self.backoff);
        [Some(timeout), self.overtaken_at, self.probe_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the last segment is sent again to learn whether the end was lost (RFC 8985, 7.2).
    fn probe_at(&self) -> Option<Micros> {
        let quiet = self.recovery.is_none()
            && self.board.sacked() == 0
            && self.board.lost() == 0
            && self.backoff == 0
            && self.probed.is_none()
            && self.sack;
        if !quiet {
            return None;
        }
        let rtt = self.rtt.smoothed()?;
        let mut wait = 2 * rtt;
        if self.board.flight() <= self.mss {
            wait += DELAYED_ACK;
        }
        Some(self.timer?.max(self.sent_at) + wait.max(2_000))
    }

    /// Does what is due. `unsent` bytes wait. Says whether the peer is to be asked for its window.
    pub(crate) fn on_deadline(&mut self, now: Micros, unsent: usize) -> bool {
        if self.overtaken_at.is_some_and(|at| at <= now) {
            self.detect(now, false);
        }
        let timeout = self
            .timer
            .is_some_and(|from| from + self.rtt.timeout(self.backoff) <= now);
        if self.board.flight() == 0 {
            if !timeout || unsent == 0 {
                return false;
            }
            self.timer = Some(now);
            if self.closed() {
                self.backoff += 1; // RFC 9293, 3.8.6.1
            } else {
                self.impatient = true; // RFC 9293, 3.8.6.2.1, (4)
            }
            return self.closed();
        }
        if timeout {
            self.on_timeout(now);
        } else if self.probe_at().is_some_and(|at| at <= now) {
            let nxt = self.board.nxt();
            let last = later(self.board.una(), nxt.wrapping_sub(self.mss));
            self.probed = Some(nxt);
            self.board.lose(last, nxt);
            self.urgent = true;
            self.timer = Some(now);
        }
        false
    }

    fn on_timeout(&mut self, now: Micros) {
        self.timer = Some(now);
        self.backoff += 1;
        self.urgent = true;
        self.duplicates = 0;
        self.probed = None;
        self.overtaken_at = None;
        if self.closed() {
            // No sign of a full path: the peer has closed its window over what was sent. What it
            // reported before that it may have thrown away (RFC 2018, 8).
            if self.backoff > 1 {
                self.board.forget_sacked();
            }
            let una = self.board.una();
            self.board.lose(una, una.wrapping_add(self.mss));
            return;
        }
        // The handshake says nothing about how much the path takes.
        if self.edge_from.is_some() {
            self.recovery = Some(Recovery {
                point: self.board.nxt(),
                timeout: true,
            });
            self.window.on_timeout(self.backoff > 1);
            // The peer may have taken back what it reported (RFC 2018, 8).
            if self.backoff > 1 {
                self.board.forget_sacked();
            }
        }
        self.board.lose_if(|_| true);
    }
}

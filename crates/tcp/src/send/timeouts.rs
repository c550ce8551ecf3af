//! Timers: retransmission timeout (RFC 6298), tail loss probe (RFC 8985, 7), RACK's reordering
//! window and window probes (RFC 9293, 3.8.6).

use super::recovery::Phase;
use super::{MAX_ACK_DELAY, Sender};
use crate::seq::{Micros, later};

/// No probe comes earlier than this after a segment.
const MIN_PTO: Micros = 2_000;

impl Sender {
    /// When [`on_deadline`](Self::on_deadline) is to be called; `unsent` bytes wait.
    pub(crate) fn deadline(&mut self, now: Micros, unsent: usize) -> Option<Micros> {
        if self.scoreboard.flight() == 0 {
            let silly = self.is_silly(self.peer_window(), unsent) && !self.sws_override;
            if unsent == 0 || !(self.closed() || silly) {
                self.timer_runs = false;
                return None;
            }
            if !self.timer_runs {
                self.start_timer(now);
            }

            return Some(self.timer_start + self.timeout());
        }
        if !self.timer_runs {
            self.start_timer(now);
        }

        let timeout = self.timer_start + self.timeout();
        [
            Some(timeout),
            self.reorder_deadline(),
            self.probe_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn reorder_deadline(&self) -> Option<Micros> {
        self.recovery.as_ref()?.reorder_deadline
    }

    /// When the end of what is in flight is retransmitted to learn whether it was lost
    /// (RFC 8985, 7.2).
    fn probe_deadline(&self) -> Option<Micros> {
        let open = self.sack
            && self.backoff == 0
            && self.scoreboard.sacked() + self.scoreboard.lost() == 0;
        let recovery = self.recovery.as_ref();
        let recovering_or_probing =
            recovery.is_some_and(|r| r.phase != Phase::Open || r.tlp_end_seq.is_some());
        if !open || recovering_or_probing || !self.timer_runs {
            return None;
        }
        let mut pto = 2 * self.rto.srtt()?;
        if self.scoreboard.flight() <= self.mss() {
            pto += MAX_ACK_DELAY;
        }
        Some(self.timer_start.max(self.sent_at) + pto.max(MIN_PTO))
    }

    /// Does what is due; `unsent` bytes wait. Says whether to probe the peer's window.
    pub(crate) fn on_deadline(&mut self, now: Micros, unsent: usize) -> bool {
        if self.reorder_deadline().is_some_and(|at| at <= now) {
            self.recovery_mut().add_credit(0);
            self.detect_losses(now, false);
        }
        let timeout = self.timeout();
        let expired = self.timer_runs && self.timer_start + timeout <= now;
        if self.scoreboard.flight() == 0 {
            if !expired || unsent == 0 {
                return false;
            }
            self.start_timer(now);
            if self.closed() {
                self.backoff = self.backoff.saturating_add(1); // RFC 9293, 3.8.6.1
            } else {
                self.sws_override = true; // RFC 9293, 3.8.6.2.1, (4)
            }
            return self.closed();
        }
        if expired {
            self.on_timeout(now);
            // A path that does not take the segment at SND.UNA would hide that the window is open.
            return self.closed() && self.backoff > 1;
        } else if self.probe_deadline().is_some_and(|at| at <= now) {
            self.send_probe(now);
        }
        false
    }

    /// The last segments, as many as make a full one, are retransmitted (RFC 8985, 7.3).
    fn send_probe(&mut self, now: Micros) {
        let nxt = self.scoreboard.nxt();
        let fin = u32::from(self.fin_sent);
        let last = later(self.scoreboard.una(), nxt.wrapping_sub(self.mss() + fin));
        if self.scoreboard.lose(last, nxt) == 0 {
            self.scoreboard.lose_if(|run| run.end == nxt);
        }
        self.recovery_mut().tlp_end_seq = Some(nxt);
        self.bypass_cwnd = true;
        self.start_timer(now);
    }

    /// The retransmission timer has expired (RFC 6298, 5.4 to 5.6).
    fn on_timeout(&mut self, now: Micros) {
        self.start_timer(now);
        self.backoff = self.backoff.saturating_add(1);
        self.bypass_cwnd = true;
        if let Some(recovery) = &mut self.recovery {
            recovery.begin_credit();
            recovery.dup_acks = 0;
            recovery.tlp_end_seq = None;
            recovery.reorder_deadline = None;
        }
        if self.closed() {
            // No sign of congestion: the peer has closed its window over what was sent. What it
            // selectively acknowledged before that it may have discarded (RFC 2018, 8).
            if self.backoff > 1 {
                self.scoreboard.forget_sacked();
            }
            let una = self.scoreboard.una();
            self.scoreboard.lose(una, una.wrapping_add(self.mss()));
            return;
        }
        // A lost SYN says nothing about the capacity of the path.
        if self.window_known {
            self.enter(Phase::Timeout);
            self.window.on_timeout(self.backoff > 1);
            // A peer that has discarded what it selectively acknowledged acknowledges all before
            // it, and no more. As in Linux: a retransmission of everything would be in vain else.
            if self.scoreboard.is_reneged() {
                self.scoreboard.forget_sacked();
            }
        }
        self.scoreboard.lose_if(|_| true);
    }
}

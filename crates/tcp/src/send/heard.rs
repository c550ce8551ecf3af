//! What an acknowledgement says, and what it shows to be lost.

use super::scoreboard::Delivered;
use super::{Ack, DUPLICATES, Recovery, Sender};
use crate::seq::{Micros, after};

impl Sender {
    /// Takes in an acknowledgement. Says whether it brought something new.
    pub(crate) fn on_ack(&mut self, now: Micros, ack: Ack<'_>) -> bool {
        let (una, flight) = (self.board.una(), self.board.flight());
        if after(una, ack.ack) {
            return false;
        }
        if self.edge_from.is_none() && self.retransmits > 0 {
            self.window.on_lost_syn();
        }
        let opened = self.take_window(&ack);
        let mut delivered = Delivered::default();
        let duplicate = self.take_blocks(&ack, &mut delivered);
        self.board.acked(ack.ack, &mut delivered);
        self.copies.acked(ack.ack);
        let advanced = after(ack.ack, una);
        self.take_times(now, &ack, delivered);
        self.reordered |= delivered.reordered;
        if duplicate && self.reordered {
            // Something was sent again that had only been overtaken (RFC 8985, 6.2, step 4).
            self.patience = (self.patience + 1).min(16);
        }
        if advanced {
            self.backoff = 0;
            self.timer = (self.board.flight() > 0).then_some(now);
            self.end_recovery(ack.ack);
        } else if !ack.data && !opened && flight > 0 && !self.sack {
            self.duplicates = self.duplicates.saturating_add(1);
        }
        if let Some(probed) = self.probed
            && !after(probed, ack.ack)
        {
            // RFC 8985, 7.4.2. That both copies came, or only the second, is told by what comes
            // next: word of the same once more, or of what was sent later.
            let beyond = after(ack.ack, probed);
            let again = !advanced && !ack.data && ack.sack.is_empty();
            if beyond && !duplicate && self.recovery.is_none() {
                self.window.on_loss();
            }
            if beyond || duplicate || again {
                self.probed = None;
            }
        }
        self.detect(now, advanced);
        let recovering = self.recovery.is_some_and(|recovery| !recovery.timeout);
        if delivered.bytes > 0 && !recovering {
            let rtt = delivered.measurable().map(|at| now.saturating_sub(at));
            self.window.on_ack(
                now,
                (delivered.bytes, ack.ack),
                flight,
                (rtt, self.board.nxt()),
            );
        }
        advanced
    }

    /// Takes in the window (RFC 9293, 3.10.7.4). Says whether it changed.
    ///
    /// One that comes with a new acknowledgement is new, even if a repetition brings it.
    fn take_window(&mut self, ack: &Ack<'_>) -> bool {
        let newer = after(ack.ack, self.board.una())
            || self.edge_from.is_none_or(|(seq, acked)| {
                after(ack.seq, seq) || (seq == ack.seq && !after(acked, ack.ack))
            });
        if !newer {
            return false;
        }
        self.edge_from = Some((ack.seq, ack.ack));
        let edge = ack.ack.wrapping_add(ack.window);
        let changed = edge != self.edge;
        let closed = self.closed();
        self.edge = edge;
        self.largest = self.largest.max(ack.window);
        if closed && ack.window > 0 {
            // What was sent again into the closed window was most likely not taken.
            if self.backoff > 0 && self.board.lose_if(|_| true) > 0 {
                self.urgent = true;
            }
            self.backoff = 0;
        }
        changed
    }

    /// Takes in the blocks of the SACK option. Says whether the first reports something that
    /// arrived twice (RFC 2883).
    fn take_blocks(&mut self, ack: &Ack<'_>, delivered: &mut Delivered) -> bool {
        let inside = |a: (u32, u32), b: (u32, u32)| !after(b.0, a.0) && !after(a.1, b.1);
        let mut duplicate = false;
        for (n, &block) in ack.sack.iter().enumerate() {
            let (start, end) = block;
            let twice = n == 0
                && (!after(end, ack.ack) || ack.sack.get(1).is_some_and(|&two| inside(block, two)));
            if twice {
                duplicate = true;
            } else if self.sack
                && after(end, start)
                && after(start, ack.ack)
                && !after(end, self.board.nxt())
            {
                self.board.sack(start, end, delivered);
            }
        }
        duplicate
    }

    fn take_times(&mut self, now: Micros, ack: &Ack<'_>, delivered: Delivered) {
        match delivered.measurable() {
            Some(at) => self.rtt.sample(now, now.saturating_sub(at)),
            None if delivered.bytes > 0 => {
                if let Some(rtt) = ack.rtt {
                    self.rtt.sample(now, rtt);
                }
            }
            None => {}
        }
        if let Some((at, end, resent)) = delivered.newest {
            let rtt = now.saturating_sub(at);
            // Too early to be the answer to the repetition: it is the one to the original.
            if resent && self.rtt.shortest().is_some_and(|shortest| rtt < shortest) {
                return;
            }
            self.latest_rtt = rtt;
            if self
                .newest
                .is_none_or(|newest| at > newest.0 || (at == newest.0 && after(end, newest.1)))
            {
                self.newest = Some((at, end));
            }
        }
    }

    fn end_recovery(&mut self, ack: u32) {
        if self
            .recovery
            .is_none_or(|recovery| after(recovery.point, ack))
        {
            return;
        }
        self.recovery = None;
        self.duplicates = 0;
        if self.board.lost() == 0 {
            self.copies.clear();
        }
    }

    /// Finds what is lost.
    pub(super) fn detect(&mut self, now: Micros, advanced: bool) {
        self.overtaken_at = None;
        let found = if self.sack {
            self.overtaken(now)
        } else {
            self.repeated(advanced)
        };
        if found == 0 {
            if self.board.lost() == 0 && self.recovery.is_none() && !self.copies.is_empty() {
                self.copies.clear();
            }
            return;
        }
        if self.recovery.is_none() {
            self.recovery = Some(Recovery {
                point: self.board.nxt(),
                timeout: false,
            });
            self.window.on_loss();
            self.urgent = true;
        }
    }

    /// RFC 8985, 6.2: what was sent before something that has arrived, and a little longer ago
    /// than that took, is lost.
    fn overtaken(&mut self, now: Micros) -> u32 {
        let Some((at, end)) = self.newest else {
            return 0;
        };
        if self.board.sacked() == 0 && self.recovery.is_none() {
            return 0;
        }
        let enough = self.recovery.is_some() || self.board.sacked() >= DUPLICATES * self.mss;
        let patience = match self.reordered {
            false if enough => 0,
            _ => {
                let quarter = self.rtt.shortest().unwrap_or(0) / 4;
                let most = self.rtt.smoothed().unwrap_or(0);
                (quarter * Micros::from(self.patience)).min(most)
            }
        };
        let wait = self.latest_rtt + patience;
        let mut next = None;
        let found = self.board.lose_if(|run| {
            if run.sent_at > at || (run.sent_at == at && !after(end, run.end)) {
                return false;
            }
            let due = run.sent_at + wait;
            if due > now {
                next = Some(next.map_or(due, |next: Micros| next.min(due)));
            }
            due <= now
        });
        self.overtaken_at = next;
        found
    }

    /// Without selective acknowledgements: RFC 5681, 3.2 and RFC 6582, 3.2.
    fn repeated(&mut self, advanced: bool) -> u32 {
        let una = self.board.una();
        let first = una.wrapping_add(self.mss);
        match self.recovery {
            Some(Recovery { timeout: false, .. }) if advanced => self.board.lose(una, first),
            None if self.duplicates == DUPLICATES && self.board.flight() > 0 => {
                self.duplicates += 1;
                self.board.lose(una, first)
            }
            _ => {
                if advanced && self.recovery.is_none() {
                    self.duplicates = 0;
                }
                0
            }
        }
    }
}

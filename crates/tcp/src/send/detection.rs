//! Loss detection by RACK (RFC 8985) or by duplicate acknowledgments (RFC 5681, 6582), and the undo
//! of a congestion response to a loss that was none (RFC 3522, 3708, 5682, 9438).

use super::recovery::{Phase, Recovery, Undo};
use super::scoreboard::Delivered;
use super::{Ack, DUP_THRESH, Sender};
use crate::seq::{Micros, after};

impl Sender {
    pub(super) fn phase(&self) -> Phase {
        let recovery = self.recovery.as_ref();
        recovery.map_or(Phase::Open, |recovery| recovery.phase)
    }

    /// The state of a connection with losses.
    pub(super) fn recovery_mut(&mut self) -> &mut Recovery {
        self.recovery.get_or_insert_default()
    }

    /// A congestion response begins, or goes on: what it changes is kept for an undo
    /// (RFC 9438, 4.9).
    pub(super) fn enter(&mut self, phase: Phase) {
        let again = self.phase() != Phase::Open;
        let nxt = self.scoreboard.nxt();
        let undo = match again {
            true => None,
            false => Some(Undo::new(self.window.prior())),
        };
        let recovery = self.recovery_mut();
        recovery.phase = phase;
        recovery.recovery_point = nxt;
        if !again {
            recovery.begin_credit();
            recovery.undo = undo;
            // The response to the loss is the response to what the probe has found, too.
            recovery.tlp_end_seq = None;
        }
    }

    /// Takes in what an acknowledgment says about retransmissions, and undoes the congestion
    /// response if all of them were spurious.
    pub(super) fn detect_spurious(
        &mut self,
        ack: &Ack<'_>,
        (prior_una, advanced): (u32, bool),
        dsack: Option<(u32, u32)>,
        delivered: &Delivered,
    ) {
        let (una, nxt, sack) = (self.scoreboard.una(), self.scoreboard.nxt(), self.sack);
        let Some(recovery) = self.recovery.as_deref_mut() else {
            return;
        };
        let timeout = recovery.phase == Phase::Timeout;
        let mut spurious_retransmission = false;
        let mut spurious_timeout = false;
        let mut all = false;
        if let Some(undo) = &mut recovery.undo {
            let by_dsack = dsack.is_some_and(|(start, end)| undo.on_dsack(start, end));
            let echoed = ack.tsecr_sent_at.filter(|_| advanced);
            let spurious = echoed.is_some_and(|at| undo.on_echo(prior_una, ack.ack, at));
            spurious_retransmission = by_dsack || (spurious && !timeout);
            // F-RTO (RFC 5682, 3.1): what arrived had been given up and not retransmitted. A peer
            // without SACK may acknowledge at last what it had long received.
            spurious_timeout = timeout && (spurious || (sack && delivered.lost_original));
            all = undo.all_spurious();
        }
        recovery.update_reo_wnd(una, nxt, spurious_retransmission);
        if all || spurious_timeout {
            self.undo();
        }
    }

    fn undo(&mut self) {
        let Some(recovery) = self.recovery.as_deref_mut() else {
            return;
        };
        let Some(undo) = recovery.undo.take() else {
            return;
        };
        let phase = std::mem::take(&mut recovery.phase);
        recovery.dup_acks = 0;
        self.window.restore(undo.prior);
        if phase != Phase::Open {
            self.scoreboard.unmark_lost();
        }
        // What seemed lost had been overtaken, unless the whole path had been silent.
        self.reordering_seen |= phase != Phase::Timeout;
    }

    /// Ends recovery once everything is acknowledged that had been sent when it began.
    pub(super) fn end_recovery(&mut self, ack: u32) {
        if let Some(recovery) = self.recovery.as_deref_mut()
            && recovery.phase != Phase::Open
            && !after(recovery.recovery_point, ack)
        {
            recovery.end();
        }
    }

    /// Marks what is lost, and responds to it.
    pub(super) fn detect_losses(&mut self, now: Micros, advanced: bool) {
        let found = match self.sack {
            true => self.rack_detect_loss(now),
            false => self.dup_ack_loss(advanced),
        };
        if found > 0 && self.phase() == Phase::Open {
            self.enter(Phase::Fast);
            self.window.on_loss();
            self.bypass_cwnd = true;
        }
    }

    /// RACK_detect_loss (RFC 8985, 6.2, step 5): a segment is lost if one that was sent later has
    /// been acknowledged, and a round trip and the reordering window have passed since it was sent.
    fn rack_detect_loss(&mut self, now: Micros) -> u32 {
        if !self.rack_valid {
            return 0;
        }
        let rack = self.rack;
        let wait = Micros::from(rack.rtt) + self.reo_wnd();
        let mut next: Option<Micros> = None;
        let found = self.scoreboard.lose_if(|run| {
            let newer = run.sent_at > rack.xmit_ts
                || (run.sent_at == rack.xmit_ts && !after(rack.end_seq, run.end));
            if newer {
                return false;
            }
            let due = run.sent_at + wait;
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
            due <= now
        });
        if next.is_some() || self.recovery.is_some() {
            self.recovery_mut().reorder_deadline = next;
        }
        found
    }

    /// RACK.reo_wnd: for so long a segment may be overtaken before it counts as lost.
    pub(super) fn reo_wnd(&self) -> Micros {
        let certain =
            self.phase() != Phase::Open || self.scoreboard.sacked_segments() >= DUP_THRESH;
        if certain && !self.reordering_seen {
            return 0;
        }
        let mult = self.recovery.as_ref().map_or(1, |r| r.reo_wnd_mult);
        let quarter = self.rto.min_rtt().unwrap_or(0) / 4;
        (quarter * Micros::from(mult)).min(self.rto.srtt().unwrap_or(0))
    }

    /// Without SACK, three duplicate acknowledgments mean a loss (RFC 5681, 3.2), and so does one
    /// in recovery that does not acknowledge all (RFC 6582, 3.2).
    fn dup_ack_loss(&mut self, advanced: bool) -> u32 {
        let una = self.scoreboard.una();
        let first = una.wrapping_add(self.mss());
        let flight = self.scoreboard.flight();
        let Some(recovery) = self.recovery.as_deref_mut() else {
            return 0;
        };
        match recovery.phase {
            Phase::Fast if advanced => self.scoreboard.lose(una, first),
            Phase::Open if recovery.dup_acks == DUP_THRESH && flight > 0 => {
                recovery.dup_acks += 1;
                self.scoreboard.lose(una, first)
            }
            phase => {
                if advanced && phase == Phase::Open {
                    recovery.dup_acks = 0;
                }
                0
            }
        }
    }
}

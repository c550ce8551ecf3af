//! Loss detection by RACK (RFC 8985) or by duplicate acknowledgments (RFC 5681, 6582), and the undo
//! of a congestion response to a loss that was none (RFC 3522, 3708, 5682, 9438).

use super::congestion::Prior;
use super::scoreboard::Delivered;
use super::{Ack, DUP_THRESH, Sender};
use crate::seq::{Micros, after, earlier, later};

/// The most separate stretches of retransmissions that are followed for an undo.
const MAX_RETRANSMISSIONS: usize = 256;

/// Recoveries without a D-SACK after which the reordering window is small again (RFC 8985, 6.2).
const REO_WND_PERSIST: u8 = 16;

/// RACK.xmit_ts, RACK.end_seq and RACK.rtt: the most recently sent segment that was acknowledged
/// (RFC 8985, 6.1).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rack {
    pub(super) xmit_ts: Micros,
    pub(super) end_seq: u32,
    pub(super) rtt: u32,
}

/// State that a connection has from its first loss, or what looked like one, until it is idle.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) phase: Phase,
    /// SND.NXT when the phase began: what is lost before that belongs to the same event.
    pub(super) recovery_point: u32,
    /// Duplicate acknowledgments of a peer without SACK.
    pub(super) dup_acks: u32,
    /// When RACK's reordering window has passed for the oldest segment within it.
    pub(super) reorder_deadline: Option<Micros>,
    /// SND.NXT when the tail loss probe was sent (RFC 8985, 7.1).
    pub(super) tlp_end_seq: Option<u32>,
    /// The round of the last D-SACK that widened the reordering window ends here.
    dsack_round: Option<u32>,
    /// RACK.reo_wnd_mult and RACK.reo_wnd_persist.
    reo_wnd_mult: u8,
    reo_wnd_persist: u8,
    undo: Option<Undo>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Open,
    /// Fast recovery.
    Fast,
    /// After a retransmission timeout.
    Timeout,
}

/// What a congestion response changed, and the retransmissions that are not yet known to have been
/// spurious. When none is left, the response is undone.
#[derive(Debug)]
struct Undo {
    prior: Prior,
    retransmissions: Vec<Retransmission>,
    retransmitted: bool,
    /// No segment was retransmitted twice, which one D-SACK says nothing about.
    by_dsack: bool,
    /// All retransmissions are in the list.
    complete: bool,
}

#[derive(Clone, Copy, Debug)]
struct Retransmission {
    start: u32,
    end: u32,
    /// When the first of it was sent.
    sent_at: Micros,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            phase: Phase::Open,
            recovery_point: 0,
            dup_acks: 0,
            reorder_deadline: None,
            tlp_end_seq: None,
            dsack_round: None,
            reo_wnd_mult: 1,
            reo_wnd_persist: 0,
            undo: None,
        }
    }
}

impl Recovery {
    pub(super) fn heap_size(&self) -> usize {
        let undo = self.undo.as_ref();
        let list = undo.map_or(0, |undo| undo.retransmissions.capacity());
        list * size_of::<Retransmission>() + undo.map_or(0, |undo| undo.prior.heap_size())
    }

    /// The stretch is retransmitted.
    pub(super) fn on_retransmission(&mut self, now: Micros, start: u32, end: u32) {
        let Some(undo) = self.undo.as_mut().filter(|_| self.phase != Phase::Open) else {
            return;
        };
        undo.retransmitted = true;
        let list = &mut undo.retransmissions;
        if list
            .iter()
            .any(|r| after(r.end, start) && after(end, r.start))
        {
            // One D-SACK would be needed for each time (RFC 3708, 3).
            undo.by_dsack = false;
            return;
        }
        let room = list.len() < MAX_RETRANSMISSIONS;
        match list.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ if room => list.push(Retransmission {
                start,
                end,
                sent_at: now,
            }),
            _ => undo.complete = false,
        }
    }

    /// RACK_update_reo_wnd (RFC 8985, 6.2, step 4). `spurious` says that a retransmission is known
    /// to have been spurious, by D-SACK or, a round trip earlier, by the echoed timestamp. A D-SACK
    /// for a packet that the network duplicated does not count.
    fn update_reo_wnd(&mut self, una: u32, nxt: u32, spurious: bool) {
        if self.dsack_round.is_some_and(|round| !after(round, una)) {
            self.dsack_round = None;
        }
        if spurious && self.dsack_round.is_none() {
            self.dsack_round = Some(nxt);
            self.reo_wnd_mult = self.reo_wnd_mult.saturating_add(1);
            self.reo_wnd_persist = REO_WND_PERSIST;
        }
    }

    /// Recovery is over.
    fn end(&mut self) {
        self.phase = Phase::Open;
        self.dup_acks = 0;
        self.reo_wnd_persist = self.reo_wnd_persist.saturating_sub(1);
        if self.reo_wnd_persist == 0 {
            self.reo_wnd_mult = 1;
        }
    }
}

impl Undo {
    /// The peer says that it has received `start..end` twice (RFC 2883). Says whether that was a
    /// retransmission of ours.
    fn on_dsack(&mut self, start: u32, end: u32) -> bool {
        let overlaps = |r: &Retransmission| after(r.end, start) && after(end, r.start);
        if !self.retransmissions.iter().any(overlaps) {
            return false;
        }
        if self.by_dsack {
            self.cut(start, end);
        }
        true
    }

    /// The retransmissions in `start..end` were spurious.
    fn cut(&mut self, start: u32, end: u32) {
        let mut split = None;
        self.retransmissions.retain_mut(|r| {
            if !after(r.end, start) || !after(end, r.start) {
                return true;
            }
            let (before, behind) = (earlier(start, r.end), later(end, r.start));
            match (after(before, r.start), after(r.end, behind)) {
                (false, false) => return false,
                (true, false) => r.end = before,
                (false, true) => r.start = behind,
                (true, true) => {
                    split = Some(Retransmission {
                        start: behind,
                        ..*r
                    });
                    r.end = before;
                }
            }
            true
        });
        self.retransmissions.extend(split);
    }

    /// Eifel detection (RFC 3522): `ack` acknowledges what follows `una` and answers a segment of the
    /// time `echoed`. If the retransmission at `una` is younger, its original has arrived: it was
    /// spurious, and so were others that are younger. Says whether that is so.
    fn on_echo(&mut self, una: u32, ack: u32, echoed: Micros) -> bool {
        let spurious = |r: &Retransmission| after(ack, r.start) && older(echoed, r.sent_at);
        let first = |r: &Retransmission| !after(r.start, una) && after(r.end, una);
        let mut list = self.retransmissions.iter();
        if !list.any(|r| first(r) && spurious(r)) {
            return false;
        }
        self.retransmissions.retain_mut(|r| {
            if !spurious(r) {
                return true;
            }
            r.start = ack;
            after(r.end, ack)
        });
        true
    }

    fn all_spurious(&self) -> bool {
        self.retransmitted && self.complete && self.retransmissions.is_empty()
    }
}

/// Whether a timestamp that was sent at the moment `echoed`, to the millisecond, is older than one
/// of the moment `sent_at`.
pub(super) fn older(echoed: Micros, sent_at: Micros) -> bool {
    echoed / 1000 < sent_at / 1000
}

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
        let nxt = self.board.nxt();
        let undo = match again {
            true => None,
            false => Some(Undo {
                prior: self.window.prior(),
                retransmissions: Vec::new(),
                retransmitted: false,
                by_dsack: true,
                complete: true,
            }),
        };
        let recovery = self.recovery_mut();
        recovery.phase = phase;
        recovery.recovery_point = nxt;
        if !again {
            recovery.undo = undo;
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
        let (una, nxt, sack) = (self.board.una(), self.board.nxt(), self.sack);
        let Some(recovery) = self.recovery.as_deref_mut() else {
            return;
        };
        let timeout = recovery.phase == Phase::Timeout;
        let mut spurious_retransmission = false;
        let mut spurious_timeout = false;
        let mut all = false;
        if let Some(undo) = &mut recovery.undo {
            let twice = dsack.is_some_and(|(start, end)| undo.on_dsack(start, end));
            let echoed = ack.tsecr_sent_at.filter(|_| advanced);
            let spurious = echoed.is_some_and(|at| undo.on_echo(prior_una, ack.ack, at));
            spurious_retransmission = twice || (spurious && !timeout);
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
            self.board.unmark_lost();
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
        let found = self.board.lose_if(|run| {
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
        let certain = self.phase() != Phase::Open || self.board.sacked_segments() >= DUP_THRESH;
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
        let una = self.board.una();
        let first = una.wrapping_add(self.mss());
        let flight = self.board.flight();
        let Some(recovery) = self.recovery.as_deref_mut() else {
            return 0;
        };
        match recovery.phase {
            Phase::Fast if advanced => self.board.lose(una, first),
            Phase::Open if recovery.dup_acks == DUP_THRESH && flight > 0 => {
                recovery.dup_acks += 1;
                self.board.lose(una, first)
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

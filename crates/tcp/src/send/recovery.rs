//! The state of a connection with losses: RACK (RFC 8985), recovery, and what an undo of the
//! congestion response needs (RFC 3522, 3708, 9438).

use super::congestion::Prior;
use crate::seq::{Micros, after, earlier, later};

/// The most separate stretches of retransmissions that are followed for an undo.
const MAX_RETRANSMISSIONS: usize = 256;

/// Recoveries without a D-SACK after which the reordering window is small again (RFC 8985, 6.2).
const REO_WND_PERSIST: u8 = 16;

/// Segments that may be retransmitted at once when a congestion response begins.
const FIRST_CREDIT: u32 = 10;

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
    /// Segments that may be retransmitted now: one for each acknowledgment and for each segment
    /// that it delivers, so that a peer cannot have more packets sent than it sends. RFC 6937
    /// allows no more.
    pub(super) credit: u32,
    /// When something was retransmitted last; 0 before the first time.
    pub(super) retransmitted_at: Micros,
    /// SACK blocks that were ignored because the scoreboard was full, and are to be counted.
    pub(super) ignored_sacks: u8,
    /// When RACK's reordering window has passed for the oldest segment within it.
    pub(super) reorder_deadline: Option<Micros>,
    /// SND.NXT when the tail loss probe was sent (RFC 8985, 7.1).
    pub(super) tlp_end_seq: Option<u32>,
    /// The round of the last D-SACK that widened the reordering window ends here.
    dsack_round: Option<u32>,
    /// RACK.reo_wnd_mult and RACK.reo_wnd_persist.
    pub(super) reo_wnd_mult: u8,
    reo_wnd_persist: u8,
    pub(super) undo: Option<Undo>,
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
pub(super) struct Undo {
    pub(super) prior: Prior,
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
            credit: FIRST_CREDIT,
            retransmitted_at: 0,
            ignored_sacks: 0,
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

    /// A congestion response begins.
    pub(super) fn begin_credit(&mut self) {
        self.credit = self.credit.max(FIRST_CREDIT);
    }

    /// Something has shown what to retransmit, and that so many segments have left the path.
    pub(super) fn add_credit(&mut self, segments: u32) {
        self.credit = self.credit.saturating_add(1 + segments);
    }

    /// The stretch is retransmitted.
    pub(super) fn on_retransmission(&mut self, now: Micros, start: u32, end: u32) {
        self.retransmitted_at = now;
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
    pub(super) fn update_reo_wnd(&mut self, una: u32, nxt: u32, spurious: bool) {
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
    pub(super) fn end(&mut self) {
        self.phase = Phase::Open;
        self.dup_acks = 0;
        self.reo_wnd_persist = self.reo_wnd_persist.saturating_sub(1);
        if self.reo_wnd_persist == 0 {
            self.reo_wnd_mult = 1;
        }
    }
}

impl Undo {
    pub(super) fn new(prior: Prior) -> Self {
        Self {
            prior,
            retransmissions: Vec::new(),
            retransmitted: false,
            by_dsack: true,
            complete: true,
        }
    }

    /// The peer says that it has received `start..end` twice (RFC 2883). Says whether that was a
    /// retransmission of ours.
    pub(super) fn on_dsack(&mut self, start: u32, end: u32) -> bool {
        let overlaps = |r: &Retransmission| after(r.end, start) && after(end, r.start);
        if !self.retransmissions.iter().any(overlaps) {
            return false;
        }
        if self.by_dsack {
            self.split(start, end);
        }
        true
    }

    /// The retransmissions in `start..end` were spurious.
    fn split(&mut self, start: u32, end: u32) {
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
    pub(super) fn on_echo(&mut self, una: u32, ack: u32, echoed: Micros) -> bool {
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

    pub(super) fn all_spurious(&self) -> bool {
        self.retransmitted && self.complete && self.retransmissions.is_empty()
    }
}

/// Whether a timestamp that was sent at the moment `echoed`, to the millisecond, is older than one
/// of the moment `sent_at`.
pub(super) fn older(echoed: Micros, sent_at: Micros) -> bool {
    echoed / 1000 < sent_at / 1000
}

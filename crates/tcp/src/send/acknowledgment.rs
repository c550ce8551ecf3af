//! Acknowledgments: what one says has arrived, and the peer's window (RFC 9293, 3.10.7.4).

use super::recovery::{Phase, older};
use super::scoreboard::Delivered;
use super::{Ack, Sender};
use crate::seq::{Micros, after, later};

impl Sender {
    /// Takes in an acknowledgment. Says whether SND.UNA has advanced.
    pub(crate) fn process_ack(&mut self, now: Micros, ack: Ack<'_>) -> bool {
        let (una, flight) = (self.scoreboard.una(), self.scoreboard.flight());
        if after(una, ack.ack) {
            return false;
        }
        if !self.window_known && self.lost_syns > 1 {
            // One lost SYN is no sign of congestion (RFC 6928, 2; RFC 6298, 5.7).
            self.window.on_lost_syns();
        }
        let window_changed = self.update_window(&ack);
        let prior_fack = self.scoreboard.fack();
        let mut delivered = Delivered::default();
        let dsack = match ack.sack {
            [] => None,
            _ => self.process_sack(&ack, prior_fack, &mut delivered),
        };
        self.scoreboard.acked(ack.ack, prior_fack, &mut delivered);
        let advanced = after(ack.ack, una);
        self.update_rtt(now, &ack, advanced, &delivered);
        self.update_rack(now, &ack, &delivered);
        self.reordering_seen |= delivered.reordering;
        if advanced {
            self.acknowledged += u64::from(ack.ack.wrapping_sub(una));
            self.backoff = 0;
            self.timer_runs = self.scoreboard.flight() > 0;
            self.timer_start = now;
        }
        let duplicate = !advanced && !ack.data && !window_changed && flight > 0 && !self.sack;
        if duplicate {
            let recovery = self.recovery_mut();
            recovery.dup_acks = recovery.dup_acks.saturating_add(1);
        }
        if let Some(recovery) = &mut self.recovery {
            recovery.add_credit(delivered.bytes / self.window.mss());
            recovery.ignored_sacks += delivered.ignored;
            self.detect_spurious(&ack, (una, advanced), dsack, &delivered);
            self.end_recovery(ack.ack);
            self.end_probe(&ack, advanced, dsack.is_some());
        }
        let reordered = self.scoreboard.sacked() > 0 || delivered.retransmitted_at.is_some();
        if reordered || self.recovery.is_some() {
            self.detect_losses(now, advanced);
        }
        if delivered.bytes > 0 && self.phase() != Phase::Fast {
            let sent_at = delivered.measurable().filter(|&at| at < now);
            let rtt = sent_at.map(|at| now - at);
            let progress = (delivered.bytes, ack.ack);
            let nxt = self.scoreboard.nxt();
            self.window.on_ack(now, progress, flight, (rtt, nxt));
        }
        advanced
    }

    /// Takes in the peer's window. Says whether its right edge has moved.
    ///
    /// A segment that acknowledges new data, or that repeats the acknowledgment with a sequence
    /// number that is not older, is newer than the one the window is from. SND.WL2 never exceeds
    /// SND.UNA, and so needs no place of its own.
    fn update_window(&mut self, ack: &Ack<'_>) -> bool {
        let newer = !self.window_known
            || after(ack.ack, self.scoreboard.una())
            || !after(self.snd_wl1, ack.seq);
        if !newer {
            return false;
        }
        self.window_known = true;
        self.snd_wl1 = ack.seq;
        let closed = self.closed();
        let right_edge = ack.ack.wrapping_add(ack.window);
        let changed = right_edge != self.window_edge;
        self.window_edge = right_edge;
        self.largest_window = self.largest_window.max(ack.window);
        if closed && ack.window > 0 {
            // What was retransmitted into the closed window was most likely not taken.
            if self.backoff > 0 && self.scoreboard.lose_if(|_| true) > 0 {
                self.bypass_cwnd = true;
            }
            self.backoff = 0;
        }
        changed
    }

    /// The segment with the number `seq` advertised the window that is known. SND.WL1 follows all the
    /// same: 2 GiB later an older one would look newer than each segment that comes.
    pub(crate) fn confirm_window(&mut self, seq: u32) {
        self.snd_wl1 = later(self.snd_wl1, seq);
    }

    /// Takes in the blocks of the SACK option. Returns the first if it reports a segment that
    /// arrived twice (RFC 2883).
    fn process_sack(
        &mut self,
        ack: &Ack<'_>,
        prior_fack: u32,
        delivered: &mut Delivered,
    ) -> Option<(u32, u32)> {
        let inside = |a: (u32, u32), b: (u32, u32)| !after(b.0, a.0) && !after(a.1, b.1);
        let mut dsack = None;
        for (n, &block) in ack.sack.iter().enumerate() {
            let (start, end) = block;
            let is_dsack = n == 0
                && (!after(end, ack.ack) || ack.sack.get(1).is_some_and(|&two| inside(block, two)));
            if is_dsack {
                dsack = Some(block);
            } else if self.sack
                && after(end, start)
                && after(start, ack.ack)
                && !after(end, self.scoreboard.nxt())
            {
                let max_runs = self.max_runs();
                self.scoreboard.sack(block, max_runs, prior_fack, delivered);
            }
        }
        dsack
    }

    /// Takes a round-trip time: by Karn's algorithm, or else by the echoed timestamp, unless that
    /// is older than the last retransmission that the acknowledgment covers (RFC 6298, 3;
    /// RFC 7323, 4.1). A segment that was sent after the batch began gives none.
    ///
    /// A SACK block may come late: the acknowledgments that reported it first were lost. What was
    /// sent before the last retransmission, whatever that was, gives no sample then. A timestamp
    /// gives one only if SND.UNA advances, because other acknowledgments echo an older segment, and
    /// only without data: a segment with data may acknowledge long after the ACK that was lost.
    fn update_rtt(&mut self, now: Micros, ack: &Ack<'_>, advanced: bool, delivered: &Delivered) {
        if let Some(at) = delivered.measurable() {
            let recovery = self.recovery.as_ref();
            let late = !advanced && recovery.is_some_and(|r| at < r.retransmitted_at);
            if at < now && !late {
                self.rto.sample(now, now - at);
            }
        } else if let (Some(at), Some(rtt)) = (delivered.retransmitted_at, ack.rtt)
            && advanced
            && !ack.data
            && rtt > 0
            && ack.tsecr_sent_at.is_none_or(|echoed| !older(echoed, at))
        {
            self.rto.sample(now, rtt);
        }
    }

    /// RACK_update (RFC 8985, 6.2, step 2).
    fn update_rack(&mut self, now: Micros, ack: &Ack<'_>, delivered: &Delivered) {
        let Some((at, end, retransmitted)) = delivered.most_recent else {
            return;
        };
        let rtt = now.saturating_sub(at);
        if retransmitted {
            // The acknowledgment may be that of the original. The timestamp tells for the segment at
            // SND.UNA only: the peer echoes no others that have filled a gap.
            let first = delivered.first_retransmitted_at == Some(at);
            let echoed = ack.tsecr_sent_at.filter(|_| first);
            let original = echoed.is_some_and(|echoed| older(echoed, at));
            if original || self.rto.min_rtt().is_some_and(|min| rtt < min) {
                return;
            }
        }
        self.rack.rtt = rtt.min(u32::MAX.into()) as u32;
        let rack = &mut self.rack;
        if !self.rack_valid || at > rack.xmit_ts || (at == rack.xmit_ts && after(end, rack.end_seq))
        {
            rack.xmit_ts = at;
            rack.end_seq = end;
            self.rack_valid = true;
        }
    }

    /// TLP_process_ack (RFC 8985, 7.4.2): whether the probe has repaired a loss.
    fn end_probe(&mut self, ack: &Ack<'_>, advanced: bool, dsack: bool) {
        let Some(recovery) = self.recovery.as_deref_mut() else {
            return;
        };
        let Some(end) = recovery.tlp_end_seq.filter(|&end| !after(end, ack.ack)) else {
            return;
        };
        // That both copies have arrived, or only the probe, is known from what comes next: the same
        // acknowledgment once more, or one for what was sent later.
        let beyond = after(ack.ack, end);
        let again = !advanced && !ack.data && ack.sack.is_empty();
        if beyond || dsack || again {
            recovery.tlp_end_seq = None;
        }
        if beyond && !dsack && recovery.phase == Phase::Open {
            self.window.on_loss();
        }
    }
}

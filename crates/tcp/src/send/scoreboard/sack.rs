//! Selective acknowledgments (RFC 2018).

use super::{Delivered, Run, Scoreboard, SegmentState};
use crate::seq::{after, earlier, later};

impl Scoreboard {
    /// The peer has selectively acknowledged `start..end`. Only whole segments count.
    /// `prior_fack` is RACK.fack before this acknowledgment.
    pub(in crate::send) fn sack(
        &mut self,
        start: u32,
        end: u32,
        prior_fack: u32,
        delivered: &mut Delivered,
    ) {
        let start = later(start, self.snd_una);
        let end = earlier(end, self.snd_nxt);
        let mut index = self.index_of(start);
        while let Some(run) = self.runs.get(index)
            && after(end, run.start)
        {
            let from = run.round_up(later(start, run.start));
            let upto = run.round_down(earlier(end, run.end));
            if run.state == SegmentState::Sacked || !after(upto, from) {
                index += 1;
                continue;
            }
            let joins = self.joins_sacked(index, from);
            let splits = usize::from(!joins && from != run.start) + usize::from(upto != run.end);
            if splits > 0 && !joins && self.runs.len() + splits > self.max_runs() {
                return; // only an attacker produces this many gaps
            }
            index = self.mark_sacked(index, (from, upto), joins, prior_fack, delivered) + 1;
        }
    }

    /// Whether the run before is sacked and can take in the segments of run `index` from `from` on.
    fn joins_sacked(&self, index: usize, from: u32) -> bool {
        let before = index.checked_sub(1).and_then(|index| self.runs.get(index));
        let (Some(before), Some(run)) = (before, self.runs.get(index)) else {
            return false;
        };
        from == run.start
            && before.state == SegmentState::Sacked
            && before.continues(run.segment_size(), run.len())
    }

    /// Marks whole segments of one run. Returns the index of the run they are in afterwards.
    fn mark_sacked(
        &mut self,
        mut index: usize,
        (from, upto): (u32, u32),
        joins: bool,
        prior_fack: u32,
        delivered: &mut Delivered,
    ) -> usize {
        if !joins {
            if self.split(index, from) {
                index += 1;
            }
            self.split(index, upto);
        }
        let Some(run) = self.runs.get_mut(index) else {
            return index;
        };
        let part = Run { end: upto, ..*run };
        delivered.add(&part, upto, prior_fack);
        if part.state == SegmentState::Lost {
            self.lost -= part.len();
        }
        self.sacked += part.len();
        self.sacked_segments += part.segments();
        self.fack = later(self.fack, upto);
        if joins {
            // The border between the two runs moves.
            run.start = upto;
            let empty = run.start == run.end;
            if let Some(before) = self.runs.get_mut(index - 1) {
                before.end = upto;
            }
            if empty {
                self.runs.remove(index);
            }
            index -= 1;
        } else {
            run.state = SegmentState::Sacked;
        }
        // The gap before the next sacked run may be filled.
        let next = self.runs.get(index + 1).map(|next| next.start);
        if next
            .is_some_and(|start| self.sacked_at(index + 1) && self.joins_sacked(index + 1, start))
            && let Some(next) = self.runs.remove(index + 1)
            && let Some(run) = self.runs.get_mut(index)
        {
            run.end = next.end;
        }
        index
    }

    fn sacked_at(&self, index: usize) -> bool {
        let run = self.runs.get(index);
        run.is_some_and(|run| run.state == SegmentState::Sacked)
    }

    /// The peer has discarded what it selectively acknowledged, or may have (RFC 2018, 8).
    pub(in crate::send) fn forget_sacked(&mut self) {
        for run in &mut self.runs {
            if run.state == SegmentState::Sacked {
                run.state = SegmentState::InFlight;
                run.retransmitted = true; // its acknowledgment gives no round-trip time
            }
        }
        self.sacked = 0;
        self.sacked_segments = 0;
        self.fack = self.snd_una;
    }
}

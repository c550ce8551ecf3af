//! Selective acknowledgments (RFC 2018).

use super::{Delivered, Scoreboard, SegmentState};
use crate::seq::{after, earlier, later};

impl Scoreboard {
    /// The peer has selectively acknowledged `start..end`. Only whole segments count, and a run is
    /// not split if that would make more than `max_runs`. `prior_fack` is RACK.fack before this
    /// acknowledgment.
    pub(in crate::send) fn sack(
        &mut self,
        (start, end): (u32, u32),
        max_runs: usize,
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
            if splits > 0 && !joins && self.runs.len() + splits > max_runs {
                delivered.ignored += 1;
                return;
            }
            index = self.mark_sacked(index, (from, upto), joins, prior_fack, delivered) + 1;
        }
    }

    /// Whether the run before run `index` is sacked and ends at `from`.
    fn joins_sacked(&self, index: usize, from: u32) -> bool {
        let before = index.checked_sub(1).and_then(|index| self.runs.get(index));
        before.is_some_and(|before| before.state == SegmentState::Sacked && before.end == from)
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
        let bytes = upto.wrapping_sub(run.start);
        delivered.add(run, upto, prior_fack);
        let (state, size) = (run.state, run.segment_size());
        let all = run.segments();
        if joins && run.end != upto {
            run.begin_at(upto); // the border between the two runs moves
        }
        let left = match run.end == upto {
            true => 0,
            false => run.segments(),
        };
        let segments = (all - left).max(1);
        match state {
            SegmentState::Lost => self.lost -= bytes,
            _ => self.in_flight -= all - left,
        }
        self.sacked += bytes;
        self.sacked_segments += segments;
        self.fack = later(self.fack, upto);
        if joins {
            if let Some(before) = self.runs.get_mut(index - 1) {
                before.extend(upto, segments, size);
            }
            if self.runs.get(index).is_some_and(|run| run.end == upto) {
                self.runs.remove(index);
            }
            index -= 1;
        } else {
            run.state = SegmentState::Sacked;
        }
        // The gap before the next sacked run may be filled.
        if self.sacked_at(index + 1)
            && self.joins_sacked(index + 1, upto)
            && let Some(next) = self.runs.remove(index + 1)
            && let Some(run) = self.runs.get_mut(index)
        {
            run.extend(next.end, next.segments(), next.segment_size());
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
                self.in_flight += run.segments();
                run.retransmitted = true; // its acknowledgment gives no round-trip time
            }
        }
        self.sacked = 0;
        self.sacked_segments = 0;
        self.fack = self.snd_una;
    }
}

//! The scoreboard (RFC 6675, section 3): the state of everything between SND.UNA and SND.NXT.

mod run;
mod sack;

pub(super) use self::run::{Delivered, Run, SegmentState};
use crate::seq::{Micros, after, earlier, later};
use std::collections::VecDeque;

/// Runs of equal segments between SND.UNA and SND.NXT, without gaps. The scoreboard holds no data.
///
/// Segments of equal size that are sent in one batch form one run, so that a transfer without loss
/// costs next to nothing. SACK blocks split runs at segment boundaries only; a peer cannot make
/// more runs than there are segments in flight.
#[derive(Debug)]
pub(super) struct Scoreboard {
    runs: VecDeque<Run>,
    snd_una: u32,
    snd_nxt: u32,
    /// Segments that are neither selectively acknowledged nor lost.
    in_flight: u32,
    /// Bytes and segments that the peer has selectively acknowledged (RFC 2018).
    sacked: u32,
    sacked_segments: u32,
    /// Bytes that count as lost and have not been retransmitted.
    lost: u32,
    /// The highest number that was acknowledged, selectively or cumulatively: RACK.fack
    /// (RFC 8985, 6.1).
    fack: u32,
    /// No run before this number is lost, so that a search for the next retransmission begins here.
    retransmit_hint: u32,
}

/// The most runs. A peer makes no further ones by SACK, as in Linux (`TCPWqueueTooBig`), and what is
/// sent joins the last run. Retransmissions of what had been split before may exceed the bound, at
/// most twice.
pub(super) const MAX_RUNS: usize = 1024;

/// From so many runs on, what is sent joins the last run until that has one part in
/// [`COARSE_PARTS`] of what is in flight: a round-trip time is longer by this part at most.
const COARSE_RUNS: usize = 512;
const COARSE_PARTS: u32 = 256;

/// The most runs while the memory budget of all connections is exceeded.
pub(super) const LEAST_RUNS: usize = 16;

impl Scoreboard {
    /// Nothing has been sent; the first number will be `iss`.
    pub(super) fn new(iss: u32) -> Self {
        Self {
            runs: VecDeque::new(),
            snd_una: iss,
            snd_nxt: iss,
            in_flight: 0,
            sacked: 0,
            sacked_segments: 0,
            lost: 0,
            fack: iss,
            retransmit_hint: iss,
        }
    }

    /// Gives the memory of the runs back. What is in flight is forgotten.
    pub(super) fn release(&mut self) {
        self.runs = VecDeque::new();
        (self.in_flight, self.sacked_segments) = (0, 0);
        (self.sacked, self.lost) = (0, 0);
    }

    /// Bytes on the heap.
    pub(super) fn heap_size(&self) -> usize {
        self.runs.capacity() * size_of::<Run>()
    }

    pub(super) fn una(&self) -> u32 {
        self.snd_una
    }

    pub(super) fn nxt(&self) -> u32 {
        self.snd_nxt
    }

    pub(super) fn fack(&self) -> u32 {
        self.fack
    }

    /// Sent and not acknowledged, in bytes.
    pub(super) fn flight(&self) -> u32 {
        self.snd_nxt.wrapping_sub(self.snd_una)
    }

    /// What is estimated to be on the path (RFC 6675, 2), in bytes.
    pub(super) fn pipe(&self) -> u32 {
        self.flight() - self.sacked - self.lost
    }

    /// The same in segments.
    pub(super) fn pipe_segments(&self) -> u32 {
        self.in_flight
    }

    pub(super) fn sacked(&self) -> u32 {
        self.sacked
    }

    pub(super) fn sacked_segments(&self) -> u32 {
        self.sacked_segments
    }

    pub(super) fn lost(&self) -> u32 {
        self.lost
    }

    /// Whether what lies at SND.UNA was selectively acknowledged: the peer has discarded it
    /// (RFC 2018, 8).
    pub(super) fn is_reneged(&self) -> bool {
        let first = self.runs.front();
        first.is_some_and(|run| run.state == SegmentState::Sacked)
    }

    /// The size of the segment at SND.UNA, with its FIN; 0 if nothing is in flight.
    pub(super) fn first_segment_len(&self) -> u32 {
        let first = self.runs.front();
        first.map_or(0, |run| run.len().min(run.segment_size()))
    }

    /// Runs, lowest number first.
    #[cfg(test)]
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    /// New numbers up to `end` have been sent, in segments of `mss` bytes. They make no further run
    /// if there are `max_runs`, unless the last one is not in flight.
    pub(super) fn push(&mut self, now: Micros, end: u32, mss: u32, max_runs: usize) {
        if !after(end, self.snd_nxt) {
            return;
        }
        let run = Run::new(now, (self.snd_nxt, end), mss);
        let (len, size) = (run.len(), run.segment_size());
        let coarse = match self.runs.len() >= COARSE_RUNS {
            true => self.flight() / COARSE_PARTS,
            false => 0,
        };
        let full = self.runs.len() >= max_runs;
        self.in_flight += run.segments();
        match self.runs.back_mut() {
            Some(last)
                if (last.sent_at == now || last.len() < coarse)
                    && last.state == SegmentState::InFlight
                    && !last.retransmitted
                    && last.continues(size, len) =>
            {
                last.extend(end, run.segments(), 0);
            }
            Some(last) if full && last.state == SegmentState::InFlight => {
                last.extend(end, run.segments(), size);
                last.sent_at = now;
            }
            _ => self.runs.push_back(run),
        }
        self.snd_nxt = end;
    }

    /// Everything before `ack` is acknowledged. `prior_fack` is RACK.fack before this
    /// acknowledgment.
    pub(super) fn acked(&mut self, ack: u32, prior_fack: u32, delivered: &mut Delivered) {
        while let Some(run) = self.runs.front_mut()
            && after(ack, run.start)
        {
            let whole = !after(run.end, ack);
            let upto = if whole { run.end } else { ack };
            let bytes = upto.wrapping_sub(run.start);
            match run.state {
                SegmentState::Sacked => self.sacked -= bytes,
                SegmentState::Lost => self.lost -= bytes,
                SegmentState::InFlight => {}
            }
            let state = run.state;
            if state != SegmentState::Sacked {
                if run.retransmitted && run.start == self.snd_una {
                    delivered.first_retransmitted_at = Some(run.sent_at);
                }
                delivered.add(run, upto, prior_fack);
            }
            if whole {
                let segments = run.segments();
                self.runs.pop_front();
                self.remove_segments(state, segments);
                continue;
            }
            // An acknowledgment amid a segment leaves the boundaries of those that follow.
            let boundary = run.round_up(ack);
            let segments = run.begin_at(ack);
            self.remove_segments(state, segments);
            if boundary != ack && state != SegmentState::Sacked {
                self.split(0, boundary);
            }
            break;
        }
        self.snd_una = later(self.snd_una, earlier(ack, self.snd_nxt));
        self.fack = later(self.fack, self.snd_una);
        self.retransmit_hint = later(self.retransmit_hint, self.snd_una);
    }

    /// So many segments in `state` are no longer there.
    fn remove_segments(&mut self, state: SegmentState, segments: u32) {
        match state {
            SegmentState::InFlight => self.in_flight -= segments,
            SegmentState::Sacked => self.sacked_segments -= segments,
            SegmentState::Lost => {}
        }
    }

    fn add_segments(&mut self, state: SegmentState, segments: u32) {
        match state {
            SegmentState::InFlight => self.in_flight += segments,
            SegmentState::Sacked => self.sacked_segments += segments,
            SegmentState::Lost => {}
        }
    }

    /// Whole segments of `start..end` that are in flight count as lost. Returns how many bytes are
    /// newly lost.
    pub(super) fn lose(&mut self, start: u32, end: u32) -> u32 {
        let start = later(start, self.snd_una);
        let end = earlier(end, self.snd_nxt);
        let mut index = self.index_of(start);
        let mut bytes = 0;
        while let Some(run) = self.runs.get(index)
            && after(end, run.start)
        {
            let from = run.round_up(later(start, run.start));
            let upto = run.round_down(earlier(end, run.end));
            if run.state == SegmentState::InFlight && after(upto, from) {
                if self.split(index, from) {
                    index += 1;
                }
                self.split(index, upto);
                if let Some(run) = self.runs.get_mut(index) {
                    run.state = SegmentState::Lost;
                    bytes += run.len();
                    self.in_flight -= run.segments();
                    self.retransmit_hint = earlier(self.retransmit_hint, run.start);
                }
            }
            index += 1;
        }
        self.lost += bytes;
        bytes
    }

    /// Every run in flight for which `is_lost` says so counts as lost. Returns how many bytes are
    /// newly lost.
    pub(super) fn lose_if(&mut self, mut is_lost: impl FnMut(&Run) -> bool) -> u32 {
        let mut bytes = 0;
        for run in &mut self.runs {
            if run.state == SegmentState::InFlight && is_lost(run) {
                run.state = SegmentState::Lost;
                bytes += run.len();
                self.in_flight -= run.segments();
                self.retransmit_hint = earlier(self.retransmit_hint, run.start);
            }
        }
        self.lost += bytes;
        bytes
    }

    /// Segments of more than `mss` bytes count as lost and will be retransmitted in segments of
    /// `mss` (RFC 1191, 6.4). Returns how many bytes are newly lost.
    pub(super) fn lose_larger_than(&mut self, mss: u32) -> u32 {
        let larger = |run: &Run| run.len().min(run.segment_size()) > mss;
        let bytes = self.lose_if(larger);
        for index in 0..self.runs.len() {
            let run = &mut self.runs[index];
            if larger(run) {
                let (state, before) = (run.state, run.segments());
                run.resize(mss);
                let segments = run.segments();
                self.remove_segments(state, before);
                self.add_segments(state, segments);
            }
        }
        bytes
    }

    /// What counts as lost and has not been retransmitted is in flight again: the response to the
    /// loss was spurious.
    pub(super) fn unmark_lost(&mut self) {
        for run in &mut self.runs {
            if run.state == SegmentState::Lost {
                run.state = SegmentState::InFlight;
                self.in_flight += run.segments();
            }
        }
        self.lost = 0;
    }

    /// The first stretch that is lost, at most `most` bytes of it.
    pub(super) fn first_lost(&mut self, most: u32) -> Option<(u32, u32)> {
        if self.lost == 0 {
            return None;
        }
        let from = self.index_of(self.retransmit_hint);
        let mut lost = self.runs.iter().skip(from);
        let first = lost.find(|run| run.state == SegmentState::Lost)?;
        let limit = first.start.wrapping_add(most);
        let mut end = first.end;
        for run in lost {
            if run.state != SegmentState::Lost || !after(limit, end) {
                break;
            }
            end = run.end;
        }
        self.retransmit_hint = first.start;
        Some((first.start, earlier(end, limit)))
    }

    /// `start..end`, which begins with a run, has been retransmitted in segments of `mss` bytes. It
    /// joins the run before if there are `max_runs` and that was retransmitted, too.
    pub(super) fn retransmitted(
        &mut self,
        now: Micros,
        (start, end): (u32, u32),
        mss: u32,
        max_runs: usize,
    ) {
        let first = self.index_of(start);
        let mut covered = first;
        while let Some(run) = self.runs.get_mut(covered)
            && after(end, run.start)
        {
            let bytes = earlier(end, run.end).wrapping_sub(run.start);
            if run.state == SegmentState::Lost {
                self.lost -= bytes;
            }
            let (state, part) = (run.state, after(run.end, end));
            let segments = match part {
                true => run.begin_at(end),
                false => run.segments(),
            };
            self.remove_segments(state, segments);
            if part {
                break;
            }
            covered += 1;
        }
        self.retransmit_hint = end;
        let mut run = Run::new(now, (start, end), mss);
        run.retransmitted = true;
        self.in_flight += run.segments();
        let before = first.checked_sub(1);
        let full = self.runs.len() >= max_runs;
        if let Some(before) = before.and_then(|index| self.runs.get_mut(index))
            && before.state == SegmentState::InFlight
            && before.retransmitted
            && (full || (before.sent_at == now && before.continues(run.segment_size(), run.len())))
        {
            before.extend(end, run.segments(), run.segment_size());
            before.sent_at = now;
            self.runs.drain(first..covered);
            return;
        }
        if covered == first {
            self.runs.insert(first, run);
        } else if let Some(slot) = self.runs.get_mut(first) {
            *slot = run;
            if covered > first + 1 {
                self.runs.drain(first + 1..covered);
            }
        }
    }

    /// The index of the run that `seq` lies in.
    fn index_of(&self, seq: u32) -> usize {
        self.runs.partition_point(|run| !after(run.end, seq))
    }

    /// Splits run `index` at `at`, unless that is its start or its end.
    fn split(&mut self, index: usize, at: u32) -> bool {
        let Some(run) = self.runs.get_mut(index) else {
            return false;
        };
        if !after(at, run.start) || !after(run.end, at) {
            return false;
        }
        let (state, before) = (run.state, run.segments());
        let second = run.split_off(at);
        let more = run.segments() + second.segments() - before;
        self.runs.insert(index + 1, second);
        self.add_segments(state, more);
        true
    }
}

#[cfg(test)]
mod tests;

//! Runs of segments, and what an acknowledgment says of them.

use crate::seq::{Micros, after};

/// In-flight segments of `segment_size` each, of which the last may be shorter. A FIN belongs to the
/// segment before it or is a segment of its own. Selectively acknowledged segments of all sizes form
/// one run, whose `segment_size` is the largest.
#[derive(Clone, Copy, Debug)]
pub(in crate::send) struct Run {
    /// When the run was sent last.
    pub(in crate::send) sent_at: Micros,
    pub(in crate::send) start: u32,
    pub(in crate::send) end: u32,
    segments: u32,
    pub(super) segment_size: u16,
    pub(in crate::send) state: SegmentState,
    pub(in crate::send) retransmitted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::send) enum SegmentState {
    InFlight,
    Sacked,
    Lost,
}

impl Run {
    /// The segments of `mss` bytes from `start` to `end` have been sent at `now`.
    pub(super) fn new(now: Micros, (start, end): (u32, u32), mss: u32) -> Self {
        let len = end.wrapping_sub(start);
        Self {
            sent_at: now,
            start,
            end,
            segments: segments(len, mss),
            segment_size: len.min(mss).min(u16::MAX.into()) as u16,
            state: SegmentState::InFlight,
            retransmitted: false,
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.end.wrapping_sub(self.start)
    }

    pub(super) fn segment_size(&self) -> u32 {
        u32::from(self.segment_size).max(1)
    }

    pub(super) fn segments(&self) -> u32 {
        self.segments
    }

    /// How many of the segments lie in the last `len` bytes, a part of the run.
    pub(super) fn segments_of(&self, len: u32) -> u32 {
        match len == self.len() {
            true => self.segments,
            false => segments(len, self.segment_size()).min(self.segments),
        }
    }

    /// Adds `segments` of at most `size` bytes that end at `end`.
    pub(super) fn extend(&mut self, end: u32, segments: u32, size: u32) {
        self.end = end;
        self.segments += segments;
        self.segment_size = self.segment_size.max(size.min(u16::MAX.into()) as u16);
    }

    /// Removes what lies before `start`. Returns by how many segments the run has shrunk.
    pub(super) fn begin_at(&mut self, start: u32) -> u32 {
        let left = self.segments_of(self.end.wrapping_sub(start));
        self.start = start;
        std::mem::replace(&mut self.segments, left) - left
    }

    /// Divides the run at `at`, which lies inside. Returns the second part.
    pub(super) fn split_off(&mut self, at: u32) -> Self {
        let second = Self {
            start: at,
            segments: self.segments_of(self.end.wrapping_sub(at)),
            ..*self
        };
        self.segments = (self.segments - second.segments).max(1);
        self.end = at;
        second
    }

    /// The segments are of `mss` bytes from now on.
    pub(super) fn resize(&mut self, mss: u32) {
        self.segment_size = mss.min(u16::MAX.into()) as u16;
        self.segments = segments(self.len(), self.segment_size());
    }

    /// The first segment boundary at or after `seq`, which lies in the run.
    pub(super) fn round_up(&self, seq: u32) -> u32 {
        let offset = seq.wrapping_sub(self.start);
        let rounded = offset.next_multiple_of(self.segment_size());
        self.start.wrapping_add(rounded.min(self.len()))
    }

    /// The last segment boundary at or before `seq`, which lies in the run or at its end.
    pub(super) fn round_down(&self, seq: u32) -> u32 {
        if seq == self.end {
            return seq;
        }
        let offset = seq.wrapping_sub(self.start);
        seq.wrapping_sub(offset % self.segment_size())
    }

    /// Whether segments of `size`, `len` bytes in all, that follow this run can be a part of it
    /// and keep their boundaries.
    pub(super) fn continues(&self, size: u32, len: u32) -> bool {
        let own = self.segment_size();
        self.len().is_multiple_of(own) && (size == own || len <= own)
    }
}

/// The segments of `mss` bytes that `len` bytes make.
fn segments(len: u32, mss: u32) -> u32 {
    match len <= mss {
        true => 1,
        false => len.div_ceil(mss.max(1)),
    }
}

/// What one acknowledgment newly acknowledges, cumulatively or selectively.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::send) struct Delivered {
    pub(in crate::send) bytes: u32,
    /// SACK blocks that were ignored because the scoreboard was full.
    pub(in crate::send) ignored: u8,
    /// Of the segments delivered, the one sent last: when, its end, and whether it was retransmitted.
    pub(in crate::send) most_recent: Option<(Micros, u32, bool)>,
    /// When the last of the segments was sent that were never retransmitted.
    sent_once_at: Option<Micros>,
    /// When the last of the segments was retransmitted that were.
    pub(in crate::send) retransmitted_at: Option<Micros>,
    /// When the segment at SND.UNA was sent, if it was retransmitted and is acknowledged now.
    pub(in crate::send) first_retransmitted_at: Option<Micros>,
    /// A segment that was never retransmitted was delivered after one with a higher number
    /// (RFC 8985, 6.2, step 3).
    pub(in crate::send) reordering: bool,
    /// A segment was delivered that counted as lost and had not been retransmitted.
    pub(in crate::send) lost_original: bool,
}

impl Delivered {
    /// Adds the part of `run` up to `end`. `prior_fack` is RACK.fack before this acknowledgment.
    pub(super) fn add(&mut self, run: &Run, end: u32, prior_fack: u32) {
        self.bytes += end.wrapping_sub(run.start);
        let newer = |(at, last, _): (Micros, u32, bool)| {
            run.sent_at > at || (run.sent_at == at && after(end, last))
        };
        if self.most_recent.is_none_or(newer) {
            self.most_recent = Some((run.sent_at, end, run.retransmitted));
        }
        if run.retransmitted {
            self.retransmitted_at = self.retransmitted_at.max(Some(run.sent_at));
        } else {
            self.sent_once_at = self.sent_once_at.max(Some(run.sent_at));
            self.reordering |= after(prior_fack, end);
            self.lost_original |= run.state == SegmentState::Lost;
        }
    }

    /// When the segment was sent that gives a round-trip time, by Karn's algorithm: a segment that
    /// was delivered together with a retransmission may have waited for it (RFC 6298, 3).
    pub(in crate::send) fn measurable(&self) -> Option<Micros> {
        match self.retransmitted_at {
            None => self.sent_once_at,
            Some(_) => None,
        }
    }
}

//! What has been sent and not yet acknowledged, and what became of each part of it.

use crate::seq::{Micros, after, earlier, later};
use std::collections::VecDeque;

/// Everything between SND.UNA and SND.NXT (RFC 9293, 3.3.1), in runs without gaps.
///
/// It holds no bytes. What is sent in one batch is one run, so that a transfer without loss costs
/// next to nothing; a loss splits runs.
#[derive(Debug)]
pub(super) struct Scoreboard {
    runs: VecDeque<Run>,
    una: u32,
    nxt: u32,
    /// Bytes that the peer has reported beyond a gap (RFC 2018).
    sacked: u32,
    /// Bytes that count as lost and have not been sent again.
    lost: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) start: u32,
    pub(super) end: u32,
    /// When it was sent last.
    pub(super) sent_at: Micros,
    pub(super) mark: Mark,
    pub(super) resent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Flying,
    Sacked,
    Lost,
}

/// What one acknowledgement says has arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivered {
    pub(super) bytes: u32,
    /// Of all runs that arrived, the one sent last: when, its end, and whether it was a repetition.
    pub(super) newest: Option<(Micros, u32, bool)>,
    /// When the latest of those was sent that were sent only once.
    once: Option<Micros>,
    /// Something was sent again.
    again: bool,
    /// Something arrived after something that was sent later, and not because it was sent again.
    pub(super) reordered: bool,
}

impl Delivered {
    fn add(&mut self, run: &Run, bytes: u32) {
        self.bytes += bytes;
        let this = (run.sent_at, run.end);
        if self
            .newest
            .is_none_or(|(at, end, _)| this.0 > at || (this.0 == at && after(this.1, end)))
        {
            self.newest = Some((run.sent_at, run.end, run.resent));
        }
        match run.resent {
            true => self.again = true,
            false => self.once = self.once.max(Some(run.sent_at)),
        }
    }

    /// When that was sent of which a round trip can be measured: what arrived together with a
    /// repetition may have waited for it (RFC 6298, 3).
    pub(super) fn measurable(&self) -> Option<Micros> {
        self.once.filter(|_| !self.again)
    }
}

impl Run {
    fn len(&self) -> u32 {
        self.end.wrapping_sub(self.start)
    }
}

impl Scoreboard {
    /// Nothing has been sent; the first number will be `iss`.
    pub(super) fn new(iss: u32) -> Self {
        Self {
            runs: VecDeque::new(),
            una: iss,
            nxt: iss,
            sacked: 0,
            lost: 0,
        }
    }

    /// Gives the memory of a long list of runs back.
    pub(super) fn rest(&mut self) {
        self.runs.shrink_to(4);
    }

    pub(super) fn una(&self) -> u32 {
        self.una
    }

    pub(super) fn nxt(&self) -> u32 {
        self.nxt
    }

    /// Sent and not acknowledged, in bytes.
    pub(super) fn flight(&self) -> u32 {
        self.nxt.wrapping_sub(self.una)
    }

    /// What is thought to be on its way (RFC 6675, 2), in bytes.
    pub(super) fn pipe(&self) -> u32 {
        self.flight() - self.sacked - self.lost
    }

    pub(super) fn sacked(&self) -> u32 {
        self.sacked
    }

    pub(super) fn lost(&self) -> u32 {
        self.lost
    }

    /// Runs, oldest number first.
    #[cfg(test)]
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    /// New numbers up to `end` have been sent, or, with [`Mark::Lost`], are still to be sent.
    pub(super) fn push(&mut self, now: Micros, end: u32, mark: Mark) {
        if !after(end, self.nxt) {
            return;
        }
        let len = end.wrapping_sub(self.nxt);
        match self.runs.back_mut() {
            Some(last) if last.sent_at == now && last.mark == mark && !last.resent => {
                last.end = end;
            }
            _ => self.runs.push_back(Run {
                start: self.nxt,
                end,
                sent_at: now,
                mark,
                resent: false,
            }),
        }
        if mark == Mark::Lost {
            self.lost += len;
        }
        self.nxt = end;
    }

    /// Everything before `ack` has arrived.
    pub(super) fn acked(&mut self, ack: u32, delivered: &mut Delivered) {
        while let Some(run) = self.runs.front_mut()
            && after(ack, run.start)
        {
            let whole = !after(run.end, ack);
            let upto = if whole { run.end } else { ack };
            let bytes = upto.wrapping_sub(run.start);
            match run.mark {
                Mark::Sacked => self.sacked -= bytes,
                Mark::Lost => self.lost -= bytes,
                Mark::Flying => {}
            }
            if run.mark != Mark::Sacked {
                delivered.reordered |= self.sacked > 0 && !run.resent;
                delivered.add(run, bytes);
            }
            run.start = upto;
            if whole {
                self.runs.pop_front();
            }
        }
        self.una = later(self.una, earlier(ack, self.nxt));
    }

    /// `start..end` has arrived, and something before it has not.
    pub(super) fn sack(&mut self, start: u32, end: u32, delivered: &mut Delivered) {
        if self.runs.len() >= MOST_RUNS {
            return; // only ill will can have made so many
        }
        let highest = self.runs.iter().rev().find(|run| run.mark == Mark::Sacked);
        let highest = highest.map(|run| run.end);
        self.remark(start, end, |run, sacked, lost| {
            let bytes = run.len();
            match run.mark {
                Mark::Sacked => return,
                Mark::Lost => *lost -= bytes,
                Mark::Flying => {}
            }
            delivered.reordered |= !run.resent && highest.is_some_and(|end| after(end, run.end));
            delivered.add(run, bytes);
            run.mark = Mark::Sacked;
            *sacked += bytes;
        });
        self.join_sacked(start, end);
    }

    /// `start..end` counts as lost, as far as it has not arrived. Returns how many bytes are newly so.
    pub(super) fn lose(&mut self, start: u32, end: u32) -> u32 {
        let mut count = 0;
        self.remark(start, end, |run, _, lost| {
            if run.mark == Mark::Flying {
                run.mark = Mark::Lost;
                *lost += run.len();
                count += run.len();
            }
        });
        count
    }

    /// Every run for which `is_lost` says so counts as lost. Returns how many bytes are newly so.
    pub(super) fn lose_if(&mut self, mut is_lost: impl FnMut(&Run) -> bool) -> u32 {
        let mut count = 0;
        for run in &mut self.runs {
            if run.mark == Mark::Flying && is_lost(run) {
                run.mark = Mark::Lost;
                count += run.len();
            }
        }
        self.lost += count;
        count
    }

    /// The peer has forgotten what it reported (RFC 2018, 8), or may have.
    pub(super) fn forget_sacked(&mut self) {
        for run in &mut self.runs {
            if run.mark == Mark::Sacked {
                run.mark = Mark::Flying;
                run.resent = true; // when it comes says nothing about the round trip
            }
        }
        self.sacked = 0;
    }

    /// The first part that is to be sent again, at most `most` bytes of it.
    pub(super) fn first_lost(&self, most: u32) -> Option<(u32, u32)> {
        let mut lost = self.runs.iter().skip_while(|run| run.mark != Mark::Lost);
        let first = lost.next()?;
        let limit = first.start.wrapping_add(most);
        let mut end = first.end;
        for run in lost {
            if run.mark != Mark::Lost || !after(limit, end) {
                break;
            }
            end = run.end;
        }
        Some((first.start, earlier(end, limit)))
    }

    /// `start..end` has been sent again.
    pub(super) fn resent(&mut self, now: Micros, start: u32, end: u32) {
        self.remark(start, end, |run, _, lost| {
            if run.mark == Mark::Lost {
                *lost -= run.len();
                run.mark = Mark::Flying;
                run.sent_at = now;
                run.resent = true;
            }
        });
    }

    /// Calls `f` with each run within `start..end`, split at the borders where it must be, and
    /// with the sums to keep.
    fn remark(&mut self, start: u32, end: u32, mut f: impl FnMut(&mut Run, &mut u32, &mut u32)) {
        let start = later(start, self.una);
        let end = earlier(end, self.nxt);
        if !after(end, start) {
            return;
        }
        self.split(start);
        self.split(end);
        let first = self.runs.partition_point(|run| !after(run.end, start));
        for run in self.runs.iter_mut().skip(first) {
            if !after(end, run.start) {
                break;
            }
            f(run, &mut self.sacked, &mut self.lost);
        }
    }

    /// Makes `at` a border.
    fn split(&mut self, at: u32) {
        let index = self.runs.partition_point(|run| !after(run.end, at));
        let Some(run) = self.runs.get_mut(index) else {
            return;
        };
        if !after(at, run.start) {
            return;
        }
        let mut second = *run;
        second.start = at;
        run.end = at;
        self.runs.insert(index + 1, second);
    }

    /// `start..end` has arrived: it becomes one run, together with its neighbours that have.
    fn join_sacked(&mut self, start: u32, end: u32) {
        let before = self.runs.partition_point(|run| after(start, run.end));
        let mut sacked = self.runs.iter().skip(before);
        let Some(skipped) = sacked.position(|run| run.mark == Mark::Sacked) else {
            return;
        };
        let first = before + skipped;
        let more = sacked.take_while(|run| run.mark == Mark::Sacked && !after(run.start, end));
        let (count, last) = more.fold((0, None), |(count, _), run| (count + 1, Some(run.end)));
        if let (Some(end), Some(run)) = (last, self.runs.get_mut(first)) {
            run.end = end;
            self.runs.drain(first + 1..=first + count);
        }
    }
}

/// As many as a peer may make, of 40 bytes each; what is sent again may make some more. A full window of 1 GiB in segments of 1,460 bytes is never so finely split.
const MOST_RUNS: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Scoreboard {
        // Across the point where numbers wrap around.
        let mut board = Scoreboard::new(u32::MAX - 2499);
        for n in 0..10u32 {
            board.push(u64::from(n), board.nxt().wrapping_add(1000), Mark::Flying);
        }
        board
    }

    fn at(board: &Scoreboard, offset: u32) -> u32 {
        board.una().wrapping_add(offset)
    }

    #[test]
    fn one_batch_is_one_run() {
        let mut board = Scoreboard::new(0);
        board.push(1, 1000, Mark::Flying);
        board.push(1, 2000, Mark::Flying);
        board.push(2, 3000, Mark::Flying);
        assert_eq!(board.runs().count(), 2);
        assert_eq!(board.flight(), 3000);
    }

    #[test]
    fn sums_follow_the_marks() {
        let mut board = board();
        let una = board.una();
        let mut delivered = Delivered::default();
        board.sack(at(&board, 2500), at(&board, 5000), &mut delivered);
        assert_eq!((delivered.bytes, board.sacked()), (2500, 2500));
        assert_eq!(delivered.newest.map(|n| n.0), Some(4));
        assert_eq!(board.lose(una, at(&board, 3000)), 2500);
        assert_eq!((board.lost(), board.pipe()), (2500, 5000));
        assert_eq!(board.first_lost(1460), Some((una, una.wrapping_add(1460))));
        board.resent(20, una, una.wrapping_add(1460));
        assert_eq!((board.lost(), board.pipe()), (1040, 6460));
        assert_eq!(
            board.first_lost(9000),
            Some((una.wrapping_add(1460), una.wrapping_add(2500)))
        );
        let mut delivered = Delivered::default();
        board.acked(una.wrapping_add(5000), &mut delivered);
        assert_eq!(delivered.bytes, 2500, "the rest had been reported");
        assert_eq!((board.lost(), board.sacked(), board.pipe()), (0, 0, 5000));
        assert_eq!(board.una(), una.wrapping_add(5000));
    }

    #[test]
    fn what_comes_late_without_having_been_sent_again_was_overtaken() {
        let mut board = board();
        let (a, b) = (at(&board, 3000), at(&board, 4000));
        let mut delivered = Delivered::default();
        board.sack(a, b, &mut delivered);
        assert!(!delivered.reordered);
        let mut again = Delivered::default();
        board.sack(at(&board, 1000), at(&board, 2000), &mut again);
        assert!(again.reordered);
        let mut resent = Delivered::default();
        board.lose(board.una(), at(&board, 1000));
        board.resent(30, board.una(), at(&board, 1000));
        board.acked(at(&board, 1000), &mut resent);
        assert!(!resent.reordered);
    }

    #[test]
    fn neighbours_that_arrived_are_one_run() {
        let mut rng = 1u32;
        for _ in 0..200 {
            let mut board = board();
            let mut arrived = [false; 100];
            for _ in 0..20 {
                rng = rng.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (a, len) = (rng >> 16 & 63, (rng >> 24 & 31) + 1);
                let (start, end) = (at(&board, 100 * a), at(&board, 100 * (a + len)));
                board.sack(start, end, &mut Delivered::default());
                arrived[a as usize..(a + len) as usize].fill(true);
                let bytes = arrived.iter().filter(|&&here| here).count() as u32 * 100;
                assert_eq!(board.sacked(), bytes);
                let runs: Vec<_> = board.runs().copied().collect();
                assert_eq!(runs[0].start, board.una());
                assert_eq!(runs[runs.len() - 1].end, board.nxt());
                for pair in runs.windows(2) {
                    assert_eq!(pair[0].end, pair[1].start);
                    assert!([pair[0].mark, pair[1].mark] != [Mark::Sacked; 2]);
                }
                for run in runs {
                    let from = run.start.wrapping_sub(board.una()) / 100;
                    assert_eq!(run.mark == Mark::Sacked, arrived[from as usize]);
                }
            }
        }
    }

    #[test]
    fn what_is_sent_again_is_noted_however_much_was_split() {
        let mut board = Scoreboard::new(0);
        for n in 1..MOST_RUNS as u32 {
            board.push(n.into(), 10 * n, Mark::Flying);
        }
        board.push(0, board.nxt() + 90_000, Mark::Flying);
        board.sack(15, 17, &mut Delivered::default());
        assert_eq!((board.runs().count(), board.sacked()), (MOST_RUNS, 0));
        let nxt = board.nxt();
        board.lose(0, nxt);
        let mut sent = 0;
        while let Some((start, end)) = board.first_lost(1455) {
            board.resent(1, start, end);
            sent += 1;
            assert!(sent < 300, "the same over and over: {start}..{end}");
        }
        assert_eq!((board.lost(), board.pipe()), (0, nxt));
    }

    #[test]
    fn an_acknowledgement_amid_a_run_leaves_the_rest() {
        let mut board = board();
        let half = at(&board, 500);
        board.acked(half, &mut Delivered::default());
        assert_eq!((board.una(), board.flight()), (half, 9500));
        assert_eq!(board.runs().next().unwrap().start, half);
    }
}

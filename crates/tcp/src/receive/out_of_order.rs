//! The out-of-order queue: data that arrived beyond a gap.

use crate::seq::{after, earlier, later};

/// Ranges of the sequence space that have arrived beyond RCV.NXT, and the SACK blocks that report
/// them (RFC 2018).
///
/// The bytes are in the receive buffer already, at their places; here is only which of them.
#[derive(Debug, Default)]
pub(crate) struct OutOfOrder {
    /// Disjoint, not adjacent, in ascending order. A FIN counts as a byte.
    ranges: Vec<Range>,
    /// A sequence number inside each of the ranges that changed last, the most recent first.
    recent: [Option<u32>; 4],
    /// The sequence number of the peer's FIN.
    fin: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u32,
    end: u32,
}

/// What [`OutOfOrder::insert`] did with a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// The parts of the segment that have not arrived before: [start, end).
    New(Vec<(u32, u32)>),
    /// All of the segment had arrived before.
    Duplicate,
    /// There are as many ranges as there may be, and the segment would add one.
    Full,
}

impl OutOfOrder {
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Bytes on the heap.
    pub(crate) fn heap_size(&self) -> usize {
        self.ranges.capacity() * size_of::<Range>()
    }

    /// Adds a segment from `start` to `end`, of which the last number is a FIN if `fin` says so.
    /// There are never more than `limit` ranges.
    pub(crate) fn insert(&mut self, start: u32, end: u32, fin: bool, limit: usize) -> Inserted {
        let first = self.ranges.partition_point(|range| after(start, range.end));
        let behind = self.ranges[first..].partition_point(|range| !after(range.start, end));
        let touched = first..first + behind;
        let mut new = Vec::new();
        let mut at = start;
        for range in &self.ranges[touched.clone()] {
            if after(range.start, at) {
                new.push((at, range.start));
            }
            at = later(at, range.end);
        }
        if after(end, at) {
            new.push((at, end));
        }
        if new.is_empty() {
            self.note_recent(start);
            return Inserted::Duplicate;
        }
        match self.ranges.get(first).copied() {
            Some(range) if !touched.is_empty() => {
                let last = self.ranges[touched.end - 1];
                self.ranges[first] = Range {
                    start: earlier(start, range.start),
                    end: later(end, last.end),
                };
                self.ranges.drain(first + 1..touched.end);
            }
            _ if self.ranges.len() >= limit => return Inserted::Full,
            _ => self.ranges.insert(first, Range { start, end }),
        }
        if fin {
            self.fin.get_or_insert_with(|| end.wrapping_sub(1));
        }
        self.note_recent(start);
        Inserted::New(new)
    }

    /// The sequence number of the FIN, if it has arrived.
    pub(crate) fn fin(&self) -> Option<u32> {
        self.fin
    }

    /// Drops the data beyond `end`, and a FIN beyond `end`.
    pub(crate) fn truncate(&mut self, end: u32) {
        self.fin = self.fin.filter(|&fin| after(end, fin));
        self.ranges.retain_mut(|range| {
            range.end = earlier(range.end, end);
            after(range.end, range.start)
        });
    }

    /// Removes the data that is contiguous with `rcv_nxt`. Returns the new RCV.NXT.
    pub(crate) fn take(&mut self, rcv_nxt: u32) -> u32 {
        let gone = self.ranges.partition_point(|r| !after(r.start, rcv_nxt));
        let end = match gone.checked_sub(1) {
            Some(last) => later(rcv_nxt, self.ranges[last].end),
            None => rcv_nxt,
        };
        self.ranges.drain(..gone);
        end
    }

    fn note_recent(&mut self, start: u32) {
        let Some(range) = self.range_of(start) else {
            return;
        };
        let mut recent = [None; 4];
        recent[0] = Some(start);
        let others = self.recent.into_iter().flatten();
        let elsewhere = others.filter(|&at| self.range_of(at).is_some_and(|other| other != range));
        for (slot, at) in recent[1..].iter_mut().zip(elsewhere) {
            *slot = Some(at);
        }
        self.recent = recent;
    }

    fn range_of(&self, at: u32) -> Option<Range> {
        let index = self.ranges.partition_point(|range| !after(range.end, at));
        let range = self.ranges.get(index).copied()?;
        (!after(range.start, at)).then_some(range)
    }

    /// The blocks of the SACK option: `dsack` first, if a segment arrived twice (RFC 2883, 4), then
    /// the ranges that changed last.
    pub(crate) fn sack_blocks(&self, dsack: Option<(u32, u32)>) -> [Option<(u32, u32)>; 3] {
        let recent = self.recent.into_iter().flatten();
        let ranges = recent.filter_map(|at| self.range_of(at).map(|r| (r.start, r.end)));
        let mut blocks = dsack.into_iter().chain(ranges);
        [blocks.next(), blocks.next(), blocks.next()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 100;

    fn new(parts: &[(u32, u32)]) -> Inserted {
        Inserted::New(parts.to_vec())
    }

    #[test]
    fn ranges_join_and_the_most_recent_is_reported_first() {
        let mut queue = OutOfOrder::default();
        assert_eq!(queue.insert(10, 15, false, LIMIT), new(&[(10, 15)]));
        assert_eq!(queue.insert(30, 35, false, LIMIT), new(&[(30, 35)]));
        assert_eq!(
            queue.sack_blocks(None),
            [Some((30, 35)), Some((10, 15)), None]
        );
        assert_eq!(queue.insert(15, 20, false, LIMIT), new(&[(15, 20)]));
        assert_eq!(
            queue.sack_blocks(None),
            [Some((10, 20)), Some((30, 35)), None]
        );
        assert_eq!(
            queue.insert(12, 32, false, LIMIT),
            new(&[(20, 30)]),
            "the first copy of a byte is kept"
        );
        assert_eq!(queue.sack_blocks(None), [Some((10, 35)), None, None]);
        assert_eq!(queue.insert(12, 13, false, LIMIT), Inserted::Duplicate);
        assert_eq!(queue.sack_blocks(Some((12, 13)))[0], Some((12, 13)));
    }

    #[test]
    fn a_closed_gap_gives_everything_up_to_the_next_gap() {
        let near = u32::MAX - 3;
        let at = |n: u32| near.wrapping_add(n);
        let mut queue = OutOfOrder::default();
        queue.insert(at(8), at(15), true, LIMIT);
        queue.insert(at(4), at(8), false, LIMIT);
        queue.insert(at(20), at(21), false, LIMIT);
        assert_eq!(queue.take(near), near);
        assert_eq!(queue.fin(), Some(at(14)));
        assert_eq!(queue.take(at(4)), at(15));
        assert_eq!(
            queue.sack_blocks(None),
            [Some((at(20), at(21))), None, None]
        );
        assert_eq!(queue.take(at(30)), at(30), "what lies before is forgotten");
        assert!(queue.is_empty());
        assert_eq!(queue.sack_blocks(None), [None; 3]);
    }

    #[test]
    fn the_number_of_ranges_is_bounded_and_gaps_can_still_be_closed() {
        let mut queue = OutOfOrder::default();
        for n in 0..4 {
            queue.insert(10 * n, 10 * n + 1, false, 4);
        }
        assert_eq!(queue.insert(1000, 1001, false, 4), Inserted::Full);
        assert_eq!(queue.insert(1, 10, false, 4), new(&[(1, 10)]));
        assert_eq!(queue.insert(1000, 1001, false, 4), new(&[(1000, 1001)]));
    }

    #[test]
    fn random_segments_are_those_of_a_set() {
        let mut rng = 1u32;
        for _ in 0..200 {
            let mut queue = OutOfOrder::default();
            let mut arrived = [false; 128];
            let base = u32::MAX - 50;
            for _ in 0..30 {
                rng = rng.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (a, len) = ((rng >> 16 & 63) as usize, (rng >> 24 & 15) as usize + 1);
                let at = |n: usize| base.wrapping_add(n as u32);
                let mut fresh = Vec::new();
                for (n, here) in arrived.iter_mut().enumerate().skip(a).take(len) {
                    if !std::mem::replace(here, true) {
                        fresh.push(n);
                    }
                }
                let told: Vec<usize> = match queue.insert(at(a), at(a + len), false, LIMIT) {
                    Inserted::New(parts) => parts
                        .into_iter()
                        .flat_map(|(s, e)| s.wrapping_sub(base)..e.wrapping_sub(base))
                        .map(|n| n as usize)
                        .collect(),
                    _ => Vec::new(),
                };
                assert_eq!(told, fresh);
            }
            let first = arrived.iter().position(|&here| here).unwrap();
            let run = arrived[first..].iter().take_while(|&&here| here).count();
            let start = base.wrapping_add(first as u32);
            assert_eq!(queue.take(start), start.wrapping_add(run as u32));
        }
    }
}

//! A map from prefixes to subtrees, which finds the prefixes of a number.

use super::Subtree;
use std::cmp::Reverse;

/// No prefix.
const NONE: u32 = u32::MAX;

/// Numbers whose prefixes a [`PrefixMap`] maps: addresses, or ports with their protocol.
pub(super) trait Number: Copy + Ord {
    const ZERO: Self;

    /// Returns the number behind `self`, or `None` behind the last one.
    fn successor(self) -> Option<Self>;
    /// Returns how many times `1 << shift` fits the distance from `base`, at most `most`.
    fn bucket(self, base: Self, shift: u32, most: usize) -> usize;
    /// Returns the number of bits of the distance from `base`.
    fn distance_bits(self, base: Self) -> u32;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Number for $number {
            const ZERO: Self = 0;

            fn successor(self) -> Option<Self> {
                self.checked_add(1)
            }

            fn bucket(self, base: Self, shift: u32, most: usize) -> usize {
                let bucket = self.saturating_sub(base) >> shift;
                usize::try_from(bucket).map_or(most, |bucket| bucket.min(most))
            }

            fn distance_bits(self, base: Self) -> u32 {
                Self::BITS - self.saturating_sub(base).leading_zeros()
            }
        }
    )*};
}
numbers!(u32, u128);

/// A map from prefixes to subtrees. A prefix is the range from its first to its last number; of two
/// prefixes, either one contains the other or they have no number in common.
///
/// The prefixes divide all numbers into intervals, and each interval has an innermost prefix. From
/// there, the other prefixes of a number are the parents.
///
/// A lookup first jumps to a bucket: the buckets are equally long parts of the range of all
/// prefixes, about as many as there are intervals. The rest is a binary search among the intervals
/// of that bucket, so the worst case is a binary search among all.
#[derive(Debug)]
pub(super) struct PrefixMap<K> {
    base: K,
    shift: u32,
    /// The number of intervals that begin before the bucket, for each bucket and behind the last.
    buckets: Vec<u32>,
    /// In ascending order. The first one begins at 0.
    intervals: Vec<Interval<K>>,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Interval<K> {
    start: K,
    /// The innermost prefix.
    innermost: u32,
}

/// A prefix.
#[derive(Debug)]
pub(super) struct Node {
    parent: u32,
    /// The lowest rule of this prefix and of the prefixes that contain it.
    pub(super) lowest: u32,
    /// The lowest of these rules that matches every packet of its prefix.
    pub(super) certain: u32,
    pub(super) subtree: Subtree,
}

impl<K: Number> PrefixMap<K> {
    /// `prefixes` are in the order of their first numbers, and a prefix stands behind those that
    /// contain it.
    pub(super) fn new(prefixes: impl Iterator<Item = ((K, Reverse<K>), Subtree)>) -> Self {
        let mut nodes: Vec<Node> = Vec::new();
        let mut intervals = vec![Interval {
            start: K::ZERO,
            innermost: NONE,
        }];
        // The prefixes that contain the current number, outermost first, with their last numbers.
        let mut open: Vec<(K, u32)> = Vec::new();
        for ((first, Reverse(last)), subtree) in prefixes {
            while let Some((end, _)) = open.pop_if(|(end, _)| *end < first) {
                close(&mut intervals, end, &open);
            }
            let parent = open.last().map_or(NONE, |(_, node)| *node);
            let (lowest, certain) = nodes
                .get(parent as usize)
                .map_or((NONE, NONE), |parent| (parent.lowest, parent.certain));
            begin(&mut intervals, first, nodes.len() as u32);
            open.push((last, nodes.len() as u32));
            nodes.push(Node {
                parent,
                lowest: lowest.min(subtree.lowest),
                certain: certain.min(subtree.certain),
                subtree,
            });
        }
        while let Some((end, _)) = open.pop() {
            close(&mut intervals, end, &open);
        }
        let base = intervals.get(1).map_or(K::ZERO, |second| second.start);
        let last = intervals.last().map_or(base, |last| last.start);
        // One or two intervals for a bucket, if they are evenly spread.
        let shift = last
            .distance_bits(base)
            .saturating_sub(intervals.len().ilog2());
        let most = last.bucket(base, shift, usize::MAX);
        let mut buckets = vec![0; most + 2];
        for interval in &intervals {
            buckets[interval.start.bucket(base, shift, most) + 1] += 1;
        }
        for bucket in 1..buckets.len() {
            buckets[bucket] += buckets[bucket - 1];
        }
        Self {
            base,
            shift,
            buckets,
            intervals,
            nodes,
        }
    }

    /// Returns the prefixes that contain `number`, innermost first.
    pub(super) fn of(&self, number: K) -> impl Iterator<Item = &Node> {
        let bucket = number.bucket(self.base, self.shift, self.buckets.len() - 2);
        let (from, to) = (
            self.buckets[bucket] as usize,
            self.buckets[bucket + 1] as usize,
        );
        let after = self.intervals[from..to].partition_point(|interval| interval.start <= number);
        // The first interval begins at 0, so one begins at or before every number.
        let innermost = self.intervals[(from + after).saturating_sub(1)].innermost;
        std::iter::successors(self.nodes.get(innermost as usize), |node| {
            self.nodes.get(node.parent as usize)
        })
    }
}

fn begin<K: Number>(intervals: &mut Vec<Interval<K>>, start: K, innermost: u32) {
    // A prefix begins where another one ends or begins.
    intervals.pop_if(|last| last.start == start);
    intervals.push(Interval { start, innermost });
}

/// Begins the interval behind a prefix, inside of those that are still open.
fn close<K: Number>(intervals: &mut Vec<Interval<K>>, end: K, open: &[(K, u32)]) {
    if let Some(start) = end.successor() {
        begin(
            intervals,
            start,
            open.last().map_or(NONE, |(_, node)| *node),
        );
    }
}

/// Returns the fewest prefixes that make up the numbers from `first` to `last`.
pub(super) fn prefixes_of(first: u32, last: u32) -> impl Iterator<Item = (u32, u32)> {
    let mut next = (first <= last).then_some(first);
    std::iter::from_fn(move || {
        let from = next?;
        let room = (u64::from(last - from) + 1).ilog2();
        let bits = from.trailing_zeros().min(room);
        let to = from + ((1_u64 << bits) - 1) as u32;
        next = to.checked_add(1).filter(|from| *from <= last);
        Some((from, to))
    })
}

/// Returns the fewest prefixes that make up the numbers below `end` for which `is_in` returns `true`.
pub(super) fn prefixes_where(
    end: u32,
    is_in: impl Fn(u32) -> bool,
) -> impl Iterator<Item = (u32, u32)> {
    let mut next = 0;
    let runs = std::iter::from_fn(move || {
        let first = (next..end).find(|number| is_in(*number))?;
        next = (first..end).find(|number| !is_in(*number)).unwrap_or(end);
        Some((first, next - 1))
    });
    runs.flat_map(|(first, last)| prefixes_of(first, last))
}

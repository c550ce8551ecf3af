//! Sets of positions in a stream.

/// Positions of a stream, as ranges that neither overlap nor touch, in ascending order.
#[derive(Debug, Default)]
pub(crate) struct Ranges(Vec<(i64, i64)>);

impl Ranges {
    /// Adds the positions from `start` to before `end`.
    pub(crate) fn add(&mut self, start: i64, end: i64) {
        if start >= end {
            return;
        }
        let first = self.0.partition_point(|range| range.1 < start);
        let last = self.0.partition_point(|range| range.0 <= end);
        let merged = self.0[first..last].iter().fold((start, end), |all, range| {
            (all.0.min(range.0), all.1.max(range.1))
        });
        self.0.splice(first..last, [merged]);
    }

    /// Returns the end of the range that `start` lies in or at the end of; without one, `start`.
    pub(crate) fn end_from(&self, start: i64) -> i64 {
        match self.0.iter().find(|range| range.1 >= start) {
            Some(&(first, end)) if first <= start => end,
            _ => start,
        }
    }

    /// Returns whether every position from `start` to before `end` is in the set.
    pub(crate) fn contains(&self, start: i64, end: i64) -> bool {
        start == end
            || self
                .0
                .iter()
                .any(|range| range.0 <= start && end <= range.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_merge_when_they_touch() {
        let mut ranges = Ranges::default();
        ranges.add(10, 20);
        assert_eq!((ranges.end_from(0), ranges.end_from(12)), (0, 20));
        ranges.add(0, 5);
        assert_eq!((ranges.end_from(0), ranges.contains(10, 20)), (5, true));
        ranges.add(5, 10);
        assert_eq!((ranges.end_from(3), ranges.0.len()), (20, 1));
        ranges.add(30, 31);
        assert!(!ranges.contains(19, 31));
        ranges.add(-5, 40);
        assert_eq!(ranges.0, [(-5, 40)]);
    }
}

use brooklet_packet::FlowKey;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Instant;

/// When connections want to be looked at again.
///
/// A connection that needs a later moment than it has here is asked again when the earlier one
/// comes, so that a packet costs no work on the heap. Only moments far off are looked into, before
/// the driver sleeps until one.
#[derive(Debug, Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<Deadline>>);

#[derive(Debug)]
struct Deadline {
    at: Instant,
    key: FlowKey,
}

impl PartialEq for Deadline {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Deadline {}

impl Ord for Deadline {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Timers {
    pub(crate) fn push(&mut self, at: Instant, key: FlowKey) {
        self.0.push(Reverse(Deadline { at, key }));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes all deadlines out if there are more than `limit`.
    pub(crate) fn take_beyond(&mut self, limit: usize) -> Vec<(Instant, FlowKey)> {
        if self.0.len() <= limit {
            return Vec::new();
        }
        let all = std::mem::take(&mut self.0).into_vec();
        all.into_iter()
            .map(|Reverse(deadline)| (deadline.at, deadline.key))
            .collect()
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse(deadline)| deadline.at)
    }

    /// The earliest deadline, and whose it is.
    pub(crate) fn first(&self) -> Option<(Instant, FlowKey)> {
        self.0
            .peek()
            .map(|Reverse(deadline)| (deadline.at, deadline.key))
    }

    /// Takes the earliest deadline if it is this one.
    pub(crate) fn pop_exactly(&mut self, first: (Instant, FlowKey)) -> bool {
        let same = self.first() == Some(first);
        if same {
            self.pop();
        }
        same
    }

    /// Takes the earliest deadline that has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, FlowKey)> {
        if self.next()? > now {
            return None;
        }
        self.pop()
    }

    fn pop(&mut self) -> Option<(Instant, FlowKey)> {
        let Reverse(first) = self.0.pop()?;
        if self.0.capacity() > 1024 && self.0.len() * 4 < self.0.capacity() {
            self.0.shrink_to(self.0.len() * 2); // give back the memory of a burst
        }
        Some((first.at, first.key))
    }
}

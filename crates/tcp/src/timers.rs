use brooklet_packet::FlowKey;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Instant;

/// When connections want to be looked at again.
///
/// Nothing is ever taken out before its time: a connection that needs a later moment than it has
/// here is asked again when the earlier one comes. So a packet costs no work on the heap.
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

    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse(deadline)| deadline.at)
    }

    /// Takes the earliest deadline that has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, FlowKey)> {
        if self.next()? > now {
            return None;
        }
        self.0
            .pop()
            .map(|Reverse(deadline)| (deadline.at, deadline.key))
    }
}

use crate::seq::{Micros, NEVER};
use brooklet_packet::FlowKey;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// The deadlines of the connections of one device queue, in a lazy heap.
///
/// A connection whose deadline moves to a later moment keeps its entry, and is asked again when
/// the entry comes up, so that a packet costs no work on the heap. Only entries far in the future
/// are checked, before the driver sleeps until one.
#[derive(Debug, Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<Entry>>);

#[derive(Debug)]
struct Entry {
    at: Micros,
    key: FlowKey,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Entry {}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Timers {
    pub(crate) fn push(&mut self, at: Micros, key: FlowKey) {
        self.0.push(Reverse(Entry { at, key }));
    }

    /// Bytes on the heap.
    pub(crate) fn heap_size(&self) -> usize {
        self.0.capacity() * size_of::<Entry>()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes all entries out if there are more than `limit`.
    pub(crate) fn take_beyond(&mut self, limit: usize) -> Vec<(Micros, FlowKey)> {
        if self.0.len() <= limit {
            return Vec::new();
        }
        let all = std::mem::take(&mut self.0).into_vec();
        all.into_iter()
            .map(|Reverse(entry)| (entry.at, entry.key))
            .collect()
    }

    /// The earliest deadline, or [`NEVER`].
    pub(crate) fn next(&self) -> Micros {
        self.0.peek().map_or(NEVER, |Reverse(entry)| entry.at)
    }

    /// The earliest deadline, and the connection that it belongs to.
    pub(crate) fn first(&self) -> Option<(Micros, FlowKey)> {
        self.0.peek().map(|Reverse(entry)| (entry.at, entry.key))
    }

    /// Takes the earliest entry out if it is this one.
    pub(crate) fn pop_exactly(&mut self, first: (Micros, FlowKey)) -> bool {
        let same = self.first() == Some(first);
        if same {
            self.pop();
        }
        same
    }

    /// Takes out all entries whose moment has come, in order.
    pub(crate) fn take_due(&mut self, now: Micros, due: &mut Vec<(Micros, FlowKey)>) {
        while self.next() <= now {
            due.extend(self.pop());
        }
    }

    fn pop(&mut self) -> Option<(Micros, FlowKey)> {
        let Reverse(first) = self.0.pop()?;
        if self.0.capacity() > 1024 && self.0.len() * 4 < self.0.capacity() {
            self.0.shrink_to(self.0.len() * 2); // gives back the memory of a burst
        }
        Some((first.at, first.key))
    }
}

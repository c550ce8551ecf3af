//! Who waits for the same thing.

use std::{mem, task::Waker};

/// The wakers of the tasks that wait for one event.
///
/// Bounded by who waits: a future holds one entry under its seat and gives it up when dropped;
/// the poll functions, which nobody drops, hold one entry a task.
///
/// Wakers that leave the list are handed out, never dropped here: dropping one may free its task,
/// and the task may own a socket that wants the cell this list lies in.
#[derive(Debug, Default)]
pub(crate) struct WakerList {
    entries: Entries,
    issued: u64,
}

/// As a rule there is one at most, which needs no memory.
#[derive(Debug, Default)]
struct Entries {
    first: Option<Entry>,
    others: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    seat: u64,
    waker: Waker,
}

/// Wakers taken from a list, to be woken once the cell is released.
#[must_use = "whoever waits is to be woken"]
#[derive(Debug, Default)]
pub(crate) struct Woken(Entries);

/// The seat that the poll functions share.
const SHARED: u64 = 0;

/// A future's seat, none until it first waits.
#[derive(Debug, Default)]
pub(crate) struct Seat(Option<u64>);

impl Seat {
    /// Whether the seat was ever taken.
    pub(crate) fn is_taken(&self) -> bool {
        self.0.is_some()
    }
}

impl WakerList {
    /// Notes that `waker` waits, under `seat` or, without one, under the identity of its task.
    /// Returns the waker it replaces.
    #[must_use = "to be dropped once the cell is released"]
    pub(crate) fn register(&mut self, seat: Option<&mut Seat>, waker: &Waker) -> Option<Waker> {
        let seat = match seat {
            None => SHARED,
            Some(seat) => *seat.0.get_or_insert_with(|| {
                self.issued += 1;
                self.issued
            }),
        };
        let same = |entry: &&mut Entry| {
            entry.seat == seat && (seat != SHARED || entry.waker.will_wake(waker))
        };
        let found = self.entries.iter_mut().find(same);
        match found {
            Some(entry) if entry.waker.will_wake(waker) => None,
            Some(entry) => Some(mem::replace(&mut entry.waker, waker.clone())),
            None => {
                let waker = waker.clone();
                self.entries.push(Entry { seat, waker });
                None
            }
        }
    }

    /// Gives up `seat`. Returns the waker that was there.
    #[must_use = "to be dropped once the cell is released"]
    pub(crate) fn leave(&mut self, seat: &Seat) -> Option<Waker> {
        let entry = self.entries.remove(seat.0?)?;
        Some(entry.waker)
    }

    /// Takes everyone who waits.
    pub(crate) fn take(&mut self) -> Woken {
        Woken(mem::take(&mut self.entries))
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.first.is_none()
    }
}

impl Entries {
    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.first.iter_mut().chain(&mut self.others)
    }

    fn push(&mut self, entry: Entry) {
        match &self.first {
            None => self.first = Some(entry),
            Some(_) => self.others.push(entry),
        }
    }

    /// Takes out who has `seat`. There is a first as long as there is anybody.
    fn remove(&mut self, seat: u64) -> Option<Entry> {
        if let Some(first) = self.first.take_if(|first| first.seat == seat) {
            self.first = self.others.pop();
            return Some(first);
        }
        let at = self.others.iter().position(|entry| entry.seat == seat)?;
        Some(self.others.swap_remove(at))
    }
}

impl Woken {
    /// Wakes them all. Never inside the cell.
    pub(crate) fn wake(self) {
        let Entries { first, others } = self.0;
        let Some(first) = first else {
            return; // most often
        };
        first.waker.wake();
        for entry in others {
            entry.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), count.into())
    }

    #[test]
    fn one_entry_a_task_without_a_seat() {
        let mut list = WakerList::default();
        let (one, waker) = task();
        let (two, other) = task();
        for _ in 0..3 {
            assert!(list.register(None, &waker).is_none());
            assert!(list.register(None, &other).is_none());
        }
        assert_eq!(list.entries.iter_mut().count(), 2);
        list.take().wake();
        assert_eq!(
            [one, two].map(|count| count.0.load(Ordering::Relaxed)),
            [1, 1]
        );
        assert!(list.is_empty());
    }

    #[test]
    fn a_seat_follows_its_future_to_another_task() {
        let mut list = WakerList::default();
        let (old, waker) = task();
        let (new, other) = task();
        let mut seat = Seat::default();
        assert!(list.register(Some(&mut seat), &waker).is_none());
        assert!(
            list.register(Some(&mut seat), &other)
                .is_some_and(|w| w.will_wake(&waker))
        );
        list.take().wake();
        assert_eq!(
            [old, new].map(|count| count.0.load(Ordering::Relaxed)),
            [0, 1]
        );
    }

    #[test]
    fn two_futures_of_one_task_leave_apart() {
        let mut list = WakerList::default();
        let (count, waker) = task();
        let (mut one, mut two) = (Seat::default(), Seat::default());
        assert!(list.leave(&one).is_none(), "never registered");
        assert!(list.register(Some(&mut one), &waker).is_none());
        assert!(list.register(Some(&mut two), &waker).is_none());
        assert!(list.register(None, &waker).is_none());
        assert!(list.leave(&one).is_some());
        assert!(list.leave(&one).is_none());
        list.take().wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }
}

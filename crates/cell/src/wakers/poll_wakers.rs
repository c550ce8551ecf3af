use super::WakeList;
use std::task::Waker;

/// The wakers of tasks that wait by a `poll_` function, in any number: usually one. The set takes
/// three words, and the first waker takes no allocation.
///
/// The set finds a task again by [`Waker::will_wake`]. It cannot find a task that comes with a new
/// waker at each poll, and nothing tells it that a task has stopped waiting, so it keeps at most
/// [`LIMIT`](Self::LIMIT) wakers. One more wakes and empties the whole set, and is then the only
/// one.
///
/// # No task wakes itself in a loop
///
/// A full set that woke only its oldest waker would stay full. Each further poll of a task with
/// always new wakers would then wake that task for the next poll, without an end. An emptied set
/// has room again: such a task is woken for nothing once in `LIMIT` polls, and not at all if
/// events come more often than that.
///
/// Up to `LIMIT` tasks wait side by side and none wakes another. More tasks than that do wake each
/// other: with bounded memory a set can only wake the tasks that it has no room for. Futures that
/// wait by a [`WaitQueue`](super::WaitQueue) have no such bound.
///
/// ```
/// use brooklet_cell::wakers::{PollWakers, WakeList};
/// use std::task::Waker;
///
/// let (mut readers, mut wakes) = (PollWakers::new(), WakeList::new());
/// readers.register(Waker::noop(), &mut wakes);
/// assert!(wakes.is_empty() && !readers.is_empty());
///
/// // The event: collect under the cell, wake after it.
/// readers.drain_into(&mut wakes);
/// wakes.wake_all();
/// assert!(readers.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct PollWakers {
    first: Option<Waker>,
    #[expect(
        clippy::box_collection,
        reason = "each connection has several sets, and few of them a second waker"
    )]
    others: Option<Box<Vec<Waker>>>,
}

impl PollWakers {
    /// The largest number of wakers in a set.
    pub const LIMIT: usize = 1024;

    /// Creates an empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first: None,
            others: None,
        }
    }

    /// Registers `waker`, unless a waker of the same task is registered. Moves the wakers of a
    /// full set into `wakes` before.
    pub fn register(&mut self, waker: &Waker, wakes: &mut WakeList) {
        match &self.first {
            None => self.first = Some(waker.clone()),
            Some(first) if first.will_wake(waker) => {}
            Some(_) => {
                let others = self.others.get_or_insert_default();
                if others.iter().any(|other| other.will_wake(waker)) {
                    return;
                }
                if others.len() + 1 < Self::LIMIT {
                    others.push(waker.clone());
                } else {
                    self.drain_into(wakes);
                    self.first = Some(waker.clone());
                }
            }
        }
    }

    /// Returns whether no task waits.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Moves all wakers into `wakes`.
    #[inline]
    pub fn drain_into(&mut self, wakes: &mut WakeList) {
        if !self.is_empty() {
            self.drain(wakes);
        }
    }

    fn drain(&mut self, wakes: &mut WakeList) {
        wakes.extend(self.first.take());
        if let Some(others) = self.others.take() {
            wakes.extend(*others);
        }
    }
}

//! The tasks that wait for one direction of a descriptor.

use slab::Slab;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Wakes tasks, in their order. The panic of a waker ends here, as in async-io: the other tasks are
/// woken, and the thread of the reactor goes on.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            // The drop of a payload may panic again.
            std::mem::forget(payload);
        }
    }
}

/// Where a task registers.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    /// The place of the methods that start with `poll_`: one in each direction.
    Shared,
    /// A place of a future's own.
    Own(&'a mut Option<usize>),
}

#[derive(Debug, Default)]
pub(crate) struct Waiters {
    shared: Option<Waker>,
    own: Slab<Option<Waker>>,
}

impl Waiters {
    /// Registers a waker, and returns the waker of another task that has lost its place, to be
    /// woken, or an older one of the same task.
    #[must_use = "to be woken outside of the lock"]
    pub(crate) fn register(&mut self, place: Place<'_>, waker: &Waker) -> Option<Waker> {
        let registered = match place {
            Place::Shared => &mut self.shared,
            Place::Own(key) => {
                let key = *key.get_or_insert_with(|| self.own.insert(None));
                &mut self.own[key]
            }
        };
        match registered {
            Some(registered) if registered.will_wake(waker) => None,
            _ => registered.replace(waker.clone()),
        }
    }

    /// Removes a place of a future's own.
    #[must_use = "to be dropped outside of the lock"]
    pub(crate) fn remove(&mut self, key: usize) -> Option<Waker> {
        self.own.try_remove(key).flatten()
    }

    /// Moves all wakers to `wakers`, and returns whether there was one.
    pub(crate) fn take(&mut self, wakers: &mut Vec<Waker>) -> bool {
        let before = wakers.len();
        wakers.extend(self.shared.take());
        if !self.own.is_empty() {
            wakers.extend(self.own.iter_mut().filter_map(|(_, waker)| waker.take()));
        }
        wakers.len() > before
    }
}

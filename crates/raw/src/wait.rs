//! Tasks that wait for a queue.

use brooklet_cell::wakers::{WaitKey, WaitQueue, WakeList};
use brooklet_cell::{Flavor, Shared};
use std::task::{Context, Waker};

/// A queue that tasks wait for.
pub(crate) trait Awaited {
    /// The tasks that wait.
    fn waiting(&mut self) -> &mut WaitQueue;

    /// Registers the task of `cx`, under `key` if the caller is a future. The caller drops the
    /// returned waker and wakes `wakes` once the cell is released.
    #[must_use = "drop the replaced waker once no cell is held"]
    fn register(
        &mut self,
        key: Option<&mut WaitKey>,
        cx: &Context<'_>,
        wakes: &mut WakeList,
    ) -> Option<Waker> {
        match key {
            Some(key) => self.waiting().register(key, cx.waker()),
            None => {
                self.waiting().register_poll(cx.waker(), wakes);
                None
            }
        }
    }
}

/// A future's reference to a queue. Dropping the waiter removes the future's waker from the queue,
/// so that a cancelled future keeps no task alive.
pub(crate) struct Waiter<F: Flavor, T: Awaited + 'static> {
    pub(crate) queue: Shared<F, T>,
    pub(crate) key: WaitKey,
}

impl<F: Flavor, T: Awaited> Waiter<F, T> {
    pub(crate) fn new(queue: &Shared<F, T>) -> Self {
        Self {
            queue: queue.clone(),
            key: WaitKey::default(),
        }
    }
}

impl<F: Flavor, T: Awaited> Drop for Waiter<F, T> {
    fn drop(&mut self) {
        if self.key.is_registered() {
            let key = &mut self.key;
            drop(self.queue.with(|queue| queue.waiting().remove(key)));
        }
    }
}

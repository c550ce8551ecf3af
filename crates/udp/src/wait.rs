//! Tasks that wait for a queue.

use brooklet_cell::wakers::{WaitKey, WaitQueue, WakeList};
use brooklet_cell::{Flavor, Shared};
use std::task::{Context, Waker};

/// A state that tasks wait for, at one of several places.
pub(crate) trait Awaited {
    /// What names a place.
    type Place: Copy;

    /// The tasks that wait at `place`, or `None` if there is no such place.
    fn waiting(&mut self, place: Self::Place) -> Option<&mut WaitQueue>;

    /// Registers the task of `cx`, under `key` if the caller is a future. The caller drops the
    /// returned waker and wakes `wakes` once the cell is released.
    #[must_use = "drop the replaced waker once no cell is held"]
    fn register(
        &mut self,
        place: Self::Place,
        key: Option<&mut WaitKey>,
        cx: &Context<'_>,
        wakes: &mut WakeList,
    ) -> Option<Waker> {
        let waiting = self.waiting(place)?;
        match key {
            Some(key) => waiting.register(key, cx.waker()),
            None => {
                waiting.register_poll(cx.waker(), wakes);
                None
            }
        }
    }

    /// Removes the waker of `key` and returns it.
    #[must_use = "drop the waker once no cell is held"]
    fn unregister(&mut self, place: Self::Place, key: &mut WaitKey) -> Option<Waker> {
        self.waiting(place)?.remove(key)
    }
}

/// A future's reference to a place. Dropping the waiter removes the future's waker from the queue,
/// so that a cancelled future keeps no task alive.
pub(crate) struct Waiter<F: Flavor, T: Awaited + 'static> {
    pub(crate) queue: Shared<F, T>,
    pub(crate) place: T::Place,
    pub(crate) key: WaitKey,
}

impl<F: Flavor, T: Awaited> Waiter<F, T> {
    pub(crate) fn new(queue: &Shared<F, T>, place: T::Place) -> Self {
        Self {
            queue: queue.clone(),
            place,
            key: WaitKey::default(),
        }
    }
}

impl<F: Flavor, T: Awaited> Drop for Waiter<F, T> {
    fn drop(&mut self) {
        if self.key.is_registered() {
            let (place, key) = (self.place, &mut self.key);
            drop(self.queue.with(|queue| queue.unregister(place, key)));
        }
    }
}

use super::{WaitKey, WaitQueue, WakeList};
use crate::{Flavor, Shared};
use std::fmt;
use std::task::{Context, Waker};

/// The content of a cell that tasks wait for, at one or several places: for example for the room in
/// a queue, or for the items of each of several readers.
///
/// ```
/// use brooklet_cell::wakers::{Awaited, WaitQueue};
///
/// /// Items that tasks wait for.
/// #[derive(Default)]
/// struct Queue {
///     items: Vec<u64>,
///     readers: WaitQueue,
/// }
///
/// impl Awaited for Queue {
///     type Place = ();
///
///     fn waiting(&mut self, (): ()) -> Option<&mut WaitQueue> {
///         Some(&mut self.readers)
///     }
/// }
/// # let _ = Queue::default().items;
/// ```
pub trait Awaited {
    /// What names a place; `()` if there is one place.
    type Place: Copy;

    /// Returns the tasks that wait at `place`, or `None` if there is no such place.
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

/// A future's reference to a place in a cell. Dropping the waiter removes the future's waker from
/// the place, so that a cancelled future keeps no task alive.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_cell::wakers::{Awaited, WaitQueue, Waiter, WakeList};
/// use brooklet_cell::{Shared, Threaded};
/// use std::future::poll_fn;
/// use std::task::Poll;
///
/// # #[derive(Default)]
/// # struct Queue { items: Vec<u64>, readers: WaitQueue }
/// # impl Awaited for Queue {
/// #     type Place = ();
/// #     fn waiting(&mut self, (): ()) -> Option<&mut WaitQueue> { Some(&mut self.readers) }
/// # }
/// /// Takes an item of the queue, which has one place.
/// async fn read(queue: &Shared<Threaded, Queue>) -> u64 {
///     let Waiter { queue, place, key } = &mut Waiter::new(queue, ());
///     poll_fn(|cx| {
///         let mut wakes = WakeList::new();
///         let (poll, _replaced) = queue.with(|queue| match queue.items.pop() {
///             Some(item) => (Poll::Ready(item), None),
///             None => (Poll::Pending, queue.register(*place, Some(key), cx, &mut wakes)),
///         });
///         wakes.wake_all();
///         poll
///     })
///     .await
/// }
///
/// let queue = Shared::new(Queue::default());
/// queue.with(|queue| queue.items.push(7));
/// assert_eq!(futures_lite::future::block_on(read(&queue)), 7);
/// # }
/// ```
pub struct Waiter<F: Flavor, T: Awaited + 'static> {
    /// The cell.
    pub queue: Shared<F, T>,
    /// The place in the cell.
    pub place: T::Place,
    /// The registration of the future.
    pub key: WaitKey,
}

impl<F: Flavor, T: Awaited> Waiter<F, T> {
    /// Returns a waiter that is not registered.
    pub fn new(queue: &Shared<F, T>, place: T::Place) -> Self {
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

impl<F: Flavor, T: Awaited> fmt::Debug for Waiter<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

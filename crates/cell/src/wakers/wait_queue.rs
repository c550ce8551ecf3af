use super::{PollWakers, WakeList};
use slab::Slab;
use std::task::Waker;

/// The wakers of the futures and tasks that wait for one event, in any number.
///
/// A future registers under its [`WaitKey`] and [removes](Self::remove) its waker when it is
/// dropped, so that a cancelled future keeps no task alive. The number of futures bounds the
/// queue. A caller of a `poll_` function has no key; the queue keeps the wakers of such callers in
/// [`PollWakers`], which are bounded.
///
/// A complete example is at the [module](super).
///
/// ```
/// use brooklet_cell::wakers::{WaitKey, WaitQueue, WakeList};
/// use std::task::Waker;
///
/// let (mut queue, mut wakes) = (WaitQueue::new(), WakeList::new());
/// let (mut one, mut two) = (WaitKey::default(), WaitKey::default());
/// drop(queue.register(&mut one, Waker::noop()));
/// drop(queue.register(&mut two, Waker::noop()));
///
/// drop(queue.remove(&mut one)); // the first future is dropped
/// queue.drain_into(&mut wakes); // the event
/// wakes.wake_all();
/// assert!(queue.is_empty());
/// assert!(queue.remove(&mut two).is_none(), "woken already");
/// ```
#[derive(Debug, Default)]
pub struct WaitQueue {
    futures: Slab<Waker>,
    polls: PollWakers,
    /// How many times the queue was emptied. Each time ends the registration of every key.
    generation: u64,
}

/// The registration of one future in a [`WaitQueue`]; the default is none.
///
/// A key belongs to one queue. Its owner calls [`WaitQueue::remove`] before it drops the key: a
/// waker whose key is gone stays until the next event.
///
/// ```
/// use brooklet_cell::wakers::{WaitKey, WaitQueue};
/// use std::task::Waker;
///
/// let (mut queue, mut key) = (WaitQueue::new(), WaitKey::default());
/// assert!(!key.is_registered());
/// drop(queue.register(&mut key, Waker::noop()));
/// assert!(key.is_registered());
/// drop(queue.remove(&mut key));
/// assert!(!key.is_registered());
/// ```
#[derive(Debug, Default)]
pub struct WaitKey(Option<(u64, usize)>);

impl WaitKey {
    /// Returns whether the future has registered since the last [`remove`](WaitQueue::remove). An
    /// event may have woken it meanwhile.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.0.is_some()
    }
}

/// A queue that has become empty keeps the memory for this many wakers.
const KEEP: usize = 16;

impl WaitQueue {
    /// Creates an empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            futures: Slab::new(),
            polls: PollWakers::new(),
            generation: 0,
        }
    }

    /// Registers `waker` under `key`, in place of an earlier waker, which is returned.
    ///
    /// ```
    /// use brooklet_cell::wakers::{WaitKey, WaitQueue};
    /// use std::task::Waker;
    ///
    /// let (mut queue, mut key) = (WaitQueue::new(), WaitKey::default());
    /// assert!(queue.register(&mut key, Waker::noop()).is_none());
    /// assert!(queue.register(&mut key, Waker::noop()).is_none(), "the same task");
    /// assert!(queue.remove(&mut key).is_some());
    /// assert!(queue.is_empty());
    /// ```
    #[must_use = "drop the replaced waker once no cell is held"]
    pub fn register(&mut self, key: &mut WaitKey, waker: &Waker) -> Option<Waker> {
        if let Some((generation, index)) = key.0
            && generation == self.generation
            && let Some(known) = self.futures.get_mut(index)
        {
            return (!known.will_wake(waker)).then(|| std::mem::replace(known, waker.clone()));
        }
        let index = self.futures.insert(waker.clone());
        key.0 = Some((self.generation, index));
        None
    }

    /// Registers `waker` for a caller that has no key, as [`PollWakers::register`] does.
    ///
    /// ```
    /// use brooklet_cell::wakers::{WaitQueue, WakeList};
    /// use std::task::Waker;
    ///
    /// let (mut queue, mut wakes) = (WaitQueue::new(), WakeList::new());
    /// queue.register_poll(Waker::noop(), &mut wakes);
    /// wakes.wake_all(); // holds wakers only if the queue was full of callers without a key
    /// assert!(!queue.is_empty());
    /// ```
    pub fn register_poll(&mut self, waker: &Waker, wakes: &mut WakeList) {
        self.polls.register(waker, wakes);
    }

    /// Removes the waker of `key` and returns it, if no event has woken it meanwhile.
    #[must_use = "drop the waker once no cell is held"]
    pub fn remove(&mut self, key: &mut WaitKey) -> Option<Waker> {
        let (generation, index) = key.0.take()?;
        if generation != self.generation {
            return None;
        }
        let waker = self.futures.try_remove(index);
        self.shrink();
        waker
    }

    /// Returns whether no task waits.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.futures.is_empty() && self.polls.is_empty()
    }

    /// Moves all wakers into `wakes`.
    #[inline]
    pub fn drain_into(&mut self, wakes: &mut WakeList) {
        // The usual case is an empty queue, for every packet.
        if !self.is_empty() {
            self.drain(wakes);
        }
    }

    fn drain(&mut self, wakes: &mut WakeList) {
        self.polls.drain_into(wakes);
        if !self.futures.is_empty() {
            self.generation += 1;
            wakes.extend(self.futures.drain());
            self.shrink();
        }
    }

    /// Frees the memory that a crowd of tasks has left.
    /// Returns the bytes that the queue has allocated for the wakers of futures.
    ///
    /// ```
    /// use brooklet_cell::wakers::{WaitKey, WaitQueue};
    /// use std::task::Waker;
    ///
    /// let (mut queue, mut key) = (WaitQueue::new(), WaitKey::default());
    /// assert_eq!(queue.allocated(), 0);
    /// let _ = queue.register(&mut key, Waker::noop());
    /// assert!(queue.allocated() >= size_of::<Waker>());
    /// ```
    #[must_use]
    pub fn allocated(&self) -> usize {
        // An entry of the slab is a waker or the number of a free entry.
        self.futures.capacity() * size_of::<Waker>()
    }

    fn shrink(&mut self) {
        if self.futures.is_empty() && self.futures.capacity() > KEEP {
            self.futures = Slab::new();
        }
    }
}

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

/// The wakers that have panicked. Not a counter of a list: lists live for one piece of work.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Returns how many wakers have panicked in this process when a [`WakeList`] or [`wake`] woke them.
///
/// ```
/// use brooklet_cell::wakers::{WakeList, panics};
/// use std::sync::Arc;
/// use std::task::Wake;
///
/// struct Panics;
///
/// impl Wake for Panics {
///     fn wake(self: Arc<Self>) {
///         panic!("a waker panics");
///     }
/// }
///
/// let before = panics();
/// let mut wakes = WakeList::new();
/// wakes.push(Arc::new(Panics).into());
/// wakes.wake_all();
/// assert_eq!(panics() - before, 1);
/// ```
#[must_use]
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Wakers that were collected while a cell was held, to be woken once no cell is held.
///
/// The first two wakers, usually those of a reader and of a writer, take no allocation. A list
/// that is reused keeps its allocation.
///
/// Dropping the list wakes the tasks that it still holds. A piece of work that panics after it has
/// taken the wakers out of their set thus leaves no task asleep.
///
/// ```
/// use brooklet_cell::wakers::WakeList;
/// use std::task::Waker;
///
/// let mut wakes = WakeList::new();
/// wakes.push(Waker::noop().clone());
/// wakes.extend([Waker::noop().clone(), Waker::noop().clone()]);
/// wakes.wake_all();
/// assert!(wakes.is_empty());
/// ```
#[derive(Debug, Default)]
#[must_use = "a task that is not woken never continues"]
pub struct WakeList {
    first: Option<Waker>,
    second: Option<Waker>,
    others: Vec<Waker>,
}

impl WakeList {
    /// Creates an empty list.
    pub const fn new() -> Self {
        Self {
            first: None,
            second: None,
            others: Vec::new(),
        }
    }

    /// Returns whether the list holds no waker.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Adds `waker`.
    pub fn push(&mut self, waker: Waker) {
        match self {
            Self {
                first: place @ None,
                ..
            }
            | Self {
                second: place @ None,
                ..
            } => {
                *place = Some(waker);
            }
            Self { others, .. } => others.push(waker),
        }
    }

    /// Wakes all tasks, in the order in which they were added, and empties the list. The caller
    /// holds no cell.
    ///
    /// The panic of a waker ends here, once the panic hook has reported it, and is
    /// [counted](panics). The waker belongs to another task than the caller, which has done its work
    /// right: a driver goes on, and so does a writer that wakes a reader.
    #[inline]
    pub fn wake_all(&mut self) {
        // The usual case is an empty list, for every packet.
        if !self.is_empty() {
            self.wake_each();
        }
    }

    fn wake_each(&mut self) {
        let others = self.second.take().into_iter().chain(self.others.drain(..));
        for waker in self.first.take().into_iter().chain(others) {
            wake(waker);
        }
    }
}

/// Wakes one task, as a [`WakeList`] does: the panic of the waker is [counted](panics), and ends
/// here. The caller holds no cell.
///
/// ```
/// use brooklet_cell::wakers::{SingleWaker, wake};
/// use std::task::Waker;
///
/// let mut driver = SingleWaker::new();
/// drop(driver.register(Waker::noop()));
/// driver.take().into_iter().for_each(wake);
/// ```
pub fn wake(waker: Waker) {
    // A waker that panics is gone; nothing of it is used afterwards.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        PANICS.fetch_add(1, Ordering::Relaxed);
        // The payload is foreign code as well. That of a second panic is leaked.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
    }
}

impl Extend<Waker> for WakeList {
    fn extend<I: IntoIterator<Item = Waker>>(&mut self, wakers: I) {
        wakers.into_iter().for_each(|waker| self.push(waker));
    }
}

impl Drop for WakeList {
    #[inline]
    fn drop(&mut self) {
        self.wake_all();
    }
}

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

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
    /// # Panics
    ///
    /// If a waker panics, the others are woken all the same; the first panic then continues. It
    /// ends here if the thread is panicking already, because a second one would abort the process.
    #[inline]
    pub fn wake_all(&mut self) {
        // The usual case is an empty list, for every packet.
        if !self.is_empty() {
            self.wake_each();
        }
    }

    fn wake_each(&mut self) {
        let mut panic = None;
        let others = self.second.take().into_iter().chain(self.others.drain(..));
        for waker in self.first.take().into_iter().chain(others) {
            // A waker that panics is gone; nothing of it is used afterwards.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                panic.get_or_insert(payload);
            }
        }
        if let Some(payload) = panic
            && !std::thread::panicking()
        {
            resume_unwind(payload);
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

use std::task::Waker;

/// The waker of the one task that waits.
///
/// A later registration replaces an earlier one, as for a future: only the waker of the latest
/// poll has to be woken.
///
/// ```
/// use brooklet_cell::wakers::SingleWaker;
/// use std::task::Waker;
///
/// let mut driver = SingleWaker::new();
/// drop(driver.register(Waker::noop()));
/// assert!(driver.take().is_some_and(|waker| waker.will_wake(Waker::noop())));
/// assert!(driver.take().is_none());
/// ```
#[derive(Debug, Default)]
pub struct SingleWaker(Option<Waker>);

impl SingleWaker {
    /// Creates an empty slot.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Registers `waker` in place of an earlier one, which is returned.
    #[must_use = "drop the replaced waker once no cell is held"]
    pub fn register(&mut self, waker: &Waker) -> Option<Waker> {
        match &self.0 {
            Some(known) if known.will_wake(waker) => None,
            _ => self.0.replace(waker.clone()),
        }
    }

    /// Removes and returns the waker.
    #[must_use = "wake the task once no cell is held"]
    pub fn take(&mut self) -> Option<Waker> {
        self.0.take()
    }
}

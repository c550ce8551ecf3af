use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Instant;

/// The clock that connections read. Clones read the same clock.
///
/// The engine never asks the system for the time: a program passes `Instant::now`, a simulation its
/// own clock.
///
/// ```
/// use brooklet_io::Clock;
/// use std::time::Instant;
///
/// let start = Instant::now();
/// assert_eq!(Clock::new(move || start).now(), start);
/// assert!(Clock::new(Instant::now).now() >= start);
/// ```
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Clock {
    /// Makes a clock of a function, which must be monotonic.
    ///
    /// ```
    /// use brooklet_io::Clock;
    /// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    /// use std::sync::Arc;
    /// use std::time::{Duration, Instant};
    ///
    /// let (start, elapsed) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    /// let clock = {
    ///     let elapsed = elapsed.clone();
    ///     Clock::new(move || start + Duration::from_millis(elapsed.load(Relaxed)))
    /// };
    /// elapsed.store(7, Relaxed);
    /// assert_eq!(clock.now(), start + Duration::from_millis(7));
    /// ```
    pub fn new(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The current time.
    ///
    /// ```
    /// use brooklet_io::Clock;
    /// use std::time::Instant;
    ///
    /// let before = Instant::now();
    /// assert!(Clock::new(Instant::now).now() >= before);
    /// ```
    pub fn now(&self) -> Instant {
        (self.0)()
    }
}

// The stack asks for the time while it holds no cell, so a function that panics leaves nothing of
// the stack half done. Without these, no handle could cross `catch_unwind`.
impl UnwindSafe for Clock {}
impl RefUnwindSafe for Clock {}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

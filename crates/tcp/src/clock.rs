use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// The clock that connections read.
///
/// The engine never asks the system for the time: a program passes `Instant::now`, a simulation its
/// own clock.
///
/// ```
/// use brooklet_tcp::Clock;
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
    pub fn new(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The current time.
    pub fn now(&self) -> Instant {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A future that is ready at a point in time.
///
/// The output is the instant that the timer was set to. A timer that has been ready is not set any
/// more: set it again to wait again. Inside [`block_on`](crate::block_on) on Linux a timer may be up
/// to 1 ms late, because `epoll_wait` takes milliseconds.
///
/// # Cancel safety
///
/// A timer that is dropped wakes no task.
///
/// ```
/// use brooklet_reactor::{Timer, block_on};
/// use std::time::{Duration, Instant};
///
/// let at = Instant::now() + Duration::from_millis(2);
/// assert_eq!(block_on(Timer::at(at)), at);
/// assert!(Instant::now() >= at);
/// ```
#[derive(Debug)]
#[must_use = "a timer does nothing unless it is polled"]
pub struct Timer {
    timer: async_io::Timer,
}

impl Timer {
    /// Returns a timer that is ready after `duration`, or never if that is beyond the range of
    /// [`Instant`].
    pub fn after(duration: Duration) -> Self {
        Self {
            timer: async_io::Timer::after(duration),
        }
    }

    /// Returns a timer that is ready at `instant`.
    pub fn at(instant: Instant) -> Self {
        Self {
            timer: async_io::Timer::at(instant),
        }
    }

    /// Returns a timer that is not set, and waits until it is set and polled again.
    pub fn never() -> Self {
        Self {
            timer: async_io::Timer::never(),
        }
    }

    /// Sets the timer to `instant`. The task that polled the timer last wakes then.
    pub fn set_at(&mut self, instant: Instant) {
        self.timer.set_at(instant);
    }

    /// Sets the timer to `duration` from now, or to never if that is beyond the range of
    /// [`Instant`]. The task that polled the timer last wakes then.
    pub fn set_after(&mut self, duration: Duration) {
        self.timer.set_after(duration);
    }
}

impl Future for Timer {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        Pin::new(&mut self.timer).poll(cx)
    }
}

use crate::platform::Registration;
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
    /// `None` if the timer is not set, or has been ready.
    at: Option<Instant>,
    registration: Registration,
}

impl Timer {
    /// Returns a timer that is ready after `duration`, or never if that is beyond the range of
    /// [`Instant`].
    pub fn after(duration: Duration) -> Self {
        Self::maybe_at(Instant::now().checked_add(duration))
    }

    /// Returns a timer that is ready at `instant`.
    pub fn at(instant: Instant) -> Self {
        Self::maybe_at(Some(instant))
    }

    /// Returns a timer that is not set, and waits until it is set and polled again.
    pub fn never() -> Self {
        Self::maybe_at(None)
    }

    fn maybe_at(at: Option<Instant>) -> Self {
        Self {
            at,
            registration: Registration::default(),
        }
    }

    /// Sets the timer to `instant`.
    ///
    /// The task that has polled the timer since it was last ready or unset wakes then. Otherwise
    /// poll the timer again.
    pub fn set_at(&mut self, instant: Instant) {
        self.at = Some(instant);
        self.registration.set(instant);
    }

    /// Sets the timer to `duration` from now, as [`set_at`](Self::set_at), or to never if that is
    /// beyond the range of [`Instant`].
    pub fn set_after(&mut self, duration: Duration) {
        match Instant::now().checked_add(duration) {
            Some(at) => self.set_at(at),
            None => *self = Self::never(),
        }
    }
}

impl Future for Timer {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        if at > Instant::now() && self.registration.poll(at, cx).is_pending() {
            return Poll::Pending;
        }
        self.at = None;
        self.registration = Registration::default();
        Poll::Ready(at)
    }
}

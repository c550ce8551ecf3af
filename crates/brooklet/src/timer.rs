use brooklet_tcp::Clock;
use std::task::{Context, Poll};
use std::time::Instant;

/// A clock and one timer. The driver uses them for retransmissions and timeouts.
///
/// With the feature `async-io` (default), `Builder::build` uses `AsyncIoTimer`, which works on every
/// executor. Implement `Timer` for tokio's timer or for virtual time, and pass it to
/// [`Builder::build_with_timer`].
///
/// The following timer is for a tokio runtime. The code is that of a tested program,
/// `examples/tokio` in the repository.
///
/// ```rust,ignore
#[doc = include_str!("timer/tokio.rs")]
/// ```
///
/// A stack with this timer:
///
/// ```rust,ignore
/// let parts = Builder::new().build_with_timer(device, TokioTimer::default())?;
/// tokio::spawn(parts.driver);
/// ```
///
/// [`Builder::build_with_timer`]: crate::generic::Builder::build_with_timer
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a timer for a driver",
    label = "not a `Timer`",
    note = "with the feature `async-io` use `brooklet::AsyncIoTimer`, or implement `Timer`"
)]
pub trait Timer {
    /// Returns the clock that the deadlines refer to.
    fn clock(&self) -> Clock;

    /// Returns `Ready` once the clock has reached `deadline`. With `None`, returns `Pending`.
    ///
    /// The timer must wake the task of `cx` at the deadline of the latest call. Extra wake-ups are
    /// allowed: the driver polls again after each. So the timer may keep the alarm of an earlier call
    /// if that alarm comes first, and set the later one when it is polled after the wake-up, as
    /// `AsyncIoTimer` does. With `None` it may keep the alarm too.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()>;
}

/// The timer of async-io, which works on every executor.
///
/// While the driver runs inside `brooklet_reactor::block_on` on Linux, the timer is one of that
/// thread's reactor.
///
/// ```
/// use brooklet::{AsyncIoTimer, Timer};
/// use std::{future::poll_fn, time::Duration};
///
/// let mut timer = AsyncIoTimer::new();
/// let clock = timer.clock();
/// let deadline = clock.now() + Duration::from_millis(1);
/// async_io::block_on(poll_fn(|cx| timer.poll_deadline(cx, Some(deadline))));
/// assert!(clock.now() >= deadline);
/// ```
#[cfg(feature = "async-io")]
#[derive(Debug)]
pub struct AsyncIoTimer {
    timer: brooklet_reactor::Timer,
    /// When the timer fires. It is set again only to fire earlier: that costs more than a needless
    /// wake-up.
    armed: Option<Instant>,
}

#[cfg(feature = "async-io")]
impl AsyncIoTimer {
    /// Creates a timer that is not set.
    pub fn new() -> Self {
        Self {
            timer: brooklet_reactor::Timer::never(),
            armed: None,
        }
    }
}

#[cfg(feature = "async-io")]
impl Default for AsyncIoTimer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "async-io")]
impl Timer for AsyncIoTimer {
    fn clock(&self) -> Clock {
        Clock::new(Instant::now)
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        loop {
            if self.armed.is_none_or(|armed| deadline < armed) {
                self.timer.set_at(deadline);
                self.armed = Some(deadline);
            }
            let Poll::Ready(_) = std::pin::Pin::new(&mut self.timer).poll(cx) else {
                return Poll::Pending;
            };
            let armed = self.armed.take();
            if armed.is_none_or(|armed| deadline <= armed) {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(all(test, feature = "async-io"))]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[test]
    fn a_deadline_comes_and_a_later_one_after_an_earlier_alarm_is_not_early() {
        let mut timer = AsyncIoTimer::new();
        let start = Instant::now();
        let (early, late) = (
            start + Duration::from_millis(20),
            start + Duration::from_millis(60),
        );
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(timer.poll_deadline(&mut cx, Some(early)).is_pending());
        // The early deadline is no longer wanted; the late one must not be reported before it.
        async_io::block_on(poll_fn(|cx| timer.poll_deadline(cx, Some(late))));
        assert!(start.elapsed() >= Duration::from_millis(60));
        assert!(timer.poll_deadline(&mut cx, None).is_pending());
    }
}

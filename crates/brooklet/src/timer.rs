use brooklet_tcp::Clock;
use std::task::{Context, Poll};
use std::time::Instant;

/// A clock and one alarm: what a driver needs of an executor or reactor.
///
/// With the feature `async-io` there is `AsyncIoTimer`, which `Builder::build` uses. Others
/// are for other reactors, and for simulations.
///
/// This one uses the time of a tokio runtime. `examples/tokio` in the repository is a program with
/// the timer.
///
/// ```ignore
#[doc = include_str!("timer/tokio.rs")]
/// ```
///
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a timer for a driver",
    label = "not a `Timer`",
    note = "with the feature `async-io` use `brooklet::AsyncIoTimer`, or implement `Timer`"
)]
pub trait Timer {
    /// The clock that goes with the alarm.
    fn clock(&self) -> Clock;

    /// Ready once `deadline` has passed. `None` is never ready, and need not wake anybody.
    ///
    /// `Pending` with a deadline has registered the waker of `cx`. An alarm that was set for
    /// earlier may be left to go off: the driver finds nothing due and sleeps on.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()>;
}

/// The timer of async-io, which works on any executor.
#[cfg(feature = "async-io")]
#[derive(Debug)]
pub struct AsyncIoTimer {
    timer: async_io::Timer,
    /// When the timer goes off. It is moved only to go off earlier: moving it costs more than
    /// waking once for nothing.
    armed: Option<Instant>,
}

#[cfg(feature = "async-io")]
impl AsyncIoTimer {
    /// Makes a timer that is not set.
    pub fn new() -> Self {
        Self {
            timer: async_io::Timer::never(),
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

use brooklet_tcp::Clock;
use std::task::{Context, Poll};
#[cfg(feature = "async-io")]
use std::time::Duration;
use std::time::Instant;

/// An alarm that is no longer needed is kept if it is nearer than this, or before the next deadline by
/// no more: to set it again costs more than a needless wake-up. A later one must not wake an idle
/// driver.
#[cfg(feature = "async-io")]
const ALARM_SLACK: Duration = Duration::from_millis(1100);

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
    /// `AsyncIoTimer` does with an alarm of the next second. With `None` it may keep the alarm too.
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
    /// When the timer fires.
    armed: Option<Instant>,
    /// The alarm was beyond [`ALARM_SLACK`] when it was last looked at.
    far: bool,
}

#[cfg(feature = "async-io")]
impl AsyncIoTimer {
    /// Creates a timer that is not set.
    pub fn new() -> Self {
        Self {
            timer: brooklet_reactor::Timer::never(),
            armed: None,
            far: false,
        }
    }

    fn set(&mut self, at: Instant) {
        self.timer.set_at(at);
        self.armed = Some(at);
        self.far = is_far(at);
    }

    /// Moves a far alarm that is long before `deadline`. Only such a one costs a look at the clock,
    /// and a deadline that each packet moves does not move the alarm each time.
    fn forgo(&mut self, deadline: Option<Instant>) {
        let needless = |armed: &Instant| {
            deadline.is_none_or(|deadline| deadline.saturating_duration_since(*armed) > ALARM_SLACK)
        };
        let Some(armed) = self.armed.filter(needless) else {
            return;
        };
        self.far = is_far(armed);
        if self.far {
            match deadline {
                Some(deadline) => self.set(deadline),
                None => *self = Self::new(),
            }
        }
    }
}

#[cfg(feature = "async-io")]
fn is_far(at: Instant) -> bool {
    at.saturating_duration_since(Instant::now()) > ALARM_SLACK
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
        if self.far {
            self.forgo(deadline);
        }
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        loop {
            if self.armed.is_none_or(|armed| deadline < armed) {
                self.set(deadline);
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Wake, Waker};

    #[test]
    fn a_deadline_comes_and_a_later_one_after_an_earlier_alarm_is_not_early() {
        let mut timer = AsyncIoTimer::new();
        let start = Instant::now();
        let (early, late) = (
            start + Duration::from_millis(20),
            start + Duration::from_millis(60),
        );
        let mut cx = Context::from_waker(Waker::noop());
        assert!(timer.poll_deadline(&mut cx, Some(early)).is_pending());
        // The early deadline is no longer wanted; the late one must not be reported before it.
        async_io::block_on(poll_fn(|cx| timer.poll_deadline(cx, Some(late))));
        assert!(start.elapsed() >= Duration::from_millis(60));
        assert!(timer.poll_deadline(&mut cx, None).is_pending());
    }

    #[test]
    fn an_alarm_far_ahead_that_is_no_longer_needed_wakes_nobody() {
        #[derive(Default)]
        struct Woken(AtomicBool);

        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }

        let start = Instant::now();
        let (alarm, later) = (
            start + ALARM_SLACK + Duration::from_millis(100),
            start + Duration::from_secs(3600),
        );
        let woken = [(); 2].map(|()| Arc::<Woken>::default());
        let mut timers = woken.clone().map(|woken| {
            let mut timer = AsyncIoTimer::new();
            let waker = Waker::from(woken);
            let mut cx = Context::from_waker(&waker);
            assert!(timer.poll_deadline(&mut cx, Some(alarm)).is_pending());
            (timer, waker)
        });
        for ((timer, waker), deadline) in timers.iter_mut().zip([None, Some(later)]) {
            let mut cx = Context::from_waker(waker);
            assert!(timer.poll_deadline(&mut cx, deadline).is_pending());
        }
        std::thread::sleep(alarm - start + Duration::from_millis(200));
        let woken = woken.map(|woken| woken.0.load(Ordering::SeqCst));
        assert_eq!(woken, [false; 2]);
        // A deadline that comes next is not missed.
        let (timer, _) = &mut timers[0];
        let next = Instant::now() + Duration::from_millis(20);
        async_io::block_on(poll_fn(|cx| timer.poll_deadline(cx, Some(next))));
        assert!(Instant::now() >= next);
    }
}

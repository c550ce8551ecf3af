//! A clock that moves only when it is told.

use brooklet::Timer;
use brooklet_tcp::Clock;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A clock that moves only when it is told. Clones are handles to the same one.
///
/// A new clock stands at the moment at which it was made; that is the only time that anything
/// here asks the system for.
///
/// ```
/// use brooklet_sim::VirtualTime;
/// use std::time::Duration;
///
/// let time = VirtualTime::new();
/// let start = time.now();
/// time.advance(Duration::from_secs(3600));
/// assert_eq!(time.now(), start + Duration::from_secs(3600));
/// assert_eq!(time.elapsed(), Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct VirtualTime(Arc<Shared>);

struct Shared {
    origin: Instant,
    state: Mutex<State>,
}

struct State {
    now: Instant,
    /// Who waits until when. The number keeps alarms of one moment in the order in which they
    /// were set, so that a run is the same each time.
    alarms: BTreeMap<Alarm, Waker>,
    number: u64,
}

type Alarm = (Instant, u64);

impl VirtualTime {
    /// Makes a clock.
    pub fn new() -> Self {
        #[allow(clippy::disallowed_methods, reason = "time begins somewhere")]
        let origin = Instant::now();
        Self(Arc::new(Shared {
            origin,
            state: Mutex::new(State {
                now: origin,
                alarms: BTreeMap::new(),
                number: 0,
            }),
        }))
    }

    /// The present moment.
    pub fn now(&self) -> Instant {
        self.state().now
    }

    /// Virtual time since the clock was made.
    pub fn elapsed(&self) -> Duration {
        self.now() - self.0.origin
    }

    /// Moves the clock and wakes those whose deadline has come, the earliest first.
    ///
    /// What they do, they do when they are next polled, at the time that the clock has then: a
    /// clock that is moved past several deadlines at once makes those that wait late.
    /// [`next_deadline`](Self::next_deadline) says how far it may go without that.
    ///
    /// # Panics
    ///
    /// If `time` leads beyond what an [`Instant`] can hold.
    pub fn advance(&self, time: Duration) {
        self.advance_to(self.now() + time);
    }

    /// Moves the clock to a moment, as [`advance`](Self::advance) does. A moment that is past
    /// changes nothing.
    pub fn advance_to(&self, moment: Instant) {
        let woken = {
            let mut state = self.state();
            state.now = state.now.max(moment);
            let now = state.now;
            let later = state.alarms.split_off(&(now, u64::MAX));
            std::mem::replace(&mut state.alarms, later)
        };
        woken.into_values().for_each(Waker::wake);
    }

    /// The earliest moment that somebody waits for.
    pub fn next_deadline(&self) -> Option<Instant> {
        let state = self.state();
        state.alarms.first_key_value().map(|((at, _), _)| *at)
    }

    /// An alarm on this clock, not set: the timer of a stack.
    ///
    /// ```
    /// use brooklet::Builder;
    /// use brooklet_sim::VirtualTime;
    ///
    /// let time = VirtualTime::new();
    /// let (device, _other_end) = brooklet::pipe(64);
    /// let parts = Builder::new().build_with_timer(device, time.timer())?;
    /// # drop(parts);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn timer(&self) -> VirtualTimer {
        VirtualTimer {
            time: self.clone(),
            alarm: None,
        }
    }

    /// This clock as an engine reads it.
    pub fn clock(&self) -> Clock {
        let time = self.clone();
        Clock::new(move || time.now())
    }

    /// Waits until so much virtual time has passed.
    ///
    /// ```
    /// use brooklet_sim::Simulation;
    /// use std::time::Duration;
    ///
    /// let sim = Simulation::new();
    /// let night = Duration::from_secs(1800);
    /// sim.run(sim.time().sleep(night))?; // takes no time at all
    /// assert_eq!(sim.time().elapsed(), night);
    /// # Ok::<(), brooklet_sim::SimError>(())
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping it only stops the wait.
    ///
    /// # Panics
    ///
    /// If `time` leads beyond what an [`Instant`] can hold.
    pub fn sleep(&self, time: Duration) -> Sleep {
        self.sleep_until(self.now() + time)
    }

    /// Waits until a moment; a past one has come.
    ///
    /// # Cancel safety
    ///
    /// Dropping it only stops the wait.
    pub fn sleep_until(&self, moment: Instant) -> Sleep {
        Sleep {
            timer: self.timer(),
            until: moment,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs while it is held, so that there is no half-done state.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an alarm in the place of another.
    fn set(&self, old: Option<Alarm>, new: Option<(Instant, &Waker)>) -> Option<Alarm> {
        let new = new.map(|(at, waker)| (at, waker.clone()));
        let mut state = self.state();
        let dropped = old.and_then(|old| state.alarms.remove(&old));
        let alarm = new.map(|(at, waker)| {
            // An alarm that stays where it is keeps its turn.
            let alarm = old.filter(|old| old.0 == at).unwrap_or_else(|| {
                state.number += 1;
                (at, state.number)
            });
            state.alarms.insert(alarm, waker);
            alarm
        });
        drop(state);
        drop(dropped); // a waker is somebody else's value
        alarm
    }
}

impl Default for VirtualTime {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for VirtualTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VirtualTime({:?})", self.elapsed())
    }
}

/// An alarm on a [`VirtualTime`]; [`VirtualTime::timer`] makes it.
#[derive(Debug)]
pub struct VirtualTimer {
    time: VirtualTime,
    alarm: Option<Alarm>,
}

impl Timer for VirtualTimer {
    fn clock(&self) -> Clock {
        self.time.clock()
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let now = self.time.now();
        let come = deadline.is_some_and(|at| at <= now);
        let next = deadline.filter(|_| !come).map(|at| (at, cx.waker()));
        self.alarm = self.time.set(self.alarm.take(), next);
        if come { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for VirtualTimer {
    fn drop(&mut self) {
        self.time.set(self.alarm.take(), None);
    }
}

/// Waits on a [`VirtualTime`]; [`VirtualTime::sleep`] makes it.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct Sleep {
    timer: VirtualTimer,
    until: Instant,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.until;
        self.timer.poll_deadline(cx, Some(until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    const SECOND: Duration = Duration::from_secs(1);

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn an_alarm_goes_off_once_and_not_early() {
        let time = VirtualTime::new();
        let mut timer = time.timer();
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let at = time.now() + 2 * SECOND;
        assert!(timer.poll_deadline(&mut cx, Some(at)).is_pending());
        assert_eq!(time.next_deadline(), Some(at));
        time.advance(SECOND);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        assert!(timer.poll_deadline(&mut cx, Some(at)).is_pending());
        time.advance(SECOND);
        time.advance(SECOND);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(timer.poll_deadline(&mut cx, Some(at)).is_ready());
        assert_eq!(time.next_deadline(), None);
    }

    #[test]
    fn an_alarm_that_is_moved_or_dropped_leaves_nothing_behind() {
        let time = VirtualTime::new();
        let mut cx = Context::from_waker(Waker::noop());
        let (mut timer, start) = (time.timer(), time.now());
        for seconds in [5, 1, 3] {
            let at = start + seconds * SECOND;
            assert!(timer.poll_deadline(&mut cx, Some(at)).is_pending());
            assert_eq!(time.next_deadline(), Some(at));
        }
        assert!(timer.poll_deadline(&mut cx, None).is_pending());
        assert_eq!(time.next_deadline(), None);
        assert!(
            timer
                .poll_deadline(&mut cx, Some(start + SECOND))
                .is_pending()
        );
        drop(timer);
        assert_eq!(time.next_deadline(), None);
    }

    #[test]
    fn time_does_not_go_back() {
        let time = VirtualTime::new();
        let start = time.now();
        time.advance(SECOND);
        time.advance_to(start);
        assert_eq!(time.elapsed(), SECOND);
    }
}

//! Virtual time.

use brooklet::Timer;
use brooklet_tcp::Clock;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A clock that moves only when a call moves it. Clones are handles to the same clock.
///
/// A new clock starts at the system's present time, because an [`Instant`] has no other origin.
/// Nothing else in this crate reads the system's clock.
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
    /// The tasks that wait. The number keeps alarms of one moment in the order in which they were
    /// set, so that a run is the same each time.
    alarms: BTreeMap<Alarm, Waker>,
    number: u64,
}

type Alarm = (Instant, u64);

impl VirtualTime {
    /// Returns a new clock.
    ///
    /// ```
    /// # use brooklet_sim::VirtualTime;
    /// assert!(VirtualTime::new().elapsed().is_zero());
    /// ```
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

    /// Returns the present time.
    ///
    /// ```
    /// # use brooklet_sim::VirtualTime;
    /// let time = VirtualTime::new();
    /// assert_eq!(time.now(), time.now());
    /// ```
    pub fn now(&self) -> Instant {
        self.state().now
    }

    /// Returns the virtual time since the clock was made.
    ///
    /// ```
    /// # use brooklet_sim::VirtualTime;
    /// # use std::time::Duration;
    /// let time = VirtualTime::new();
    /// time.advance(Duration::from_secs(3));
    /// assert_eq!(time.elapsed(), Duration::from_secs(3));
    /// ```
    pub fn elapsed(&self) -> Duration {
        self.now() - self.0.origin
    }

    /// Moves the clock forward and wakes the tasks whose deadline has come, the earliest first.
    ///
    /// A task that is woken runs at its next poll, at the time that the clock has then: moving the
    /// clock beyond several deadlines at once makes the tasks late.
    /// [`next_deadline`](Self::next_deadline) returns how far the clock can move without that.
    ///
    /// # Panics
    ///
    /// If the time would be beyond the range of an [`Instant`].
    ///
    /// ```
    /// use brooklet_sim::VirtualTime;
    /// use futures_lite::future;
    /// use std::{pin::pin, time::Duration};
    ///
    /// let time = VirtualTime::new();
    /// let mut sleep = pin!(time.sleep(Duration::from_secs(2)));
    /// assert!(future::block_on(future::poll_once(&mut sleep)).is_none());
    /// time.advance(Duration::from_secs(2));
    /// assert!(future::block_on(future::poll_once(&mut sleep)).is_some());
    /// ```
    pub fn advance(&self, time: Duration) {
        self.advance_to(self.now() + time);
    }

    /// Moves the clock forward to a moment, like [`advance`](Self::advance). A moment in the past
    /// changes nothing.
    ///
    /// ```
    /// # use brooklet_sim::VirtualTime;
    /// # use std::time::Duration;
    /// let time = VirtualTime::new();
    /// let start = time.now();
    /// time.advance_to(start + Duration::from_secs(1));
    /// time.advance_to(start);
    /// assert_eq!(time.elapsed(), Duration::from_secs(1));
    /// ```
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

    /// Returns the earliest moment that a task waits for.
    ///
    /// ```
    /// # use brooklet_sim::VirtualTime;
    /// assert_eq!(VirtualTime::new().next_deadline(), None);
    /// ```
    pub fn next_deadline(&self) -> Option<Instant> {
        let state = self.state();
        state.alarms.first_key_value().map(|((at, _), _)| *at)
    }

    /// Returns a timer of this clock, for a stack.
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

    /// Returns this clock in the form that an engine reads.
    ///
    /// ```
    /// # use brooklet_sim::VirtualTime;
    /// let time = VirtualTime::new();
    /// assert_eq!(time.clock().now(), time.now());
    /// ```
    pub fn clock(&self) -> Clock {
        let time = self.clone();
        Clock::new(move || time.now())
    }

    /// Waits until `time` of virtual time has passed.
    ///
    /// ```
    /// use brooklet_sim::Simulation;
    /// use std::time::Duration;
    ///
    /// let sim = Simulation::new();
    /// let half_an_hour = Duration::from_secs(1800);
    /// sim.run(sim.time().sleep(half_an_hour))?; // returns at once
    /// assert_eq!(sim.time().elapsed(), half_an_hour);
    /// # Ok::<(), brooklet_sim::SimError>(())
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops the wait.
    ///
    /// # Panics
    ///
    /// If the deadline would be beyond the range of an [`Instant`].
    pub fn sleep(&self, time: Duration) -> Sleep {
        self.sleep_until(self.now() + time)
    }

    /// Waits until `moment`. Ready at once if `moment` is in the past.
    ///
    /// ```
    /// use brooklet_sim::Simulation;
    ///
    /// let sim = Simulation::new();
    /// let start = sim.time().now();
    /// sim.run(sim.time().sleep_until(start))?;
    /// assert!(sim.time().elapsed().is_zero());
    /// # Ok::<(), brooklet_sim::SimError>(())
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops the wait.
    pub fn sleep_until(&self, moment: Instant) -> Sleep {
        Sleep {
            timer: self.timer(),
            until: moment,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock, so the state is always consistent.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces an alarm by another.
    fn set(&self, old: Option<Alarm>, new: Option<(Instant, &Waker)>) -> Option<Alarm> {
        let new = new.map(|(at, waker)| (at, waker.clone()));
        let mut state = self.state();
        let dropped = old.and_then(|old| state.alarms.remove(&old));
        let alarm = new.map(|(at, waker)| {
            // An alarm that keeps its moment keeps its turn.
            let alarm = old.filter(|old| old.0 == at).unwrap_or_else(|| {
                state.number += 1;
                (at, state.number)
            });
            state.alarms.insert(alarm, waker);
            alarm
        });
        drop(state);
        drop(dropped); // not under the lock: dropping a waker can run code of the executor
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

/// A timer of a [`VirtualTime`]; [`VirtualTime::timer`] returns it.
///
/// ```
/// use brooklet::Timer;
/// use brooklet_sim::{VirtualTime, VirtualTimer};
///
/// let time = VirtualTime::new();
/// let timer: VirtualTimer = time.timer();
/// assert_eq!(timer.clock().now(), time.now());
/// ```
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

/// The future of [`VirtualTime::sleep`] and [`VirtualTime::sleep_until`].
///
/// ```
/// use brooklet_sim::{Simulation, Sleep};
/// use std::time::Duration;
///
/// let sim = Simulation::new();
/// let sleep: Sleep = sim.time().sleep(Duration::from_secs(1));
/// assert_eq!(sim.run(sleep), Ok(()));
/// ```
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

//! The time of a stack, which never goes back.

use brooklet_tcp::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A clock that is behind by less than this is waited for. That bridges two drivers that read the
/// clock at the same moment and note the time in the other order, too.
const TOLERANCE: Duration = Duration::from_secs(1);

/// The time of a stack, which its drivers share: that of the [timer](crate::Timer), whose clock may
/// be set back. The stack's time then goes on from where it was, so that no timeout waits for the
/// clock to come back to its former time.
#[derive(Clone, Debug)]
pub(crate) struct StackTime {
    clock: Clock,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    epoch: Instant,
    /// How far the clock was set back in all, in nanoseconds.
    set_back: AtomicU64,
    /// The latest time that a driver has seen, in nanoseconds since the epoch.
    latest: AtomicU64,
}

impl State {
    fn set_back(&self) -> Duration {
        Duration::from_nanos(self.set_back.load(Ordering::Relaxed))
    }

    fn latest(&self) -> Instant {
        self.epoch + Duration::from_nanos(self.latest.load(Ordering::Relaxed))
    }
}

impl StackTime {
    pub(crate) fn new(clock: Clock) -> Self {
        let state = State {
            epoch: clock.now(),
            set_back: AtomicU64::new(0),
            latest: AtomicU64::new(0),
        };
        Self {
            clock,
            state: Arc::new(state),
        }
    }

    /// Returns the clock of this time, for everything but the drivers.
    pub(crate) fn clock(&self) -> Clock {
        let time = self.clone();
        Clock::new(move || {
            let now = time.clock.now() + time.state.set_back();
            now.max(time.state.latest())
        })
    }

    /// Returns the present time. A driver calls this once for each batch of packets.
    pub(crate) fn now(&self) -> Instant {
        let state = &self.state;
        let set_back = state.set_back();
        let now = self.clock.now() + set_back;
        let latest = state.latest();
        if now >= latest {
            let nanos = nanos(now.saturating_duration_since(state.epoch));
            state.latest.fetch_max(nanos, Ordering::Relaxed);
            return now;
        }
        let behind = latest.saturating_duration_since(now);
        if behind >= TOLERANCE {
            // If another driver has noted it meanwhile, it is noted.
            let _ = state.set_back.compare_exchange(
                nanos(set_back),
                nanos(set_back + behind),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        latest
    }

    /// Returns the time of the timer's clock that is `at` in the stack's time.
    pub(crate) fn of_timer(&self, at: Instant) -> Instant {
        at.checked_sub(self.state.set_back()).unwrap_or(at)
    }
}

/// At most 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_clock_that_is_set_back_does_not_set_the_stack_back() {
        #[allow(clippy::disallowed_methods, reason = "time begins somewhere")]
        let start = Instant::now() + 24 * HOUR;
        let seconds = Arc::new(AtomicU64::new(7200));
        let clock = {
            let seconds = seconds.clone();
            let begin = start - 2 * HOUR;
            Clock::new(move || begin + Duration::from_secs(seconds.load(Ordering::Relaxed)))
        };
        let time = StackTime::new(clock);
        let handles = time.clock();
        assert_eq!(time.now(), start);
        // Back, to before the epoch.
        seconds.store(3600, Ordering::Relaxed);
        assert_eq!(handles.now(), start);
        assert_eq!(time.now(), start);
        assert_eq!(time.of_timer(start), start - HOUR);
        seconds.store(3605, Ordering::Relaxed);
        let five = start + Duration::from_secs(5);
        assert_eq!((time.now(), handles.now()), (five, five));
        // Forwards, and back again.
        seconds.store(7205, Ordering::Relaxed);
        assert_eq!(time.now(), five + HOUR);
        seconds.store(0, Ordering::Relaxed);
        assert_eq!(time.now(), five + HOUR);
        seconds.store(1, Ordering::Relaxed);
        assert_eq!(time.now(), five + HOUR + Duration::from_secs(1));
    }
}

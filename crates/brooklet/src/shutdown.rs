//! The graceful end of a stack, on which its drivers agree.

use brooklet_cell::wakers::{WaitKey, WaitQueue, WakeList};
use brooklet_cell::{Flavor, Shared};
use std::num::NonZeroU8;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How long after the deadline of a shutdown the drivers may take to send the RSTs. A driver that
/// does not run delays the others no longer than this.
const GRACE: Duration = Duration::from_secs(1);

/// How long after the deadline the drivers wait for a device that takes no packet. The queue of a
/// device that works is full after the RSTs of some connections.
const BLOCKED_GRACE: Duration = Duration::from_millis(100);

/// The shutdown of one stack, which its handles and drivers share.
pub(crate) struct Shutdown<F: Flavor>(Shared<F, State>);

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When the connections that are left are reset; `None` is never.
    deadline: Option<Instant>,
    /// The drivers, by queue, that have sent everything.
    drained: Vec<bool>,
    /// No driver runs any more.
    ended: bool,
    waiters: WaitQueue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Connections may come to their end.
    Closing,
    /// The deadline has passed, and one driver resets the connections.
    Resetting {
        since: Instant,
    },
    /// The connections are reset, and the drivers send the RSTs.
    Reset {
        since: Instant,
    },
    /// Nothing is left to do: every driver ends with `Ok`.
    Complete,
}

/// What a driver has left to do while its stack is being shut down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// The stack has connections.
    pub(crate) has_connections: bool,
    /// The queue of the driver has packets to send.
    pub(crate) has_output: bool,
    /// The device takes no packet now.
    pub(crate) blocked: bool,
}

/// What a driver does next while its stack is being shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Go on, and look again at this moment or earlier.
    Wait(Option<Instant>),
    /// Reset all connections, and then call [`Shutdown::connections_reset`].
    Reset,
    /// End with `Ok`.
    End,
}

impl<F: Flavor> Shutdown<F> {
    pub(crate) fn new(queues: NonZeroU8) -> Self {
        Self(Shared::new(State {
            phase: Phase::Running,
            deadline: None,
            drained: vec![false; queues.get().into()],
            ended: false,
            waiters: WaitQueue::default(),
        }))
    }

    /// Begins the shutdown, or moves its deadline to an earlier moment.
    pub(crate) fn begin(&self, deadline: Option<Instant>) {
        self.0.with(|state| match state.phase {
            Phase::Running => {
                state.phase = Phase::Closing;
                state.deadline = deadline;
            }
            _ => state.deadline = state.deadline.into_iter().chain(deadline).min(),
        });
    }

    /// Notes what the driver of `queue` has left to do, and returns what it does next.
    pub(crate) fn step(&self, queue: u8, now: Instant, progress: Progress) -> Step {
        self.0.with(|state| state.step(queue, now, progress))
    }

    /// The connections have been reset: the drivers may end once they have sent the RSTs.
    pub(crate) fn connections_reset(&self) {
        self.0.with(|state| {
            if let Phase::Resetting { since } = state.phase {
                state.phase = Phase::Reset { since };
            }
        });
    }

    /// Whether the drivers have agreed to end.
    pub(crate) fn is_complete(&self) -> bool {
        self.0.with(|state| state.phase == Phase::Complete)
    }

    /// Wakes the tasks that wait for the end.
    fn end(&self) {
        let mut wakes = WakeList::new();
        self.0.with(|state| {
            state.ended = true;
            state.waiters.drain_into(&mut wakes);
        });
        wakes.wake_all();
    }

    /// Waits until the stack has ended.
    pub(crate) async fn ended(&self) {
        let mut waiter = Waiter {
            shutdown: self,
            key: WaitKey::default(),
        };
        std::future::poll_fn(|cx| waiter.poll(cx)).await;
    }
}

impl State {
    fn step(&mut self, queue: u8, now: Instant, progress: Progress) -> Step {
        let Progress {
            has_connections,
            has_output,
            blocked,
        } = progress;
        let (drained, wait) = match self.phase {
            Phase::Running => return Step::Wait(None),
            Phase::Closing if self.deadline.is_some_and(|at| at <= now) => {
                self.phase = Phase::Resetting { since: now };
                self.drained.fill(false);
                return Step::Reset;
            }
            Phase::Closing => (!has_connections && !has_output && !blocked, self.deadline),
            Phase::Resetting { since } => (false, Some(since + GRACE)),
            Phase::Reset { since } if blocked && now < since + BLOCKED_GRACE => {
                (false, Some(since + BLOCKED_GRACE))
            }
            Phase::Reset { since } => (!has_output || blocked, Some(since + GRACE)),
            Phase::Complete => return Step::End,
        };
        if let Some(own) = self.drained.get_mut(usize::from(queue)) {
            *own = drained;
        }
        let overdue = matches!(self.phase, Phase::Reset { since } if since + GRACE <= now);
        if overdue || self.drained.iter().all(|&drained| drained) {
            self.phase = Phase::Complete;
            return Step::End;
        }
        Step::Wait(wait)
    }
}

impl<F: Flavor> Clone for Shutdown<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Held by a driver: when it is dropped, the stack has ended.
pub(crate) struct EndGuard<F: Flavor>(pub(crate) Shutdown<F>);

impl<F: Flavor> EndGuard<F> {
    /// The driver has ended before it is dropped.
    pub(crate) fn end(&self) {
        self.0.end();
    }
}

impl<F: Flavor> Drop for EndGuard<F> {
    fn drop(&mut self) {
        self.end();
    }
}

/// A task that waits for the end. Dropping it removes its waker.
struct Waiter<'a, F: Flavor> {
    shutdown: &'a Shutdown<F>,
    key: WaitKey,
}

impl<F: Flavor> Waiter<'_, F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let key = &mut self.key;
        let (poll, _replaced) = self.shutdown.0.with(|state| match state.ended {
            true => (Poll::Ready(()), None),
            false => (Poll::Pending, state.waiters.register(key, cx.waker())),
        });
        poll
    }
}

impl<F: Flavor> Drop for Waiter<'_, F> {
    fn drop(&mut self) {
        let key = &mut self.key;
        let _waker = self.shutdown.0.with(|state| state.waiters.remove(key));
    }
}

#[cfg(all(test, feature = "sync"))]
mod tests {
    use super::*;

    const IDLE: Progress = Progress {
        has_connections: false,
        has_output: false,
        blocked: false,
    };

    fn shutdown() -> (Shutdown<brooklet_cell::Threaded>, Instant) {
        #[allow(clippy::disallowed_methods, reason = "time begins somewhere")]
        let now = Instant::now();
        (Shutdown::new(NonZeroU8::MIN.saturating_add(1)), now)
    }

    #[test]
    fn drivers_end_once_all_have_sent_everything() {
        let (shutdown, now) = shutdown();
        let deadline = Some(now + GRACE);
        assert_eq!(shutdown.step(0, now, IDLE), Step::Wait(None));
        shutdown.begin(deadline);
        let busy = [
            Progress {
                has_connections: true,
                ..IDLE
            },
            Progress {
                has_output: true,
                ..IDLE
            },
            Progress {
                blocked: true,
                ..IDLE
            },
        ];
        assert_eq!(shutdown.step(1, now, IDLE), Step::Wait(deadline));
        for progress in busy {
            assert_eq!(shutdown.step(0, now, progress), Step::Wait(deadline));
        }
        assert!(!shutdown.is_complete());
        assert_eq!(shutdown.step(0, now, IDLE), Step::End);
        assert_eq!(shutdown.step(1, now, busy[0]), Step::End);
        assert!(shutdown.is_complete());
    }

    #[test]
    fn one_driver_resets_at_the_deadline_and_none_ends_before_that_is_done() {
        let (shutdown, now) = shutdown();
        shutdown.begin(None);
        shutdown.begin(Some(now + GRACE));
        shutdown.begin(Some(now + 2 * GRACE));
        let (at, end) = (now + GRACE, now + 2 * GRACE);
        assert_eq!(shutdown.step(0, at, IDLE), Step::Reset);
        for queue in [0, 1] {
            assert_eq!(shutdown.step(queue, at, IDLE), Step::Wait(Some(end)));
        }
        shutdown.connections_reset();
        // A device that takes nothing keeps no driver long after the deadline.
        let blocked = Progress {
            has_connections: true,
            has_output: true,
            blocked: true,
        };
        let patience = Some(at + BLOCKED_GRACE);
        assert_eq!(shutdown.step(0, at, blocked), Step::Wait(patience));
        let later = at + BLOCKED_GRACE;
        assert_eq!(shutdown.step(0, later, blocked), Step::Wait(Some(end)));
        // Nor does a driver that does not run.
        assert_eq!(shutdown.step(0, end, IDLE), Step::End);
    }
}

//! An executor whose time is virtual.

use crate::VirtualTime;
use async_executor::{LocalExecutor, Task};
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Polls at one moment, after which the tasks are said to spin.
const POLLS: u32 = 10_000_000;

/// A deterministic executor on one thread, on a [`VirtualTime`].
///
/// Whatever can run does, in the order in which it was woken; then the clock jumps to the next
/// deadline. A run takes as long as its work does, whatever the time that passes in it, and is
/// the same each time.
///
/// ```
/// use brooklet_sim::Simulation;
/// use std::time::Duration;
///
/// let sim = Simulation::new();
/// let time = sim.time().clone();
/// let task = sim.spawn(async move {
///     time.sleep(Duration::from_secs(60)).await;
///     "an hour or a minute, it is all the same"
/// });
/// let said = sim.run(task)?;
/// assert_eq!(sim.time().elapsed(), Duration::from_secs(60));
/// # assert!(said.ends_with("same"));
/// # Ok::<(), brooklet_sim::SimError>(())
/// ```
#[derive(Debug)]
pub struct Simulation {
    time: VirtualTime,
    executor: LocalExecutor<'static>,
    limit: Cell<Duration>,
}

impl Simulation {
    /// Makes a simulation with a clock of its own, and a [limit](Self::set_limit) of an hour.
    pub fn new() -> Self {
        Self {
            time: VirtualTime::new(),
            executor: LocalExecutor::new(),
            limit: Cell::new(Duration::from_secs(3600)),
        }
    }

    /// The clock.
    pub fn time(&self) -> &VirtualTime {
        &self.time
    }

    /// Sets how much virtual time one [`run`](Self::run) may take.
    pub fn set_limit(&self, limit: Duration) {
        self.limit.set(limit);
    }

    /// Adds a task. It runs while something is [`run`](Self::run), and is ended when its handle is
    /// dropped, unless that is detached.
    pub fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Task<T> {
        self.executor.spawn(future)
    }

    /// Runs `future`, and the tasks beside it, until it has its result.
    ///
    /// ```
    /// use brooklet_sim::{SimError, Simulation};
    ///
    /// let sim = Simulation::new();
    /// let never = sim.run(std::future::pending::<()>());
    /// assert_eq!(never, Err(SimError::Stalled));
    /// ```
    ///
    /// # Errors
    ///
    /// [`SimError`] says why the future will not be ready. It is dropped then; the tasks stay, and
    /// go on in the next run.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> Result<T, SimError> {
        let mut future = pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let end = self.time.now() + self.limit.get();
        loop {
            let mut polls = 0;
            loop {
                if woken.0.swap(false, Ordering::Relaxed)
                    && let Poll::Ready(result) =
                        future.as_mut().poll(&mut Context::from_waker(&waker))
                {
                    return Ok(result);
                }
                let ran = self.executor.try_tick();
                if !ran && !woken.0.load(Ordering::Relaxed) {
                    break;
                }
                polls += 1;
                if polls > POLLS {
                    return Err(SimError::Spinning);
                }
            }
            let next = self.time.next_deadline().ok_or(SimError::Stalled)?;
            if next > end {
                return Err(SimError::OutOfTime);
            }
            self.time.advance_to(next);
        }
    }
}

impl Default for Simulation {
    fn default() -> Self {
        Self::new()
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Why a [`Simulation`] gave up waiting for a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SimError {
    /// Every task waits, and nobody for the clock: nothing will ever happen again.
    Stalled,
    /// The limit of virtual time is over; [`Simulation::set_limit`] sets it.
    OutOfTime,
    /// The tasks have been polled ten million times at one moment: one of them wakes itself
    /// without end.
    Spinning,
}

impl fmt::Display for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stalled => "every task waits and no deadline is set",
            Self::OutOfTime => "the limit of virtual time is over",
            Self::Spinning => "tasks run without end while no time passes",
        })
    }
}

impl Error for SimError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[test]
    fn tasks_run_in_the_order_of_their_deadlines() {
        let sim = Simulation::new();
        let order = Rc::new(RefCell::new(Vec::new()));
        for seconds in [3, 1, 2, 1] {
            let (time, order) = (sim.time().clone(), order.clone());
            sim.spawn(async move {
                time.sleep(Duration::from_secs(seconds)).await;
                order.borrow_mut().push((seconds, time.elapsed().as_secs()));
            })
            .detach();
        }
        let all = sim.time().sleep(Duration::from_secs(4));
        assert_eq!(sim.run(all), Ok(()));
        assert_eq!(*order.borrow(), [(1, 1), (1, 1), (2, 2), (3, 3)]);
    }

    #[test]
    fn what_takes_too_long_is_an_error_and_the_clock_does_not_pass_the_limit() {
        let sim = Simulation::new();
        sim.set_limit(Duration::from_secs(5));
        let sleep = sim.time().sleep(Duration::from_secs(6));
        assert_eq!(sim.run(sleep), Err(SimError::OutOfTime));
        assert!(sim.time().elapsed() <= Duration::from_secs(5));
        let sleep = sim.time().sleep(Duration::from_secs(5));
        assert_eq!(sim.run(sleep), Ok(()));
    }

    #[test]
    fn a_task_that_wakes_itself_without_end_is_an_error() {
        let sim = Simulation::new();
        let spin = std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!(sim.run(spin), Err(SimError::Spinning));
    }
}

//! An executor in virtual time.

use crate::{Spawner, Task, VirtualTime};
use async_executor::{Executor, LocalExecutor};
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// The most polls at one moment; more are [`SimError::Spinning`].
const MAX_POLLS: u32 = 10_000_000;

/// A deterministic executor on one thread, with a [`VirtualTime`].
///
/// The simulation polls every task that is awake, in the order in which the tasks were woken. When
/// no task is awake, the clock jumps to the next deadline. A run takes as long as its work does,
/// whatever the virtual time, and is the same each time.
///
/// Tasks of [`spawn`](Self::spawn) and of the [`spawner`](Self::spawner) are in two queues that take
/// turns, one poll each.
///
/// ```
/// use brooklet_sim::Simulation;
/// use std::time::Duration;
///
/// let sim = Simulation::new();
/// let time = sim.time().clone();
/// let task = sim.spawn(async move {
///     time.sleep(Duration::from_secs(60)).await;
///     "done"
/// });
/// assert_eq!(sim.run(task)?, "done");
/// assert_eq!(sim.time().elapsed(), Duration::from_secs(60));
/// # Ok::<(), brooklet_sim::SimError>(())
/// ```
pub struct Simulation {
    time: VirtualTime,
    local: LocalExecutor<'static>,
    /// The tasks of the spawners.
    shared: Arc<Executor<'static>>,
    limit: Cell<Duration>,
}

impl Simulation {
    /// Returns a simulation with a clock of its own and a [limit](Self::set_limit) of one hour.
    ///
    /// ```
    /// # use brooklet_sim::Simulation;
    /// assert!(Simulation::new().time().elapsed().is_zero());
    /// ```
    pub fn new() -> Self {
        Self {
            time: VirtualTime::new(),
            local: LocalExecutor::new(),
            shared: Arc::new(Executor::new()),
            limit: Cell::new(Duration::from_secs(3600)),
        }
    }

    /// Returns the clock.
    ///
    /// ```
    /// use brooklet_sim::{Link, LinkConfig, Simulation};
    ///
    /// let sim = Simulation::new();
    /// let (link, here, there) = Link::new(sim.time(), 1, LinkConfig::new());
    /// # drop((link, here, there));
    /// ```
    pub fn time(&self) -> &VirtualTime {
        &self.time
    }

    /// Sets how much virtual time one [`run`](Self::run) may take. Default one hour.
    ///
    /// ```
    /// use brooklet_sim::{SimError, Simulation};
    /// use std::time::Duration;
    ///
    /// let sim = Simulation::new();
    /// sim.set_limit(Duration::from_secs(5));
    /// let long = sim.time().sleep(Duration::from_secs(6));
    /// assert_eq!(sim.run(long), Err(SimError::OutOfTime));
    /// ```
    pub fn set_limit(&self, limit: Duration) {
        self.limit.set(limit);
    }

    /// Spawns a task. The task runs while the simulation [runs](Self::run). Dropping the returned
    /// handle cancels the task; [`detach`](Task::detach) lets it run on its own. Dropping the
    /// simulation cancels all tasks.
    ///
    /// ```
    /// # use brooklet_sim::Simulation;
    /// use std::rc::Rc;
    ///
    /// let sim = Simulation::new();
    /// // Neither the future nor its result is `Send`.
    /// let task = sim.spawn(async { Rc::new(42) });
    /// assert_eq!(*sim.run(task)?, 42);
    /// # Ok::<(), brooklet_sim::SimError>(())
    /// ```
    pub fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Task<T> {
        Task::new(self.local.spawn(future))
    }

    /// Returns a handle that spawns tasks on this simulation: for programs that spawn tasks
    /// themselves. There is an example at [`Spawner`].
    ///
    /// ```
    /// # use brooklet_sim::Simulation;
    /// let sim = Simulation::new();
    /// let spawner = sim.spawner();
    /// let task = sim.spawn(async move { spawner.spawn(async { 42 }).await });
    /// assert_eq!(sim.run(task), Ok(42));
    /// ```
    pub fn spawner(&self) -> Spawner {
        Spawner::new(&self.shared)
    }

    /// Runs `future` and the spawned tasks until `future` is ready.
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
    /// [`SimError`] says why the future is not ready. The future is dropped then. The tasks stay and
    /// continue in the next run.
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
                let ran = self.local.try_tick() | self.shared.try_tick();
                if !ran && !woken.0.load(Ordering::Relaxed) {
                    break;
                }
                polls += 1;
                if polls > MAX_POLLS {
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

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("time", &self.time)
            .field("limit", &self.limit.get())
            .finish_non_exhaustive()
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The error of [`Simulation::run`].
///
/// ```
/// use brooklet_sim::{SimError, Simulation};
///
/// let error = Simulation::new().run(std::future::pending::<()>()).unwrap_err();
/// assert_eq!(error, SimError::Stalled);
/// assert_eq!(error.to_string(), "every task waits and no deadline is set");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SimError {
    /// Every task waits, and none for the clock.
    Stalled,
    /// The next deadline is beyond the limit of virtual time. [`Simulation::set_limit`] sets it.
    OutOfTime,
    /// The simulation polled ten million times at one moment: a task wakes itself in a loop.
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
    fn tasks_of_a_spawner_run_beside_the_others_and_wake_each_other() {
        let sim = Simulation::new();
        let order = Rc::new(RefCell::new(Vec::new()));
        let (sender, receiver) = std::sync::mpsc::channel();
        for seconds in 1..4 {
            let (time, sender, spawner) = (sim.time().clone(), sender.clone(), sim.spawner());
            let (order, clock) = (order.clone(), sim.time().clone());
            sim.spawn(async move {
                let task = spawner.spawn(async move {
                    time.sleep(Duration::from_secs(seconds)).await;
                    sender.send(time.elapsed().as_secs()).unwrap();
                    seconds
                });
                let done = task.await;
                order.borrow_mut().push((done, clock.elapsed().as_secs()));
            })
            .detach();
        }
        let all = sim.time().sleep(Duration::from_secs(4));
        assert_eq!(sim.run(all), Ok(()));
        assert_eq!(*order.borrow(), [(1, 1), (2, 2), (3, 3)]);
        assert!(receiver.try_iter().eq([1, 2, 3]));
    }

    #[test]
    fn a_spawner_does_not_keep_the_tasks_of_a_dropped_simulation() {
        let alive = Arc::new(());
        let sim = Simulation::new();
        let spawner = sim.spawner();
        let (held, inner) = (alive.clone(), spawner.clone());
        let forever = async move {
            std::future::pending::<()>().await;
            drop((held, inner));
        };
        spawner.spawn(forever).detach();
        assert_eq!(
            sim.run(std::future::pending::<()>()),
            Err(SimError::Stalled)
        );
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(sim);
        assert_eq!(Arc::strong_count(&alive), 1);
        let held = alive.clone();
        spawner.spawn(async move { drop(held) }).detach();
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[test]
    fn a_spawner_goes_to_other_threads() {
        fn is_send<T: Clone + Send + Sync + 'static>() {}
        is_send::<Spawner>();
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

//! The handle of a spawned task.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A task of a [`Simulation`](crate::Simulation): a future that is ready with the task's result.
///
/// Dropping the handle cancels the task: the task's future is dropped and does not run any more.
///
/// ```
/// use brooklet_sim::{Simulation, Task};
///
/// let sim = Simulation::new();
/// let task: Task<u32> = sim.spawn(async { 42 });
/// assert_eq!(sim.run(task)?, 42);
/// # Ok::<(), brooklet_sim::SimError>(())
/// ```
///
/// # Panics
///
/// The future panics if the task was cancelled because the simulation was dropped, or if the task
/// itself panicked.
#[must_use = "dropping the handle cancels the task: use `detach`"]
pub struct Task<T>(async_executor::Task<T>);

impl<T> Task<T> {
    pub(crate) fn new(task: async_executor::Task<T>) -> Self {
        Self(task)
    }

    /// Lets the task run on its own, to its end or to that of the simulation.
    ///
    /// ```
    /// # use brooklet_sim::Simulation;
    /// # let sim = Simulation::new();
    /// sim.spawn(async { println!("runs with the next `run`") }).detach();
    /// ```
    pub fn detach(self) {
        self.0.detach();
    }

    /// Cancels the task and waits until its future is dropped. Returns the result if the task was
    /// finished before.
    ///
    /// ```
    /// # use brooklet_sim::Simulation;
    /// # let sim = Simulation::new();
    /// let task = sim.spawn(std::future::pending::<()>());
    /// assert_eq!(sim.run(task.cancel())?, None);
    /// # Ok::<(), brooklet_sim::SimError>(())
    /// ```
    pub async fn cancel(self) -> Option<T> {
        self.0.cancel().await
    }

    /// Whether the task has its result or was cancelled.
    ///
    /// ```
    /// # use brooklet_sim::Simulation;
    /// # let sim = Simulation::new();
    /// let task = sim.spawn(async {});
    /// assert!(!task.is_finished(), "nothing runs before `run`");
    /// ```
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

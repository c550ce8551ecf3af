use crate::stats::Counters;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A task of a relay.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts the tasks of a relay on an executor. Clones start tasks on the same executor.
///
/// ```
/// use brooklet_relay::Spawner;
///
/// // On smol's global executor.
/// let spawner = Spawner::new(|task| smol::spawn(task).detach());
/// # drop(spawner);
/// ```
#[derive(Clone)]
pub struct Spawner(Arc<dyn Fn(usize, Task) + Send + Sync>);

impl Spawner {
    /// Makes a spawner from a function that starts a task and does not wait for the task.
    ///
    /// ```
    /// use brooklet_relay::Spawner;
    /// use std::sync::Arc;
    ///
    /// let executor = Arc::new(async_executor::Executor::new());
    /// let spawner = Spawner::new(move |task| executor.spawn(task).detach());
    /// # drop(spawner);
    /// ```
    pub fn new(spawn: impl Fn(Task) + Send + Sync + 'static) -> Self {
        Self::by_queue(move |_, task| spawn(task))
    }

    /// Makes a spawner from a function that takes the number of a device queue besides: the task
    /// works on a flow of that queue, and is fastest on the thread of the queue's driver.
    ///
    /// ```
    /// use brooklet_relay::Spawner;
    /// use std::sync::Arc;
    ///
    /// let executors: Vec<_> = (0..2).map(|_| Arc::new(async_executor::Executor::new())).collect();
    /// let spawner = Spawner::by_queue(move |queue, task| executors[queue].spawn(task).detach());
    /// # drop(spawner);
    /// ```
    pub fn by_queue(spawn: impl Fn(usize, Task) + Send + Sync + 'static) -> Self {
        Self(Arc::new(spawn))
    }

    pub(crate) fn spawn(&self, queue: usize, task: impl Future<Output = ()> + Send + 'static) {
        (self.0)(queue, Box::pin(task));
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spawner")
    }
}

pin_project_lite::pin_project! {
    /// A task whose panic ends the task alone, and is counted.
    ///
    /// An `async` block has two places for a future that it captures and awaits, which doubles what
    /// a connection takes.
    pub(crate) struct Contained<F> {
        #[pin]
        pub(crate) task: F,
        pub(crate) counters: Arc<Counters>,
    }
}

impl<F: Future<Output = ()>> Future for Contained<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        catch_unwind(AssertUnwindSafe(|| this.task.poll(cx))).unwrap_or_else(|_| {
            this.counters.panics.count();
            Poll::Ready(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::ready;

    #[test]
    fn a_task_has_one_place_for_its_future() {
        let large = [1_u8; 1000];
        let task = async move {
            ready(()).await;
            assert_eq!(large.len(), 1000);
        };
        let alone = size_of_val(&task);
        let counters = Arc::default();
        assert!(size_of_val(&Contained { task, counters }) <= alone + 2 * size_of::<usize>());
    }
}

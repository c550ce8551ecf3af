//! A handle that spawns tasks on a simulation.

use crate::Task;
use async_executor::Executor;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Weak};

/// A handle that spawns tasks on a [`Simulation`](crate::Simulation), for programs that spawn tasks
/// themselves. [`Simulation::spawner`](crate::Simulation::spawner) returns one.
///
/// Clones spawn on the same simulation. The handle does not keep the simulation alive, so a task
/// may hold it.
///
/// ```
/// use brooklet::{Builder, Parts, TcpListener};
/// use brooklet_sim::{Link, LinkConfig, Simulation, Spawner};
/// use futures_lite::{AsyncReadExt, AsyncWriteExt, io};
///
/// /// A server with a task for each connection.
/// async fn serve(listener: TcpListener, spawner: Spawner) -> io::Result<()> {
///     loop {
///         let (stream, _client) = listener.accept().await?;
///         let echo = async move {
///             io::copy(&stream, &stream).await?;
///             (&stream).close().await
///         };
///         spawner.spawn(echo).detach();
///     }
/// }
///
/// let sim = Simulation::new();
/// let (_link, here, there) = Link::new(sim.time(), 1, LinkConfig::new());
/// let Parts { tcp, driver, .. } = Builder::new().build_with_timer(there, sim.time().timer())?;
/// sim.spawn(driver).detach();
/// sim.spawner().spawn(serve(tcp, sim.spawner())).detach();
///
/// let Parts { stack, driver, .. } = Builder::new().build_with_timer(here, sim.time().timer())?;
/// sim.spawn(driver).detach();
/// let to = "192.0.2.1:7".parse()?;
/// let from = ["10.0.0.2:40000".parse()?, "10.0.0.3:40000".parse()?];
/// sim.run(async {
///     for from in from {
///         let mut stream = stack.connect_from(from, to).await?;
///         stream.write_all(b"hello").await?;
///         stream.close().await?;
///         let mut back = String::new();
///         stream.read_to_string(&mut back).await?;
///         assert_eq!(back, "hello");
///     }
///     io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Spawner(Weak<Executor<'static>>);

impl Spawner {
    pub(crate) fn new(executor: &Arc<Executor<'static>>) -> Self {
        Self(Arc::downgrade(executor))
    }

    /// Spawns a task. The task runs while the simulation [runs](crate::Simulation::run). Dropping
    /// the returned handle cancels the task; [`detach`](Task::detach) lets it run on its own.
    ///
    /// A run is the same each time if only tasks of the simulation use the spawner. A task that
    /// another thread spawns runs as well, from an unpredictable moment on.
    ///
    /// If the simulation is dropped, `future` is dropped at once. Waiting for a task of a dropped
    /// simulation panics, like for every cancelled [`Task`].
    ///
    /// ```
    /// use brooklet_sim::Simulation;
    /// use std::time::Duration;
    ///
    /// let sim = Simulation::new();
    /// let (spawner, time) = (sim.spawner(), sim.time().clone());
    /// let answer = sim.run(async {
    ///     let task = spawner.spawn(async move {
    ///         time.sleep(Duration::from_secs(60)).await;
    ///         42
    ///     });
    ///     task.await
    /// })?;
    /// assert_eq!(answer, 42);
    /// # Ok::<(), brooklet_sim::SimError>(())
    /// ```
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        Task::new(match self.0.upgrade() {
            Some(executor) => executor.spawn(future),
            // Dropping an executor cancels its tasks.
            None => Executor::new().spawn(future),
        })
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner").finish_non_exhaustive()
    }
}

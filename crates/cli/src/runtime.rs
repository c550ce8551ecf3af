//! The thread that runs the driver and the tasks of the relay.

use async_executor::Executor;
use brooklet_relay::Spawner;
use std::sync::Arc;

/// The executor of the program: the driver and the relays run on one thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runtime(Arc<Executor<'static>>);

impl Runtime {
    pub(crate) fn spawner(&self) -> Spawner {
        let executor = self.0.clone();
        Spawner::new(move |task| executor.spawn(task).detach())
    }

    /// Runs the tasks until `future` is ready.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        async_io::block_on(self.0.run(future))
    }
}

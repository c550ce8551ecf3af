//! The threads that run the drivers and the tasks of the relay.

use brooklet_relay::{Spawner, Workers};
use std::io;

/// The executor of the program: the driver and the relays of a queue run on one thread.
#[derive(Debug)]
pub(crate) struct Runtime(Workers);

impl Default for Runtime {
    fn default() -> Self {
        Self(Workers::new(1))
    }
}

impl Runtime {
    pub(crate) fn spawner(&self) -> Spawner {
        self.0.spawner()
    }

    /// Starts the driver on the thread of its relays.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        driver: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send + Unpin + 'static {
        self.0.spawn(0, driver)
    }

    /// Runs the tasks until `future` is ready.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> io::Result<T> {
        self.0.block_on(future)
    }
}

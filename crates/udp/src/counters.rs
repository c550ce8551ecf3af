use crate::{flow::UdpFlow, memory_stats::MemoryStats, queues::Queues, stats::Stats};
use brooklet_cell::Flavor;
use std::fmt;

/// A handle that reads the [`Stats`] of a stack.
///
/// The handle neither keeps the engine running nor counts as a listener, and it remains usable
/// after the engine has ended. Clones read the same counters.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// let (engine, _socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
/// let counters = engine.counters();
/// assert_eq!(counters.stats(), engine.stats());
/// drop(engine);
/// assert_eq!(counters.stats().datagrams_in, 0);
/// # }
/// ```
pub struct Counters<F: Flavor>(Queues<F>);

impl<F: Flavor> Counters<F> {
    pub(crate) fn new(queues: &Queues<F>) -> Self {
        Self(queues.clone())
    }

    /// Returns the counters of this moment.
    ///
    /// The counters of several queues are read one after the other, while the stack runs.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    /// Returns the memory that the UDP side holds at this moment. An example is at [`MemoryStats`].
    #[must_use]
    pub fn memory(&self) -> MemoryStats {
        self.0.memory()
    }

    /// Lists the sessions that have not ended, in the order of the addresses of their clients.
    ///
    /// The stack goes on: the call looks at 256 sessions at a time, and a session that begins or
    /// ends meanwhile may be missing.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, session) = example::session();
    /// let flows = engine.counters().flows();
    /// assert_eq!((flows[0].source, flows[0].bytes_in), (session.source(), 8));
    /// println!("{}", flows[0]);
    /// # }
    /// ```
    #[must_use]
    pub fn flows(&self) -> Vec<UdpFlow> {
        self.0.flows()
    }
}

impl<F: Flavor> Clone for Counters<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: Flavor> fmt::Debug for Counters<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters").finish_non_exhaustive()
    }
}

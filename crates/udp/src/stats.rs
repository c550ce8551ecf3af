use crate::shared::Queues;
use brooklet_cell::Flavor;
use std::fmt;

/// What has gone through an [`Engine`](crate::Engine) so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams queued for the application.
    pub datagrams_in: u64,
    /// Bytes of payload queued for the application.
    pub bytes_in: u64,
    /// Datagrams accepted from the application.
    pub datagrams_out: u64,
    /// Bytes of payload accepted from the application.
    pub bytes_out: u64,
    /// Inbound datagrams dropped because the queue was full, in packets or in bytes.
    pub dropped_full: u64,
    /// Inbound datagrams that nobody could ever read: every reading handle was gone.
    pub no_listener: u64,
    /// Packets handed in that were not a whole UDP datagram, or came after the shutdown.
    pub dropped_other: u64,
}

/// Reads the [`Stats`] of an [`Engine`](crate::Engine) from elsewhere. Neither keeps the engine
/// running nor counts as a listener.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// let (engine, _socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
/// let counters = engine.counters();
/// assert_eq!(counters.stats(), engine.stats());
/// # }
/// ```
pub struct Counters<F: Flavor>(pub(crate) Queues<F>);

impl<F: Flavor> Counters<F> {
    /// The figures of this moment.
    pub fn stats(&self) -> Stats {
        self.0.stats()
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

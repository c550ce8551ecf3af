/// The memory that the UDP side of a stack holds now, in bytes, by what holds it.
///
/// The figures are what was asked of the allocator, without its own overhead. Tasks of the program,
/// and the datagrams that they have received, are not included.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # use brooklet_udp::{Clock, Config, Engine, Interface};
/// # let (engine, _socket) = Engine::<brooklet_cell::Threaded>::new(
/// #     Interface::new(), Config::new(), Clock::new(std::time::Instant::now), [1, 2]);
/// let memory = engine.counters().memory();
/// assert_eq!((memory.inbound, memory.sessions), (0, 0));
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Datagrams that wait for the program, their queues, the bound sockets, and recycled buffers.
    pub inbound: u64,
    /// Sessions and their tables, also those that have ended and that a handle keeps.
    pub sessions: u64,
    /// Packets that wait for the device, recycled buffers, and the table of path MTUs.
    pub outbound: u64,
}

impl MemoryStats {
    /// Returns the sum of all parts.
    ///
    /// ```
    /// assert_eq!(brooklet_udp::MemoryStats::default().total(), 0);
    /// ```
    #[must_use]
    pub fn total(&self) -> u64 {
        self.inbound + self.sessions + self.outbound
    }
}

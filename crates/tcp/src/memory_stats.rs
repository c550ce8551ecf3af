/// The memory that the TCP side of a stack holds now, in bytes, by what holds it.
///
/// The figures are what was asked of the allocator and of the system, without the allocator's own
/// overhead. The buffers are counted as mapped; a page of a buffer that no byte was written to takes
/// no memory of the system. Tasks of the program, and what they have read, are not included.
///
/// ```
/// use brooklet_cell::Threaded;
/// use brooklet_tcp::{Clock, Config, Engine, Interface};
///
/// let clock = Clock::new(std::time::Instant::now);
/// let (engine, listener, connector) =
///     Engine::<Threaded>::new(Interface::default(), Config::default(), clock, [1, 2]);
/// let memory = connector.memory();
/// assert_eq!((memory.buffers, memory.syn_queue), (0, 0));
/// # drop((engine, listener));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Receive and send buffers of connections.
    pub buffers: u64,
    /// Recycled buffers, for the next connections that need some.
    pub pooled_buffers: u64,
    /// Connections beside their buffers: their states, out-of-order queues, scoreboards, deadlines,
    /// accept queues, and the table.
    pub connections: u64,
    /// Connection requests that wait for an answer.
    pub syn_queue: u64,
    /// Connections in TIME-WAIT, without their places in the table.
    pub time_wait: u64,
    /// Packets that wait for the device, and recycled packet buffers.
    pub outbound: u64,
}

impl MemoryStats {
    /// Returns the sum of all parts.
    ///
    /// ```
    /// assert_eq!(brooklet_tcp::MemoryStats::default().total(), 0);
    /// ```
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self {
            buffers,
            pooled_buffers,
            connections,
            syn_queue,
            time_wait,
            outbound,
        } = self;
        buffers + pooled_buffers + connections + syn_queue + time_wait + outbound
    }
}

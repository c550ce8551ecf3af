/// The memory that the ICMP and raw sockets of a stack hold now, in bytes, by what holds it.
///
/// The figures are what was asked of the allocator, without its own overhead. What the program has
/// received is not included.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
/// # let engine = example::engine();
/// assert_eq!(engine.binder().memory().inbound, 0);
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
    /// Messages and packets that wait for the program.
    pub inbound: u64,
    /// Packets that wait for the device, and recycled buffers.
    pub outbound: u64,
}

impl MemoryStats {
    /// Returns the sum of all parts.
    ///
    /// ```
    /// assert_eq!(brooklet_raw::MemoryStats::default().total(), 0);
    /// ```
    #[must_use]
    pub fn total(&self) -> u64 {
        self.inbound + self.outbound
    }
}

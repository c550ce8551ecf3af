/// The counters of all [`Engine`](crate::Engine)s of a stack, since its start.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_udp::{Config, Engine, Interface};
///
/// let (engine, socket) = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new());
/// let (from, to) = ("9.9.9.9:53".parse().unwrap(), "10.0.0.1:5000".parse().unwrap());
/// futures_lite::future::block_on(socket.send_to(b"answer", from, to)).unwrap();
/// let stats = engine.stats();
/// assert_eq!((stats.datagrams_out, stats.bytes_out), (1, 6));
/// # }
/// ```
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
    /// Inbound datagrams dropped because the queue was full, in datagrams or in bytes.
    pub dropped_full: u64,
    /// Inbound datagrams dropped because their source, an IPv4 address or an IPv6 /64, held more
    /// than its [share](crate#shares-of-the-inbound-queue) of the queue.
    pub dropped_source: u64,
    /// Inbound datagrams dropped because every handle that reads was gone.
    pub no_listener: u64,
    /// Packets dropped because they were not a whole UDP datagram, or came after the shutdown.
    pub dropped_other: u64,
}

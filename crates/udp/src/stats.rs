/// The counters of all [`Engine`](crate::Engine)s of a stack, since its start.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_udp::{Clock, Config, Engine, Interface};
///
/// let (engine, socket) = Engine::<brooklet_cell::Threaded>::new(
///     Interface::new(), Config::new(), Clock::new(std::time::Instant::now), [1, 2]);
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
    /// than its [share](crate#shares-of-the-inbound-queue) of the queue, or of the places for
    /// sessions that wait to be accepted.
    pub dropped_source: u64,
    /// Inbound datagrams dropped because they would have opened a session, and as many sessions as
    /// the [`backlog`](crate::SessionConfig#structfield.backlog) allows waited to be accepted.
    pub dropped_backlog: u64,
    /// Inbound packets dropped because they exceed the path MTU of their destination and may not be
    /// fragmented.
    pub dropped_too_big: u64,
    /// Inbound datagrams dropped because every handle that reads was gone.
    pub no_listener: u64,
    /// Datagrams that a session refused to send to its client because of its
    /// [`Filtering`](crate::Filtering).
    pub filtered: u64,
    /// ICMP errors about a datagram of a socket or of a session.
    pub icmp_errors: u64,
    /// Sessions that exist now.
    pub sessions: u64,
    /// Sessions opened.
    pub sessions_opened: u64,
    /// Sessions that ended because no datagram has passed for their timeout.
    pub sessions_idle: u64,
    /// Sessions that ended because a new one needed the place.
    pub sessions_evicted: u64,
    /// Sessions that the application has closed, by dropping the session or the listener.
    pub sessions_closed: u64,
    /// Packets dropped because they were not a whole UDP datagram, or came after the shutdown.
    pub dropped_other: u64,
}

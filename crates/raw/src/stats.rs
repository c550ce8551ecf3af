/// The counters of all [`Engine`](crate::Engine)s of a stack, since its start.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # use brooklet_io::Clock;
/// # use brooklet_raw::{Config, Engine, Interface};
/// # let clock = Clock::new(std::time::Instant::now);
/// let engine = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), clock);
/// assert_eq!(engine.stats().packets_out, 0);
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
    /// Echo requests queued for the ICMP socket.
    pub echo_requests: u64,
    /// Echo replies queued for the ICMP socket.
    pub echo_replies: u64,
    /// ICMP errors about echo requests of the program, queued for the ICMP socket.
    pub echo_errors: u64,
    /// Packets queued for raw sockets. A packet that several sockets take counts for each.
    pub packets_in: u64,
    /// Packets accepted from the program.
    pub packets_out: u64,
    /// Inbound messages and packets dropped because the queue of the socket was full.
    pub dropped_full: u64,
    /// Echo requests dropped because their source had as many in the queue as it may have.
    pub dropped_source: u64,
    /// Echo requests dropped because the policy ignores them.
    pub echo_ignored: u64,
    /// Echo requests and diverted packets dropped because there was no socket for them.
    pub no_socket: u64,
    /// Echo replies and ICMP errors that are about no echo request of the program (RFC 5927, 4).
    pub unmatched: u64,
    /// Packets of the program dropped because the outbound queue was full: replies and errors.
    pub outbound_full: u64,
    /// Packets dropped because another stack sent them through a raw socket and they were no IP
    /// packets, or IPv6 while IPv6 is switched off.
    pub invalid: u64,
    /// ICMP errors of the program that exceeded the rate limit, which is 100 per second and 50 at
    /// once.
    pub errors_limited: u64,
}

/// The counters of all [`Engine`](crate::Engine)s of a stack, since its start.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
/// # let engine = example::engine();
/// assert_eq!(engine.stats(), brooklet_raw::Stats::default());
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
    /// Echo requests queued for an [`IcmpSocket`](crate::IcmpSocket).
    pub echo_requests_in: u64,
    /// Echo replies queued for the socket that sent the request.
    pub echo_replies_in: u64,
    /// ICMP errors queued for the socket that sent the echo request in question.
    pub icmp_errors_in: u64,
    /// Packets queued for a [`RawSocket`](crate::RawSocket). A packet counts once for each socket.
    pub raw_packets_in: u64,
    /// Echo requests sent by sockets.
    pub echo_requests_out: u64,
    /// Echo replies sent by sockets. Those that the driver sends are not counted here.
    pub echo_replies_out: u64,
    /// ICMP errors sent by the program. Those that the driver sends are not counted here.
    pub icmp_errors_out: u64,
    /// Packets sent by raw sockets.
    pub raw_packets_out: u64,
    /// Echo requests left to the driver to answer.
    pub answered: u64,
    /// Echo requests left to the driver to reject.
    pub rejected: u64,
    /// Echo requests dropped because the policy is to ignore them.
    pub ignored: u64,
    /// Messages and packets dropped because the queue of their socket was full, in packets or in
    /// bytes.
    pub dropped_full: u64,
    /// Messages and packets dropped because their source, an IPv4 address or an IPv6 /64, held more
    /// than its [share](crate#bounded-queues) of the queue.
    pub dropped_source: u64,
    /// Echo requests and diverted packets dropped because no socket takes them.
    pub no_listener: u64,
    /// Echo replies, and ICMP errors about echo requests, that match no outstanding request.
    /// The driver drops them, unless a raw socket asks for them.
    pub unmatched: u64,
    /// Echo replies and ICMP errors of the program dropped because the outbound queue was full.
    pub answers_dropped: u64,
    /// ICMP errors of the program dropped because of the rate limit.
    pub icmp_errors_limited: u64,
    /// ICMP errors of the program that a host must not send.
    pub icmp_errors_forbidden: u64,
    /// Packets that a raw socket, used as a [`PacketIo`](brooklet_io::PacketIo), dropped because
    /// they cannot be sent.
    pub invalid_out: u64,
    /// Messages and packets dropped because they came after the shutdown.
    pub dropped_other: u64,
}

impl Stats {
    /// Adds the counters of an outbound queue.
    pub(crate) fn add_outbound(&mut self, out: Self) {
        self.echo_requests_out += out.echo_requests_out;
        self.echo_replies_out += out.echo_replies_out;
        self.icmp_errors_out += out.icmp_errors_out;
        self.raw_packets_out += out.raw_packets_out;
        self.answers_dropped += out.answers_dropped;
        self.icmp_errors_limited += out.icmp_errors_limited;
        self.icmp_errors_forbidden += out.icmp_errors_forbidden;
        self.invalid_out += out.invalid_out;
    }
}

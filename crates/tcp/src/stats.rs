/// The counters and gauges of the stack's TCP side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
#[non_exhaustive]
pub struct Stats {
    /// Gauge: connections, without TIME-WAIT.
    pub connections: u64,
    /// Gauge: connection requests that wait for an answer.
    pub requests: u64,
    /// Gauge: connections in TIME-WAIT.
    pub time_wait: u64,
    /// Gauge: connections that hold buffers, because there is data in them or was a moment ago.
    pub awake: u64,
    /// Gauge: the bytes of those buffers.
    pub buffers: u64,
    /// Gauge: the bytes of pooled buffers that no connection holds.
    pub spare_buffers: u64,
    /// Connection requests received.
    pub requested: u64,
    /// TcpRequests accepted.
    pub accepted: u64,
    /// TcpRequests refused with a RST.
    pub refused: u64,
    /// TcpRequests answered with an ICMP error.
    pub unreachable: u64,
    /// TcpRequests left without an answer, by `drop_silently` or by dropping them.
    pub dropped_silently: u64,
    /// Connections opened from here.
    pub connects: u64,
    /// RSTs sent in answer to segments that belong to no connection.
    pub resets: u64,
    /// Segments dropped because their control bits contradict each other.
    pub bad_flags: u64,
    /// Connection requests dropped because an address is not unicast, a port is 0, or both ends
    /// are the same.
    pub bad_address: u64,
    /// Requests that expired before an answer: the client stopped repeating its SYN, or
    /// [`request_timeout`](crate::Config::request_timeout) passed.
    pub expired: u64,
    /// SYNs dropped because the [`backlog`](crate::Config::backlog) was full: requests that the
    /// program did not work on and that gave way to newer ones, and new SYNs if there was none.
    pub backlog_full: u64,
    /// SYNs dropped because their source had
    /// [`backlog_per_source`](crate::Config::backlog_per_source) requests already.
    pub source_full: u64,
    /// SYNs dropped because they repeat one that waits for an answer. They keep the request alive.
    pub repeated_syns: u64,
    /// RSTs dropped because their sequence number is not the one that is expected next, for a
    /// request that waits for an answer.
    pub bad_rst: u64,
    /// Half-open connections of [`accept`](crate::TcpListener::accept) that were reset to make room
    /// for newer ones, because their clients did not complete the handshake.
    pub half_open_full: u64,
    /// TcpRequests dropped because there were `max_connections`, or the memory for buffers was used
    /// up.
    pub table_full: u64,
    /// Out-of-order segments dropped because the out-of-order queue was full.
    pub early_full: u64,
    /// Answers without a connection dropped because the outbound queue was full.
    pub outbound_full: u64,
}

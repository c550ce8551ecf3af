/// What the TCP side has done so far, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections in the table now.
    pub connections: u64,
    /// Connection requests that wait for an answer now.
    pub requests: u64,
    /// Ended connections whose tuples are remembered now (TIME-WAIT).
    pub time_wait: u64,
    /// Connections that have buffers now, because something waits in them or did a moment ago.
    pub awake: u64,
    /// Bytes of those buffers.
    pub buffers: u64,
    /// Bytes of buffers that wait for the next connection that needs some.
    pub spare_buffers: u64,
    /// Connection requests taken in.
    pub requested: u64,
    /// Requests accepted.
    pub accepted: u64,
    /// Requests refused with a reset.
    pub refused: u64,
    /// Requests answered with an ICMP error.
    pub unreachable: u64,
    /// Requests dropped without an answer, by `ignore` or by letting them go.
    pub ignored: u64,
    /// Connections begun from here.
    pub connects: u64,
    /// Resets sent to packets that belong to no connection.
    pub resets: u64,
    /// Packets dropped for flags that make no sense together.
    pub bad_flags: u64,
    /// Connection requests dropped for an address that is not unicast, for a port 0, or because
    /// both ends were the same.
    pub bad_address: u64,
    /// Requests that expired before an answer.
    pub expired: u64,
    /// Requests that gave way to newer ones in a full backlog.
    pub backlog_full: u64,
    /// Requests that gave way to newer ones of the same source, which had its share of the backlog.
    pub source_full: u64,
    /// Connections that [`accept`](crate::TcpListener::accept) answered, and reset to make place:
    /// their clients were slow to finish the handshake.
    pub handshakes_full: u64,
    /// Requests dropped because the table was full, or the memory for buffers used up.
    pub table_full: u64,
    /// Segments dropped that came before others and found no place to wait for them.
    pub early_full: u64,
    /// Answers dropped because the outbound queue was full.
    pub outbound_full: u64,
}

use crate::round_trips::RoundTrips;

/// The counters and gauges of the stack's TCP side.
///
/// Every packet that is dropped is counted once, under the first reason that applies. A segment
/// that is dropped may have been answered, with an ACK or a RST.
///
/// ```
/// use brooklet_cell::Threaded;
/// use brooklet_tcp::{Clock, Config, Engine, Interface};
///
/// let clock = Clock::new(std::time::Instant::now);
/// let (engine, listener, connector) =
///     Engine::<Threaded>::new(Interface::default(), Config::default(), clock, [1, 2]);
/// let stats = connector.stats();
/// assert_eq!((stats.connections, stats.requests), (0, 0));
/// assert_eq!(stats, engine.stats());
/// # drop(listener);
/// ```
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
    /// Gauge: connections whose handshake a client has begun and not completed.
    pub half_open: u64,
    /// Gauge: connections in TIME-WAIT.
    pub time_wait: u64,
    /// Gauge: connections that hold buffers, because there is data in them or was a moment ago.
    pub buffered: u64,
    /// Gauge: the bytes of those buffers.
    pub buffers: u64,
    /// Gauge: the bytes of pooled buffers that no connection holds.
    pub pooled_buffers: u64,

    /// Connection requests received.
    pub requested: u64,
    /// Requests accepted.
    pub accepted: u64,
    /// Requests refused with a RST.
    pub refused: u64,
    /// Requests rejected with an ICMP error.
    pub rejected: u64,
    /// Requests left without an answer, by
    /// [`drop_silently`](crate::TcpRequest::drop_silently) or by dropping them.
    pub dropped_silently: u64,
    /// Requests that their client withdrew with a RST.
    pub withdrawn: u64,
    /// Requests that expired before an answer: the client stopped repeating its SYN, or
    /// [`request_timeout`](crate::Config::request_timeout) passed.
    pub expired: u64,
    /// Connections opened from here.
    pub connects: u64,
    /// RSTs sent in answer to segments that belong to no connection.
    pub resets: u64,
    /// Half-open connections that gave their place to newer ones, because their clients did not
    /// complete the handshake. None with [`syn_cookies`](crate::Config::syn_cookies).
    pub half_open_full: u64,
    /// SYNs answered with a [SYN cookie](crate::Config::syn_cookies). Those that had waited in the
    /// queue before count as requests too, and once more when their cookie comes back. Linux:
    /// `SyncookiesSent`.
    pub syn_cookies_sent: u64,
    /// Handshakes completed by a SYN cookie. Each is a request. Linux: `SyncookiesRecv`.
    pub syn_cookies_received: u64,
    /// Segments that belong to no connection and bring no good SYN cookie back, while some may come
    /// back. They are answered with a RST, within its limit. Linux: `SyncookiesFailed`.
    pub syn_cookies_failed: u64,
    /// ACKs not sent because another one of their kind was sent less than 500 ms before: challenge
    /// ACKs (RFC 5961, 7) and answers to what may be the peer's own answer.
    pub limited_acks: u64,
    /// Segments retransmitted, for whatever reason: a lost segment, a tail loss probe, a timeout or
    /// a SYN that was not answered.
    pub retransmits: u64,
    /// Retransmission timeouts (RFC 6298): the peer acknowledged nothing of what was in flight.
    pub timeouts: u64,
    /// SACK blocks ignored because the scoreboard of their connection was full: the peer has reported
    /// more gaps than a path makes (Linux: `TCPWqueueTooBig`).
    pub scoreboard_full: u64,
    /// The round-trip times of all connections.
    pub round_trips: RoundTrips,

    /// Packets dropped because they are no TCP segments.
    pub malformed: u64,
    /// Segments dropped because their control bits contradict each other.
    pub bad_flags: u64,
    /// Segments without a connection dropped because an address is not unicast, is loopback or
    /// IPv4-mapped, a port is 0, or both ends are the same (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3).
    pub bad_address: u64,
    /// SYNs dropped because the [`backlog`](crate::Config::backlog) was full: requests that the
    /// program did not work on and that newer ones evicted, and new SYNs if there was none. With
    /// [`syn_cookies`](crate::Config::syn_cookies) few are dropped; segments that bring a cookie back
    /// are among them if the program accepts too slowly.
    pub backlog_full: u64,
    /// SYNs dropped because their source had
    /// [`backlog_per_source`](crate::Config::backlog_per_source) requests already.
    pub source_full: u64,
    /// SYNs dropped because there were
    /// [`max_connections`](crate::Config::max_connections), or the
    /// [`memory`](crate::Config::memory) for buffers was used up.
    pub table_full: u64,
    /// SYNs dropped because they repeat one that waits for an answer, or was answered with a
    /// SYN-ACK that is sent again. They keep the request alive.
    pub repeated_syns: u64,
    /// Segments dropped because the program has not accepted their connection yet, which a
    /// [SYN cookie](crate::Config::syn_cookies) has opened. The client sends them again.
    pub unaccepted: u64,
    /// Segments without a connection dropped because the RSTs of this second were sent already
    /// ([`resets_per_second`](crate::Config::resets_per_second)).
    pub reset_limit: u64,
    /// Segments dropped because they arrived in TIME-WAIT and need no answer.
    pub late: u64,
    /// Segments dropped because their connection ended while they were on their way to it.
    pub closed: u64,
    /// RSTs dropped because they belong to no connection, because their sequence number, or before
    /// the handshake their acknowledgment number, is not the one that is expected (RFC 5961, 3.2),
    /// or because of [`rfc1337`](crate::Config::rfc1337).
    pub bad_rst: u64,
    /// SYNs dropped because their connection is established already (RFC 5961, 4.2).
    pub unexpected_syn: u64,
    /// Segments dropped because they acknowledge what was never sent, or lie too far back
    /// (RFC 9293, 3.10.7.3; RFC 5961, 5.2).
    pub bad_ack: u64,
    /// Segments dropped because they acknowledge nothing, or before the handshake because they are
    /// neither a SYN nor a RST (RFC 9293, 3.10.7.3 and 3.10.7.4).
    pub no_ack: u64,
    /// Segments dropped because their timestamp is old: PAWS (RFC 7323, 5).
    pub old_timestamp: u64,
    /// Segments dropped because they lie outside of the receive window or behind the peer's FIN
    /// (RFC 9293, 3.4). Window probes are among them.
    pub outside_window: u64,
    /// Segments dropped because all of their data had arrived before.
    pub duplicates: u64,
    /// Out-of-order segments dropped because the out-of-order queue was full.
    pub out_of_order_full: u64,
    /// ICMP errors dropped because they quote no segment in flight, or one that timeouts deal with
    /// (RFC 5927, 4.1 and 6.1).
    pub icmp_ignored: u64,
    /// Answers without a connection dropped because the outbound queue was full.
    pub outbound_full: u64,
}

/// Why a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    Malformed,
    BadFlags,
    BadAddress,
    BacklogFull,
    SourceFull,
    TableFull,
    RepeatedSyn,
    Unaccepted,
    ResetLimit,
    Late,
    Closed,
    BadRst,
    UnexpectedSyn,
    BadAck,
    NoAck,
    OldTimestamp,
    OutsideWindow,
    Duplicate,
    OutOfOrderFull,
    IcmpIgnored,
}

impl Stats {
    /// Counts a packet that was dropped.
    pub(crate) fn count(&mut self, dropped: Dropped) {
        let counter = match dropped {
            Dropped::Malformed => &mut self.malformed,
            Dropped::BadFlags => &mut self.bad_flags,
            Dropped::BadAddress => &mut self.bad_address,
            Dropped::BacklogFull => &mut self.backlog_full,
            Dropped::SourceFull => &mut self.source_full,
            Dropped::TableFull => &mut self.table_full,
            Dropped::RepeatedSyn => &mut self.repeated_syns,
            Dropped::Unaccepted => &mut self.unaccepted,
            Dropped::ResetLimit => &mut self.reset_limit,
            Dropped::Late => &mut self.late,
            Dropped::Closed => &mut self.closed,
            Dropped::BadRst => &mut self.bad_rst,
            Dropped::UnexpectedSyn => &mut self.unexpected_syn,
            Dropped::BadAck => &mut self.bad_ack,
            Dropped::NoAck => &mut self.no_ack,
            Dropped::OldTimestamp => &mut self.old_timestamp,
            Dropped::OutsideWindow => &mut self.outside_window,
            Dropped::Duplicate => &mut self.duplicates,
            Dropped::OutOfOrderFull => &mut self.out_of_order_full,
            Dropped::IcmpIgnored => &mut self.icmp_ignored,
        };
        *counter += 1;
    }
}

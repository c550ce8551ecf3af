use crate::buffer::promised;
use crate::options::{TcpOptions, usable_time};
use crate::setters::setters;
use std::time::Duration;
use std::{fmt, io};

/// The configuration of the TCP side of a stack, an [`Engine`](crate::Engine). In the crate
/// `brooklet`, `Config` is `TcpConfig`, which `Builder::tcp_config` takes, and `Stats` is `TcpStats`.
///
/// A value that cannot work is replaced by the nearest that can: a limit of 0 by 1, a time
/// above 10 years by 10 years.
///
/// ```
/// use brooklet_tcp::Config;
///
/// let config = Config::new().backlog(1024);
/// assert_eq!(config.max_connections, 65_536);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct Config {
    /// The default options of connections.
    pub options: TcpOptions,
    /// The most connections at a time, in both directions. One more SYN is dropped and counted, one
    /// more `connect` fails. Default 65,536.
    pub max_connections: usize,
    /// The memory budget of the TCP side, in bytes. Default 1 GiB. It covers everything that
    /// [`Connector::memory`](crate::Connector::memory) lists: connections with their buffers,
    /// out-of-order queues and scoreboards, recycled buffers, the SYN queue, TIME-WAIT, outbound
    /// packets, and the tables.
    ///
    /// The SYN queue takes at most 1/16 of the budget, TIME-WAIT 1/100, stated path MTUs 1/32, and
    /// outbound packets 5/48: [`backlog`](Self::backlog), [`max_time_wait`](Self::max_time_wait) and
    /// [`outbound_packets`](Self::outbound_packets) are lowered where the budget does not suffice. The
    /// rest is for connections.
    ///
    /// Only a connection with data in flight or data to read holds buffers. While the budget
    /// suffices, they are as large as the connection's [`TcpOptions`] say. When it runs short, new
    /// buffers are smaller, down to 4 KiB each, and every connection goes on, more slowly. Each
    /// connection is promised that much and 2.5 KiB for its state: no connection gets more than an
    /// eighth of the budget, [`max_connections`](Self::max_connections) is lowered to the number that
    /// the budget suffices for, and half of the budget is kept for promised buffers. If the budget
    /// cannot promise more, a SYN is dropped and counted, and a `connect` fails. While the
    /// out-of-order queues and scoreboards exceed the budget, those that change grow no further than
    /// to 16 ranges each: a segment that would be one more is dropped and counted, and the peer sends
    /// it again.
    ///
    /// Buffers of 16 KiB and more, and the first 8,192 smaller ones, are mappings of their own, so
    /// that the operating system gets them back at once.
    pub memory: usize,
    /// How long an idle connection, without data in flight or data to read, keeps its buffers.
    /// Default 1 s.
    pub idle_buffer_timeout: Duration,
    /// The most connection requests that wait for an answer, of all listeners together. Default
    /// 4,096, of at most 576 bytes each.
    ///
    /// A request that the program works on always keeps its place. If the backlog is full, a new SYN
    /// replaces a request that the program has [left
    /// unanswered](crate::TcpRequest::drop_silently), which is counted
    /// ([`backlog_full`](crate::Stats::backlog_full)). If there is none, the SYN is answered with a
    /// [SYN cookie](Self::syn_cookies): only clients that complete the handshake become requests,
    /// of which as many wait again. Without SYN cookies the SYN replaces the oldest request that no
    /// listener has returned yet; if the program works on all of them, the SYN is dropped, and the
    /// client repeats it.
    pub backlog: usize,
    /// The most connection requests of one source, an IPv4 address or an IPv6 /64, so that one
    /// client cannot use up the [`backlog`](Self::backlog). One more SYN is dropped and counted
    /// ([`source_full`](crate::Stats::source_full)); the client repeats it. Default `None`, no limit
    /// beside the backlog, because on a TUN all clients usually are of one source.
    pub backlog_per_source: Option<usize>,
    /// The most half-open connections of each listener: connections that
    /// [`TcpListener::accept`](crate::TcpListener::accept) or
    /// [`TcpRequest::accept`](crate::TcpRequest::accept) has answered and whose handshake is not
    /// done. Default 1,024.
    ///
    /// One more SYN is answered with a [SYN cookie](Self::syn_cookies), and requests that the program
    /// was given before may still be accepted. Without SYN cookies one more connection takes the
    /// place of the oldest, which is counted ([`half_open_full`](crate::Stats::half_open_full)):
    /// nothing is sent, and a client that completes its handshake later is reset.
    /// `TcpListener::accept` lets each half-open connection have 5 ms, and the request waits in the
    /// backlog until then.
    pub max_half_open: usize,
    /// Whether SYNs are answered with SYN cookies (RFC 4987, 3.6) while the
    /// [`backlog`](Self::backlog) or the [half-open connections](Self::max_half_open) are full.
    /// Default `true`; like Linux's `net.ipv4.tcp_syncookies`.
    ///
    /// The SYN-ACK then leaves no state behind, and a client that completes the handshake, whatever
    /// its round-trip time, becomes a request or a connection of `accept` as any other. A flood of
    /// SYNs therefore excludes nobody, and is answered with no more bytes than it has: a SYN-ACK with
    /// a cookie is no longer than its SYN and is sent once, and half-open connections send theirs
    /// again only in answer to a SYN. While the limits are not reached no cookies are sent.
    ///
    /// What it costs, while the limits are reached:
    ///
    /// - The program cannot decide before the client is connected:
    ///   [`TcpRequest::refuse`](crate::TcpRequest::refuse) resets the client's connection.
    /// - Window scale and SACK are kept in the timestamps, so a client without timestamps has
    ///   neither. The MSS is rounded down to one of eight values.
    /// - A client whose third packet is lost, and which waits for the program's data, learns of no
    ///   connection until it sends something.
    pub syn_cookies: bool,
    /// The most RSTs in a second in answer to segments that belong to no connection, and to SYNs that
    /// nobody listens for. Further segments are dropped and counted
    /// ([`reset_limit`](crate::Stats::reset_limit)); 0 sends none at all. A RST that the program
    /// causes, such as by [`TcpRequest::refuse`](crate::TcpRequest::refuse), is not limited. Default
    /// 1,000.
    pub resets_per_second: u32,
    /// How long a handshake may take, in both directions. A client's connection request waits for an
    /// answer for this time after the client's last SYN, and an answered request for the end of its
    /// handshake. A `connect` from this side fails with `TimedOut` after this time. Default 15 s.
    ///
    /// Clients send their SYN again after 1 s, and after longer and longer times: Linux 0, 1, 3, 7, 15,
    /// 31 and 63 s after the `connect`, since 6.5 the first five a second apart. A request therefore waits longer than this once the client repeats its
    /// SYN in longer intervals: for three times the last interval. A request whose client stays
    /// silent is over after this time. Requests expire at whole seconds, up to 1 s later.
    pub handshake_timeout: Duration,
    /// How long a connection request waits for an answer in any case, from the first SYN on, though
    /// its client goes on repeating the SYN. Default 120 s.
    pub request_timeout: Duration,
    /// How long a connection without a handle may make no progress, in FIN-WAIT-2 or with a peer
    /// that does not read. Default 60 s.
    pub orphan_timeout: Duration,
    /// The length of TIME-WAIT (2 MSL, RFC 9293, 3.6.1). Default 30 s.
    pub time_wait: Duration,
    /// The most connections in TIME-WAIT; one more ends the oldest. Default 65,536. They take at most
    /// one hundredth of the [memory](Self#structfield.memory): 33,554 with the default budget.
    pub max_time_wait: usize,
    /// Whether a RST in TIME-WAIT is ignored (RFC 1337). By default a RST at exactly RCV.NXT ends
    /// TIME-WAIT, so that a peer that has lost the connection can connect anew at once. Named like
    /// Linux's `net.ipv4.tcp_rfc1337`. Default `false`.
    pub rfc1337: bool,
    /// The most packets that wait for the device, or for each queue of it, and so many times the
    /// MTU in bytes. Connections that find no room wait their turn. Default 512.
    pub outbound_packets: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            options: TcpOptions::default(),
            max_connections: 65_536,
            memory: 1 << 30,
            idle_buffer_timeout: Duration::from_secs(1),
            backlog: 4096,
            backlog_per_source: None,
            max_half_open: 1024,
            syn_cookies: true,
            resets_per_second: 1000,
            handshake_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(120),
            orphan_timeout: Duration::from_secs(60),
            time_wait: Duration::from_secs(30),
            max_time_wait: 65_536,
            rfc1337: false,
            outbound_packets: 512,
        }
    }
}

impl Config {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        options: TcpOptions,
        max_connections: usize,
        memory: usize,
        idle_buffer_timeout: Duration,
        backlog: usize,
        backlog_per_source: Option<usize>,
        max_half_open: usize,
        syn_cookies: bool,
        resets_per_second: u32,
        handshake_timeout: Duration,
        request_timeout: Duration,
        orphan_timeout: Duration,
        time_wait: Duration,
        max_time_wait: usize,
        rfc1337: bool,
        outbound_packets: usize,
    }

    /// Checks that every value can work, so that the engine replaces none.
    ///
    /// `Builder::build` of the facade calls this method. A maximum buffer that is smaller than the
    /// initial buffer is no error, nor is a number of connections that the
    /// [memory](Self#structfield.memory) does not suffice for: their documentation says what
    /// happens.
    ///
    /// ```
    /// use brooklet_tcp::{Config, TcpOptions};
    ///
    /// assert!(Config::new().check().is_ok());
    /// let error = Config::new().options(TcpOptions::new().ttl(0)).check().unwrap_err();
    /// assert_eq!(error.to_string(), "TCP configuration: ttl of 0 cannot work; use 1");
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) with the name of the field, its value and the
    /// nearest value that can work.
    pub fn check(&self) -> io::Result<()> {
        let usable = self.clone().usable();
        let mut wrong = None;
        let mut field = |name: &str, given: &dyn fmt::Debug, usable: &dyn fmt::Debug| {
            let (given, usable) = (format!("{given:?}"), format!("{usable:?}"));
            if given != usable && wrong.is_none() {
                let why = format!("TCP configuration: {name} of {given} cannot work; use {usable}");
                wrong = Some(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
        };
        let (given, other) = (&self.options, &usable.options);
        field("recv_buffer", &given.recv_buffer, &other.recv_buffer);
        field("send_buffer", &given.send_buffer, &other.send_buffer);
        field("keepalive", &given.keepalive, &other.keepalive);
        field("user_timeout", &given.user_timeout, &other.user_timeout);
        field("linger", &given.linger, &other.linger);
        field("ttl", &given.ttl, &other.ttl);
        field("traffic_class", &given.traffic_class, &other.traffic_class);
        if self.max_connections == 0 {
            field("max_connections", &0, &1);
        }
        field("backlog", &self.backlog, &usable.backlog);
        field(
            "backlog_per_source",
            &self.backlog_per_source,
            &usable.backlog_per_source,
        );
        field("max_half_open", &self.max_half_open, &usable.max_half_open);
        field(
            "handshake_timeout",
            &self.handshake_timeout,
            &usable.handshake_timeout,
        );
        field(
            "request_timeout",
            &self.request_timeout,
            &usable.request_timeout,
        );
        wrong.map_or(Ok(()), Err)
    }

    /// The configuration with each value that cannot work replaced by the nearest that can.
    pub(crate) fn usable(self) -> Self {
        let options = self.options.usable();
        let promised = promised(
            options.recv_buffer,
            options.send_buffer,
            options.recv_buffer_max,
        );
        Self {
            options,
            max_connections: self.max_connections.max(1),
            memory: self.memory.max(promised),
            idle_buffer_timeout: usable_time(self.idle_buffer_timeout),
            // The SYN queue numbers its slots with 32 bits.
            backlog: self.backlog.clamp(1, 1 << 24),
            backlog_per_source: self.backlog_per_source.map(|most| most.max(1)),
            max_half_open: self.max_half_open.max(1),
            handshake_timeout: usable_time(self.handshake_timeout),
            request_timeout: usable_time(self.request_timeout),
            orphan_timeout: usable_time(self.orphan_timeout),
            time_wait: usable_time(self.time_wait),
            ..self
        }
    }
}

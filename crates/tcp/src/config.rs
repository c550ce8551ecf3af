use crate::TcpOptions;
use crate::memory::promised;
use crate::options::usable_time;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// What an [`Engine`](crate::Engine) is built with.
///
/// A value that cannot work is replaced by the nearest that can: a limit of 0 by 1, an MTU below
/// 576 by that, a time above 10 years by that.
///
/// ```
/// use brooklet_tcp::Config;
///
/// let config = Config { backlog: 1024, ..Config::default() };
/// assert_eq!(config.mtu, 1500);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Largest IP packet, in bytes, both ways. Default 1,500. At least 576.
    pub mtu: usize,
    /// What connections are made with, unless they are given something else.
    pub options: TcpOptions,
    /// Connections at a time, both directions. A SYN beyond them is dropped and counted, a
    /// `connect` or `accept` beyond them fails. Default 65,536.
    pub max_connections: usize,
    /// What the buffers of all connections may take together, in bytes: the receive buffers, the
    /// send buffers, and those that wait for their next use. Default 1 GiB.
    ///
    /// Only a connection that has data on its way or waiting has buffers. While there is enough
    /// they are as large as its [`TcpOptions`] say; as it runs short those that are needed next
    /// become smaller, down to 4 KiB each, with which everything goes on, more slowly. So that
    /// each can have that much, no connection gets more than an eighth of it,
    /// [`max_connections`](Self::max_connections) is lowered to what
    /// there is memory for, half of it is kept for such small buffers, and when even those would
    /// be too many a SYN is dropped and counted, and a `connect` fails.
    pub memory: usize,
    /// How long a connection keeps its buffers when nothing is under way and nothing waits.
    /// Default 1 s.
    pub sleep_after: Duration,
    /// Connection requests that may wait for an answer, of all listeners together. When one more
    /// comes, the oldest of all goes and is counted
    /// ([`backlog_full`](crate::Stats::backlog_full)). Default 4,096, of at most 256 bytes each.
    pub backlog: usize,
    /// The same for one source: an IPv4 address, or an IPv6 /64. When one more comes, the oldest
    /// of that source goes and is counted apart ([`source_full`](crate::Stats::source_full)), so
    /// that one client cannot crowd out the others. Default 256.
    pub backlog_per_source: usize,
    /// Connections that [`TcpListener::accept`](crate::TcpListener::accept) has answered and
    /// whose handshake is not done, at a time and of each listener. When one more request
    /// comes, the oldest of them is reset if it has waited for 5 ms, and counted
    /// ([`handshakes_full`](crate::Stats::handshakes_full)), so that clients that never finish shut
    /// nobody out; until then the request waits in the backlog. Default 1,024.
    pub handshakes: usize,
    /// How long a connection request may wait for an answer, and an answered one for the end of
    /// its handshake. Default 15 s.
    pub handshake_timeout: Duration,
    /// How long a connection that the application has let go may make no progress, in
    /// FIN-WAIT-2 or with a peer that does not read. Default 60 s.
    pub orphan_timeout: Duration,
    /// How long an ended connection's tuple is remembered (TIME-WAIT, RFC 9293, 3.6.1).
    /// Default 30 s.
    pub time_wait: Duration,
    /// Ended connections remembered at a time; the oldest goes first. Default 65,536.
    pub max_time_wait: usize,
    /// Packets that may wait for the device, or for each queue of it, and so many times the MTU in
    /// bytes. Connections that find no room wait their turn. Default 512.
    pub outbound_packets: usize,
    /// Whether packets are handed out that are not ready for a wire: without a TCP checksum, and
    /// several segments in the shape of one, of up to 65,535 bytes. Their
    /// [`Meta`](brooklet_io::Meta) says which. Default no; a whole stack says yes, and cuts
    /// them where the device does not.
    pub offload: bool,
    /// The IPv4 address that connections begin from when none is said. Default none.
    pub ipv4: Option<Ipv4Addr>,
    /// The IPv6 address that connections begin from when none is said. Default none.
    pub ipv6: Option<Ipv6Addr>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mtu: 1500,
            options: TcpOptions::default(),
            max_connections: 65_536,
            memory: 1 << 30,
            sleep_after: Duration::from_secs(1),
            backlog: 4096,
            backlog_per_source: 256,
            handshakes: 1024,
            handshake_timeout: Duration::from_secs(15),
            orphan_timeout: Duration::from_secs(60),
            time_wait: Duration::from_secs(30),
            max_time_wait: 65_536,
            outbound_packets: 512,
            offload: false,
            ipv4: None,
            ipv6: None,
        }
    }
}

impl Config {
    /// With what cannot work replaced by the nearest that can.
    pub(crate) fn usable(self) -> Self {
        let options = self.options.usable();
        let promised = promised(options.recv_buffer, options.send_buffer);
        let memory = self.memory.max(promised);
        Self {
            mtu: self.mtu.clamp(576, 65_535),
            options,
            max_connections: self.max_connections.min(memory / promised).max(1),
            memory,
            sleep_after: usable_time(self.sleep_after),
            // Slots are numbered by 32 bits.
            backlog: self.backlog.clamp(1, 1 << 24),
            backlog_per_source: self.backlog_per_source.max(1),
            handshakes: self.handshakes.max(1),
            handshake_timeout: usable_time(self.handshake_timeout),
            orphan_timeout: usable_time(self.orphan_timeout),
            time_wait: usable_time(self.time_wait),
            ..self
        }
    }
}

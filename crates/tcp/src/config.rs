use crate::TcpOptions;
use crate::options::usable_time;
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
    /// Connection requests that may wait for an answer. When one more comes, the oldest goes and
    /// is counted. Default 4,096, of at most a few hundred bytes each.
    pub backlog: usize,
    /// Connections that [`TcpListener::accept`](crate::TcpListener::accept) has answered and
    /// whose handshake is not done, at a time; further requests wait in the backlog.
    /// Default 1,024.
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
    /// Packets that may wait for the device. Connections that find no room wait their turn.
    /// Default 512.
    pub outbound_packets: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mtu: 1500,
            options: TcpOptions::default(),
            max_connections: 65_536,
            backlog: 4096,
            handshakes: 1024,
            handshake_timeout: Duration::from_secs(15),
            orphan_timeout: Duration::from_secs(60),
            time_wait: Duration::from_secs(30),
            max_time_wait: 65_536,
            outbound_packets: 512,
        }
    }
}

impl Config {
    /// With what cannot work replaced by the nearest that can.
    pub(crate) fn usable(self) -> Self {
        Self {
            mtu: self.mtu.clamp(576, 65_535),
            options: self.options.usable(),
            max_connections: self.max_connections.max(1),
            backlog: self.backlog.max(1),
            handshakes: self.handshakes.max(1),
            handshake_timeout: usable_time(self.handshake_timeout),
            orphan_timeout: usable_time(self.orphan_timeout),
            time_wait: usable_time(self.time_wait),
            ..self
        }
    }
}

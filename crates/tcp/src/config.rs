use std::time::Duration;

/// What an [`Engine`](crate::Engine) is built with.
///
/// A value that cannot work is replaced by the nearest that can: a limit of 0 by 1, an MTU below
/// 576 by that, a buffer below 2 KiB or above 1 GiB by those, a time above 10 years by that, and a
/// keepalive below a second by that.
///
/// ```
/// use brooklet_tcp::Config;
///
/// let config = Config { recv_buffer: 256 * 1024, ..Config::default() };
/// assert_eq!(config.mtu, 1500);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Largest IP packet, in bytes, both ways. Default 1,500. At least 576.
    pub mtu: usize,
    /// Receive buffer of a connection, in bytes: the window that its peer may fill before the
    /// application reads. Default 128 KiB.
    pub recv_buffer: usize,
    /// Send buffer of a connection, in bytes: what may be written before the peer acknowledges.
    /// Default 128 KiB.
    pub send_buffer: usize,
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
    /// How long the peer may leave data unacknowledged before the connection times out
    /// (RFC 9293, 3.8.3). `None` waits for ever. Default 5 min.
    pub user_timeout: Option<Duration>,
    /// Idle time after which the peer is asked whether it is still there; `None` never asks.
    /// Default `None`.
    pub keepalive: Option<Duration>,
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
            recv_buffer: 128 * 1024,
            send_buffer: 128 * 1024,
            max_connections: 65_536,
            backlog: 4096,
            handshakes: 1024,
            handshake_timeout: Duration::from_secs(15),
            user_timeout: Some(Duration::from_secs(300)),
            keepalive: None,
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
        // smoltcp's largest window, and a buffer below a segment would only ever probe.
        let buffer = |bytes: usize| bytes.clamp(2048, 1 << 30);
        // Moments that far off can still be added to.
        let time = |time: Duration| time.min(Duration::from_secs(10 * 365 * 86_400));
        Self {
            mtu: self.mtu.clamp(576, 65_535),
            recv_buffer: buffer(self.recv_buffer),
            send_buffer: buffer(self.send_buffer),
            max_connections: self.max_connections.max(1),
            backlog: self.backlog.max(1),
            handshakes: self.handshakes.max(1),
            handshake_timeout: time(self.handshake_timeout),
            user_timeout: self.user_timeout.map(time),
            keepalive: self
                .keepalive
                .map(|interval| time(interval).max(Duration::from_secs(1))),
            orphan_timeout: time(self.orphan_timeout),
            time_wait: time(self.time_wait),
            ..self
        }
    }
}

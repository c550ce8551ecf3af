use std::time::Duration;

/// What a connection is made with. [`Config::options`](crate::Config::options) are the defaults;
/// [`Incoming::accept_with`](crate::Incoming::accept_with) takes others for one connection.
///
/// A value that cannot work is replaced by the nearest that can: a buffer below 2 KiB or above
/// 1 GiB by those, a time above 10 years by that, a keepalive below a second by that, and a TTL of
/// 0 by 1.
///
/// ```
/// use brooklet_tcp::TcpOptions;
///
/// let options = TcpOptions { recv_buffer: 256 * 1024, ..TcpOptions::default() };
/// assert!(options.nodelay);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// Receive buffer, in bytes: the window that the peer may fill before the application reads.
    /// Default 128 KiB.
    pub recv_buffer: usize,
    /// Send buffer, in bytes: what may be written before the peer acknowledges. Default 128 KiB.
    pub send_buffer: usize,
    /// Whether small writes are sent at once (`TCP_NODELAY`), or gathered while data is under way
    /// (RFC 9293, 3.7.4). Default `true`.
    pub nodelay: bool,
    /// Idle time after which the peer is asked whether it is still there (RFC 9293, 3.8.4); `None`
    /// never asks. Default `None`.
    pub keepalive: Option<Duration>,
    /// How long the peer may leave data unacknowledged, a closed window unopened without a word,
    /// or the questions of keepalive unanswered, before the connection times out (RFC 9293, 3.8.3).
    /// `None` waits for ever. Default 5 min.
    pub user_timeout: Option<Duration>,
    /// What becomes of data that is not delivered when the last handle is dropped (`SO_LINGER`).
    /// `None`: it is delivered as long as that makes progress (see
    /// [`orphan_timeout`](crate::Config::orphan_timeout)). A time: for so long at most, and then
    /// the connection is reset; 0 resets it at once. No drop ever waits. Default `None`.
    pub linger: Option<Duration>,
    /// TTL or hop limit of the packets that are sent. Default 64.
    pub ttl: u8,
    /// How much may be under way at a time. Default [`Congestion::Cubic`].
    pub congestion: Congestion,
}

/// What limits the data under way, beside the peer's window and the buffers.
///
/// Either way a connection begins with 10 segments (RFC 6928), doubles per round trip (RFC 5681),
/// and what is lost is sent again as the peer's selective acknowledgements tell (RFC 2018, 8985).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Congestion {
    /// A loss means that the path is full: less is sent, and more again with time, as CUBIC says
    /// (RFC 9438). Right wherever packets cross a network, and without cost where none are lost.
    #[default]
    Cubic,
    /// A loss means nothing: only windows and buffers limit. For a lossy link that nobody else
    /// uses, such as a radio link to one peer; elsewhere it pushes others aside.
    None,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            recv_buffer: 128 * 1024,
            send_buffer: 128 * 1024,
            nodelay: true,
            keepalive: None,
            user_timeout: Some(Duration::from_secs(300)),
            linger: None,
            ttl: 64,
            congestion: Congestion::default(),
        }
    }
}

impl TcpOptions {
    /// With what cannot work replaced by the nearest that can.
    pub(crate) fn usable(self) -> Self {
        // smoltcp's largest window, and a buffer below a segment would only ever probe.
        let buffer = |bytes: usize| bytes.clamp(2048, 1 << 30);
        Self {
            recv_buffer: buffer(self.recv_buffer),
            send_buffer: buffer(self.send_buffer),
            keepalive: usable_keepalive(self.keepalive),
            user_timeout: self.user_timeout.map(usable_time),
            linger: self.linger.map(usable_time),
            ttl: self.ttl.max(1),
            ..self
        }
    }
}

/// A time that can still be added to any moment.
pub(crate) fn usable_time(time: Duration) -> Duration {
    time.min(Duration::from_secs(10 * 365 * 86_400))
}

/// A question a second at most.
pub(crate) fn usable_keepalive(interval: Option<Duration>) -> Option<Duration> {
    interval.map(|interval| usable_time(interval).max(Duration::from_secs(1)))
}

use crate::buffer::{min_recv, window_scale};
use crate::seq::{Micros, NEVER};
use crate::setters::setters;
use brooklet_packet::{Ecn, TrafficClass};
use std::time::Duration;

/// The options of a connection. [`Config::options`](crate::Config::options) are the defaults;
/// [`Connector::connect_with`](crate::Connector::connect_with) and
/// [`TcpRequest::accept_with`](crate::TcpRequest::accept_with) take others for one connection,
/// [`Connector::bind_with`](crate::Connector::bind_with) and
/// [`TcpListener::set_options`](crate::TcpListener::set_options) for those that a listener accepts.
/// In the crate `brooklet`, `Config` is `TcpConfig`, and `Stack` has the methods of `Connector`.
///
/// A value that cannot work is replaced by the nearest that can: a buffer below 2 KiB or above
/// 1 GiB, a time above 10 years, a keepalive or user timeout below 1 s, and a TTL of 0 are raised
/// or lowered to these limits, and so is an ACK delay below 1 ms or above 500 ms. So is a receive buffer that is too small for the unit in which a
/// window of `recv_buffer_max` is advertised: 128 KiB for 1 GiB, 1 KiB for the default. The ECN
/// codepoint of a traffic class is cleared.
///
/// ```
/// use brooklet_tcp::TcpOptions;
///
/// let options = TcpOptions::new().recv_buffer(256 * 1024).ttl(128);
/// assert!(options.nodelay);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct TcpOptions {
    /// The initial receive buffer, in bytes: the window that the peer may fill before the
    /// application reads. Default 128 KiB.
    pub recv_buffer: usize,
    /// The size in bytes that the receive buffer grows to while the window limits the peer: on
    /// paths with a long round-trip time, before an application that reads at once. The growth
    /// comes out of the stack's memory budget, and an idle connection gives it back. Default 4 MiB;
    /// at least `recv_buffer`.
    pub recv_buffer_max: usize,
    /// The initial send buffer, in bytes: what may be written before the peer acknowledges.
    /// Default 128 KiB.
    pub send_buffer: usize,
    /// The size in bytes that the send buffer grows to with the congestion window. Default 4 MiB;
    /// at least `send_buffer`.
    pub send_buffer_max: usize,
    /// Whether small writes are sent at once (`TCP_NODELAY`), or are delayed while data is in
    /// flight (Nagle's algorithm, RFC 9293, 3.7.4). Default `true`.
    pub nodelay: bool,
    /// How long an ACK waits at most for data of the application that can carry the ACK
    /// (RFC 9293, 3.8.6.3), from 1 ms to 500 ms in whole milliseconds; `None` and 0 delay no ACK.
    /// 40 ms is the shortest delay of Linux. Default `None`.
    ///
    /// Without a delay the ACK of a request waits only for the tasks that the request wakes. With a
    /// delay the answer also carries the ACK if the application needs a while for the answer. The
    /// price: a client with Nagle's algorithm that writes a request in two pieces waits for the
    /// delay, in one of 16 requests.
    ///
    /// ```
    /// use brooklet_tcp::TcpOptions;
    /// use std::time::Duration;
    ///
    /// let delay = Some(Duration::from_millis(40));
    /// let relay = TcpOptions::new().delayed_ack(delay);
    /// assert_eq!(relay.delayed_ack, delay);
    /// ```
    ///
    /// Only an interactive connection delays ACKs: one whose application has answered 16 times in a
    /// row within the delay, with pauses of at most 1 s. An answer that comes too late, loss and
    /// reordering begin this count again. The ACK of more than a full-sized segment, of a gap, of a
    /// repeated segment and of a FIN, and a window update, never wait (RFC 5681, 4.2). So a transfer
    /// in one direction is acknowledged as without the option.
    pub delayed_ack: Option<Duration>,
    /// The idle time after which a keepalive probe is sent (RFC 9293, 3.8.4), at least 1 s; `None`
    /// sends none. Default `None`.
    pub keepalive: Option<Duration>,
    /// How long the peer may leave data, window probes or keepalive probes unacknowledged before
    /// the connection times out (RFC 9293, 3.8.3), at least 1 s. `None` never times out. Default
    /// 5 min.
    pub user_timeout: Option<Duration>,
    /// What happens to data that is not delivered when the last handle is dropped (`SO_LINGER`).
    /// `None`: delivery goes on as long as it makes progress (see
    /// [`orphan_timeout`](crate::Config::orphan_timeout)). A time: delivery goes on for that time
    /// at most, and then the connection is reset; 0 resets it at once. A drop never waits. Default
    /// `None`.
    pub linger: Option<Duration>,
    /// TTL or hop limit of the packets that are sent. Default 64.
    pub ttl: u8,
    /// The traffic class of the packets that are sent: the type of service of IPv4, the traffic
    /// class of IPv6 (RFC 2474). Default 0.
    ///
    /// Only the DSCP is free to choose, as with Linux: the ECN codepoint belongs to TCP (RFC 3168,
    /// 6.1), and this TCP does not negotiate ECN, so every packet is sent as not ECN-capable.
    pub traffic_class: TrafficClass,
    /// The congestion control. Default [`Congestion::Cubic`].
    pub congestion: Congestion,
}

/// The congestion control, which limits the data in flight beside the peer's window and the
/// buffers.
///
/// With either choice a connection begins with 10 segments (RFC 6928) and slow start (RFC 5681),
/// and lost segments are found and retransmitted by selective acknowledgements and RACK-TLP
/// (RFC 2018, RFC 8985).
///
/// ```
/// use brooklet_tcp::{Congestion, TcpOptions};
///
/// assert_eq!(TcpOptions::new().congestion, Congestion::Cubic);
/// let radio = TcpOptions::new().congestion(Congestion::None);
/// # assert_ne!(radio, TcpOptions::new());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Congestion {
    /// CUBIC (RFC 9438): a loss means that the path is congested. The right choice wherever packets
    /// cross a network; it costs nothing where none are lost.
    #[default]
    Cubic,
    /// No congestion window: only windows and buffers limit the data in flight. For a lossy link
    /// without other traffic, such as a radio link to one peer; elsewhere it starves other flows.
    None,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            recv_buffer: 128 * 1024,
            recv_buffer_max: 4 * 1024 * 1024,
            send_buffer: 128 * 1024,
            send_buffer_max: 4 * 1024 * 1024,
            nodelay: true,
            delayed_ack: None,
            keepalive: None,
            user_timeout: Some(Duration::from_secs(300)),
            linger: None,
            ttl: 64,
            traffic_class: TrafficClass::default(),
            congestion: Congestion::default(),
        }
    }
}

impl TcpOptions {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        recv_buffer: usize,
        recv_buffer_max: usize,
        send_buffer: usize,
        send_buffer_max: usize,
        nodelay: bool,
        delayed_ack: Option<Duration>,
        keepalive: Option<Duration>,
        user_timeout: Option<Duration>,
        linger: Option<Duration>,
        ttl: u8,
        traffic_class: TrafficClass,
        congestion: Congestion,
    }

    /// The options with each value that cannot work replaced by the nearest that can.
    pub(crate) fn usable(self) -> Self {
        // A window cannot be larger than 1 GiB (RFC 7323, 2.3), and a buffer smaller than a segment
        // would make the peer probe.
        let buffer = |bytes: usize| bytes.clamp(2048, 1 << 30);
        let (recv, send) = (buffer(self.recv_buffer), buffer(self.send_buffer));
        // A buffer of less than a unit of its window scale could never be advertised.
        let recv = recv.max(min_recv(buffer(self.recv_buffer_max)));
        Self {
            recv_buffer: recv,
            recv_buffer_max: buffer(self.recv_buffer_max).max(recv),
            send_buffer: send,
            send_buffer_max: buffer(self.send_buffer_max).max(send),
            delayed_ack: self.delayed_ack.and_then(usable_delay),
            keepalive: self.keepalive.map(at_least_a_second),
            user_timeout: self.user_timeout.map(at_least_a_second),
            linger: self.linger.map(usable_time),
            ttl: self.ttl.max(1),
            traffic_class: without_ecn(self.traffic_class),
            ..self
        }
    }

    /// The window scale of our SYN.
    pub(crate) fn window_scale(&self) -> u8 {
        window_scale(self.recv_buffer_max.max(self.recv_buffer))
    }

    /// The options for a connection whose SYN-ACK had the window scale `shift`: usable options,
    /// with the largest receive buffer that the scale can advertise if they have another scale.
    pub(crate) fn with_window_scale(mut self, shift: u8) -> Self {
        if self.window_scale() != shift {
            self.recv_buffer_max = usize::from(u16::MAX) << shift;
            self.recv_buffer = self.recv_buffer.min(self.recv_buffer_max);
        }
        self.usable()
    }
}

/// A traffic class as a TCP without ECN may send it.
pub(crate) fn without_ecn(class: TrafficClass) -> TrafficClass {
    class.with_ecn(Ecn::NotEct)
}

/// A time of at most 10 years, which can be added to any moment.
pub(crate) fn usable_time(time: Duration) -> Duration {
    time.min(Duration::from_secs(10 * 365 * 86_400))
}

/// A time from 1 s to 10 years: probes are not sent more often, and a peer has time to answer.
pub(crate) fn at_least_a_second(time: Duration) -> Duration {
    usable_time(time).max(Duration::from_secs(1))
}

/// A delay of ACKs from 1 ms to 500 ms (RFC 9293, 3.8.6.3); a delay of 0 is none.
pub(crate) fn usable_delay(delay: Duration) -> Option<Duration> {
    let (least, most) = (Duration::from_millis(1), Duration::from_millis(500));
    (delay > Duration::ZERO).then(|| delay.clamp(least, most))
}

/// A usable time in microseconds; without one [`NEVER`].
pub(crate) fn micros(time: Option<Duration>) -> Micros {
    time.map_or(NEVER, |time| time.as_micros() as Micros)
}

/// The time that [`micros`] has made so many microseconds of.
pub(crate) fn duration(micros: Micros) -> Option<Duration> {
    (micros != NEVER).then(|| Duration::from_micros(micros))
}

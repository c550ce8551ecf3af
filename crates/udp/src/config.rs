use crate::setters::setters;

/// The limits and settings of an [`Engine`](crate::Engine).
///
/// ```
/// use brooklet_udp::Config;
///
/// let config = Config::new()
///     .inbound_packets(1024)
///     .inbound_bytes(4 << 20)
///     .outbound_packets(64)
///     .hop_limit(255);
/// assert_eq!(config.inbound_bytes, 4 * 1024 * 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct Config {
    /// The memory budget of the UDP side, in bytes: queues in both directions, sessions, sockets and
    /// tables, as [`Counters::memory`](crate::Counters::memory) lists them. Default 256 MiB, at least
    /// 64 KiB.
    ///
    /// Outbound queues take at most an eighth of the budget, and recycled buffers and path MTUs a
    /// sixteenth. The rest is for inbound datagrams, sessions and sockets: sessions and the datagrams
    /// in their queues have at most half of it each, and the limits of a
    /// [`SessionConfig`](crate::SessionConfig) are lowered to that. When the rest is used up, a
    /// datagram is dropped and counted ([`dropped_full`](crate::Stats#structfield.dropped_full)), a
    /// new session ends the least recently used one, and to bind a socket fails with
    /// [`QuotaExceeded`](std::io::ErrorKind::QuotaExceeded).
    pub memory: usize,
    /// The largest number of datagrams in the inbound queue of the
    /// [`TransparentUdpSocket`](crate::TransparentUdpSocket), and in that of each
    /// [`UdpSocket`](crate::UdpSocket). Default 512, at least 1. A datagram that finds the queue
    /// full is dropped and counted; see also the [shares](crate#shares-of-the-inbound-queue) of the
    /// sources. Sessions have the limits of their [`SessionConfig`](crate::SessionConfig).
    pub inbound_packets: usize,
    /// The largest number of bytes of payload in such a queue. Default 1 MiB. A datagram that does
    /// not fit is dropped and counted. With less than 65,507 bytes, the longest datagrams never
    /// fit.
    pub inbound_bytes: usize,
    /// The largest number of bound sockets. Default 16,384, at least 1. To bind one more fails with
    /// [`QuotaExceeded`](std::io::ErrorKind::QuotaExceeded).
    pub sockets: usize,
    /// The largest number of packets in the outbound queue, of which each queue of the device has
    /// one. Default 256, at least 1. A sender that finds the queue full waits. A batch of datagrams
    /// that are packets of their own, without [`Interface::offload`](crate::Interface#structfield.offload),
    /// may exceed the limit by 63 packets.
    pub outbound_packets: usize,
    /// An outbound queue with this many bytes in it accepts no further packet. Default 1 MiB, at
    /// least 1. The bytes exceed the limit by less than one packet, or one batch of datagrams. The
    /// buffers of the packets may take twice as much.
    pub outbound_bytes: usize,
    /// The IPv4 time to live and IPv6 hop limit of outbound packets. Default 64, at least 1.
    pub hop_limit: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            inbound_packets: 512,
            inbound_bytes: 1 << 20,
            sockets: 16_384,
            outbound_packets: 256,
            outbound_bytes: 1 << 20,
            hop_limit: 64,
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
        memory: usize,
        inbound_packets: usize,
        inbound_bytes: usize,
        sockets: usize,
        outbound_packets: usize,
        outbound_bytes: usize,
        hop_limit: u8,
    }

    /// The same settings, with 1 in place of a 0 that would stop all traffic.
    pub(crate) fn usable(self) -> Self {
        Self {
            memory: self.memory.max(64 << 10),
            inbound_packets: self.inbound_packets.max(1),
            sockets: self.sockets.max(1),
            outbound_packets: self.outbound_packets.max(1),
            outbound_bytes: self.outbound_bytes.max(1),
            hop_limit: self.hop_limit.max(1),
            ..self
        }
    }
}

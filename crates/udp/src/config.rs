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
    /// The largest number of datagrams in the inbound queue. Default 512, at least 1. A datagram
    /// that finds the queue full is dropped and counted; see also the
    /// [shares](crate#shares-of-the-inbound-queue) of the sources.
    pub inbound_packets: usize,
    /// The largest number of bytes of payload in the inbound queue. Default 1 MiB. A datagram that
    /// does not fit is dropped and counted. With less than 65,507 bytes, the longest datagrams
    /// never fit.
    pub inbound_bytes: usize,
    /// The largest number of packets in the outbound queue, of which each queue of the device has
    /// one. Default 256, at least 1. A sender that finds the queue full waits.
    pub outbound_packets: usize,
    /// The IPv4 time to live and IPv6 hop limit of outbound packets. Default 64, at least 1.
    pub hop_limit: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            inbound_packets: 512,
            inbound_bytes: 1 << 20,
            outbound_packets: 256,
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

    /// Sets [`inbound_packets`](Self#structfield.inbound_packets).
    #[must_use]
    pub fn inbound_packets(mut self, inbound_packets: usize) -> Self {
        self.inbound_packets = inbound_packets;
        self
    }

    /// Sets [`inbound_bytes`](Self#structfield.inbound_bytes).
    #[must_use]
    pub fn inbound_bytes(mut self, inbound_bytes: usize) -> Self {
        self.inbound_bytes = inbound_bytes;
        self
    }

    /// Sets [`outbound_packets`](Self#structfield.outbound_packets).
    #[must_use]
    pub fn outbound_packets(mut self, outbound_packets: usize) -> Self {
        self.outbound_packets = outbound_packets;
        self
    }

    /// Sets [`hop_limit`](Self#structfield.hop_limit).
    #[must_use]
    pub fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// The same settings, with 1 in place of a 0 that would stop all traffic.
    pub(crate) fn usable(self) -> Self {
        Self {
            inbound_packets: self.inbound_packets.max(1),
            outbound_packets: self.outbound_packets.max(1),
            hop_limit: self.hop_limit.max(1),
            ..self
        }
    }
}

/// The limits of an [`Engine`](crate::Engine).
///
/// ```
/// use brooklet_udp::Config;
///
/// let config = Config::new().inbound_packets(64);
/// assert_eq!(config.hop_limit, 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct Config {
    /// Datagrams that wait for the application, at most; 512. One that finds no room is dropped
    /// and counted. At least 1.
    pub inbound_packets: usize,
    /// Bytes of payload that wait for the application, at most; 1 MiB. One that finds no room is
    /// dropped and counted. Below 65,507 the largest datagrams can never be received.
    pub inbound_bytes: usize,
    /// Packets that wait for the device, or for each queue of it, at most; 256. A sender that
    /// finds no room waits. At least 1.
    pub outbound_packets: usize,
    /// The IPv4 time to live and IPv6 hop limit of what is sent; 64. At least 1.
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

    /// With a zero replaced where it would stop all traffic.
    pub(crate) fn usable(self) -> Self {
        Self {
            inbound_packets: self.inbound_packets.max(1),
            outbound_packets: self.outbound_packets.max(1),
            hop_limit: self.hop_limit.max(1),
            ..self
        }
    }
}

/// The limits and settings of an [`Engine`](crate::Engine).
///
/// ```
/// use brooklet_raw::{Config, EchoAction};
///
/// let config = Config::new().echo(EchoAction::Ignore).inbound_packets(64);
/// assert_eq!(config.inbound_packets, 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct Config {
    /// What happens to an echo request while there is no [policy](crate::Binder::set_echo_policy)
    /// and no [`IcmpSocket`](crate::IcmpSocket). Default [`Answer`](crate::EchoAction::Answer).
    pub echo: crate::EchoAction,
    /// The largest number of packets in the inbound queue of a socket. Default 256, at least 1.
    pub inbound_packets: usize,
    /// The largest number of bytes in the inbound queue of a socket. Default 1 MiB.
    pub inbound_bytes: usize,
    /// The largest number of packets of one source, an IPv4 address or an IPv6 /64, in the queue of
    /// the ICMP socket. Default 64, at least 1.
    pub per_source: usize,
    /// The largest number of packets in the outbound queue. Default 256, at least 1.
    pub outbound_packets: usize,
    /// The largest number of bytes in the outbound queue. Default 1 MiB. A queue without a packet
    /// takes any packet.
    pub outbound_bytes: usize,
    /// The largest number of raw sockets. Default 64.
    pub raw_sockets: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            echo: crate::EchoAction::Answer,
            inbound_packets: 256,
            inbound_bytes: 1 << 20,
            per_source: 64,
            outbound_packets: 256,
            outbound_bytes: 1 << 20,
            raw_sockets: 64,
        }
    }
}

impl Config {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`echo`](Self#structfield.echo).
    #[must_use]
    pub fn echo(mut self, echo: crate::EchoAction) -> Self {
        self.echo = echo;
        self
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

    /// Sets [`per_source`](Self#structfield.per_source).
    #[must_use]
    pub fn per_source(mut self, per_source: usize) -> Self {
        self.per_source = per_source;
        self
    }

    /// Sets [`outbound_packets`](Self#structfield.outbound_packets).
    #[must_use]
    pub fn outbound_packets(mut self, outbound_packets: usize) -> Self {
        self.outbound_packets = outbound_packets;
        self
    }

    /// Sets [`outbound_bytes`](Self#structfield.outbound_bytes).
    #[must_use]
    pub fn outbound_bytes(mut self, outbound_bytes: usize) -> Self {
        self.outbound_bytes = outbound_bytes;
        self
    }

    /// Sets [`raw_sockets`](Self#structfield.raw_sockets).
    #[must_use]
    pub fn raw_sockets(mut self, raw_sockets: usize) -> Self {
        self.raw_sockets = raw_sockets;
        self
    }

    /// The same settings, with 1 in place of a 0 that would stop all traffic.
    pub(crate) fn usable(self) -> Self {
        Self {
            inbound_packets: self.inbound_packets.max(1),
            per_source: self.per_source.max(1),
            outbound_packets: self.outbound_packets.max(1),
            ..self
        }
    }
}

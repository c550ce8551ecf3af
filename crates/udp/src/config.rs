/// The limits of an [`Engine`](crate::Engine).
///
/// ```
/// use brooklet_udp::Config;
///
/// let config = Config { inbound_packets: 64, ..Config::default() };
/// assert_eq!(config.hop_limit, 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The largest IP packet that is sent, in bytes; 1500.
    pub mtu: usize,
    /// Whether datagrams are sent over IPv6; yes.
    pub ipv6: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            inbound_packets: 512,
            inbound_bytes: 1 << 20,
            outbound_packets: 256,
            hop_limit: 64,
            mtu: 1500,
            ipv6: true,
        }
    }
}

impl Config {
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

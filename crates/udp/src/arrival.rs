use std::num::NonZeroU16;

/// How a packet came to the driver: what [`Engine::handle_packet`](crate::Engine::handle_packet)
/// cannot read from the packet itself.
///
/// ```
/// use brooklet_udp::Arrival;
/// use std::num::NonZeroU16;
///
/// // A super-packet of datagrams with 1,400 bytes each, as the device has coalesced it.
/// let arrival = Arrival::new().gso_size(NonZeroU16::new(1400));
/// assert!(!arrival.reassembled);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Arrival {
    /// The payload bytes of each datagram of a UDP segment batch (GRO); the last datagram may have
    /// fewer. `None` for a single datagram, which is the default.
    pub gso_size: Option<NonZeroU16>,
    /// Whether the packet was reassembled from fragments. Default `false`. Such a packet is not
    /// compared with the path MTU of its destination: its sender fragments already.
    pub reassembled: bool,
}

impl Arrival {
    /// Returns the default: one datagram, which arrived whole.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            gso_size: None,
            reassembled: false,
        }
    }

    /// Sets [`gso_size`](Self#structfield.gso_size).
    #[must_use]
    pub const fn gso_size(mut self, gso_size: Option<NonZeroU16>) -> Self {
        self.gso_size = gso_size;
        self
    }

    /// Sets [`reassembled`](Self#structfield.reassembled).
    #[must_use]
    pub const fn reassembled(mut self, reassembled: bool) -> Self {
        self.reassembled = reassembled;
        self
    }
}

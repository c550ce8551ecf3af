use std::num::NonZeroU16;

/// The work that a device does in place of the stack that sends to it.
///
/// The default is none: the device is given only complete packets that are no longer than the MTU.
/// The offloads apply to packets that the device sends. A packet that the device receives
/// describes itself by its [`Meta`].
///
/// ```
/// use brooklet_io::Offload;
///
/// let tun = Offload { checksum: true, tso4: true, tso6: true, uso: false };
/// assert_ne!(tun, Offload::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// The device completes the checksum of TCP and UDP packets that are
    /// [`Partial`](Checksum::Partial). The other offloads have no effect without this one.
    pub checksum: bool,
    /// The device segments TCP packets over IPv4 of up to 65,535 bytes (TSO).
    pub tso4: bool,
    /// The device segments TCP packets over IPv6 of up to 65,535 bytes of payload (TSO).
    pub tso6: bool,
    /// The device splits a packet of several UDP datagrams of one size, the last of which may be
    /// shorter, over IPv4 and IPv6 (USO).
    pub uso: bool,
}

/// The metadata of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The state of the TCP or UDP checksum.
    pub checksum: Checksum,
    /// The payload bytes of each segment or datagram of a super-packet; the last one may have
    /// fewer. The headers are those of all of them. `None` for a single packet.
    pub gso_size: Option<NonZeroU16>,
}

/// The state of a packet's TCP or UDP checksum. The checksum of the IPv4 header is always
/// complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// The packet carries its checksum. The receiver of an inbound packet verifies it.
    #[default]
    Complete,
    /// The packet carries its checksum, and the device has verified it.
    Verified,
    /// The packet carries no checksum. In an outbound packet the field holds the folded sum of
    /// the pseudo-header, not inverted, and the device adds the rest. In an inbound packet, which
    /// has crossed no wire that could have corrupted it, the field may hold anything.
    Partial,
}

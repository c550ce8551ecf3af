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
/// let tun = Offload::new().checksum(true).tso4(true).tso6(true).uso(false);
/// assert!(tun.tso4 && !tun.uso);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
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

impl Offload {
    /// The device does no work in place of the stack.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            checksum: false,
            tso4: false,
            tso6: false,
            uso: false,
        }
    }

    /// Sets [`checksum`](Self#structfield.checksum).
    #[must_use]
    pub const fn checksum(mut self, checksum: bool) -> Self {
        self.checksum = checksum;
        self
    }

    /// Sets [`tso4`](Self#structfield.tso4).
    #[must_use]
    pub const fn tso4(mut self, tso4: bool) -> Self {
        self.tso4 = tso4;
        self
    }

    /// Sets [`tso6`](Self#structfield.tso6).
    #[must_use]
    pub const fn tso6(mut self, tso6: bool) -> Self {
        self.tso6 = tso6;
        self
    }

    /// Sets [`uso`](Self#structfield.uso).
    #[must_use]
    pub const fn uso(mut self, uso: bool) -> Self {
        self.uso = uso;
        self
    }
}

/// The metadata of a packet.
///
/// ```
/// use brooklet_io::{Checksum, Meta};
/// use std::num::NonZeroU16;
///
/// // A super-packet of segments with 1,448 bytes each, whose checksums the device completes.
/// let meta = Meta::new().checksum(Checksum::Partial).gso_size(NonZeroU16::new(1448));
/// assert_eq!(meta.checksum, Checksum::Partial);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct Meta {
    /// The state of the TCP or UDP checksum.
    pub checksum: Checksum,
    /// The payload bytes of each segment or datagram of a super-packet; the last one may have
    /// fewer. The headers are those of all of them. `None` for a single packet.
    pub gso_size: Option<NonZeroU16>,
}

impl Meta {
    /// The metadata of a single packet with a complete checksum.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            checksum: Checksum::Complete,
            gso_size: None,
        }
    }

    /// Sets [`checksum`](Self#structfield.checksum).
    #[must_use]
    pub const fn checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = checksum;
        self
    }

    /// Sets [`gso_size`](Self#structfield.gso_size).
    #[must_use]
    pub const fn gso_size(mut self, gso_size: Option<NonZeroU16>) -> Self {
        self.gso_size = gso_size;
        self
    }
}

/// The state of a packet's TCP or UDP checksum. The checksum of the IPv4 header is always
/// complete.
///
/// ```
/// use brooklet_io::{Checksum, Meta};
///
/// /// Whether a receiver computes the checksum of a packet.
/// fn has_to_verify(meta: Meta) -> bool {
///     meta.checksum == Checksum::Complete
/// }
/// assert!(has_to_verify(Meta::new()));
/// assert!(!has_to_verify(Meta::new().checksum(Checksum::Verified)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
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

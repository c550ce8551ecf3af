use std::num::NonZeroU16;

/// What a device takes over from whoever sends to it.
///
/// By default nothing: then it is only ever given packets that are no longer than the MTU and
/// complete. What a device hands in does not depend on this: each packet says for itself what it
/// is, by its [`Meta`].
///
/// ```
/// use brooklet_device::Offload;
///
/// let tun = Offload { checksum: true, tcp4: true, tcp6: true, udp: false };
/// assert_ne!(tun, Offload::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// It takes TCP and UDP packets whose checksum is [`Partial`](Checksum::Partial). The others
    /// mean nothing without this.
    pub checksum: bool,
    /// It takes TCP packets over IPv4 of up to 65,535 bytes and cuts them into segments (TSO).
    pub tcp4: bool,
    /// The same over IPv6.
    pub tcp6: bool,
    /// It takes several UDP datagrams of one size (the last may be shorter) as one packet, over
    /// IPv4 and IPv6 (USO).
    pub udp: bool,
}

/// What is known of a packet beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The state of its TCP or UDP checksum.
    pub checksum: Checksum,
    /// The packet stands for several, each of which has the same headers and so many bytes of
    /// payload, of which the last may have fewer. `None`: it is what it seems to be.
    pub segment: Option<NonZeroU16>,
}

/// Whether a TCP or UDP checksum is there. That of the IPv4 header always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// It is in the packet; of one that comes in it is to be verified.
    #[default]
    Complete,
    /// It is in the packet and has been verified.
    Verified,
    /// It is not there, because the packet has not been on a wire that could have spoiled it. On
    /// the way to a device its field has the sum of the pseudo header, folded and not inverted,
    /// from which the device goes on; on the way in it may have anything.
    Partial,
}

use crate::setters::setters;
use brooklet_packet::{is_martian, udp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an [`Engine`](crate::Engine) has to know of the device and the driver that carry its
/// packets.
///
/// ```
/// use brooklet_udp::Interface;
///
/// let interface = Interface::new().mtu(9000).ipv4(Some([10, 0, 0, 2].into()));
/// assert_eq!(interface.mtu, 9000);
/// assert!(interface.ipv6_enabled && !interface.offload);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    /// The MTU of the link, in bytes. Default 1,500. The engine returns longer packets than that;
    /// the driver fragments them.
    pub mtu: usize,
    /// The IPv4 address of the stack: the source of the datagrams of a
    /// [`UdpSocket`](crate::UdpSocket) that is bound to the unspecified address. Default none.
    pub ipv4: Option<Ipv4Addr>,
    /// The IPv6 address of the stack. Default none.
    pub ipv6: Option<Ipv6Addr>,
    /// Whether datagrams are sent over IPv6. Default `true`.
    pub ipv6_enabled: bool,
    /// Whether the engine returns batches of datagrams as one packet of up to 65,535 bytes
    /// (UDP GSO), without a UDP checksum. Their [`Meta`](brooklet_io::Meta) tells. Default `false`;
    /// a driver that sets it segments the packet if the device does not.
    pub offload: bool,
}

impl Default for Interface {
    fn default() -> Self {
        Self {
            mtu: 1500,
            ipv4: None,
            ipv6: None,
            ipv6_enabled: true,
            offload: false,
        }
    }
}

impl Interface {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        mtu: usize,
        ipv4: Option<Ipv4Addr>,
        ipv6: Option<Ipv6Addr>,
        ipv6_enabled: bool,
        offload: bool,
    }

    /// The address of the stack that a packet to `to` has as its source.
    pub(crate) fn address_for(&self, to: IpAddr) -> Option<IpAddr> {
        match to {
            IpAddr::V4(_) => self.ipv4.map(IpAddr::V4),
            IpAddr::V6(_) => self.ipv6.map(IpAddr::V6),
        }
    }
}

/// Whether a host can have the address: it is unicast and neither loopback nor IPv4-mapped.
pub(crate) fn is_host(address: IpAddr) -> bool {
    !is_martian(address, address)
}

/// The longest payload of a datagram, in bytes, however it is fragmented.
pub(crate) fn longest_payload(is_ipv6: bool) -> usize {
    udp::max_payload(usize::MAX, is_ipv6)
}

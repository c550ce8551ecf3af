use crate::address::is_host;
use crate::setters::setters;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an [`Engine`](crate::Engine) has to know of the device and the driver that carry its
/// packets.
///
/// A value that cannot work is replaced by the nearest that can: an MTU below 576 by 576, one above
/// 65,535 by 65,535, and an address that no host can have (unspecified, loopback, multicast,
/// broadcast or IPv4-mapped) by none.
///
/// ```
/// use brooklet_tcp::Interface;
///
/// let interface = Interface::new().mtu(9000).ipv4(Some([10, 0, 0, 2].into()));
/// assert!(!interface.offload);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    /// The MTU of the link, in bytes: the longest IP packet. Default 1,500. At least 576.
    pub mtu: usize,
    /// The IPv4 address from which connections are opened by default. Default none.
    pub ipv4: Option<Ipv4Addr>,
    /// The IPv6 address from which connections are opened by default. Default none.
    pub ipv6: Option<Ipv6Addr>,
    /// Whether the engine returns packets that leave work to the device: packets without a TCP
    /// checksum, and packets of up to 65,535 bytes that are to be segmented. Their
    /// [`Meta`](brooklet_io::Meta) tells. Default `false`; a driver that sets it does that work
    /// if the device does not.
    pub offload: bool,
}

impl Default for Interface {
    fn default() -> Self {
        Self {
            mtu: 1500,
            ipv4: None,
            ipv6: None,
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
        offload: bool,
    }

    /// The interface with each value that cannot work replaced by the nearest that can.
    pub(crate) fn usable(self) -> Self {
        Self {
            mtu: self.mtu.clamp(576, 65_535),
            ipv4: self.ipv4.filter(|&address| is_host(IpAddr::V4(address))),
            ipv6: self.ipv6.filter(|&address| is_host(IpAddr::V6(address))),
            ..self
        }
    }
}

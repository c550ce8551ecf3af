//! The kind of a destination address.

use std::{fmt, net::IpAddr};

/// The kind of the destination address of a packet.
///
/// ```
/// use brooklet_filter::{PacketType, Rule, Verdict};
///
/// let rule = Rule::new(Verdict::Drop).packet_type(PacketType::Multicast);
/// assert_eq!(rule.to_string(), "pkttype multicast drop");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PacketType {
    /// Neither multicast nor the limited broadcast address.
    Unicast,
    /// 224.0.0.0/4 or ff00::/8.
    Multicast,
    /// The limited broadcast address, 255.255.255.255. The directed broadcast address of a network
    /// counts as unicast: only a host in that network knows it.
    Broadcast,
}

impl PacketType {
    pub(super) const NAMES: [(&str, Self); 3] = [
        ("unicast", Self::Unicast),
        ("multicast", Self::Multicast),
        ("broadcast", Self::Broadcast),
    ];

    pub(super) fn of(destination: IpAddr) -> Self {
        match destination.to_canonical() {
            IpAddr::V4(addr) if addr.is_broadcast() => Self::Broadcast,
            addr if addr.is_multicast() => Self::Multicast,
            _ => Self::Unicast,
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, known)| known == self);
        f.pad(name.map_or("", |(name, _)| name))
    }
}

//! Messages of neighbor discovery (RFC 4861).

use crate::MacAddr;
use crate::frame;
use brooklet_io::PacketBuf;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::Duration;
use smoltcp::wire::{
    EthernetAddress, EthernetProtocol, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr,
    NdiscNeighborFlags, NdiscPrefixInfoFlags, NdiscPrefixInformation, NdiscRepr, NdiscRouterFlags,
    RawHardwareAddress,
};
use std::net::Ipv6Addr;

pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The length in bytes of an IPv6 header.
const IPV6_HEADER: usize = 40;

/// The hop limit of every message: no router has forwarded the message.
const HOP_LIMIT: u8 = 255;

/// A message that a host or router receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    RouterSolicitation,
    NeighborSolicitation {
        target: Ipv6Addr,
    },
    NeighborAdvertisement {
        target: Ipv6Addr,
        solicited: bool,
        overrides: bool,
    },
    /// A router advertisement or a redirect.
    FromRouter,
}

/// A message with the addresses around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ndisc {
    pub(crate) source: Ipv6Addr,
    pub(crate) message: Message,
    /// The source or target link-layer address.
    pub(crate) mac: Option<MacAddr>,
}

/// Whether the packet, which begins with an IPv6 header, is a message of neighbor discovery.
pub(crate) fn is_ndisc(packet: &[u8]) -> bool {
    let next_header = packet.get(6).copied().map(IpProtocol::from);
    next_header == Some(IpProtocol::Icmpv6) && matches!(packet.get(IPV6_HEADER), Some(133..=137))
}

/// Returns the group in which the owner of an address is asked for (RFC 4291, 2.7.1).
pub(crate) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let low = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
}

impl Ndisc {
    /// Parses and validates a packet (RFC 4861, 6.1 and 7.1).
    pub(crate) fn parse(packet: &[u8]) -> Option<Self> {
        let ip = Ipv6Packet::new_checked(packet).ok()?;
        let (source, destination) = (ip.src_addr(), ip.dst_addr());
        let icmp = Icmpv6Packet::new_checked(ip.payload()).ok()?;
        if ip.hop_limit() != HOP_LIMIT || icmp.msg_code() != 0 || source.is_multicast() {
            return None;
        }
        let capabilities = ChecksumCapabilities::default();
        let repr = Icmpv6Repr::parse(&source, &destination, &icmp, &capabilities).ok()?;
        let Icmpv6Repr::Ndisc(repr) = repr else {
            return None;
        };
        let (message, address) = match repr {
            NdiscRepr::RouterSolicit { lladdr } => (Message::RouterSolicitation, lladdr),
            NdiscRepr::RouterAdvert { .. } | NdiscRepr::Redirect { .. } => {
                (Message::FromRouter, None)
            }
            NdiscRepr::NeighborSolicit {
                target_addr: target,
                lladdr,
            } => {
                let probe = source.is_unspecified();
                if target.is_multicast() || probe && destination != solicited_node(target) {
                    return None;
                }
                (Message::NeighborSolicitation { target }, lladdr)
            }
            NdiscRepr::NeighborAdvert {
                flags,
                target_addr: target,
                lladdr,
            } => {
                let solicited = flags.contains(NdiscNeighborFlags::SOLICITED);
                let nobody = source.is_unspecified();
                if nobody || target.is_multicast() || destination.is_multicast() && solicited {
                    return None;
                }
                let overrides = flags.contains(NdiscNeighborFlags::OVERRIDE);
                let message = Message::NeighborAdvertisement {
                    target,
                    solicited,
                    overrides,
                };
                (message, lladdr)
            }
        };
        let mac = match address {
            Some(address) => {
                let octets = address.as_bytes().first_chunk::<6>()?;
                Some(MacAddr::new(*octets)).filter(|mac| mac.is_unicast())
            }
            None => None,
        };
        // A host without an address has no link-layer address to tell of.
        if source.is_unspecified() && address.is_some() {
            return None;
        }
        Some(Self {
            source,
            message,
            mac,
        })
    }
}

/// The ends of a message to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) mac: MacAddr,
    pub(crate) to_mac: MacAddr,
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
}

impl Ends {
    fn link_layer(&self) -> Option<RawHardwareAddress> {
        Some(EthernetAddress(self.mac.octets()).into())
    }

    /// Returns a frame that asks for the MAC address of `target`.
    pub(crate) fn solicitation(&self, target: Ipv6Addr) -> PacketBuf {
        self.frame(NdiscRepr::NeighborSolicit {
            target_addr: target,
            lladdr: self.link_layer(),
        })
    }

    /// Returns a frame that tells the MAC address of `target`.
    pub(crate) fn advertisement(
        &self,
        target: Ipv6Addr,
        solicited: bool,
        overrides: bool,
    ) -> PacketBuf {
        let mut flags = NdiscNeighborFlags::ROUTER;
        flags.set(NdiscNeighborFlags::SOLICITED, solicited);
        flags.set(NdiscNeighborFlags::OVERRIDE, overrides);
        self.frame(NdiscRepr::NeighborAdvert {
            flags,
            target_addr: target,
            lladdr: self.link_layer(),
        })
    }

    /// Returns a frame that advertises the router and a prefix, with the lifetimes of RFC 4861,
    /// 6.2.1.
    pub(crate) fn router_advertisement(&self, prefix: Ipv6Addr, mtu: usize) -> PacketBuf {
        const DAY: u64 = 24 * 60 * 60;
        self.frame(NdiscRepr::RouterAdvert {
            hop_limit: 64,
            flags: NdiscRouterFlags::empty(),
            router_lifetime: Duration::from_secs(1800),
            reachable_time: Duration::ZERO,
            retrans_time: Duration::ZERO,
            lladdr: self.link_layer(),
            mtu: u32::try_from(mtu).ok(),
            prefix_info: Some(NdiscPrefixInformation {
                prefix_len: 64,
                flags: NdiscPrefixInfoFlags::ADDRCONF,
                valid_lifetime: Duration::from_secs(30 * DAY),
                preferred_lifetime: Duration::from_secs(7 * DAY),
                prefix,
            }),
        })
    }

    fn frame(&self, message: NdiscRepr<'_>) -> PacketBuf {
        let message = Icmpv6Repr::Ndisc(message);
        let ip = Ipv6Repr {
            src_addr: self.source,
            dst_addr: self.destination,
            next_header: IpProtocol::Icmpv6,
            payload_len: message.buffer_len(),
            hop_limit: HOP_LIMIT,
        };
        let mut out = PacketBuf::default();
        let (ends, len) = ((self.mac, self.to_mac), IPV6_HEADER + ip.payload_len);
        frame::begin(&mut out, ends, EthernetProtocol::Ipv6, len);
        let (header, payload) = out[frame::HEADER..].split_at_mut(IPV6_HEADER);
        ip.emit(&mut Ipv6Packet::new_unchecked(header));
        message.emit(
            &self.source,
            &self.destination,
            &mut Icmpv6Packet::new_unchecked(payload),
            &ChecksumCapabilities::default(),
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::HEADER;

    fn ends(source: &str, destination: &str) -> Ends {
        Ends {
            mac: MacAddr::new([2, 0, 0, 0, 0, 9]),
            to_mac: MacAddr::BROADCAST,
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    fn target() -> Ipv6Addr {
        "fd00::12:3456".parse().unwrap()
    }

    #[test]
    fn messages_are_parsed_as_they_were_written() {
        let ends = ends("fe80::9", "fd00::1");
        let mac = Some(ends.mac);
        let source = ends.source;
        let target = target();
        for (frame, message) in [
            (
                ends.solicitation(target),
                Message::NeighborSolicitation { target },
            ),
            (
                ends.advertisement(target, true, false),
                Message::NeighborAdvertisement {
                    target,
                    solicited: true,
                    overrides: false,
                },
            ),
        ] {
            assert!(is_ndisc(&frame[HEADER..]));
            let wanted = Ndisc {
                source,
                message,
                mac,
            };
            assert_eq!(Ndisc::parse(&frame[HEADER..]), Some(wanted));
        }
        let advertisement = ends.router_advertisement("fd01::".parse().unwrap(), 1500);
        let parsed = Ndisc::parse(&advertisement[HEADER..]).unwrap();
        assert_eq!(parsed.message, Message::FromRouter);
    }

    #[test]
    fn invalid_messages_are_refused() {
        let good = ends("fe80::9", "ff02::1:ff12:3456").solicitation(target());
        assert!(Ndisc::parse(&good[HEADER..]).is_some());
        // The hop limit, the code, the checksum.
        for at in [7, 41, 43] {
            let mut bad = good.to_vec();
            bad[HEADER + at] ^= 1;
            assert_eq!(Ndisc::parse(&bad[HEADER..]), None, "byte {at}");
        }
        for frame in [
            ends("ff02::9", "fd00::1").solicitation(target()),
            ends("fe80::9", "fd00::1").solicitation(ALL_NODES),
            // A probe with a link-layer address.
            ends("::", "ff02::1:ff12:3456").solicitation(target()),
            ends("::", "fd00::1").solicitation(target()),
            ends("::", "ff02::1").advertisement(target(), false, true),
            ends("fe80::9", "ff02::1").advertisement(target(), true, true),
        ] {
            assert_eq!(Ndisc::parse(&frame[HEADER..]), None, "{frame:?}");
        }
    }

    #[test]
    fn an_address_has_its_solicited_node_group() {
        // RFC 4291, 2.7.1
        let address = "4037::01:800:200e:8c6c".parse().unwrap();
        assert_eq!(solicited_node(address).to_string(), "ff02::1:ff0e:8c6c");
    }
}

//! Requests to rtnetlink (RFC 3549) in the network namespace of the calling thread.
//!
//! `/sys/class/net` would answer some of them, but of the network namespace in which `/sys` was
//! mounted.

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, Nla,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoTun, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::io::Errno;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An interface as the kernel describes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) up: bool,
    /// In bytes.
    pub(super) mtu: u32,
    /// In packets.
    pub(super) tx_queue_len: u32,
    /// For a TUN or TAP; `None` before Linux 4.17.
    pub(super) tun: Option<TunInfo>,
}

/// The part of a [`Link`] that only TUN and TAP devices have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TunInfo {
    /// The device was made for several queues.
    pub(super) multi_queue: bool,
    /// Those who are attached have packet information in front of each packet, or the last who was
    /// had it.
    pub(super) packet_info: bool,
    /// Those who are attached have virtio-net headers, or the last who was had them.
    pub(super) vnet_hdr: bool,
    /// The number of open queues, of a device for several.
    pub(super) queues: u32,
}

// linux/if_link.h, of which the crate has no names.
const IFLA_TUN_PI: u16 = 4;
const IFLA_TUN_VNET_HDR: u16 = 5;
const IFLA_TUN_MULTI_QUEUE: u16 = 7;
const IFLA_TUN_NUM_QUEUES: u16 = 8;

/// A socket to the kernel.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        // Messages of other processes do not arrive.
        socket.connect(&SocketAddr::new(0, 0))?;
        // The kernel selects by interface what it lists, from Linux 4.20 on: a router has many
        // routes. The answers are selected here all the same.
        let _ = socket.set_netlink_get_strict_chk(true);
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Returns the interface of this name; `None` if there is none.
    pub(super) fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::IfName(name.into())];
        match self.request(RouteNetlinkMessage::GetLink(message), 0) {
            Ok(answers) => Ok(answers.into_iter().find_map(|answer| match answer {
                RouteNetlinkMessage::NewLink(link) => Some(parse_link(&link)),
                _ => None,
            })),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn set_mtu(&mut self, index: u32, bytes: u16) -> io::Result<()> {
        self.set_link(index, LinkAttribute::Mtu(bytes.into()))
    }

    pub(super) fn set_tx_queue_len(&mut self, index: u32, packets: u32) -> io::Result<()> {
        self.set_link(index, LinkAttribute::TxQueueLen(packets))
    }

    fn set_link(&mut self, index: u32, attribute: LinkAttribute) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes = vec![attribute];
        self.request(RouteNetlinkMessage::SetLink(message), 0)?;
        Ok(())
    }

    pub(super) fn set_up(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.request(RouteNetlinkMessage::SetLink(message), 0)?;
        Ok(())
    }

    /// Returns the addresses of an interface.
    pub(super) fn addresses(&mut self, index: u32) -> io::Result<Vec<IpAddr>> {
        let mut selection = AddressMessage::default();
        selection.header.index = index;
        let answers = self.request(RouteNetlinkMessage::GetAddress(selection), NLM_F_DUMP)?;
        let own = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewAddress(message) => {
                (message.header.index == index).then_some(message)
            }
            _ => None,
        });
        // Of a point-to-point link, ADDRESS is the other end's; IPv6 has no LOCAL otherwise.
        Ok(own
            .filter_map(|message| {
                let address = |attribute: &_| match attribute {
                    AddressAttribute::Address(address) => Some(*address),
                    _ => None,
                };
                let local = |attribute: &_| match attribute {
                    AddressAttribute::Local(address) => Some(*address),
                    _ => None,
                };
                let attributes = &message.attributes;
                (attributes.iter().find_map(local)).or_else(|| attributes.iter().find_map(address))
            })
            .collect())
    }

    pub(super) fn add_address(&mut self, index: u32, address: IpAddr, len: u8) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = len;
        message.header.index = index;
        message.attributes = vec![
            AddressAttribute::Local(address),
            AddressAttribute::Address(address),
        ];
        let request = RouteNetlinkMessage::NewAddress(message);
        self.request(request, NLM_F_CREATE | NLM_F_EXCL)?;
        Ok(())
    }

    /// Returns the networks that the main table routes to an interface.
    pub(super) fn routes(&mut self, index: u32) -> io::Result<Vec<(IpAddr, u8)>> {
        let mut selection = RouteMessage::default();
        selection.attributes = vec![RouteAttribute::Oif(index)];
        let answers = self.request(RouteNetlinkMessage::GetRoute(selection), NLM_F_DUMP)?;
        Ok(answers
            .into_iter()
            .filter_map(|answer| match answer {
                RouteNetlinkMessage::NewRoute(route) => parse_route(&route, index),
                _ => None,
            })
            .collect())
    }

    pub(super) fn add_route(&mut self, index: u32, network: IpAddr, len: u8) -> io::Result<()> {
        let mut message = RouteMessage::default();
        message.header = RouteHeader {
            address_family: family(network),
            destination_prefix_length: len,
            table: RouteHeader::RT_TABLE_MAIN,
            protocol: RouteProtocol::Static,
            scope: match network {
                IpAddr::V4(_) => RouteScope::Link,
                IpAddr::V6(_) => RouteScope::Universe,
            },
            kind: RouteType::Unicast,
            ..RouteHeader::default()
        };
        message.attributes = vec![RouteAttribute::Oif(index)];
        if len > 0 {
            let network = RouteAddress::from(network);
            message
                .attributes
                .push(RouteAttribute::Destination(network));
        }
        let request = RouteNetlinkMessage::NewRoute(message);
        self.request(request, NLM_F_CREATE | NLM_F_EXCL)?;
        Ok(())
    }

    /// Sends a request, and returns the messages that the kernel answers before its
    /// acknowledgement. A message that cannot be parsed is passed over: it describes something
    /// newer than this program.
    fn request(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;

        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            let mut rest = &datagram[..];
            // struct nlmsghdr begins with the length of its message, and each message at a
            // multiple of four.
            while let Some(len) = rest.first_chunk().map(|len| u32::from_ne_bytes(*len)) {
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let Some(message) = rest.get(..len).filter(|message| !message.is_empty()) else {
                    return Err(io::Error::other("rtnetlink's answer is cut off"));
                };
                rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
                let Ok(message) = NetlinkMessage::deserialize(message) else {
                    continue;
                };
                match message.payload {
                    NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(error.to_io());
                    }
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(answers),
                    _ => {}
                }
            }
        }
    }
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn parse_link(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        up: message.header.flags.contains(LinkFlags::Up),
        ..Link::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Mtu(bytes) => link.mtu = *bytes,
            LinkAttribute::TxQueueLen(packets) => link.tx_queue_len = *packets,
            LinkAttribute::LinkInfo(info) => {
                link.tun = info.iter().find_map(|info| match info {
                    LinkInfo::Data(InfoData::Tun(attributes)) => parse_tun(attributes),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    link
}

fn parse_tun(attributes: &[InfoTun]) -> Option<TunInfo> {
    // A `__u8` or a `__u32`.
    let number = |kind| {
        let attribute = attributes.iter().find(|a| a.kind() == kind)?;
        let mut value = vec![0; attribute.value_len()];
        attribute.emit_value(&mut value);
        match value[..] {
            [byte] => Some(byte.into()),
            _ => Some(u32::from_ne_bytes(value.try_into().ok()?)),
        }
    };
    Some(TunInfo {
        multi_queue: number(IFLA_TUN_MULTI_QUEUE)? != 0,
        packet_info: number(IFLA_TUN_PI)? != 0,
        vnet_hdr: number(IFLA_TUN_VNET_HDR)? != 0,
        queues: number(IFLA_TUN_NUM_QUEUES).unwrap_or(0),
    })
}

fn parse_route(message: &RouteMessage, index: u32) -> Option<(IpAddr, u8)> {
    let mut destination = match message.header.address_family {
        AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let mut own = false;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(oif) => own = *oif == index,
            RouteAttribute::Destination(RouteAddress::Inet(network)) => {
                destination = (*network).into();
            }
            RouteAttribute::Destination(RouteAddress::Inet6(network)) => {
                destination = (*network).into();
            }
            _ => {}
        }
    }
    let main = message.header.table == RouteHeader::RT_TABLE_MAIN;
    (own && main).then_some((destination, message.header.destination_prefix_length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_no_tun_and_a_missing_one_is_none() {
        let mut netlink = Netlink::open().unwrap();
        let lo = netlink.link("lo").unwrap().unwrap();
        assert_eq!((lo.index, lo.tun), (1, None));
        assert_eq!(netlink.link("no-such-thing").unwrap(), None);
    }

    #[test]
    fn an_error_of_the_kernel_is_returned() {
        let mut netlink = Netlink::open().unwrap();
        let error = netlink.set_up(u32::MAX >> 1).unwrap_err();
        let code = Errno::from_io_error(&error);
        assert!(matches!(code, Some(Errno::NODEV | Errno::PERM)), "{error}");
    }
}

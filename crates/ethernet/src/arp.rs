//! Messages of ARP (RFC 826) for IPv4 on Ethernet.

use crate::MacAddr;
use crate::frame;
use brooklet_io::PacketBuf;
use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetProtocol};
use std::net::Ipv4Addr;

/// An ARP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arp {
    pub(crate) request: bool,
    pub(crate) sender: (Ipv4Addr, MacAddr),
    pub(crate) target: (Ipv4Addr, MacAddr),
}

impl Arp {
    /// Parses the payload of a frame; `None` if the payload is neither a request nor a reply for
    /// IPv4 on Ethernet from one host.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let repr = ArpRepr::parse(&ArpPacket::new_checked(payload).ok()?).ok()?;
        let ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr,
            source_protocol_addr,
            target_hardware_addr,
            target_protocol_addr,
        } = repr
        else {
            return None;
        };
        let mac = MacAddr::from(source_hardware_addr.0);
        // 0.0.0.0 is the sender of a probe (RFC 5227, 1.1).
        let host = source_protocol_addr.is_unspecified()
            || brooklet_packet::is_unicast(source_protocol_addr.into());
        let request = match operation {
            ArpOperation::Request => true,
            ArpOperation::Reply => false,
            ArpOperation::Unknown(_) => return None,
        };
        (mac.is_unicast() && host).then_some(Self {
            request,
            sender: (source_protocol_addr, mac),
            target: (target_protocol_addr, target_hardware_addr.0.into()),
        })
    }

    /// Returns a frame to `destination` with the message.
    pub(crate) fn frame(&self, destination: MacAddr) -> PacketBuf {
        let repr = ArpRepr::EthernetIpv4 {
            operation: match self.request {
                true => ArpOperation::Request,
                false => ArpOperation::Reply,
            },
            source_hardware_addr: EthernetAddress(self.sender.1.octets()),
            source_protocol_addr: self.sender.0,
            target_hardware_addr: EthernetAddress(self.target.1.octets()),
            target_protocol_addr: self.target.0,
        };
        let mut out = PacketBuf::default();
        let ends = (self.sender.1, destination);
        frame::begin(&mut out, ends, EthernetProtocol::Arp, repr.buffer_len());
        repr.emit(&mut ArpPacket::new_unchecked(&mut out[frame::HEADER..]));
        out
    }
}

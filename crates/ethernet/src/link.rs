//! The state of the link, without I/O: frames and packets go in, frames and packets come out.

use crate::config::Config;
use crate::frame::{self, Frame, FrameError, HEADER, TAG};
use crate::ndisc;
use crate::neighbors::{Evidence, Learned, Neighbors, Route};
use crate::{DropCounter, DropReason, MacAddr};
use brooklet_io::PacketBuf;
use smoltcp::wire::EthernetProtocol;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

mod messages;

/// The bound of the messages of ARP and neighbor discovery to send.
const CONTROL: usize = 64;

/// What becomes of a packet to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outbound {
    /// Send the packet to this MAC address.
    To(MacAddr),
    /// The packet was queued or dropped.
    Taken,
}

#[derive(Debug)]
pub(crate) struct Link {
    config: Config,
    mtu: usize,
    link_local: Ipv6Addr,
    neighbors: Neighbors,
    /// Messages of ARP and neighbor discovery to send.
    control: VecDeque<PacketBuf>,
    /// Frames of packets whose neighbor was resolved. While there is one, no packet is taken, so
    /// that there are no more than were queued in the table.
    resolved: VecDeque<PacketBuf>,
    started: bool,
    /// The next router advertisement, and the last one.
    advertise_at: Option<Instant>,
    advertised: Option<Instant>,
    /// The last defence of an address.
    defended: Option<Instant>,
    drops: DropCounter,
}

impl Link {
    pub(crate) fn new(config: Config, mtu: usize) -> Self {
        let drops = DropCounter::default();
        Self {
            mtu,
            link_local: config.mac.link_local(),
            neighbors: Neighbors::new(
                config.neighbors,
                config.queue,
                config.lifetime,
                drops.clone(),
            ),
            control: VecDeque::new(),
            resolved: VecDeque::new(),
            started: false,
            advertise_at: None,
            advertised: None,
            defended: None,
            config,
            drops,
        }
    }

    pub(crate) fn mtu(&self) -> usize {
        self.mtu
    }

    pub(crate) fn drops(&self) -> &DropCounter {
        &self.drops
    }

    pub(crate) fn neighbors(&self) -> usize {
        self.neighbors.len()
    }

    pub(crate) fn mac(&self) -> MacAddr {
        self.config.mac
    }

    /// Takes a received frame. Returns whether `packet` is now the packet of the frame.
    pub(crate) fn handle_frame(
        &mut self,
        now: Instant,
        received: &PacketBuf,
        packet: &mut PacketBuf,
    ) -> bool {
        match self.receive(now, received, packet) {
            Ok(delivered) => delivered,
            Err(reason) => {
                self.drops.add(reason);
                false
            }
        }
    }

    fn receive(
        &mut self,
        now: Instant,
        received: &PacketBuf,
        packet: &mut PacketBuf,
    ) -> Result<bool, DropReason> {
        let frame = Frame::parse(received).map_err(|error| match error {
            FrameError::Runt => DropReason::Runt,
            FrameError::Vlan => DropReason::Vlan,
        })?;
        if !frame.source.is_unicast() || frame.source == self.config.mac {
            return Err(DropReason::InvalidSource);
        }
        let group = !frame.destination.is_unicast();
        if !group && frame.destination != self.config.mac {
            return Err(DropReason::OtherDestination);
        }
        let super_packet = received.meta().gso_size.is_some();
        let longest = HEADER + TAG + self.mtu;
        if received.len() > longest && !super_packet {
            return Err(DropReason::Giant);
        }
        let payload = &received[frame.payload.clone()];
        let (source, destination, total_len) = match frame.protocol {
            EthernetProtocol::Arp => return self.handle_arp(now, &frame, payload).map(|()| false),
            EthernetProtocol::Ipv4 => parse_ipv4(payload),
            EthernetProtocol::Ipv6 => parse_ipv6(payload),
            EthernetProtocol::Unknown(_) => return Err(DropReason::UnknownProtocol),
        }
        .ok_or(DropReason::Malformed)?;
        match destination {
            IpAddr::V4(to) => {
                if group && !to.is_multicast() && !self.config.is_broadcast(to) {
                    return Err(DropReason::UnicastInBroadcast);
                }
            }
            IpAddr::V6(_) => {
                if ndisc::is_ndisc(payload) {
                    return self.handle_ndisc(now, &frame, payload).map(|()| false);
                }
            }
        }
        if self.config.learn
            && brooklet_packet::is_unicast(source)
            && !brooklet_packet::is_martian(source, destination)
            && !self.is_own(source)
        {
            self.learn(now, source, frame.source, Evidence::Packet);
        }
        // Short frames are padded to 60 bytes (IEEE 802.3).
        let len = match super_packet {
            true => payload.len(),
            false => total_len.min(payload.len()),
        };
        if len > self.mtu && !super_packet {
            return Err(DropReason::Giant);
        }
        packet.copy_from_slice(&payload[..len]);
        packet.set_meta(received.meta());
        Ok(true)
    }

    /// Takes a packet to send.
    pub(crate) fn send(&mut self, now: Instant, packet: &PacketBuf) -> Outbound {
        let parsed = match packet.first().map(|first| first >> 4) {
            Some(4) => parse_ipv4(packet),
            Some(6) => parse_ipv6(packet),
            _ => None,
        };
        let Some((source, destination, _)) = parsed else {
            return self.drop_outbound(DropReason::NotIp);
        };
        if packet.len() > self.mtu && packet.meta().gso_size.is_none() {
            return self.drop_outbound(DropReason::TooLong);
        }
        if destination.is_multicast() {
            return Outbound::To(MacAddr::of_group(destination));
        }
        if let IpAddr::V4(to) = destination
            && self.config.is_broadcast(to)
        {
            return Outbound::To(MacAddr::BROADCAST);
        }
        match self.neighbors.route(now, destination, packet) {
            Route::Known(mac) => Outbound::To(mac),
            Route::Check(mac) => {
                self.ask(destination, Some(mac), source);
                Outbound::To(mac)
            }
            Route::Ask => {
                self.ask(destination, None, source);
                Outbound::Taken
            }
            Route::Queued => Outbound::Taken,
        }
    }

    fn drop_outbound(&self, reason: DropReason) -> Outbound {
        self.drops.add(reason);
        Outbound::Taken
    }

    /// Sets `frame` to the frame that carries `packet`.
    pub(crate) fn encapsulate(&self, to: MacAddr, packet: &PacketBuf, frame: &mut PacketBuf) {
        let protocol = match packet.first().map(|first| first >> 4) {
            Some(6) => EthernetProtocol::Ipv6,
            _ => EthernetProtocol::Ipv4,
        };
        frame::begin(frame, (self.config.mac, to), protocol, packet.len());
        frame[HEADER..].copy_from_slice(packet);
        frame.set_meta(packet.meta());
    }

    /// Returns the next frame that the link itself sends. Frames come before packets.
    pub(crate) fn poll_transmit(&mut self) -> Option<PacketBuf> {
        self.control
            .pop_front()
            .or_else(|| self.resolved.pop_front())
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) has work.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let ends = [self.neighbors.deadline(), self.advertise_at];
        ends.into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for (ip, mac, packet) in self.neighbors.handle_timeout(now) {
            let source = packet.and_then(|packet| match ip {
                IpAddr::V4(_) => parse_ipv4(&packet),
                IpAddr::V6(_) => parse_ipv6(&packet),
            });
            let nobody = match ip {
                IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            self.ask(ip, mac, source.map_or(nobody, |(source, _, _)| source));
        }
        if self.advertise_at.is_some_and(|at| at <= now) {
            self.advertise(now);
        }
    }

    /// Whether an address is one of the adapter's.
    fn is_own(&self, ip: IpAddr) -> bool {
        ip == self.link_local || self.config.addresses.iter().any(|own| own.ip == ip)
    }

    fn learn(&mut self, now: Instant, ip: IpAddr, mac: MacAddr, evidence: Evidence) {
        match self.neighbors.learn(now, ip, mac, evidence) {
            Learned::Noted => {}
            Learned::Locked => self.drops.add(DropReason::Flapping),
            Learned::Resolved(mac, packets) => {
                for packet in packets {
                    let mut frame = PacketBuf::default();
                    self.encapsulate(mac, &packet, &mut frame);
                    self.resolved.push_back(frame);
                }
            }
        }
    }

    /// Queues a message of ARP or neighbor discovery.
    fn send_control(&mut self, frame: PacketBuf) {
        if self.control.len() >= CONTROL {
            self.drops.add(DropReason::ControlQueueFull);
            return;
        }
        self.control.push_back(frame);
    }
}

/// Returns source, destination and length of a packet with a whole IPv4 header. The stack checks
/// the rest.
fn parse_ipv4(packet: &[u8]) -> Option<(IpAddr, IpAddr, usize)> {
    let header = packet.first_chunk::<20>()?;
    let [_, _, len_0, len_1, .., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    let total_len = u16::from_be_bytes([len_0, len_1]);
    (header[0] >> 4 == 4).then_some((
        [s0, s1, s2, s3].into(),
        [d0, d1, d2, d3].into(),
        // A length below the header is left to the stack, with all bytes.
        match total_len {
            20.. => total_len.into(),
            _ => packet.len(),
        },
    ))
}

/// As [`parse_ipv4`], of IPv6.
fn parse_ipv6(packet: &[u8]) -> Option<(IpAddr, IpAddr, usize)> {
    let header = packet.first_chunk::<40>()?;
    let address = |at: usize| {
        let octets: [u8; 16] = header[at..at + 16].try_into().ok()?;
        Some(IpAddr::from(octets))
    };
    let payload_len = u16::from_be_bytes([header[4], header[5]]);
    (header[0] >> 4 == 6).then_some((address(8)?, address(24)?, 40 + usize::from(payload_len)))
}

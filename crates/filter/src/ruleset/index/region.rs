//! The packets of a rule as products of prefixes and ranges.

use super::super::matches::icmp_type;
use super::super::packet_type::PacketType;
use super::super::rule::{FlagsMatch, Rule};
use super::super::set::Set;
use crate::criteria::{has_ports, within};
use crate::{IpNet, Ports};
use brooklet_packet::{Packet, Protocol};
use std::net::IpAddr;

/// The most regions that a rule is divided into, unless one of its lists alone is longer.
const MAX_REGIONS: usize = 4096;

/// A range of numbers, with both ends included.
pub(super) type Range = (u32, u32);

/// All numbers.
pub(super) const ALL: Range = (0, u32::MAX);

/// The bit of a port number that tells that the packet has ports, or an ICMP type.
const PRESENT: u32 = 1 << 16;

/// A number for what a packet is addressed to behind the IP header: the protocol, and the destination
/// port, or the type and code of an ICMP message.
fn service(protocol: Protocol, port: Option<u16>) -> u32 {
    u32::from(u8::from(protocol)) << 17 | port_number(port)
}

fn port_number(port: Option<u16>) -> u32 {
    port.map_or(0, |port| PRESENT | u32::from(port))
}

/// The fields of a packet that the index looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) destination: IpAddr,
    pub(super) source: IpAddr,
    pub(super) service: u32,
    pub(super) source_port: u32,
    pub(super) dscp: u8,
    /// The flags of a TCP segment.
    pub(super) flags: Option<u8>,
    pub(super) packet_type: PacketType,
}

impl Fields {
    pub(super) fn new(packet: &Packet<'_>) -> Self {
        let (protocol, key) = (packet.protocol(), packet.key());
        let (source, destination) = key.addresses();
        let (from, to) = match protocol {
            Protocol::Icmpv4 | Protocol::Icmpv6 => {
                let kind = icmp_type(packet).map(|kind| u16::from(kind) << 8);
                (None, kind)
            }
            _ if has_ports(packet) => {
                let (from, to) = key.ports();
                (Some(from), Some(to))
            }
            _ => (None, None),
        };
        Self {
            destination,
            source,
            service: service(protocol, to),
            source_port: port_number(from),
            dscp: packet.traffic_class().dscp(),
            flags: packet.tcp().map(|tcp| tcp.flags.bits()),
            packet_type: PacketType::of(destination),
        }
    }
}

/// A set of DSCPs: bit 46 is set if 46 is one of them.
pub(super) const EVERY_DSCP: u64 = u64::MAX;

/// A part of the packets that a rule matches: those whose fields are in each of the ranges. The rule
/// matches no packet outside of its regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Region {
    pub(super) rule: u32,
    /// Whether the rule has conditions that the region leaves out, beside the direction.
    pub(super) more: bool,
    pub(super) destination: Option<IpNet>,
    pub(super) source: Option<IpNet>,
    pub(super) service: Range,
    pub(super) source_port: Range,
    pub(super) dscps: u64,
    pub(super) flags: Option<FlagsMatch>,
    pub(super) packet_type: Option<PacketType>,
}

impl Region {
    /// Whether the region restricts no field, so that the rule matches every packet.
    pub(super) fn is_everything(&self) -> bool {
        !self.more
            && self.destination.is_none()
            && self.source.is_none()
            && self.service == ALL
            && self.source_port == ALL
            && self.dscps == EVERY_DSCP
            && self.flags.is_none()
            && self.packet_type.is_none()
    }

    /// Returns what tells regions of different rules apart: a region with the packets of an earlier
    /// one decides nothing. Conditions that a region leaves out are those of its rule.
    pub(super) fn packets(&self) -> Self {
        let rule = if self.more { self.rule } else { 0 };
        Self { rule, ..*self }
    }

    /// Whether a packet with these fields is in the region.
    pub(super) fn contains(&self, fields: &Fields) -> bool {
        let is_in = |range: Range, number| (range.0..=range.1).contains(&number);
        is_in(self.service, fields.service)
            && is_in(self.source_port, fields.source_port)
            && self
                .destination
                .is_none_or(|net| within(net, fields.destination))
            && self.source.is_none_or(|net| within(net, fields.source))
            && self.dscps >> fields.dscp & 1 == 1
            && self.flags.is_none_or(|flags| flags.matches(fields.flags))
            && self
                .packet_type
                .is_none_or(|wanted| wanted == fields.packet_type)
    }
}

/// Returns the regions of a rule. The list of a field counts as no condition if the product of all
/// lists would be too large.
pub(super) fn regions(number: u32, rule: &Rule, regions: &mut Vec<Region>) {
    let (mut destinations, destinations_left) = networks(&rule.destination);
    let (mut sources, sources_left) = networks(&rule.source);
    let (mut services, services_left) = services(rule);
    let (mut ports, ports_left) = source_ports(rule);
    let mut more = destinations_left || sources_left || services_left || ports_left;
    let dscps = dscps(&rule.dscp);
    if dscps == 0 {
        return;
    }
    loop {
        let lens = [
            destinations.len(),
            sources.len(),
            services.len(),
            ports.len(),
        ];
        let longest = lens.into_iter().max().unwrap_or_default();
        let product = lens.into_iter().fold(1, usize::saturating_mul);
        if product <= longest.max(MAX_REGIONS) {
            break;
        }
        // At least two lists have more than one entry.
        let shortest = lens.into_iter().filter(|len| *len > 1).min();
        more = true;
        if Some(ports.len()) == shortest {
            ports = vec![ALL];
        } else if Some(services.len()) == shortest {
            services = vec![ALL];
        } else if Some(sources.len()) == shortest {
            sources = vec![None];
        } else {
            destinations = vec![None];
        }
    }
    for &destination in &destinations {
        for &source in &sources {
            for &service in &services {
                regions.extend(ports.iter().map(|&source_port| Region {
                    rule: number,
                    more,
                    destination,
                    source,
                    service,
                    source_port,
                    dscps,
                    flags: rule.tcp_flags,
                    packet_type: rule.packet_type,
                }));
            }
        }
    }
}

fn dscps(set: &Option<Set<u8>>) -> u64 {
    let Some(set) = set else { return EVERY_DSCP };
    let listed = set.values.iter().fold(0, |all, dscp| all | 1 << dscp);
    if set.negated { !listed } else { listed }
}

/// Returns the networks, and whether the condition is left out of the regions.
fn networks(set: &Option<Set<IpNet>>) -> (Vec<Option<IpNet>>, bool) {
    match set {
        None => (vec![None], false),
        Some(set) if set.negated => (vec![None], true),
        Some(set) => (set.values.iter().copied().map(Some).collect(), false),
    }
}

fn source_ports(rule: &Rule) -> (Vec<Range>, bool) {
    match &rule.source_port {
        None => (vec![ALL], false),
        Some(set) if set.negated => (vec![with_port(0, Ports::from(0..=u16::MAX))], true),
        Some(set) => (
            set.values
                .iter()
                .map(|ports| with_port(0, *ports))
                .collect(),
            false,
        ),
    }
}

fn services(rule: &Rule) -> (Vec<Range>, bool) {
    let any_port = [Ports::from(0..=u16::MAX)];
    let (ports, left) = match (&rule.destination_port, &rule.icmp_type) {
        (Some(set), _) if set.negated => (any_port.to_vec(), true),
        (Some(set), _) => (set.values.clone(), false),
        (None, Some(set)) if set.negated => (any_port.to_vec(), true),
        (None, Some(set)) => (set.values.iter().copied().map(codes).collect(), false),
        (None, None) => {
            let all = |protocol| (service(protocol, None), service(protocol, Some(u16::MAX)));
            return (vec![rule.protocol.map_or(ALL, all)], false);
        }
    };
    let protocols = match rule.protocol {
        Some(protocol) => vec![protocol],
        None => vec![Protocol::Tcp, Protocol::Udp],
    };
    let of = |protocol| {
        let ports = ports.iter();
        ports.map(move |ports| with_port(service(protocol, None), *ports))
    };
    (protocols.into_iter().flat_map(of).collect(), left)
}

/// All codes of an ICMP type.
fn codes(kind: u8) -> Ports {
    Ports::from(u16::from_be_bytes([kind, 0])..=u16::from_be_bytes([kind, u8::MAX]))
}

fn with_port(base: u32, ports: Ports) -> Range {
    (
        base | port_number(Some(ports.first)),
        base | port_number(Some(ports.last)),
    )
}

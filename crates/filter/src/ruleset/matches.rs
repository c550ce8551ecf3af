//! Which packets a rule matches.

use super::packet_type::PacketType;
use super::rule::Rule;
use super::set::Set;
use crate::criteria::{has_ports, within};
use crate::{Direction, IpNet, Match, Ports};
use brooklet_packet::Packet;

/// Each condition is compared with the packet. [`Ruleset`](crate::Ruleset) finds the rule by an index
/// instead.
impl Match for Rule {
    fn matches(&self, packet: &Packet<'_>, direction: Direction) -> bool {
        let (source, destination) = packet.key().addresses();
        let (source_port, destination_port) = packet.key().ports();
        let has_ports = || has_ports(packet);
        let is_in = |networks: &Set<IpNet>, addr| networks.matches(|net| within(*net, addr));
        let is_of =
            |ports: &Set<Ports>, port| has_ports() && ports.matches(|ports| ports.contain(port));
        self.direction.is_none_or(|wanted| wanted == direction)
            && self
                .packet_type
                .is_none_or(|wanted| wanted == PacketType::of(destination))
            && self
                .protocol
                .is_none_or(|wanted| wanted == packet.protocol())
            && self.source.as_ref().is_none_or(|set| is_in(set, source))
            && self
                .destination
                .as_ref()
                .is_none_or(|set| is_in(set, destination))
            && self
                .source_port
                .as_ref()
                .is_none_or(|set| is_of(set, source_port))
            && self
                .destination_port
                .as_ref()
                .is_none_or(|set| is_of(set, destination_port))
            && self
                .dscp
                .as_ref()
                .is_none_or(|set| set.matches(|wanted| *wanted == packet.traffic_class().dscp()))
            && self.icmp_type.as_ref().is_none_or(|set| {
                icmp_type(packet).is_some_and(|found| set.matches(|wanted| *wanted == found))
            })
            && self
                .tcp_flags
                .is_none_or(|flags| flags.matches(packet.tcp().map(|tcp| tcp.flags.bits())))
    }
}

/// The type of an unfragmented ICMP message. The protocol is compared apart from it.
pub(super) fn icmp_type(packet: &Packet<'_>) -> Option<u8> {
    let first = || packet.transport().first().copied();
    packet.fragment().is_none().then(first).flatten()
}

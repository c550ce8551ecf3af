//! One rule.

use super::packet_type::PacketType;
use super::set::Set;
use crate::{Direction, IpNet, Ports, Verdict};
use brooklet_packet::{Protocol, TcpFlags};
use std::hash::Hash;

/// IANA's number of IGMP.
pub(super) const IGMP: Protocol = Protocol::Other(2);

/// A rule of a [`Ruleset`](crate::Ruleset): a verdict on the packets that meet every condition.
///
/// A rule without conditions matches every packet. Each method adds one condition, or replaces the
/// condition on the same field. A condition on several values holds if one of them matches; a
/// condition on no value never holds.
///
/// [`Display`](std::fmt::Display) writes the rule as a line of a ruleset, and
/// [`FromStr`](std::str::FromStr) reads it. With the feature `serde` a rule is that text.
///
/// ```
/// use brooklet_filter::{Direction, IpNet, Reject, Rule, Verdict};
/// use brooklet_packet::Protocol;
///
/// let office: IpNet = "192.168.7.0/24".parse()?;
/// let rule = Rule::new(Verdict::Reject(Reject::TcpReset))
///     .direction(Direction::Inbound)
///     .protocol(Protocol::Udp)
///     .destination_except([office])
///     .destination_port([443]);
/// assert_eq!(rule.to_string(), "inbound daddr != 192.168.7.0/24 udp dport 443 reject");
/// assert_eq!(rule.to_string().parse(), Ok(rule));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    pub(super) direction: Option<Direction>,
    pub(super) packet_type: Option<PacketType>,
    pub(super) source: Option<Set<IpNet>>,
    pub(super) destination: Option<Set<IpNet>>,
    pub(super) dscp: Option<Set<u8>>,
    pub(super) protocol: Option<Protocol>,
    /// Only without protocol, with TCP and with UDP.
    pub(super) source_port: Option<Set<Ports>>,
    pub(super) destination_port: Option<Set<Ports>>,
    /// Only with ICMP and with ICMPv6.
    pub(super) icmp_type: Option<Set<u8>>,
    /// Only with TCP.
    pub(super) tcp_flags: Option<FlagsMatch>,
    pub(super) verdict: Verdict,
}

/// The flags in `mask` are those in `value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FlagsMatch {
    pub(super) value: TcpFlags,
    pub(super) mask: TcpFlags,
}

impl FlagsMatch {
    /// `flags` are those of a TCP segment.
    pub(super) fn matches(self, flags: Option<u8>) -> bool {
        flags.map(|flags| flags & self.mask.bits()) == Some(self.value.bits())
    }
}

impl Rule {
    /// Returns a rule that matches every packet.
    ///
    /// ```
    /// use brooklet_filter::{Rule, Verdict};
    ///
    /// assert_eq!(Rule::new(Verdict::Drop).to_string(), "drop");
    /// ```
    pub fn new(verdict: Verdict) -> Self {
        Self {
            direction: None,
            packet_type: None,
            source: None,
            destination: None,
            dscp: None,
            protocol: None,
            source_port: None,
            destination_port: None,
            icmp_type: None,
            tcp_flags: None,
            verdict,
        }
    }

    /// Returns the verdict on the packets that the rule matches.
    ///
    /// ```
    /// use brooklet_filter::{Rule, Verdict};
    ///
    /// assert_eq!(Rule::new(Verdict::Drop).verdict(), Verdict::Drop);
    /// ```
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Matches packets in that direction.
    ///
    /// ```
    /// use brooklet_filter::{Direction, Rule, Verdict};
    ///
    /// let rule = Rule::new(Verdict::Drop).direction(Direction::Outbound);
    /// assert_eq!(rule.to_string(), "outbound drop");
    /// ```
    #[must_use]
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = Some(direction);
        self
    }

    /// Matches packets to an address of that kind.
    ///
    /// ```
    /// use brooklet_filter::{PacketType, Rule, Verdict};
    ///
    /// let rule = Rule::new(Verdict::Divert).packet_type(PacketType::Broadcast);
    /// assert_eq!(rule.to_string(), "pkttype broadcast divert");
    /// ```
    #[must_use]
    pub fn packet_type(mut self, packet_type: PacketType) -> Self {
        self.packet_type = Some(packet_type);
        self
    }

    /// Matches packets from an address in one of the networks. An IPv4 address mapped into IPv6 is in
    /// networks of both families.
    ///
    /// ```
    /// use brooklet_filter::{Rule, Verdict};
    /// use std::net::IpAddr;
    ///
    /// let rule = Rule::new(Verdict::Drop).source([IpAddr::from([10, 0, 0, 1])]);
    /// assert_eq!(rule.to_string(), "saddr 10.0.0.1 drop");
    /// ```
    #[must_use]
    pub fn source(mut self, networks: impl IntoIterator<Item: Into<IpNet>>) -> Self {
        self.source = Some(truncated(Set::any_of(networks)));
        self
    }

    /// Matches packets from an address in none of the networks.
    ///
    /// ```
    /// use brooklet_filter::{IpNet, Rule, Verdict};
    ///
    /// let lan: [IpNet; 2] = ["10.0.0.0/8".parse()?, "fd00::/8".parse()?];
    /// let rule = Rule::new(Verdict::Drop).source_except(lan);
    /// assert_eq!(rule.to_string(), "saddr != { 10.0.0.0/8, fd00::/8 } drop");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn source_except(mut self, networks: impl IntoIterator<Item: Into<IpNet>>) -> Self {
        self.source = Some(truncated(Set::none_of(networks)));
        self
    }

    /// Matches packets to an address in one of the networks. An IPv4 address mapped into IPv6 is in
    /// networks of both families.
    ///
    /// ```
    /// use brooklet_filter::{IpNet, Rule, Verdict};
    ///
    /// let rule = Rule::new(Verdict::Pass).destination(["10.0.0.0/8".parse::<IpNet>()?]);
    /// assert_eq!(rule.to_string(), "daddr 10.0.0.0/8 pass");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn destination(mut self, networks: impl IntoIterator<Item: Into<IpNet>>) -> Self {
        self.destination = Some(truncated(Set::any_of(networks)));
        self
    }

    /// Matches packets to an address in none of the networks.
    ///
    /// ```
    /// use brooklet_filter::{IpNet, Rule, Verdict};
    ///
    /// let rule = Rule::new(Verdict::Pass).destination_except(["10.0.0.0/8".parse::<IpNet>()?]);
    /// assert_eq!(rule.to_string(), "daddr != 10.0.0.0/8 pass");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn destination_except(mut self, networks: impl IntoIterator<Item: Into<IpNet>>) -> Self {
        self.destination = Some(truncated(Set::none_of(networks)));
        self
    }

    /// Matches packets whose differentiated services code point is one of `dscps`, from 0 to 63
    /// (RFC 2474). A larger number never matches and is left out.
    ///
    /// ```
    /// use brooklet_filter::{Rule, Verdict};
    ///
    /// assert_eq!(Rule::new(Verdict::Pass).dscp([46, 7]).to_string(), "dscp { ef, 7 } pass");
    /// ```
    #[must_use]
    pub fn dscp(mut self, dscps: impl IntoIterator<Item = u8>) -> Self {
        self.dscp = Some(Set::any_of(dscps.into_iter().filter(|dscp| *dscp < 64)));
        self
    }

    /// Matches packets of that protocol, also fragments. The protocol of an IPv6 packet is the one
    /// behind the extension headers.
    ///
    /// # Panics
    ///
    /// Panics if the rule matches by port and `protocol` is neither TCP nor UDP, if the rule matches
    /// by ICMP type and `protocol` is not that ICMP, and if the rule matches by TCP flags and
    /// `protocol` is not TCP: such a rule matches no packet.
    ///
    /// ```
    /// use brooklet_filter::{Rule, Verdict};
    /// use brooklet_packet::Protocol;
    ///
    /// assert_eq!(Rule::new(Verdict::Pass).protocol(Protocol::Tcp).to_string(), "tcp pass");
    /// assert_eq!(Rule::new(Verdict::Pass).protocol(47.into()).to_string(), "protocol 47 pass");
    /// ```
    #[must_use]
    pub fn protocol(self, protocol: Protocol) -> Self {
        let same = self.icmp_type.is_none() || self.protocol == Some(protocol);
        self.of(protocol, same)
    }

    /// Matches TCP and UDP packets from one of the ports, each a port or a range. Fragments and
    /// packets of other protocols never match.
    ///
    /// # Panics
    ///
    /// Panics if the protocol of the rule is neither TCP nor UDP.
    ///
    /// ```
    /// use brooklet_filter::{Rule, Verdict};
    ///
    /// let rule = Rule::new(Verdict::Drop).source_port([0..=1023]);
    /// assert_eq!(rule.to_string(), "sport 0-1023 drop");
    /// ```
    #[must_use]
    pub fn source_port(mut self, ports: impl IntoIterator<Item: Into<Ports>>) -> Self {
        self.source_port = Some(not_empty(Set::any_of(ports)));
        self.with_ports()
    }

    /// Matches TCP and UDP packets from a port that is none of `ports`. Fragments and packets of
    /// other protocols never match.
    ///
    /// # Panics
    ///
    /// Panics if the protocol of the rule is neither TCP nor UDP.
    ///
    /// ```
    /// use brooklet_filter::{Rule, Verdict};
    ///
    /// let rule = Rule::new(Verdict::Drop).source_port_except([53]);
    /// assert_eq!(rule.to_string(), "sport != 53 drop");
    /// ```
    #[must_use]
    pub fn source_port_except(mut self, ports: impl IntoIterator<Item: Into<Ports>>) -> Self {
        self.source_port = Some(not_empty(Set::none_of(ports)));
        self.with_ports()
    }

    /// Matches TCP and UDP packets to one of the ports, each a port or a range. Fragments and packets
    /// of other protocols never match.
    ///
    /// # Panics
    ///
    /// Panics if the protocol of the rule is neither TCP nor UDP.
    ///
    /// ```
    /// use brooklet_filter::{Rule, Verdict};
    ///
    /// let rule = Rule::new(Verdict::Pass).destination_port([80, 443]);
    /// assert_eq!(rule.to_string(), "dport { 80, 443 } pass");
    /// ```
    #[must_use]
    pub fn destination_port(mut self, ports: impl IntoIterator<Item: Into<Ports>>) -> Self {
        self.destination_port = Some(not_empty(Set::any_of(ports)));
        self.with_ports()
    }

    /// Matches TCP and UDP packets to a port that is none of `ports`. Fragments and packets of other
    /// protocols never match.
    ///
    /// # Panics
    ///
    /// Panics if the protocol of the rule is neither TCP nor UDP.
    ///
    /// ```
    /// use brooklet_filter::{Rule, Verdict};
    ///
    /// let rule = Rule::new(Verdict::Drop).destination_port_except([53]);
    /// assert_eq!(rule.to_string(), "dport != 53 drop");
    /// ```
    #[must_use]
    pub fn destination_port_except(mut self, ports: impl IntoIterator<Item: Into<Ports>>) -> Self {
        self.destination_port = Some(not_empty(Set::none_of(ports)));
        self.with_ports()
    }

    /// Matches ICMP messages of one of the types. Fragments never match.
    ///
    /// # Panics
    ///
    /// Panics if `protocol` is neither ICMP nor ICMPv6, and if the rule matches by another protocol,
    /// by port or by TCP flags.
    ///
    /// ```
    /// use brooklet_filter::{Rule, Verdict};
    /// use brooklet_packet::Protocol;
    ///
    /// let rule = Rule::new(Verdict::Drop).icmp_type(Protocol::Icmpv6, [128]);
    /// assert_eq!(rule.to_string(), "icmpv6 type echo-request drop");
    /// ```
    #[must_use]
    pub fn icmp_type(mut self, protocol: Protocol, types: impl IntoIterator<Item = u8>) -> Self {
        let same = self.protocol.is_none_or(|old| old == protocol);
        self.icmp_type = Some(Set::any_of(types));
        self.of(protocol, same)
    }

    /// Matches TCP segments in which the flags in `mask` are those in `value`. Fragments never match.
    /// Flags in `value` and not in `mask` are left out.
    ///
    /// # Panics
    ///
    /// Panics if the rule matches by another protocol or by ICMP type.
    ///
    /// ```
    /// use brooklet_filter::{Rule, Verdict};
    /// use brooklet_packet::TcpFlags;
    ///
    /// let rule = Rule::new(Verdict::Drop).tcp_flags(TcpFlags::SYN, TcpFlags::SYN | TcpFlags::ACK);
    /// assert_eq!(rule.to_string(), "tcp flags syn / syn,ack drop");
    /// ```
    #[must_use]
    pub fn tcp_flags(mut self, value: TcpFlags, mask: TcpFlags) -> Self {
        let value = TcpFlags::from_bits(value.bits() & mask.bits());
        let same = self.protocol.is_none_or(|old| old == Protocol::Tcp);
        self.tcp_flags = Some(FlagsMatch { value, mask });
        self.of(Protocol::Tcp, same)
    }

    /// Returns all conditions beside the direction.
    pub(super) fn conditions(&self) -> impl Eq + Hash {
        (
            self.packet_type,
            &self.source,
            &self.destination,
            &self.dscp,
            self.protocol,
            &self.source_port,
            &self.destination_port,
            &self.icmp_type,
            self.tcp_flags,
        )
    }

    fn with_ports(self) -> Self {
        let consistent = self.is_consistent();
        assert!(consistent, "the protocol has no ports: {self}");
        self
    }

    /// Sets the protocol. `same` says whether the rule may match by that protocol at all.
    fn of(mut self, protocol: Protocol, same: bool) -> Self {
        self.protocol = Some(protocol);
        assert!(same && self.is_consistent(), "no packet can match: {self}");
        self
    }

    /// Whether the protocol of the rule has the fields that the rule matches by.
    pub(super) fn is_consistent(&self) -> bool {
        let ports = self.source_port.is_some() || self.destination_port.is_some();
        let (types, flags) = (self.icmp_type.is_some(), self.tcp_flags.is_some());
        match self.protocol {
            None => !types && !flags,
            Some(Protocol::Tcp) => !types,
            Some(Protocol::Udp) => !types && !flags,
            Some(Protocol::Icmpv4 | Protocol::Icmpv6) => !ports && !flags,
            Some(_) => !ports && !types && !flags,
        }
    }
}

/// The bits behind the prefix do not matter.
pub(super) fn truncated(mut networks: Set<IpNet>) -> Set<IpNet> {
    for network in &mut networks.values {
        *network = network.trunc();
    }
    networks
}

/// Ranges that end before they begin have no text.
fn not_empty(mut ports: Set<Ports>) -> Set<Ports> {
    ports.values.retain(|ports| ports.first <= ports.last);
    ports
}

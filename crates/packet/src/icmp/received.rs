//! The reader of ICMP errors.

use super::echo::Echo;
use super::kind::{IcmpErrorKind, ParameterProblem, ParameterProblemKind, Unreachable};
use super::message::{
    HEADER, HOP_LIMIT_EXCEEDED, INCOMPLETE_HEADER_CHAIN, NEXT_HEADER, OPTION,
    REASSEMBLY_TIME_EXCEEDED, V4_ECHO_REQUEST, V4_PARAMETER_PROBLEM, V4_TIME_EXCEEDED,
    V4_UNREACHABLE, V6_ECHO_REQUEST, V6_PACKET_TOO_BIG, V6_PARAMETER_PROBLEM, V6_TIME_EXCEEDED,
    V6_UNREACHABLE, between_hosts,
};
use crate::ext::{self, IPV6_HEADER};
use crate::headers::{IPV4_HEADER, v6_addresses};
use crate::transport::{be16, be32};
use crate::{FlowKey, Packet, Protocol};
use std::net::{IpAddr, Ipv4Addr};

/// The smallest MTU of an IPv6 link (RFC 8200, 5), in bytes.
const V6_LEAST_MTU: u32 = 1280;

/// An ICMP error about a packet that this host sent.
///
/// An ICMP error proves nothing: everyone who guesses the addresses and ports of a flow can send
/// one (RFC 5927). A TCP compares [`seq`](Self::seq) with the sequence numbers in flight, and
/// treats the error as a hint.
///
/// ```
/// use brooklet_packet::icmp::{self, IcmpError, Unreachable};
/// use brooklet_packet::{Packet, udp};
///
/// let (here, there) = ("10.0.0.1:5000".parse()?, "10.0.0.2:9".parse()?);
/// let (mut datagram, mut error) = (Vec::new(), Vec::new());
/// udp::write(&mut datagram, here, there, 64, b"hello")?;
/// icmp::error(&mut error, &Packet::parse(&datagram)?, Unreachable::Port);
///
/// let IcmpError { kind, key, .. } = icmp::parse_error(&Packet::parse(&error)?).expect("an error");
/// assert_eq!(format!("{kind}: {key}"), "port unreachable: 10.0.0.1:5000 -> 10.0.0.2:9");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct IcmpError {
    /// The kind of the error.
    pub kind: IcmpErrorKind,
    /// The host or router that sent the error.
    pub from: IpAddr,
    /// The flow of the packet that caused the error, **in the direction of that packet**: the
    /// source is this host, which receives the error, and the destination is the peer. Packets
    /// from that peer have the [reversed](FlowKey::reversed) key. The ports are 0 with protocols
    /// other than TCP and UDP.
    pub key: FlowKey,
    /// The protocol of the packet that caused the error.
    pub protocol: Protocol,
    /// The sequence number of the packet that caused the error, if it was a TCP segment.
    pub seq: Option<u32>,
    /// The identifier and sequence number of the packet that caused the error, if it was an echo
    /// request.
    pub echo: Option<Echo>,
}

/// Reads an ICMP error about a packet that this host sent.
///
/// Returns `None` for every other packet and message; for a wrong checksum; for an unassigned code;
/// for source quench (RFC 6633); for an IPv6 "packet too big" below 1,280 bytes (RFC 8201, 4); and
/// where the flow of the packet that caused the error is unknown, because the error quotes fewer
/// than 8 bytes behind the IP header (RFC 792), because that packet was a fragment other than the
/// first, or because its source differs from the destination of the error.
///
/// ```
/// use brooklet_packet::icmp::{self, IcmpErrorKind, Unreachable};
/// use brooklet_packet::{Packet, Protocol, udp};
///
/// let (here, there) = ("10.0.0.1:5000".parse()?, "10.0.0.2:9".parse()?);
/// let mut datagram = Vec::new();
/// udp::write(&mut datagram, here, there, 64, b"anyone?")?;
/// let mut answer = Vec::new();
/// icmp::error(&mut answer, &Packet::parse(&datagram)?, Unreachable::Port);
///
/// let error = icmp::parse_error(&Packet::parse(&answer)?).expect("it is one");
/// assert_eq!(error.kind, IcmpErrorKind::Unreachable(Unreachable::Port));
/// assert_eq!((error.key.source(), error.key.destination()), (here, there));
/// assert_eq!((error.protocol, error.seq), (Protocol::Udp, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn parse_error(packet: &Packet<'_>) -> Option<IcmpError> {
    let is_ipv6 = packet.key().is_ipv6();
    if packet.fragment().is_some() {
        return None;
    }
    let header = packet.transport().first_chunk::<HEADER>()?;
    let kind = match packet.protocol() {
        Protocol::Icmpv4 if !is_ipv6 => kind_v4(header)?,
        Protocol::Icmpv6 if is_ipv6 => kind_v6(header)?,
        _ => return None,
    };
    let caused = if is_ipv6 {
        caused_v6(packet.payload())?
    } else {
        caused_v4(packet.payload())?
    };
    let ours = caused.key.source().ip() == packet.destination();
    // The checksum is the most expensive check, so it comes last.
    if !ours || !between_hosts(packet) || !packet.verify_checksum() {
        return None;
    }
    Some(IcmpError {
        kind,
        from: packet.source(),
        key: caused.key,
        protocol: caused.protocol,
        seq: caused.seq,
        echo: caused.echo,
    })
}

/// RFC 792; RFC 1122, 3.2.2.1; RFC 1812, 5.2.7.1
fn kind_v4(header: &[u8; HEADER]) -> Option<IcmpErrorKind> {
    let why = match (header[0], header[1]) {
        (V4_UNREACHABLE, code) => match code {
            // 5: a source route failed; 11: not for this type of service.
            0 | 5 | 6 | 11 => Unreachable::Network,
            1 | 7 | 8 | 12 => Unreachable::Host,
            2 => Unreachable::Protocol,
            3 => Unreachable::Port,
            4 => Unreachable::PacketTooBig {
                mtu: be16(header, 6).into(),
            },
            9 | 10 | 13..=15 => Unreachable::Prohibited,
            _ => return None,
        },
        (V4_TIME_EXCEEDED, code) => return time_exceeded(code),
        // 1: a required option is missing (RFC 1108); 2: bad length.
        (V4_PARAMETER_PROBLEM, 0..=2) => {
            let problem = ParameterProblem {
                pointer: header[4].into(),
                kind: ParameterProblemKind::HeaderField,
            };
            return Some(problem.into());
        }
        _ => return None,
    };
    Some(IcmpErrorKind::Unreachable(why))
}

/// RFC 4443, 3
fn kind_v6(header: &[u8; HEADER]) -> Option<IcmpErrorKind> {
    let why = match (header[0], header[1]) {
        (V6_UNREACHABLE, code) => match code {
            // 2: beyond the scope of the source address.
            0 | 2 => Unreachable::Network,
            3 => Unreachable::Host,
            4 => Unreachable::Port,
            1 | 5 | 6 => Unreachable::Prohibited,
            _ => return None,
        },
        // RFC 4443, 3.2: receivers ignore the code.
        (V6_PACKET_TOO_BIG, _) => match be32(header, 4) {
            mtu if mtu < V6_LEAST_MTU => return None,
            mtu => Unreachable::PacketTooBig { mtu },
        },
        (V6_TIME_EXCEEDED, code) => return time_exceeded(code),
        (V6_PARAMETER_PROBLEM, NEXT_HEADER) => Unreachable::Protocol,
        (V6_PARAMETER_PROBLEM, code) => {
            let kind = match code {
                OPTION => ParameterProblemKind::Option,
                INCOMPLETE_HEADER_CHAIN => ParameterProblemKind::IncompleteHeaderChain,
                // 4 is RFC 8754, 5 to 10 are limits of a router (RFC 8883).
                0 | 4..=10 => ParameterProblemKind::HeaderField,
                _ => return None,
            };
            let pointer = be32(header, 4);
            return Some(ParameterProblem { pointer, kind }.into());
        }
        _ => return None,
    };
    Some(IcmpErrorKind::Unreachable(why))
}

fn time_exceeded(code: u8) -> Option<IcmpErrorKind> {
    match code {
        HOP_LIMIT_EXCEEDED => Some(IcmpErrorKind::HopLimitExceeded),
        REASSEMBLY_TIME_EXCEEDED => Some(IcmpErrorKind::ReassemblyTimeExceeded),
        _ => None,
    }
}

/// The part of the packet that caused an error which the error quotes.
struct Caused {
    key: FlowKey,
    protocol: Protocol,
    seq: Option<u32>,
    echo: Option<Echo>,
}

/// Reads the start of an IPv4 packet. The header checksum of that packet is not verified: routers
/// change the header before they quote it, and the checksum of the error covers the quotation.
fn caused_v4(quoted: &[u8]) -> Option<Caused> {
    let header = quoted.first_chunk::<IPV4_HEADER>()?;
    let header_len = usize::from(header[0] & 0xf) * 4;
    let first_fragment = be16(header, 6) & 0x1fff == 0;
    if header[0] >> 4 != 4 || header_len < IPV4_HEADER || !first_fragment {
        return None;
    }
    let long_enough = usize::from(be16(header, 2)) >= header_len + HEADER;
    let start = quoted.get(header_len..)?.first_chunk()?;
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    let (source, destination) = (Ipv4Addr::new(s0, s1, s2, s3), Ipv4Addr::new(d0, d1, d2, d3));
    let protocol = header[9].into();
    let (from, to) = ports(protocol, start);
    long_enough.then(|| Caused {
        key: FlowKey::v4(source, destination, from, to),
        protocol,
        seq: seq(protocol, start),
        echo: (protocol == Protocol::Icmpv4 && start[0] == V4_ECHO_REQUEST)
            .then(|| Echo::of(start)),
    })
}

/// The same for IPv6.
fn caused_v6(quoted: &[u8]) -> Option<Caused> {
    let header = quoted.first_chunk::<IPV6_HEADER>()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let chain = ext::find_transport(quoted).ok()?;
    if chain.fragment.is_some_and(|fragment| fragment.offset != 0) {
        return None;
    }
    let long_enough = IPV6_HEADER + usize::from(be16(header, 4)) >= chain.end + HEADER;
    let start = quoted.get(chain.end..)?.first_chunk()?;
    let (source, destination) = v6_addresses(header);
    let protocol = chain.protocol.into();
    let (from, to) = ports(protocol, start);
    long_enough.then(|| Caused {
        key: FlowKey::v6(source, destination, from, to),
        protocol,
        seq: seq(protocol, start),
        echo: (protocol == Protocol::Icmpv6 && start[0] == V6_ECHO_REQUEST)
            .then(|| Echo::of(start)),
    })
}

fn ports(protocol: Protocol, start: &[u8; 8]) -> (u16, u16) {
    match protocol {
        Protocol::Tcp | Protocol::Udp => (be16(start, 0), be16(start, 2)),
        _ => (0, 0),
    }
}

fn seq(protocol: Protocol, start: &[u8; 8]) -> Option<u32> {
    (protocol == Protocol::Tcp).then(|| be32(start, 4))
}

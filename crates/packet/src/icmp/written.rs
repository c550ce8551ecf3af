//! The ICMP messages that a host sends.

use super::message::{
    HEADER, Unreachable, V4_UNREACHABLE, V6_PACKET_TOO_BIG, V6_PARAMETER_PROBLEM, V6_UNREACHABLE,
    V6_UNRECOGNISED_NEXT_HEADER, between_hosts,
};
use crate::write::{self, HOP_LIMIT};
use crate::{Packet, Protocol, ext, protocol};

// RFC 792
const V4_ECHO_REPLY: u8 = 0;
const V4_ECHO_REQUEST: u8 = 8;
// RFC 4443
const V6_ECHO_REQUEST: u8 = 128;
const V6_ECHO_REPLY: u8 = 129;

/// The longest ICMP errors, in bytes, with the IP header: every host accepts packets of this length
/// (RFC 1812, 4.3.2.3; RFC 4443, 2.4(c)).
const V4_LONGEST_ERROR: usize = 576;
const V6_LONGEST_ERROR: usize = 1280;

/// Writes the reply to an echo request into `out` and replaces the previous contents.
///
/// The reply has no options. Returns `false` and leaves `out` empty for every packet other than an
/// unfragmented echo request with a correct checksum between two unicast addresses.
///
/// ```
/// use brooklet_packet::{Packet, icmp};
///
/// // A ping from 10.0.0.1 to 10.0.0.2, checksums included.
/// let ping = [
///     0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 1, 0x26, 0xdb, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
///     8, 0, 0x19, 0x2c, 0, 1, 0, 2, b'p', b'i', b'n', b'g', // ICMP
/// ];
/// let mut out = Vec::new();
/// assert!(icmp::echo_reply(&mut out, &Packet::parse(&ping)?));
///
/// let pong = Packet::parse(&out)?;
/// assert_eq!(pong.transport()[0], 0);
/// assert_eq!(pong.payload(), &ping[28..]);
/// assert_eq!(pong.source().to_string(), "10.0.0.2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn echo_reply(out: &mut Vec<u8>, request: &Packet<'_>) -> bool {
    out.clear();
    let is_ipv6 = request.key().is_ipv6();
    let (protocol, asks, answers) = if is_ipv6 {
        (protocol::ICMPV6, V6_ECHO_REQUEST, V6_ECHO_REPLY)
    } else {
        (protocol::ICMPV4, V4_ECHO_REQUEST, V4_ECHO_REPLY)
    };
    let is_request = request.fragment().is_none()
        && request.protocol() == Protocol::from(protocol)
        && request.transport().starts_with(&[asks, 0]);
    // The reply has a new checksum, so a reply to a corrupted request would carry the corrupted
    // bytes as valid. RFC 1122, 3.2.2.6 leaves broadcast requests to the host.
    if !is_request || !between_hosts(request) || !request.verify_checksum() {
        return false;
    }
    let mut header = [answers, 0, 0, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&request.transport()[4..HEADER]);
    message(out, request, protocol, header, request.payload())
}

/// Writes the ICMP error about `offending` into `out` and replaces the previous contents.
///
/// The source of the error is the destination of the offending packet. The error quotes as much of
/// that packet as fits 576 bytes with IPv4 and 1,280 bytes with IPv6.
///
/// Returns `false` and leaves `out` empty where a host must not send an error (RFC 1122, 3.2.2;
/// RFC 4443, 2.4(e)): about an ICMP error or redirect, about a fragment other than the first, and
/// about a packet whose source or destination is not the address of one host. The same holds for an
/// IPv6 fragment that does not show its protocol, and for
/// [`PacketTooBig`](Unreachable::PacketTooBig) about an IPv4 packet without "don't fragment"
/// (RFC 792). The caller limits the rate of errors (RFC 4443, 2.4(f)).
///
/// ```
/// use brooklet_packet::{Packet, Protocol, icmp, udp};
///
/// let mut datagram = Vec::new();
/// udp::write(&mut datagram, "10.0.0.1:5000".parse()?, "10.0.0.2:9".parse()?, 64, b"anyone?")?;
///
/// let mut out = Vec::new();
/// assert!(icmp::unreachable(&mut out, &Packet::parse(&datagram)?, icmp::Unreachable::Port));
/// let error = Packet::parse(&out)?;
/// assert_eq!(error.protocol(), Protocol::Icmpv4);
/// assert_eq!(error.transport()[..2], [3, 3]);
/// assert_eq!(error.payload(), datagram);
///
/// // An error is not answered with another.
/// assert!(!icmp::unreachable(&mut Vec::new(), &error, icmp::Unreachable::Host));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn unreachable(out: &mut Vec<u8>, offending: &Packet<'_>, why: Unreachable) -> bool {
    out.clear();
    if !between_hosts(offending) || !may_cause_error(offending) {
        return false;
    }
    let bytes = offending.bytes();
    let (header, protocol, room) = if offending.key().is_ipv6() {
        let Some(header) = header_v6(bytes, why) else {
            return false;
        };
        let room = V6_LONGEST_ERROR - ext::IPV6_HEADER - HEADER;
        (header, protocol::ICMPV6, room)
    } else {
        let Some(header) = header_v4(bytes, why) else {
            return false;
        };
        (header, protocol::ICMPV4, V4_LONGEST_ERROR - 20 - HEADER)
    };
    message(
        out,
        offending,
        protocol,
        header,
        &bytes[..bytes.len().min(room)],
    )
}

/// The header of an error about `offending`, an IPv4 packet or first fragment.
fn header_v4(offending: &[u8], why: Unreachable) -> Option<[u8; HEADER]> {
    let mut next_hop_mtu = [0; 2];
    let code = match why {
        Unreachable::Network => 0,
        Unreachable::Host => 1,
        Unreachable::Protocol => 2,
        Unreachable::Port => 3,
        Unreachable::PacketTooBig { mtu } => {
            let dont_fragment = offending[6] & 0x40 != 0;
            if !dont_fragment {
                return None;
            }
            next_hop_mtu = u16::try_from(mtu).unwrap_or(u16::MAX).to_be_bytes();
            4
        }
        Unreachable::Prohibited => 13,
    };
    let [high, low] = next_hop_mtu;
    Some([V4_UNREACHABLE, code, 0, 0, 0, 0, high, low])
}

/// The same for IPv6.
fn header_v6(offending: &[u8], why: Unreachable) -> Option<[u8; HEADER]> {
    let (kind, code, number) = match why {
        Unreachable::Network => (V6_UNREACHABLE, 0, 0),
        Unreachable::Prohibited => (V6_UNREACHABLE, 1, 0),
        Unreachable::Host => (V6_UNREACHABLE, 3, 0),
        Unreachable::Port => (V6_UNREACHABLE, 4, 0),
        Unreachable::PacketTooBig { mtu } => (V6_PACKET_TOO_BIG, 0, mtu),
        Unreachable::Protocol => {
            let pointer = ext::walk(offending).ok()?.named_at;
            // A chain is at most 2 KiB long.
            (
                V6_PARAMETER_PROBLEM,
                V6_UNRECOGNISED_NEXT_HEADER,
                pointer as u32,
            )
        }
    };
    let [a, b, c, d] = number.to_be_bytes();
    Some([kind, code, 0, 0, a, b, c, d])
}

/// Writes an ICMP message to the source of `cause`.
fn message(
    out: &mut Vec<u8>,
    cause: &Packet<'_>,
    protocol: u8,
    header: [u8; HEADER],
    body: &[u8],
) -> bool {
    let ends = (cause.destination(), cause.source());
    let length = HEADER + body.len();
    let Some(mut draft) = write::begin(out, ends, protocol, HOP_LIMIT, length) else {
        return false;
    };
    draft.push(&header);
    draft.push(body);
    let checksum = if protocol == protocol::ICMPV6 {
        draft.segment_checksum()
    } else {
        draft.plain_checksum()
    };
    draft.set_checksum(2, checksum);
    true
}

/// Whether an ICMP error may answer a packet of this kind.
fn may_cause_error(packet: &Packet<'_>) -> bool {
    let is_ipv6 = packet.key().is_ipv6();
    if let Some(fragment) = packet.fragment() {
        let hidden = is_ipv6 && ext::is_extension(packet.protocol().into());
        if fragment.offset != 0 || hidden {
            return false;
        }
    }
    // The first byte of an ICMP message is its type, also in a first fragment.
    let kind = packet.transport().first();
    match packet.protocol() {
        // The types of queries and replies. Every other type is an error or may become one.
        // RFC 792; 10 is RFC 1256, 17 is RFC 950, 42 is RFC 8335.
        Protocol::Icmpv4 if !is_ipv6 => {
            matches!(kind, Some(0 | 8..=10 | 13..=18 | 42 | 43))
        }
        // RFC 4443, 2.1: errors are below 128. 2.4(e.2): 137 is the redirect.
        Protocol::Icmpv6 if is_ipv6 => kind.is_some_and(|&kind| kind >= 128 && kind != 137),
        _ => true,
    }
}

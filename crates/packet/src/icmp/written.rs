//! The ICMP errors that a host or a router sends.

use super::kind::{IcmpErrorKind, ParameterProblem, ParameterProblemKind, Unreachable};
use super::message::{
    self, HEADER, HEADER_FIELD, HOP_LIMIT_EXCEEDED, INCOMPLETE_HEADER_CHAIN, NEXT_HEADER, OPTION,
    REASSEMBLY_TIME_EXCEEDED, V4_PARAMETER_PROBLEM, V4_TIME_EXCEEDED, V4_UNREACHABLE,
    V6_PACKET_TOO_BIG, V6_PARAMETER_PROBLEM, V6_TIME_EXCEEDED, V6_UNREACHABLE,
};
use crate::headers::{IPV4_HEADER, split_v6, v6_addresses};
use crate::{Fragment, IpFields, Packet, Protocol, ext, is_martian, is_unicast};
use std::net::IpAddr;

/// The longest ICMP errors, in bytes, with the IP header: every host accepts packets of this length
/// (RFC 1812, 4.3.2.3; RFC 4443, 2.4(c)).
const V4_LONGEST_ERROR: usize = 576;
const V6_LONGEST_ERROR: usize = 1280;

/// Writes the ICMP error about `offending` into `out` and replaces the previous contents.
///
/// The source of the error is the destination of the offending packet. The error quotes as much of
/// that packet as fits 576 bytes with IPv4 and 1,280 bytes with IPv6.
///
/// Returns `false` and leaves `out` empty where a host must not send an error (RFC 1122, 3.2.2;
/// RFC 4443, 2.4(e)): about an ICMP error or redirect; about a fragment other than the first, an
/// IPv6 parameter problem aside; and about a packet whose source or destination is not the address of one host. The same holds for an
/// IPv6 fragment that does not show its protocol, for [`PacketTooBig`](Unreachable::PacketTooBig)
/// about an IPv4 packet without "don't fragment" (RFC 792), and for an IPv4 parameter problem beyond
/// byte 255. The caller limits the rate of errors (RFC 4443, 2.4(f)).
///
/// ```
/// use brooklet_packet::{Packet, Protocol, icmp, udp};
///
/// let mut datagram = Vec::new();
/// udp::write(&mut datagram, "10.0.0.1:5000".parse()?, "10.0.0.2:9".parse()?, 64, b"anyone?")?;
///
/// let mut out = Vec::new();
/// assert!(icmp::error(&mut out, &Packet::parse(&datagram)?, icmp::Unreachable::Port));
/// let error = Packet::parse(&out)?;
/// assert_eq!(error.protocol(), Protocol::Icmpv4);
/// assert_eq!(error.transport()[..2], [3, 3]);
/// assert_eq!(error.payload(), datagram);
///
/// // An error is not answered with another.
/// assert!(!icmp::error(&mut Vec::new(), &error, icmp::Unreachable::Host));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn error(out: &mut Vec<u8>, offending: &Packet<'_>, kind: impl Into<IcmpErrorKind>) -> bool {
    error_from(out, offending.destination(), offending, kind)
}

/// Writes the ICMP error of the router or host `from` about `offending` into `out` and replaces the
/// previous contents.
///
/// Otherwise the function is [`error()`], with one exception: an IPv6 packet to a multicast address
/// may be too big, or have an option that asks for an error even then (RFC 4443, 2.4(e.3)). The
/// function also returns `false` if `from` is not the address of one host or of another family than
/// the packet.
///
/// ```
/// use brooklet_packet::icmp::{self, IcmpErrorKind};
/// use brooklet_packet::{Packet, udp};
///
/// let mut probe = Vec::new();
/// udp::write(&mut probe, "10.0.0.1:5000".parse()?, "192.0.2.7:33434".parse()?, 1, b"")?;
///
/// let (mut out, router) = (Vec::new(), "10.0.0.254".parse()?);
/// let kind = IcmpErrorKind::HopLimitExceeded;
/// assert!(icmp::error_from(&mut out, router, &Packet::parse(&probe)?, kind));
///
/// let error = icmp::parse_error(&Packet::parse(&out)?).expect("an error");
/// assert_eq!((error.from, error.kind), (router, kind));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn error_from(
    out: &mut Vec<u8>,
    from: IpAddr,
    offending: &Packet<'_>,
    kind: impl Into<IcmpErrorKind>,
) -> bool {
    write(out, from, &Offending::from(offending), kind.into())
}

/// Writes the parameter problem about a packet that [`Headers::parse`](crate::Headers::parse)
/// refused into `out` and replaces the previous contents.
///
/// The source of the error is the destination of the packet. A sender is due an error about
///
/// - an unknown option whose type has the highest bits 10, or 11 and the packet is not to a
///   multicast address: code 2, pointer to the type of the option (RFC 8200, 4.2);
/// - a jumbo payload option: code 0, pointer to the type of the option (RFC 2675, 3);
/// - a routing header with segments left: code 0, pointer to the routing type (RFC 8200, 4.4);
/// - a hop-by-hop options header that is not the first: code 1, pointer to the next-header field
///   that names that header (RFC 8200, 4);
/// - a fragment that is not the last and not a multiple of 8 bytes long, or that ends beyond 65,535
///   bytes: code 0, pointer to the payload length or the fragment offset (RFC 8200, 4.5);
/// - a first fragment without all headers of its packet: code 3, pointer 0 (RFC 8200, 4.5).
///
/// Returns `false` and leaves `out` empty for a packet with another fault, for a packet without a
/// fault, for [martian](crate::is_martian) addresses, and where a host must not send an [`error()`].
/// The caller limits the rate of errors.
///
/// ```
/// use brooklet_packet::icmp::{self, IcmpErrorKind, ParameterProblem, ParameterProblemKind};
/// use brooklet_packet::{Packet, ParseError};
///
/// // IPv6 with a hop-by-hop option of the unknown type 0x9e before a UDP datagram.
/// let mut bytes = vec![0x60, 0, 0, 0, 0, 16, 0, 64];
/// bytes.extend_from_slice(&[0xfd; 32]);
/// bytes.extend_from_slice(&[17, 0, 0x9e, 4, 0, 0, 0, 0]);
/// bytes.extend_from_slice(&[0, 1, 0, 2, 0, 8, 0, 0]);
/// assert_eq!(Packet::parse(&bytes).unwrap_err(), ParseError::UnknownOption);
///
/// let mut out = Vec::new();
/// assert!(icmp::malformed_reply(&mut out, &bytes));
/// let error = icmp::parse_error(&Packet::parse(&out)?).expect("an error");
/// let problem = ParameterProblem { pointer: 42, kind: ParameterProblemKind::Option };
/// assert_eq!(error.kind, IcmpErrorKind::ParameterProblem(problem));
/// # Ok::<(), ParseError>(())
/// ```
pub fn malformed_reply(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    malformed(out, bytes, None)
}

/// Writes the parameter problem of the host `from` about a packet that
/// [`Headers::parse`](crate::Headers::parse) refused into `out` and replaces the previous contents.
///
/// Otherwise the function is [`malformed_reply`], which cannot answer a packet to a multicast
/// address for want of a source.
///
/// ```
/// use brooklet_packet::{Packet, icmp};
///
/// // To the multicast address ff02::1, with a destination option of the unknown type 0x9e.
/// let mut bytes = vec![0x60, 0, 0, 0, 0, 8, 60, 64];
/// bytes.extend_from_slice(&[0xfd; 16]);
/// bytes.extend_from_slice(&[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
/// bytes.extend_from_slice(&[59, 0, 0x9e, 4, 0, 0, 0, 0]);
///
/// let (mut out, here) = (Vec::new(), "fd00::1".parse()?);
/// assert!(!icmp::malformed_reply(&mut out, &bytes));
/// assert!(icmp::malformed_reply_from(&mut out, here, &bytes));
/// assert_eq!(Packet::parse(&out)?.source(), here);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn malformed_reply_from(out: &mut Vec<u8>, from: IpAddr, bytes: &[u8]) -> bool {
    malformed(out, bytes, Some(from))
}

fn malformed(out: &mut Vec<u8>, bytes: &[u8], from: Option<IpAddr>) -> bool {
    out.clear();
    match Offending::malformed(bytes) {
        Some((offending, problem)) => {
            let from = from.unwrap_or(offending.destination);
            write(out, from, &offending, problem.into())
        }
        None => false,
    }
}

/// The packet that an error is about.
struct Offending<'a> {
    bytes: &'a [u8],
    source: IpAddr,
    destination: IpAddr,
    fragment: Option<Fragment>,
    protocol: Protocol,
    /// The type, if the packet is an ICMP message: the first byte behind the IP header and the
    /// extension headers. A fragment other than the first has none.
    icmp_type: Option<u8>,
}

impl<'a> From<&Packet<'a>> for Offending<'a> {
    fn from(packet: &Packet<'a>) -> Self {
        let (source, destination) = packet.key().addresses();
        Self {
            bytes: packet.bytes(),
            source,
            destination,
            fragment: packet.fragment(),
            protocol: packet.protocol(),
            icmp_type: first_byte(packet.fragment(), packet.transport()),
        }
    }
}

impl<'a> Offending<'a> {
    /// An IPv6 packet that the parser refuses because of its extension headers, and the error that
    /// its sender is due.
    fn malformed(bytes: &'a [u8]) -> Option<(Self, ParameterProblem)> {
        if bytes.first()? >> 4 != 6 {
            return None;
        }
        let (header, packet) = split_v6(bytes).ok()?;
        let problem = ext::walk(packet).err()?.problem?;
        // A chain that breaks off further behind may be that of an ICMP error.
        let chain = ext::find_transport(packet).ok()?;
        let (source, destination) = v6_addresses(header);
        let (source, destination) = (source.into(), destination.into());
        if is_martian(source, destination) {
            return None;
        }
        let offending = Self {
            bytes: packet,
            source,
            destination,
            fragment: chain.fragment,
            protocol: chain.protocol.into(),
            icmp_type: first_byte(chain.fragment, &packet[chain.end..]),
        };
        Some((offending, problem))
    }

    fn is_ipv6(&self) -> bool {
        self.source.is_ipv6()
    }

    /// Whether an ICMP error of this kind may answer the packet.
    fn permits(&self, kind: IcmpErrorKind) -> bool {
        is_unicast(self.source)
            && (is_unicast(self.destination) || self.permits_to_multicast(kind))
            && self.permits_about_fragment(kind)
            && self.is_no_error()
    }

    /// RFC 4443, 2.4(e.3)
    fn permits_to_multicast(&self, kind: IcmpErrorKind) -> bool {
        let is_multicast = self.is_ipv6() && self.destination.is_multicast();
        is_multicast
            && match kind {
                IcmpErrorKind::Unreachable(Unreachable::PacketTooBig { .. }) => true,
                IcmpErrorKind::ParameterProblem(ParameterProblem {
                    pointer,
                    kind: ParameterProblemKind::Option,
                }) => {
                    let option = self.bytes.get(pointer as usize);
                    option.is_some_and(|option| option >> 6 == 0b10)
                }
                _ => false,
            }
    }

    /// Only the first fragment has an error, except that an IPv6 parameter problem may be about any
    /// fragment (RFC 8200, 4.5).
    fn permits_about_fragment(&self, kind: IcmpErrorKind) -> bool {
        let is_problem = matches!(kind, IcmpErrorKind::ParameterProblem(_));
        self.fragment
            .is_none_or(|fragment| fragment.offset == 0 || self.is_ipv6() && is_problem)
    }

    /// Whether the packet is neither an ICMP error nor a redirect, and shows that.
    fn is_no_error(&self) -> bool {
        let is_fragment = self.fragment.is_some();
        if is_fragment && self.is_ipv6() && ext::is_extension(self.protocol.into()) {
            return false;
        }
        match self.protocol {
            // The types of queries and replies. Every other type is an error or may become one.
            // RFC 792; 10 is RFC 1256, 17 is RFC 950, 42 is RFC 8335.
            Protocol::Icmpv4 if !self.is_ipv6() => {
                matches!(self.icmp_type, Some(0 | 8..=10 | 13..=18 | 42 | 43))
            }
            // RFC 4443, 2.1: errors are below 128. 2.4(e.2): 137 is the redirect.
            Protocol::Icmpv6 if self.is_ipv6() => self
                .icmp_type
                .is_some_and(|kind| kind >= 128 && kind != 137),
            _ => true,
        }
    }
}

/// The first byte of the transport header, which is not in a fragment other than the first.
fn first_byte(fragment: Option<Fragment>, transport: &[u8]) -> Option<u8> {
    let is_start = fragment.is_none_or(|fragment| fragment.offset == 0);
    transport.first().copied().filter(|_| is_start)
}

/// Writes an error, or leaves `out` empty and returns `false` if there must be none.
fn write(out: &mut Vec<u8>, from: IpAddr, offending: &Offending<'_>, kind: IcmpErrorKind) -> bool {
    out.clear();
    if !is_unicast(from) || !offending.permits(kind) {
        return false;
    }
    let bytes = offending.bytes;
    let (header, room) = if offending.is_ipv6() {
        let room = V6_LONGEST_ERROR - ext::IPV6_HEADER - HEADER;
        (header_v6(bytes, kind), room)
    } else {
        let room = V4_LONGEST_ERROR - IPV4_HEADER - HEADER;
        (header_v4(bytes, kind), room)
    };
    let Some(header) = header else {
        return false;
    };
    let quoted = &bytes[..bytes.len().min(room)];
    let ends = (from, offending.source);
    message::write(out, ends, IpFields::new(), header, quoted).is_ok()
}

/// The header of an error about `offending`, an IPv4 packet or first fragment.
fn header_v4(offending: &[u8], kind: IcmpErrorKind) -> Option<[u8; HEADER]> {
    let mut rest = [0; 4];
    let why = match kind {
        IcmpErrorKind::Unreachable(why) => why,
        IcmpErrorKind::HopLimitExceeded => {
            return Some([V4_TIME_EXCEEDED, HOP_LIMIT_EXCEEDED, 0, 0, 0, 0, 0, 0]);
        }
        IcmpErrorKind::ReassemblyTimeExceeded => {
            return Some([V4_TIME_EXCEEDED, REASSEMBLY_TIME_EXCEEDED, 0, 0, 0, 0, 0, 0]);
        }
        IcmpErrorKind::ParameterProblem(problem) => {
            let pointer = u8::try_from(problem.pointer).ok()?;
            return Some([V4_PARAMETER_PROBLEM, 0, 0, 0, pointer, 0, 0, 0]);
        }
    };
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
            rest = u32::from(u16::try_from(mtu).unwrap_or(u16::MAX)).to_be_bytes();
            4
        }
        Unreachable::Prohibited => 13,
    };
    let [a, b, c, d] = rest;
    Some([V4_UNREACHABLE, code, 0, 0, a, b, c, d])
}

/// The same for IPv6.
fn header_v6(offending: &[u8], kind: IcmpErrorKind) -> Option<[u8; HEADER]> {
    let (message, code, number) = match kind {
        IcmpErrorKind::Unreachable(Unreachable::Network) => (V6_UNREACHABLE, 0, 0),
        IcmpErrorKind::Unreachable(Unreachable::Prohibited) => (V6_UNREACHABLE, 1, 0),
        IcmpErrorKind::Unreachable(Unreachable::Host) => (V6_UNREACHABLE, 3, 0),
        IcmpErrorKind::Unreachable(Unreachable::Port) => (V6_UNREACHABLE, 4, 0),
        IcmpErrorKind::Unreachable(Unreachable::PacketTooBig { mtu }) => {
            (V6_PACKET_TOO_BIG, 0, mtu)
        }
        IcmpErrorKind::Unreachable(Unreachable::Protocol) => {
            let pointer = ext::skip(offending).ok()?.named_at;
            // A chain is at most 2 KiB long.
            (V6_PARAMETER_PROBLEM, NEXT_HEADER, pointer as u32)
        }
        IcmpErrorKind::HopLimitExceeded => (V6_TIME_EXCEEDED, HOP_LIMIT_EXCEEDED, 0),
        IcmpErrorKind::ReassemblyTimeExceeded => (V6_TIME_EXCEEDED, REASSEMBLY_TIME_EXCEEDED, 0),
        IcmpErrorKind::ParameterProblem(problem) => {
            let code = match problem.kind {
                ParameterProblemKind::HeaderField => HEADER_FIELD,
                ParameterProblemKind::NextHeader => NEXT_HEADER,
                ParameterProblemKind::Option => OPTION,
                ParameterProblemKind::IncompleteHeaderChain => INCOMPLETE_HEADER_CHAIN,
            };
            (V6_PARAMETER_PROBLEM, code, problem.pointer)
        }
    };
    let [a, b, c, d] = number.to_be_bytes();
    Some([message, code, 0, 0, a, b, c, d])
}

//! The chain of IPv6 extension headers (RFC 8200, 4).

mod fragment;
mod options;

use crate::icmp::{ParameterProblem, ParameterProblemKind};
use crate::{Fragment, ParseError};

/// The length of the IPv6 header itself.
pub(crate) const IPV6_HEADER: usize = 40;

/// The length of a fragment header.
pub(crate) const FRAGMENT_HEADER: usize = 8;

// A useful chain has three or four headers and a few hundred bytes. The limits bound the time for a
// malicious packet.
const MAX_HEADERS: usize = 8;
const MAX_BYTES: usize = 2048;

pub(crate) const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// The end of the extension headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    /// The protocol that the last next-header field names.
    pub(crate) protocol: u8,
    /// The offset of that field from the start of the packet.
    pub(crate) named_at: usize,
    /// The offset of the end of the chain from the start of the packet.
    pub(crate) end: usize,
    /// The fragment header, unless the packet is an atomic fragment.
    pub(crate) fragment: Option<Fragment>,
    /// The offset of the next-header field that names the last fragment header.
    pub(crate) fragment_named_at: usize,
}

/// The reason why a host drops a packet because of its extension headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) error: ParseError,
    /// The ICMP error that the sender of the packet is due, if it is due one.
    pub(crate) problem: Option<ParameterProblem>,
}

impl Fault {
    /// A fault that a host drops in silence.
    const BROKEN: Self = Self {
        error: ParseError::ExtensionHeader,
        problem: None,
    };

    /// A fault that a host answers with a parameter problem pointing to the byte at `pointer`.
    fn problem(error: ParseError, kind: ParameterProblemKind, pointer: usize) -> Self {
        // A chain is at most 2 KiB long.
        let pointer = pointer as u32;
        Self {
            error,
            problem: Some(ParameterProblem { pointer, kind }),
        }
    }
}

impl From<Fault> for ParseError {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

/// Whether `next_header` names a header that [`walk`] reads.
///
/// The encapsulating security payload is not one of them: the bytes behind its header are encrypted.
pub(crate) fn is_extension(next_header: u8) -> bool {
    matches!(
        next_header,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS
    )
}

/// Walks the extension headers of `packet`, an IPv6 packet with at least its first header, as the
/// destination of the packet does: the options, the routing header and the order are checked.
///
/// Stops behind the header of a fragment: the bytes behind it may be from anywhere in the original
/// packet.
#[inline]
pub(crate) fn walk(packet: &[u8]) -> Result<Chain, Fault> {
    let chain = Chain::start(packet);
    if is_extension(chain.protocol) {
        walk_headers(packet, chain, Purpose::Receive)
    } else {
        Ok(chain)
    }
}

/// Walks the extension headers of `packet` like [`walk`] and checks their lengths alone.
pub(crate) fn skip(packet: &[u8]) -> Result<Chain, Fault> {
    walk_headers(packet, Chain::start(packet), Purpose::Skip)
}

/// Walks the extension headers of `packet` up to the transport header, also behind the header of a
/// first fragment, and checks their lengths alone: for the quotation in an ICMP error, whose headers
/// are for another host, and for a packet that [`walk`] refuses.
pub(crate) fn find_transport(packet: &[u8]) -> Result<Chain, Fault> {
    walk_headers(packet, Chain::start(packet), Purpose::FindTransport)
}

/// Why the headers are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Receive,
    Skip,
    FindTransport,
}

impl Chain {
    fn start(packet: &[u8]) -> Self {
        Self {
            protocol: packet[6],
            named_at: 6,
            end: IPV6_HEADER,
            fragment: None,
            fragment_named_at: 6,
        }
    }
}

// Few packets have extension headers: the loop is not inlined into the parser.
#[inline(never)]
fn walk_headers(packet: &[u8], mut chain: Chain, purpose: Purpose) -> Result<Chain, Fault> {
    let is_destination = purpose == Purpose::Receive;
    let mut headers = 0;
    while is_extension(chain.protocol) {
        headers += 1;
        // RFC 8200, 4.1: directly behind the IPv6 header and nowhere else.
        if is_destination && chain.protocol == HOP_BY_HOP && headers > 1 {
            return Err(Fault::problem(
                ParseError::HopByHopOrder,
                ParameterProblemKind::NextHeader,
                chain.named_at,
            ));
        }
        let start = chain.end;
        let header = packet
            .get(start..)
            .and_then(|rest| rest.first_chunk::<8>())
            .ok_or(Fault::BROKEN)?;
        let units = usize::from(header[1]);
        let length = match chain.protocol {
            FRAGMENT => FRAGMENT_HEADER,
            // RFC 4302, 2: at least 12 bytes. The field counts 32-bit words, minus two.
            AUTHENTICATION if units == 0 => return Err(Fault::BROKEN),
            AUTHENTICATION => (units + 2) * 4,
            _ => (units + 1) * 8,
        };
        chain.end += length;
        let too_long = headers > MAX_HEADERS || chain.end - IPV6_HEADER > MAX_BYTES;
        if too_long || chain.end > packet.len() {
            return Err(Fault::BROKEN);
        }
        match chain.protocol {
            HOP_BY_HOP | DESTINATION_OPTIONS if is_destination => {
                options::check(packet, chain.protocol == HOP_BY_HOP, start, chain.end)?;
            }
            // RFC 8200, 4.4: no type of routing header is known here, so that with segments left
            // this host is not the destination, and the transport checksum is for another address.
            // The pointer is to the routing type.
            ROUTING if is_destination && header[3] != 0 => {
                return Err(Fault::problem(
                    ParseError::RoutingHeader,
                    ParameterProblemKind::HeaderField,
                    start + 2,
                ));
            }
            FRAGMENT => {
                chain.fragment = read_fragment(header);
                chain.fragment_named_at = chain.named_at;
            }
            _ => {}
        }
        chain.protocol = header[0];
        chain.named_at = start;
        if let Some(fragment) = chain.fragment {
            if is_destination {
                fragment::check(packet, start, fragment)?;
            }
            if purpose != Purpose::FindTransport || fragment.offset != 0 {
                break;
            }
        }
    }
    Ok(chain)
}

/// The fields of a fragment header, or `None` for an atomic fragment, which is an unfragmented packet
/// (RFC 6946, 4).
fn read_fragment(header: &[u8; 8]) -> Option<Fragment> {
    let word = u16::from_be_bytes([header[2], header[3]]);
    let fragment = Fragment {
        id: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        offset: word & 0xfff8,
        more: word & 1 != 0,
    };
    (fragment.offset != 0 || fragment.more).then_some(fragment)
}

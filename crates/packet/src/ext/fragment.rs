//! What RFC 8200, 4.5 demands of a fragment by itself.

use super::{Chain, FRAGMENT_HEADER, Fault, IPV6_HEADER, Purpose, walk_headers};
use crate::icmp::ParameterProblemKind::{HeaderField, IncompleteHeaderChain};
use crate::protocol::{ICMPV6, TCP, UDP};
use crate::{Fragment, ParseError};

/// Where the payload length stands in an IPv6 header.
const PAYLOAD_LENGTH: usize = 4;

/// Checks the fragment in `packet` whose fragment header is at `start`.
pub(super) fn check(packet: &[u8], start: usize, fragment: Fragment) -> Result<(), Fault> {
    let problem = |kind, pointer| Err(Fault::problem(ParseError::Fragment, kind, pointer));
    let end = start + FRAGMENT_HEADER;
    let len = packet.len() - end;
    let longest = usize::from(u16::MAX);
    if fragment.offset == 0 && is_incomplete(packet, start) {
        problem(IncompleteHeaderChain, 0)
    } else if start - IPV6_HEADER + usize::from(fragment.offset) + len > longest {
        // The pointer is to the fragment offset.
        problem(HeaderField, start + 2)
    } else if fragment.more && !len.is_multiple_of(8) {
        problem(HeaderField, PAYLOAD_LENGTH)
    } else {
        Ok(())
    }
}

/// Whether a first fragment lacks a part of the header chain, which ends with the transport header
/// (RFC 7112, 5).
fn is_incomplete(packet: &[u8], start: usize) -> bool {
    let behind = Chain {
        protocol: packet[start],
        named_at: start,
        end: start + FRAGMENT_HEADER,
        fragment: None,
        fragment_named_at: start,
    };
    let Ok(chain) = walk_headers(packet, behind, Purpose::Skip) else {
        return true;
    };
    let transport = match chain.protocol {
        _ if chain.fragment.is_some() => 0,
        TCP => 20,
        UDP | ICMPV6 => 8,
        _ => 0,
    };
    chain.end + transport > packet.len()
}

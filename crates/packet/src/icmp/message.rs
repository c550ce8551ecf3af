//! What the readers and the writers of ICMP messages share: numbers, and the message itself.

use crate::protocol::{ICMPV4, ICMPV6};
use crate::{IpFields, Packet, WriteError, is_unicast, write};
use std::net::IpAddr;

/// The length of the ICMP header, in bytes.
pub(super) const HEADER: usize = 8;

// RFC 792
pub(super) const V4_ECHO_REPLY: u8 = 0;
pub(super) const V4_UNREACHABLE: u8 = 3;
pub(super) const V4_ECHO_REQUEST: u8 = 8;
pub(super) const V4_TIME_EXCEEDED: u8 = 11;
pub(super) const V4_PARAMETER_PROBLEM: u8 = 12;
// RFC 4443
pub(super) const V6_UNREACHABLE: u8 = 1;
pub(super) const V6_PACKET_TOO_BIG: u8 = 2;
pub(super) const V6_TIME_EXCEEDED: u8 = 3;
pub(super) const V6_PARAMETER_PROBLEM: u8 = 4;
pub(super) const V6_ECHO_REQUEST: u8 = 128;
pub(super) const V6_ECHO_REPLY: u8 = 129;

// The codes of "time exceeded", of either version.
pub(super) const HOP_LIMIT_EXCEEDED: u8 = 0;
pub(super) const REASSEMBLY_TIME_EXCEEDED: u8 = 1;

// The codes of the parameter problem: RFC 4443, 3.4; RFC 7112, 6.
pub(super) const HEADER_FIELD: u8 = 0;
pub(super) const NEXT_HEADER: u8 = 1;
pub(super) const OPTION: u8 = 2;
pub(super) const INCOMPLETE_HEADER_CHAIN: u8 = 3;

/// The protocol of ICMP messages of either IP version.
pub(super) fn protocol(is_ipv6: bool) -> u8 {
    if is_ipv6 { ICMPV6 } else { ICMPV4 }
}

/// Whether source and destination are addresses of one host each.
pub(super) fn between_hosts(packet: &Packet<'_>) -> bool {
    is_unicast(packet.source()) && is_unicast(packet.destination())
}

/// Writes an ICMP message into `out` and replaces the previous contents. The checksum in `header` is
/// zero.
pub(super) fn write(
    out: &mut Vec<u8>,
    ends: (IpAddr, IpAddr),
    fields: IpFields,
    header: [u8; HEADER],
    body: &[u8],
) -> Result<(), WriteError> {
    out.clear();
    let (from, to) = ends;
    if from.is_ipv6() != to.is_ipv6() {
        return Err(WriteError::Families);
    }
    let protocol = protocol(from.is_ipv6());
    let length = HEADER.saturating_add(body.len());
    let mut draft = write::begin(out, ends, protocol, fields, length).ok_or(WriteError::TooLong)?;
    draft.push(&header);
    draft.push(body);
    let checksum = if protocol == ICMPV6 {
        draft.segment_checksum()
    } else {
        draft.plain_checksum()
    };
    draft.set_checksum(2, checksum);
    Ok(())
}

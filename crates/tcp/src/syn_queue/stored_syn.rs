//! The form in which the SYN queue keeps a SYN.

use brooklet_packet::{Headers, Packet};
use smoltcp::wire::{IPV6_HEADER_LEN, Ipv4Packet, Ipv6Packet};

/// The longest SYN that is kept as it arrived, in bytes: an IPv6 header and the longest TCP header.
/// A longer SYN has data, IP options or extension headers, and is kept without them.
pub(super) const MAX_SYN: usize = 100;

/// The SYN of a packet in the form that the queue keeps: without data, and without IP options and
/// extension headers if it is long. `scratch` holds the shortened packet.
///
/// Data in a SYN is not taken (RFC 9293, 3.10.7.2 allows it to be dropped), so it is not kept. The
/// TCP checksum, which was verified on arrival, is not updated.
pub(crate) fn syn_to_keep<'a>(
    scratch: &'a mut Vec<u8>,
    packet: &'a [u8],
    headers: &Headers,
) -> Option<&'a [u8]> {
    if packet.len() <= MAX_SYN {
        return Some(packet);
    }
    let mut headers = *headers;
    if headers.has_options() {
        if !brooklet_packet::strip_options(scratch, &Packet::new(packet, headers)) {
            return None;
        }
        headers = Headers::parse(scratch).ok()?;
    } else {
        scratch.clear();
        scratch.extend_from_slice(&packet[..headers.payload_range().start]);
    }
    let len = headers.payload_range().start;
    scratch.truncate(len);
    // No header is longer than its length field can say.
    if headers.key().is_ipv6() {
        let mut ip = Ipv6Packet::new_unchecked(&mut scratch[..]);
        ip.set_payload_len((len - IPV6_HEADER_LEN) as u16);
    } else {
        let mut ip = Ipv4Packet::new_unchecked(&mut scratch[..]);
        ip.set_total_len(len as u16);
        ip.fill_checksum();
    }
    Some(scratch)
}

//! The writer of UDP datagrams (RFC 768).

use crate::protocol::UDP;
use crate::{IpFields, WriteError, write};
use std::net::SocketAddr;

const HEADER: usize = 8;

/// Writes a UDP datagram as one IP packet into `out` and replaces the previous contents.
///
/// The packet has a checksum, also with IPv4. The function does not fragment;
/// [`max_payload`] returns the longest payload for a path's MTU.
///
/// # Errors
///
/// [`WriteError::Families`] if the addresses are of different families, [`WriteError::TooLong`] if
/// the datagram does not fit an IP packet. `out` is empty then.
///
/// ```
/// use brooklet_packet::{Packet, udp};
///
/// let (from, to) = ("[2001:db8::1]:53".parse()?, "[2001:db8::2]:5000".parse()?);
/// let mut out = Vec::new();
/// udp::write(&mut out, from, to, 64, b"an answer")?;
///
/// let packet = Packet::parse(&out)?;
/// assert_eq!(packet.key().source(), from);
/// assert_eq!(packet.payload(), b"an answer");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(
    out: &mut Vec<u8>,
    from: SocketAddr,
    to: SocketAddr,
    hop_limit: u8,
    payload: &[u8],
) -> Result<(), WriteError> {
    write_with(out, from, to, IpFields::new().hop_limit(hop_limit), payload)
}

/// Writes a UDP datagram as one IP packet with these `fields` of the IP header into `out` and
/// replaces the previous contents.
///
/// Otherwise the function is [`write()`].
///
/// # Errors
///
/// Those of [`write()`].
///
/// ```
/// use brooklet_packet::{Ecn, IpFields, Packet, TrafficClass, udp};
///
/// let (from, to) = ("10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?);
/// let fields = IpFields::new()
///     .traffic_class(TrafficClass::default().with_ecn(Ecn::Ect0))
///     .dont_fragment(false)
///     .identification(7);
/// let mut out = Vec::new();
/// udp::write_with(&mut out, from, to, fields, b"a question")?;
///
/// let packet = Packet::parse(&out)?;
/// assert_eq!(packet.traffic_class().ecn(), Ecn::Ect0);
/// assert!(!packet.dont_fragment());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_with(
    out: &mut Vec<u8>,
    from: SocketAddr,
    to: SocketAddr,
    fields: IpFields,
    payload: &[u8],
) -> Result<(), WriteError> {
    out.clear();
    if from.is_ipv4() != to.is_ipv4() {
        return Err(WriteError::Families);
    }
    let length = HEADER.saturating_add(payload.len());
    let Some(mut draft) = write::begin(out, (from.ip(), to.ip()), UDP, fields, length) else {
        return Err(WriteError::TooLong);
    };
    let mut header = [0; HEADER];
    header[0..2].copy_from_slice(&from.port().to_be_bytes());
    header[2..4].copy_from_slice(&to.port().to_be_bytes());
    // `begin` accepts at most 65,535 bytes.
    header[4..6].copy_from_slice(&(length as u16).to_be_bytes());
    draft.push(&header);
    draft.push(payload);
    // RFC 768: a checksum of zero is sent as all ones, because zero means no checksum.
    let checksum = match draft.segment_checksum() {
        0 => 0xffff,
        checksum => checksum,
    };
    draft.set_checksum(6, checksum);
    Ok(())
}

/// Returns the longest payload of a datagram on a path with this MTU, in bytes.
///
/// ```
/// use brooklet_packet::udp::max_payload;
///
/// assert_eq!(max_payload(1500, false), 1472);
/// assert_eq!(max_payload(1500, true), 1452);
/// // The length field limits the datagram.
/// assert_eq!(max_payload(usize::MAX, true), 65_527);
/// ```
pub fn max_payload(mtu: usize, v6: bool) -> usize {
    let longest = usize::from(u16::MAX);
    let (header, longest) = if v6 {
        (40, 40 + longest)
    } else {
        (20, longest)
    };
    mtu.min(longest).saturating_sub(header + HEADER)
}

//! Echo requests and replies.

use super::message::{
    self, HEADER, V4_ECHO_REPLY, V4_ECHO_REQUEST, V6_ECHO_REPLY, V6_ECHO_REQUEST, between_hosts,
};
use crate::transport::be16;
use crate::{IpFields, Packet, Protocol, WriteError};
use std::net::IpAddr;

/// The identifier and the sequence number of an echo request or reply (RFC 792; RFC 4443, 4).
///
/// ```
/// use brooklet_packet::icmp::{self, Echo};
/// use brooklet_packet::{IpFields, Packet};
///
/// let echo = Echo { identifier: 7, sequence: 1 };
/// let (from, to) = ("10.0.0.1".parse()?, "10.0.0.2".parse()?);
/// let mut out = Vec::new();
/// icmp::write_echo_request(&mut out, from, to, IpFields::new(), echo, b"ping")?;
/// assert_eq!(icmp::parse_echo_request(&Packet::parse(&out)?), Some(echo));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Echo {
    /// The identifier, which tells the programs of one host apart.
    pub identifier: u16,
    /// The sequence number of the request, which the reply repeats.
    pub sequence: u16,
}

impl Echo {
    /// The echo of a quoted or complete message whose first bytes are `start`.
    pub(super) fn of(start: &[u8; HEADER]) -> Self {
        Self {
            identifier: be16(start, 4),
            sequence: be16(start, 6),
        }
    }

    fn header(self, kind: u8) -> [u8; HEADER] {
        let [identifier, sequence] = [self.identifier, self.sequence].map(u16::to_be_bytes);
        let ([a, b], [c, d]) = (identifier, sequence);
        [kind, 0, 0, 0, a, b, c, d]
    }
}

/// The types of an echo request and of an echo reply.
fn types(is_ipv6: bool) -> (u8, u8) {
    if is_ipv6 {
        (V6_ECHO_REQUEST, V6_ECHO_REPLY)
    } else {
        (V4_ECHO_REQUEST, V4_ECHO_REPLY)
    }
}

/// Reads an echo request. The data of the request is the [payload](Packet::payload) of the packet.
///
/// Returns `None` for every other packet and message, for a fragment, for a code other than 0, and
/// for a wrong checksum.
///
/// ```
/// use brooklet_packet::icmp::{self, Echo};
/// use brooklet_packet::{IpFields, Packet};
///
/// let (from, to) = ("fd00::1".parse()?, "fd00::2".parse()?);
/// let echo = Echo { identifier: 7, sequence: 1 };
/// let mut out = Vec::new();
/// icmp::write_echo_request(&mut out, from, to, IpFields::new(), echo, b"ping")?;
///
/// let packet = Packet::parse(&out)?;
/// assert_eq!(icmp::parse_echo_request(&packet), Some(echo));
/// assert_eq!(packet.payload(), b"ping");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn parse_echo_request(packet: &Packet<'_>) -> Option<Echo> {
    parse(packet, types(packet.key().is_ipv6()).0)
}

/// Reads an echo reply, like [`parse_echo_request`] reads a request.
///
/// ```
/// use brooklet_packet::icmp::{self, Echo};
/// use brooklet_packet::{IpFields, Packet};
///
/// let (from, to) = ("10.0.0.2".parse()?, "10.0.0.1".parse()?);
/// let echo = Echo { identifier: 7, sequence: 1 };
/// let mut out = Vec::new();
/// icmp::write_echo_reply(&mut out, from, to, IpFields::new(), echo, b"ping")?;
/// assert_eq!(icmp::parse_echo_reply(&Packet::parse(&out)?), Some(echo));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn parse_echo_reply(packet: &Packet<'_>) -> Option<Echo> {
    parse(packet, types(packet.key().is_ipv6()).1)
}

fn parse(packet: &Packet<'_>, kind: u8) -> Option<Echo> {
    let protocol = message::protocol(packet.key().is_ipv6());
    if packet.fragment().is_some() || packet.protocol() != Protocol::from(protocol) {
        return None;
    }
    let header = packet.transport().first_chunk::<HEADER>()?;
    let is_echo = header[..2] == [kind, 0] && packet.verify_checksum();
    is_echo.then(|| Echo::of(header))
}

/// Writes an echo request into `out` and replaces the previous contents.
///
/// # Errors
///
/// [`WriteError::Families`] if the addresses are of different families, [`WriteError::TooLong`] if
/// the message does not fit an IP packet. `out` is empty then.
///
/// ```
/// use brooklet_packet::icmp::{self, Echo};
/// use brooklet_packet::{IpFields, Packet};
///
/// let (from, to) = ("10.0.0.1".parse()?, "10.0.0.2".parse()?);
/// let echo = Echo { identifier: 7, sequence: 1 };
/// let mut out = Vec::new();
/// icmp::write_echo_request(&mut out, from, to, IpFields::new().hop_limit(3), echo, b"ping")?;
/// assert_eq!(Packet::parse(&out)?.hop_limit(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_echo_request(
    out: &mut Vec<u8>,
    from: IpAddr,
    to: IpAddr,
    fields: IpFields,
    echo: Echo,
    payload: &[u8],
) -> Result<(), WriteError> {
    let header = echo.header(types(from.is_ipv6()).0);
    message::write(out, (from, to), fields, header, payload)
}

/// Writes an echo reply into `out` and replaces the previous contents.
///
/// [`echo_reply`] writes the reply to a request at hand.
///
/// # Errors
///
/// Those of [`write_echo_request`].
///
/// ```
/// use brooklet_packet::icmp::{self, Echo};
/// use brooklet_packet::{IpFields, Packet};
///
/// let (from, to) = ("10.0.0.2".parse()?, "10.0.0.1".parse()?);
/// let echo = Echo { identifier: 7, sequence: 1 };
/// let mut out = Vec::new();
/// icmp::write_echo_reply(&mut out, from, to, IpFields::new(), echo, b"ping")?;
/// assert_eq!(Packet::parse(&out)?.payload(), b"ping");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_echo_reply(
    out: &mut Vec<u8>,
    from: IpAddr,
    to: IpAddr,
    fields: IpFields,
    echo: Echo,
    payload: &[u8],
) -> Result<(), WriteError> {
    let header = echo.header(types(from.is_ipv6()).1);
    message::write(out, (from, to), fields, header, payload)
}

/// Writes the reply to an echo request into `out` and replaces the previous contents.
///
/// The reply has no options. Its traffic class is that of the request (RFC 1349, 5.1). With IPv4 the
/// reply may be fragmented, also if the request said "don't fragment": the path back may be
/// narrower. Returns `false` and leaves `out` empty for every packet other than an
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
    echo_reply_with(out, request, IpFields::new().hop_limit)
}

/// Writes the reply to an echo request as [`echo_reply`] does, with this time to live or hop limit.
///
/// A program that forwards the requests to other hosts lets the reply show how far away the host is.
///
/// ```
/// # use brooklet_packet::{Packet, icmp};
/// # let ping = [
/// #     0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 1, 0x26, 0xdb, 10, 0, 0, 1, 10, 0, 0, 2,
/// #     8, 0, 0x19, 0x2c, 0, 1, 0, 2, b'p', b'i', b'n', b'g',
/// # ];
/// let mut out = Vec::new();
/// assert!(icmp::echo_reply_with(&mut out, &Packet::parse(&ping)?, 57));
/// assert_eq!(Packet::parse(&out)?.hop_limit(), 57);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn echo_reply_with(out: &mut Vec<u8>, request: &Packet<'_>, hop_limit: u8) -> bool {
    out.clear();
    // RFC 1122, 3.2.2.6 leaves broadcast requests to the host.
    if !between_hosts(request) {
        return false;
    }
    // The reply has a new checksum, so a reply to a corrupted request would carry the corrupted
    // bytes as valid: the reader verifies the checksum.
    let Some(echo) = parse_echo_request(request) else {
        return false;
    };
    let fields = IpFields::new()
        .hop_limit(hop_limit)
        .traffic_class(request.traffic_class())
        .dont_fragment(false)
        .identification(identification(request));
    let (from, to) = (request.destination(), request.source());
    write_echo_reply(out, from, to, fields, echo, request.payload()).is_ok()
}

/// The IPv4 identification of a request. It is unique among the packets of its sender, and so is
/// the reply's among the replies to that sender.
fn identification(request: &Packet<'_>) -> u16 {
    match request.bytes() {
        [0x40..=0x4f, _, _, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

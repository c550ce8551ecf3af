//! The bytes behind the IP header: a transport header, or a fragment.

use crate::protocol::{TCP, UDP};
use crate::{ParseError, TcpFlags};
use std::fmt;

const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const ICMP_HEADER: usize = 8;

/// The fields of a TCP header that [`Headers::tcp`](crate::Headers::tcp) reads and
/// [`tcp::write`](crate::tcp::write) writes.
///
/// ```
/// use brooklet_packet::{TcpFlags, TcpHeader};
///
/// let header = TcpHeader { seq: 7, ack: 0, window: 1024, flags: TcpFlags::SYN };
/// assert!(header.flags.syn());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TcpHeader {
    /// The sequence number of the first byte, or of the SYN.
    pub seq: u32,
    /// The acknowledgment number: the sequence number that the sender expects next. Valid with ACK
    /// only.
    pub ack: u32,
    /// The window field of the header, not scaled.
    pub window: u16,
    /// The control bits.
    pub flags: TcpFlags,
}

/// The identification and the offset of a fragment (RFC 791, 3.1; RFC 8200, 4.5).
///
/// The parser knows nothing of the other fragments. The reassembly checks that offset and length
/// together stay below 65,536, and that every fragment but the last is a multiple of 8 bytes long.
///
/// [`Display`](fmt::Display) writes the offset and a `+` if more fragments follow, like tcpdump.
///
/// ```
/// use brooklet_packet::Headers;
///
/// // IPv6, a fragment header, and the first eight bytes of the payload.
/// let mut bytes = vec![0x60, 0, 0, 0, 0, 16, 44, 64];
/// bytes.extend_from_slice(&[0xfd; 32]);
/// bytes.extend_from_slice(&[17, 0, 0, 1, 0, 0, 0, 7]);
/// bytes.extend_from_slice(&[0; 8]);
///
/// let headers = Headers::parse(&bytes)?;
/// let fragment = headers.fragment().expect("a fragment");
/// assert_eq!((fragment.id, fragment.offset, fragment.more), (7, 0, true));
/// assert_eq!(fragment.to_string(), "id 7, offset 0+");
/// assert_eq!(headers.payload_range(), 48..56);
/// # Ok::<(), brooklet_packet::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Fragment {
    /// The identification, which all fragments of one packet share; 16 bits with IPv4.
    pub id: u32,
    /// Where the fragment starts in the original packet, in bytes; a multiple of 8.
    pub offset: u16,
    /// Whether more fragments follow.
    pub more: bool,
}

impl fmt::Display for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.more { "+" } else { "" };
        write!(f, "id {}, offset {}{more}", self.id, self.offset)
    }
}

/// A packet is a TCP segment, or a fragment, or neither; a fragment is never read as a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    Tcp(TcpHeader),
    Fragment(Fragment),
    None,
}

/// The ranges and fields behind the IP header; offsets are from the start of the packet.
pub(crate) struct Transport {
    pub(crate) ports: (u16, u16),
    pub(crate) detail: Detail,
    pub(crate) payload_start: usize,
    pub(crate) end: usize,
}

impl Transport {
    pub(crate) fn fragment(packet: &[u8], start: usize, fragment: Fragment) -> Self {
        Self {
            ports: (0, 0),
            detail: Detail::Fragment(fragment),
            payload_start: start,
            end: packet.len(),
        }
    }

    /// `icmp` is the number of the ICMP of this IP version. The ICMP of the other version has no
    /// header that is read here.
    pub(crate) fn parse(
        packet: &[u8],
        start: usize,
        protocol: u8,
        icmp: u8,
    ) -> Result<Self, ParseError> {
        let segment = &packet[start..];
        let mut transport = Self {
            ports: (0, 0),
            detail: Detail::None,
            payload_start: start,
            end: packet.len(),
        };
        match protocol {
            TCP => {
                let header = segment
                    .first_chunk::<TCP_HEADER>()
                    .ok_or(ParseError::TcpHeader)?;
                let header_len = usize::from(header[12] >> 4) * 4;
                if header_len < TCP_HEADER || header_len > segment.len() {
                    return Err(ParseError::TcpHeader);
                }
                transport.ports = (be16(header, 0), be16(header, 2));
                transport.detail = Detail::Tcp(TcpHeader {
                    seq: be32(header, 4),
                    ack: be32(header, 8),
                    window: be16(header, 14),
                    flags: TcpFlags::from_bits(header[13]),
                });
                transport.payload_start += header_len;
            }
            UDP => {
                let header = segment
                    .first_chunk::<UDP_HEADER>()
                    .ok_or(ParseError::UdpHeader)?;
                let length = usize::from(be16(header, 4));
                if length < UDP_HEADER || length > segment.len() {
                    return Err(ParseError::UdpHeader);
                }
                transport.ports = (be16(header, 0), be16(header, 2));
                transport.payload_start += UDP_HEADER;
                transport.end = start + length;
            }
            _ if protocol == icmp => {
                if segment.len() < ICMP_HEADER {
                    return Err(ParseError::IcmpHeader);
                }
                transport.payload_start += ICMP_HEADER;
            }
            _ => {}
        }
        Ok(transport)
    }
}

// On arrays with places known when compiling, so that neither checks bounds.

pub(crate) fn be16<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn be32<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

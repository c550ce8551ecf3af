//! The parser of a packet.

use crate::ext::{self, IPV6_HEADER};
use crate::protocol::{ICMPV4, ICMPV6, TCP, UDP};
use crate::transport::{Detail, Transport, be16};
use crate::{FlowKey, Fragment, ParseError, Protocol, TcpHeader, TrafficClass, checksum};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

pub(crate) const IPV4_HEADER: usize = 20;

/// The fields and ranges that the parser finds in a packet, without the bytes.
///
/// A [`Packet`](crate::Packet) is the headers together with the bytes.
///
/// ```
/// use brooklet_packet::{Headers, udp};
///
/// let mut bytes = Vec::new();
/// udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
/// bytes.extend_from_slice(b"padding");
///
/// let headers = Headers::parse(&bytes)?;
/// assert_eq!(headers.total_len(), 20 + 8 + 5);
/// assert_eq!(&bytes[headers.payload_range()], b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    key: FlowKey,
    detail: Detail,
    // From the start of the packet. An IPv6 packet can be longer than a u16 counts.
    total_len: u32,
    payload_start: u32,
    transport_end: u32,
    // Behind at most 60 bytes of IPv4 or 40 + 2048 of IPv6.
    transport_start: u16,
    protocol: u8,
    hop_limit: u8,
    traffic_class: u8,
    dont_fragment: bool,
    has_options: bool,
}

/// The fields of the IP header that the parser copies.
struct IpHeader {
    transport_start: usize,
    protocol: u8,
    hop_limit: u8,
    traffic_class: u8,
    dont_fragment: bool,
    has_options: bool,
}

impl Headers {
    /// Parses a packet.
    ///
    /// Bytes beyond the length of the IP header are padding and ignored. The parser verifies the IPv4
    /// header checksum and not the transport checksum; see [`Headers::verify_checksum`].
    ///
    /// # Errors
    ///
    /// The first fault that the parser finds. Parsing never panics.
    ///
    /// ```
    /// use brooklet_packet::{Headers, ParseError};
    ///
    /// assert_eq!(Headers::parse(&[]), Err(ParseError::Truncated));
    /// assert_eq!(Headers::parse(&[0x50; 40]), Err(ParseError::Version));
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        match bytes.first().map(|first| first >> 4) {
            Some(4) => Self::parse_v4(bytes),
            Some(6) => Self::parse_v6(bytes),
            Some(_) => Err(ParseError::Version),
            None => Err(ParseError::Truncated),
        }
    }

    // RFC 791, 3.1
    fn parse_v4(bytes: &[u8]) -> Result<Self, ParseError> {
        let header = bytes
            .first_chunk::<IPV4_HEADER>()
            .ok_or(ParseError::Truncated)?;
        let header_len = usize::from(header[0] & 0xf) * 4;
        if header_len < IPV4_HEADER {
            return Err(ParseError::HeaderLength);
        }
        let total_len = usize::from(be16(header, 2));
        if total_len < header_len {
            return Err(ParseError::TotalLength);
        }
        let packet = bytes.get(..total_len).ok_or(ParseError::Truncated)?;
        let valid = match header_len {
            IPV4_HEADER => checksum::of_header(header) == 0,
            _ => checksum::is_valid(&packet[..header_len]),
        };
        if !valid {
            return Err(ParseError::HeaderChecksum);
        }
        let word = be16(header, 6);
        let fragment = Fragment {
            id: be16(header, 4).into(),
            offset: (word & 0x1fff) << 3,
            more: word & 0x2000 != 0,
        };
        let protocol = header[9];
        let transport = if fragment.more || fragment.offset != 0 {
            Transport::fragment(packet, header_len, fragment)
        } else {
            Transport::parse(packet, header_len, protocol, ICMPV4)?
        };
        let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
        let key = FlowKey::v4(
            Ipv4Addr::new(s0, s1, s2, s3),
            Ipv4Addr::new(d0, d1, d2, d3),
            transport.ports.0,
            transport.ports.1,
        );
        let ip = IpHeader {
            transport_start: header_len,
            protocol,
            hop_limit: header[8],
            traffic_class: header[1],
            dont_fragment: word & 0x4000 != 0,
            has_options: header_len > IPV4_HEADER,
        };
        Ok(Self::new(key, packet, ip, transport))
    }

    // RFC 8200, 3
    fn parse_v6(bytes: &[u8]) -> Result<Self, ParseError> {
        let (header, packet) = split_v6(bytes)?;
        let chain = ext::walk(packet)?;
        let transport = match chain.fragment {
            Some(fragment) => Transport::fragment(packet, chain.end, fragment),
            None => Transport::parse(packet, chain.end, chain.protocol, ICMPV6)?,
        };
        let (source, destination) = v6_addresses(header);
        let key = FlowKey::v6(source, destination, transport.ports.0, transport.ports.1);
        let ip = IpHeader {
            transport_start: chain.end,
            protocol: chain.protocol,
            hop_limit: header[7],
            traffic_class: header[0] << 4 | header[1] >> 4,
            dont_fragment: true,
            has_options: chain.end > IPV6_HEADER,
        };
        Ok(Self::new(key, packet, ip, transport))
    }

    fn new(key: FlowKey, packet: &[u8], ip: IpHeader, transport: Transport) -> Self {
        // No packet is longer than 40 + 65,535 bytes, and no IP header longer than 40 + 2048.
        Self {
            key,
            detail: transport.detail,
            total_len: packet.len() as u32,
            payload_start: transport.payload_start as u32,
            transport_end: transport.end as u32,
            transport_start: ip.transport_start as u16,
            protocol: ip.protocol,
            hop_limit: ip.hop_limit,
            traffic_class: ip.traffic_class,
            dont_fragment: ip.dont_fragment,
            has_options: ip.has_options,
        }
    }

    /// Returns source and destination. The ports are 0 for every fragment and for protocols other
    /// than TCP and UDP.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// let headers = Headers::parse(&bytes)?;
    /// assert_eq!(headers.key().destination(), "10.0.0.2:53".parse()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key(&self) -> FlowKey {
        self.key
    }

    /// Returns the source address.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert_eq!(Headers::parse(&bytes)?.source().to_string(), "10.0.0.1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn source(&self) -> IpAddr {
        self.key.addresses().0
    }

    /// Returns the destination address.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert_eq!(Headers::parse(&bytes)?.destination().to_string(), "10.0.0.2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn destination(&self) -> IpAddr {
        self.key.addresses().1
    }

    /// Returns the protocol of the payload, behind all IPv6 extension headers.
    ///
    /// The protocol of an IPv6 fragment is the one that the fragment header names. It may be another
    /// extension header.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, Protocol, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert_eq!(Headers::parse(&bytes)?.protocol(), Protocol::Udp);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn protocol(&self) -> Protocol {
        self.protocol.into()
    }

    /// Returns the IPv4 time to live or the IPv6 hop limit.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert_eq!(Headers::parse(&bytes)?.hop_limit(), 64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hop_limit(&self) -> u8 {
        self.hop_limit
    }

    /// Returns the IPv4 type of service or the IPv6 traffic class: DSCP and ECN.
    ///
    /// ```
    /// # use brooklet_packet::{Ecn, Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert_eq!(Headers::parse(&bytes)?.traffic_class().ecn(), Ecn::NotEct);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn traffic_class(&self) -> TrafficClass {
        TrafficClass::from_bits(self.traffic_class)
    }

    /// Returns whether routers may not fragment the packet: the IPv4 flag "don't fragment", and
    /// always `true` with IPv6 (RFC 8200, 4.5).
    ///
    /// ```
    /// # use brooklet_packet::{Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert!(Headers::parse(&bytes)?.dont_fragment());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dont_fragment(&self) -> bool {
        self.dont_fragment
    }

    /// Returns the identification and offset of a fragment, or `None` for an unfragmented packet.
    ///
    /// The parser reads no transport header of a fragment, not even of the first:
    /// [`tcp()`](Self::tcp) is `None`, the ports are 0, and both the transport and the payload are
    /// all bytes behind the IPv4 header or the IPv6 fragment header. An IPv6 atomic fragment is an
    /// unfragmented packet (RFC 6946).
    ///
    /// ```
    /// # use brooklet_packet::{Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert!(Headers::parse(&bytes)?.fragment().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fragment(&self) -> Option<Fragment> {
        match self.detail {
            Detail::Fragment(fragment) => Some(fragment),
            _ => None,
        }
    }

    /// Returns the fields of the TCP header, or `None` for a fragment and for another protocol.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert!(Headers::parse(&bytes)?.tcp().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tcp(&self) -> Option<TcpHeader> {
        match self.detail {
            Detail::Tcp(header) => Some(header),
            _ => None,
        }
    }

    /// Returns the range of transport header and payload in the packet.
    ///
    /// The range of a UDP datagram ends at the UDP length, which may be before the end of the packet.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert_eq!(Headers::parse(&bytes)?.transport_range(), 20..33);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transport_range(&self) -> Range<usize> {
        usize::from(self.transport_start)..self.transport_end as usize
    }

    /// Returns the range of the payload in the packet: the bytes behind the TCP header and its
    /// options, behind the UDP header, or behind the 8 bytes of the ICMP header. Other protocols have
    /// no header here.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert_eq!(&bytes[Headers::parse(&bytes)?.payload_range()], b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn payload_range(&self) -> Range<usize> {
        self.payload_start as usize..self.transport_end as usize
    }

    /// Returns whether the packet has IPv4 options or IPv6 extension headers.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert!(!Headers::parse(&bytes)?.has_options());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn has_options(&self) -> bool {
        self.has_options
    }

    /// Returns whether the transport checksum in `bytes`, the parsed bytes, is correct.
    ///
    /// Verifies TCP, UDP and ICMP. A UDP checksum of zero means no checksum: it is correct with IPv4
    /// (RFC 768) and wrong with IPv6 (RFC 8200, 8.1). Returns `true` for fragments and for other
    /// protocols.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// let headers = Headers::parse(&bytes)?;
    /// assert!(headers.verify_checksum(&bytes));
    /// bytes[32] ^= 1;
    /// assert!(!headers.verify_checksum(&bytes));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify_checksum(&self, bytes: &[u8]) -> bool {
        if self.fragment().is_some() {
            return true;
        }
        let Some(segment) = bytes.get(self.transport_range()) else {
            return false;
        };
        let is_ipv6 = self.key.is_ipv6();
        match self.protocol {
            UDP if segment.get(6..8) == Some(&[0, 0]) => !is_ipv6,
            TCP | UDP => checksum::is_valid_segment(self.key.addresses(), self.protocol, segment),
            ICMPV4 if !is_ipv6 => checksum::is_valid(segment),
            ICMPV6 if is_ipv6 => {
                checksum::is_valid_segment(self.key.addresses(), self.protocol, segment)
            }
            _ => true,
        }
    }

    /// Returns the length of the packet that the IP header gives, in bytes.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert_eq!(Headers::parse(&bytes)?.total_len(), bytes.len());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn total_len(&self) -> usize {
        self.total_len as usize
    }
}

/// The header of an IPv6 packet, and the packet without padding behind it.
pub(crate) fn split_v6(bytes: &[u8]) -> Result<(&[u8; IPV6_HEADER], &[u8]), ParseError> {
    let header = bytes
        .first_chunk::<IPV6_HEADER>()
        .ok_or(ParseError::Truncated)?;
    let payload_len = usize::from(be16(header, 4));
    if payload_len == 0 && header[6] == ext::HOP_BY_HOP {
        return Err(ParseError::TotalLength); // RFC 2675, 3
    }
    let packet = bytes
        .get(..IPV6_HEADER + payload_len)
        .ok_or(ParseError::Truncated)?;
    Ok((header, packet))
}

/// Source and destination of an IPv6 header.
pub(crate) fn v6_addresses(header: &[u8; IPV6_HEADER]) -> (Ipv6Addr, Ipv6Addr) {
    let address = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&header[at..at + 16]);
        Ipv6Addr::from(octets)
    };
    (address(8), address(24))
}

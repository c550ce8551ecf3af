//! The errors of parsing and writing a packet.

use std::error::Error;
use std::fmt;

/// The error of [`Headers::parse`](crate::Headers::parse).
///
/// A host drops a packet with any of these errors. [`icmp::malformed_reply`] writes the answer to
/// the few that ask for one: [`HopByHopOrder`](Self::HopByHopOrder),
/// [`RoutingHeader`](Self::RoutingHeader), [`UnknownOption`](Self::UnknownOption) and
/// [`Fragment`](Self::Fragment).
/// [`ParseError::index`] numbers the errors for an array of counters.
///
/// [`icmp::malformed_reply`]: crate::icmp::malformed_reply
///
/// ```
/// use brooklet_packet::{Headers, ParseError};
///
/// let mut dropped = [0u64; ParseError::ALL.len()];
/// if let Err(why) = Headers::parse(&[0x45, 0, 0]) {
///     dropped[why.index()] += 1;
/// }
/// assert_eq!(dropped[ParseError::Truncated.index()], 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum ParseError {
    /// The bytes end before the IP header does, or before the length that the header gives.
    Truncated,
    /// The version is neither 4 nor 6.
    Version,
    /// The IPv4 header length is below five words (RFC 791, 3.1).
    HeaderLength,
    /// The IPv4 total length does not cover the header, or the packet is an IPv6 jumbogram
    /// (RFC 2675), which no TUN device carries.
    TotalLength,
    /// The IPv4 header checksum is wrong (RFC 1122, 3.2.1.2).
    HeaderChecksum,
    /// The chain of IPv6 extension headers is not acceptable: a header reaches beyond the packet,
    /// an option beyond its header, an authentication header is shorter than 12 bytes (RFC 4302,
    /// 2), the chain is longer than 8 headers or 2 KiB, or one header has more than 8 options, more
    /// than 7 bytes of padding in a row or padding other than zeros (RFC 8504, 5.3).
    ExtensionHeader,
    /// A hop-by-hop options header is not the first extension header (RFC 8200, 4.1 and 4.3).
    HopByHopOrder,
    /// A routing header has segments left, so that this host is not the last destination (RFC 8200,
    /// 4.4). The parser knows no type of routing header.
    RoutingHeader,
    /// The type of an unknown option in a hop-by-hop or destination options header asks to drop the
    /// packet: its highest two bits are not 00 (RFC 8200, 4.2). A hop-by-hop jumbo payload option
    /// counts as unknown (RFC 2675).
    UnknownOption,
    /// An IPv6 fragment is not acceptable by itself: it is not the last and not a multiple of 8
    /// bytes long, its packet would be longer than 65,535 bytes, or it is the first and does not hold
    /// all headers of its packet (RFC 8200, 4.5). The [`reassembly`](crate::reassembly) checks the
    /// fragments of IPv4.
    Fragment,
    /// The TCP header does not fit: fewer than 20 bytes, or a data offset below five words or
    /// beyond the segment (RFC 9293, 3.1).
    TcpHeader,
    /// The UDP header does not fit: fewer than 8 bytes, or a length below 8 or beyond the packet
    /// (RFC 768).
    UdpHeader,
    /// The ICMP message has fewer than 8 bytes (RFC 792, RFC 4443).
    IcmpHeader,
}

impl ParseError {
    /// All errors, in the order of [`ParseError::index`].
    ///
    /// ```
    /// use brooklet_packet::ParseError;
    ///
    /// for (index, error) in ParseError::ALL.into_iter().enumerate() {
    ///     assert_eq!(error.index(), index);
    /// }
    /// ```
    pub const ALL: [Self; 13] = [
        Self::Truncated,
        Self::Version,
        Self::HeaderLength,
        Self::TotalLength,
        Self::HeaderChecksum,
        Self::ExtensionHeader,
        Self::HopByHopOrder,
        Self::RoutingHeader,
        Self::UnknownOption,
        Self::Fragment,
        Self::TcpHeader,
        Self::UdpHeader,
        Self::IcmpHeader,
    ];

    /// Returns the position of this error in [`ParseError::ALL`].
    ///
    /// ```
    /// use brooklet_packet::ParseError;
    ///
    /// assert!(ParseError::Version.index() < ParseError::ALL.len());
    /// ```
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the packet is cut short",
            Self::Version => "the version is neither IPv4 nor IPv6",
            Self::HeaderLength => "the IPv4 header length is below 20 bytes",
            Self::TotalLength => "the IP length does not cover the header, or is a jumbogram's",
            Self::HeaderChecksum => "the IPv4 header checksum is wrong",
            Self::ExtensionHeader => "the IPv6 extension headers are broken or too many",
            Self::HopByHopOrder => "the IPv6 hop-by-hop options are not the first header",
            Self::RoutingHeader => "an IPv6 routing header has segments left",
            Self::UnknownOption => "an unknown IPv6 option asks to drop the packet",
            Self::Fragment => "an IPv6 fragment is one that no packet can have",
            Self::TcpHeader => "the TCP header does not fit the segment",
            Self::UdpHeader => "the UDP header does not fit the datagram",
            Self::IcmpHeader => "the ICMP message is cut short",
        })
    }
}

impl Error for ParseError {}

/// The error of [`udp::write`](crate::udp::write) and [`tcp::write`](crate::tcp::write).
///
/// ```
/// use brooklet_packet::{WriteError, udp};
///
/// let (from, to) = ("10.0.0.1:53".parse()?, "[fd00::1]:5000".parse()?);
/// let refused = udp::write(&mut Vec::new(), from, to, 64, b"answer");
/// assert_eq!(refused, Err(WriteError::Families));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum WriteError {
    /// One address is IPv4 and the other IPv6. Use two of one family.
    Families,
    /// The payload does not fit an IP packet. Send at most
    /// [`udp::max_payload`](crate::udp::max_payload) bytes in a datagram.
    TooLong,
    /// The TCP options are not a multiple of 4 bytes, or longer than 40 bytes. Pad them with zeros
    /// (RFC 9293, 3.1).
    Options,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Families => "source and destination are of different address families",
            Self::TooLong => "the payload is longer than an IP packet can carry",
            Self::Options => "the TCP options are not a multiple of 4 bytes up to 40",
        })
    }
}

impl Error for WriteError {}

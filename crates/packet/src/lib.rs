//! A checked, allocation-free view of an IP packet, and writers for the packets that answer one.
//!
//! [`Headers::parse`] looks at a packet once, from the version to the transport header, and keeps
//! what it found as a small `Copy` value: addresses and ports as a [`FlowKey`], the [`Protocol`]
//! behind every IPv6 extension header, the facts of a [`Fragment`], the fields of a TCP header and
//! the ranges of transport and payload. [`Packet`] is the same together with the bytes. Whatever
//! the bytes are, parsing ends with a value or with a [`ParseError`]: it does not panic, and a
//! range that it hands out lies inside the packet.
//!
//! The writers make the packets that a host sends back: [`udp::write`] for a datagram,
//! [`icmp::echo_reply`], [`icmp::unreachable`] and [`tcp::reset`]. They fill a `Vec<u8>` that the
//! caller keeps, so that a stack that runs allocates nothing. [`icmp::parse_error`] reads the ICMP
//! errors of others.
//!
//! For devices that leave work to others there are [`Headers::fill_checksum`] and
//! [`Headers::fill_partial_checksum`], and the [`Segmenter`], which cuts one packet that stands for
//! several; a [`Coalescer`] makes such a one.
//!
//! There is no I/O here, no clock and no async.
//!
//! ```
//! use brooklet_packet::{Packet, Protocol, udp};
//!
//! let (client, server) = ("10.0.0.1:5000".parse()?, "192.0.2.7:53".parse()?);
//! let mut bytes = Vec::new();
//! udp::write(&mut bytes, client, server, 64, b"a question")?;
//!
//! let packet = Packet::parse(&bytes)?;
//! assert_eq!(packet.protocol(), Protocol::Udp);
//! assert_eq!(packet.key().source(), client);
//! assert_eq!(packet.payload(), b"a question");
//! assert!(packet.verify_checksum());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is checked
//!
//! Lengths, the version, the IPv4 header checksum, the chain of IPv6 extension headers and the
//! length fields of the transport header. The transport checksum is not: a device with checksum
//! offload hands over packets whose checksum is not there yet, so [`Packet::verify_checksum`] is
//! a call of its own.
//!
//! Fragments are recognised and described, and nothing behind the IP header is read from them.
//! A [`reassembly::Reassembler`] makes whole packets of them, within limits, and [`fragment`] makes
//! fragments of packets.

mod addr;
mod checksum;
mod coalescer;
mod error;
mod ext;
mod fill;
mod flags;
mod fragmentation;
mod headers;
pub mod icmp;
mod key;
mod packet;
mod protocol;
pub mod reassembly;
mod segmenter;
#[cfg(feature = "serde")]
mod serde_text;
mod source;
mod strip;
pub mod tcp;
mod transport;
pub mod udp;
mod write;

pub use addr::is_unicast;
pub use coalescer::Coalescer;
pub use error::{ParseError, WriteError};
pub use flags::{ParseTcpFlagsError, TcpFlags};
pub use fragmentation::fragment;
pub use headers::Headers;
pub use key::{FlowKey, ParseFlowKeyError};
pub use packet::Packet;
pub use protocol::{ParseProtocolError, Protocol};
pub use segmenter::Segmenter;
pub use source::SourcePrefix;
pub use strip::strip_options;
pub use transport::{Fragment, TcpHeader};

#[cfg(test)]
mod tests;

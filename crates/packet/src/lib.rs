//! A checked, allocation-free view of an IP packet, and writers for the packets that answer one.
//!
//! [`Headers::parse`] reads a packet once, from the version to the transport header, and returns a
//! small `Copy` value: addresses and ports as a [`FlowKey`], the [`Protocol`] behind every IPv6
//! extension header, the hop limit and the [`TrafficClass`], the identification and offset of a
//! [`Fragment`], the fields of a TCP header, and the ranges of transport and payload. [`Packet`] is the headers together with the bytes. Parsing
//! returns a value or a [`ParseError`] and never panics, and every range is inside of the packet.
//!
//! The writers make the packets that a host sends: [`udp::write`], [`tcp::write`] and
//! [`icmp::write_echo_request`] write a datagram, a segment and a ping; [`icmp::echo_reply`],
//! [`icmp::error`], [`icmp::malformed_reply`] and [`tcp::reset`] answer a packet. They fill a
//! `Vec<u8>` of the caller, so a running stack allocates nothing. [`icmp::parse_error`] reads ICMP
//! errors, and [`PathMtus`] keeps the path MTUs that they report.
//!
//! Devices leave work to the stack, or do work for it: [`Headers::fill_checksum`] and
//! [`Headers::fill_partial_checksum`] write checksums, a [`Segmenter`] splits a super-packet, and a
//! [`Coalescer`] makes one of several datagrams.
//!
//! The crate has no I/O, no clock and no async.
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
//! The parser checks lengths, the version, the IPv4 header checksum, the chain of IPv6 extension
//! headers with their options, and the length fields of the transport header. An IPv6 packet with an
//! unknown option that asks for it, a routing header with segments left, or a fragment that no packet
//! can have is refused; [`icmp::malformed_reply`] writes the parameter problem that its sender is due
//! (RFC 8200, 4). The parser does not verify the transport checksum, which a device with checksum
//! offload leaves out: [`Packet::verify_checksum`] does.
//!
//! The parser recognises fragments and returns nothing from behind their IP header. A
//! [`reassembly::Reassembler`] reassembles packets within limits, and [`fragment`] splits packets.
//!
//! # Features
//!
//! - `serde`: `Serialize` and `Deserialize` for plain data. [`FlowKey`], [`Protocol`] and [`TcpFlags`]
//!   are the texts that they print.

#![cfg_attr(docsrs, feature(doc_cfg))]

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
mod ip_fields;
mod key;
mod packet;
mod path_mtus;
mod protocol;
pub mod reassembly;
mod segmenter;
#[cfg(feature = "serde")]
mod serde_text;
mod source;
mod source_shares;
mod strip;
pub mod tcp;
mod traffic_class;
mod transport;
pub mod udp;
mod write;

pub use addr::{is_martian, is_unicast};
pub use coalescer::Coalescer;
pub use error::{ParseError, WriteError};
pub use flags::{ParseTcpFlagsError, TcpFlags};
pub use fragmentation::{Fragmenter, fragment};
pub use headers::Headers;
pub use ip_fields::IpFields;
pub use key::{FlowKey, ParseFlowKeyError};
pub use packet::Packet;
pub use path_mtus::PathMtus;
pub use protocol::{ParseProtocolError, Protocol};
pub use segmenter::Segmenter;
pub use source::SourcePrefix;
pub use source_shares::SourceShares;
pub use strip::strip_options;
pub use traffic_class::{Ecn, TrafficClass};
pub use transport::{Fragment, TcpHeader};

#[cfg(test)]
mod tests;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

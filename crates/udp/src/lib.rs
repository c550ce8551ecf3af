//! A UDP engine without I/O, and async UDP sockets over IP packets.
//!
//! A program with a TUN device receives the datagrams of a whole host or network. Its socket is
//! therefore bound to no address. Each datagram comes with its source address (`from`) and its
//! destination address (`to`), and the program can send a datagram from any address. A proxy thus
//! answers from the address of the remote host.
//!
//! - [`Engine`] is the driver's side. Parsed packets go in by
//!   [`handle_packet`](Engine::handle_packet), complete IP packets come out by
//!   [`poll_transmit`](Engine::poll_transmit). The engine does no I/O, reads no clock and needs no
//!   executor.
//! - [`TransparentUdpSocket`] is the application's side. It works on any executor, and can be
//!   [split](TransparentUdpSocket::split) into a [`UdpReadHalf`] and a [`UdpWriteHalf`].
//!
//! Both are generic over the [`Flavor`](brooklet_cell::Flavor): an `Engine<Threaded>` is for many
//! threads, an `Engine<SingleThread>` stays on one.
//!
//! ```
//! # #[cfg(feature = "sync")] {
//! use brooklet_cell::Threaded;
//! use brooklet_packet::{Packet, udp};
//! use brooklet_udp::{Arrival, Clock, Config, Engine, Interface, Received};
//! use futures_lite::future::block_on;
//! use std::time::Instant;
//!
//! let (engine, socket) = Engine::<Threaded>::new(
//!     Interface::new(),
//!     Config::default(),
//!     Clock::new(Instant::now),
//!     [1, 2],
//! );
//!
//! // A packet arrives: 10.0.0.1 asks a name server.
//! let mut bytes = Vec::new();
//! let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
//! udp::write(&mut bytes, client, server, 64, b"question")?;
//! let packet = Packet::parse(&bytes)?;
//! assert!(packet.verify_checksum());
//! assert_eq!(engine.handle_packet(Instant::now(), &packet, Arrival::new()), Received::Queued { congested: false });
//!
//! // The application answers from the address of the server.
//! block_on(async {
//!     let question = socket.recv_datagram().await?;
//!     assert_eq!(question.payload, b"question");
//!     socket.send_to(b"answer", question.to, question.from).await
//! })?;
//!
//! // The answer is a complete IP packet.
//! let answer = engine.poll_transmit().expect("one packet waits");
//! let packet = Packet::parse(&answer)?;
//! assert_eq!(packet.key().source(), server);
//! assert_eq!(packet.payload(), b"answer");
//! engine.recycle(answer);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Shares of the inbound queue
//!
//! The inbound queue is bounded in datagrams and in bytes. A source, which is an IPv4 address or
//! an IPv6 /64, may hold three times the room that is free. A queue that is at most three quarters
//! full of one source's datagrams drops none of them; a source that floods the queue leaves a
//! quarter of it to other sources. [`Stats`] counts the datagrams dropped for this reason.
//!
//! # Limits
//!
//! The engine neither fragments nor reassembles. A datagram has to fit the MTU, and the caller
//! reassembles fragments. The caller also verifies the checksums of the packets that it passes to
//! the engine.
//!
//! # Features
//!
//! - `sync` (default): the thread-safe flavor.
//! - `local`: the single-threaded flavor.
//! - `futures`: `Stream` for [`UdpReadHalf`] and `Sink` for [`UdpWriteHalf`].
//! - `serde`: `Serialize` and `Deserialize` for [`Config`], [`Stats`] and [`Datagram`].

#![cfg_attr(docsrs, feature(doc_cfg))]

mod arrival;
mod binder;
mod config;
mod counters;
mod datagram;
mod engine;
mod error;
mod flow_error;
mod inbound;
mod interface;
mod outbound;
mod ports;
mod queues;
mod read_half;
mod reader;
mod received;
mod send;
mod session;
mod setters;
#[cfg(feature = "futures")]
mod sink;
mod socket;
mod split;
mod stats;
mod transparent;
mod wait;
mod write_half;

#[cfg(test)]
#[cfg(any(feature = "sync", feature = "local"))]
mod tests;

pub use arrival::Arrival;
pub use binder::UdpBinder;
pub use brooklet_io::{Clock, StackClosed};
pub use brooklet_packet::{Ecn, TrafficClass};
pub use config::Config;
pub use counters::Counters;
pub use datagram::Datagram;
pub use engine::Engine;
pub use error::SendError;
pub use flow_error::FlowError;
pub use interface::Interface;
pub use read_half::UdpReadHalf;
pub use received::Received;
#[cfg(feature = "futures")]
pub use session::UdpIncoming;
pub use session::{Filtering, Mapping, SessionConfig, SessionEnd, UdpListener, UdpSession};
pub use socket::UdpSocket;
pub use split::ReuniteError;
pub use stats::Stats;
pub use transparent::TransparentUdpSocket;
pub use write_half::UdpWriteHalf;

#[cfg(all(doctest, feature = "sync"))]
#[doc = include_str!("../README.md")]
struct Readme;

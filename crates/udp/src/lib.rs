//! UDP over IP packets, for every destination at once.
//!
//! A TUN program sees the datagrams of a whole machine, so its socket is not bound to an address:
//! each datagram comes with where it is `from` and where it was going `to`, and an answer may be
//! sent `from` any address, as a proxy must that speaks for the remote side.
//!
//! The two sides share one state:
//!
//! - [`Engine`] is for whoever drives the device: parsed packets go in with
//!   [`handle_packet`](Engine::handle_packet), finished IP packets come out of
//!   [`poll_transmit`](Engine::poll_transmit). It does no I/O and knows no clock and no executor.
//! - [`UdpSocket`] is for the application, on any executor.
//!
//! Both are generic over the [`Flavor`](brooklet_cell::Flavor): `Engine<Threaded>` may be used from
//! many threads, `Engine<SingleThread>` stays on one.
//!
//! ```
//! # #[cfg(feature = "sync")] {
//! use brooklet_cell::Threaded;
//! use brooklet_packet::{Packet, udp};
//! use brooklet_udp::{Config, Engine, Interface, Received};
//! use futures_lite::future::block_on;
//!
//! let (engine, socket) = Engine::<Threaded>::new(Interface::default(), Config::default());
//!
//! // A packet arrives: 10.0.0.1 asks a name server.
//! let mut bytes = Vec::new();
//! let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
//! udp::write(&mut bytes, client, server, 64, b"question")?;
//! let packet = Packet::parse(&bytes)?;
//! assert!(packet.verify_checksum());
//! assert_eq!(engine.handle_packet(&packet), Received::Queued);
//!
//! // The application answers in the name of the server.
//! block_on(async {
//!     let question = socket.recv_datagram().await?;
//!     assert_eq!(question.payload, b"question");
//!     socket.send_to(b"answer", question.to, question.from).await
//! })?;
//!
//! // The answer is a whole IP packet.
//! let answer = engine.poll_transmit().expect("one packet waits");
//! let packet = Packet::parse(&answer)?;
//! assert_eq!(packet.key().source(), server);
//! assert_eq!(packet.payload(), b"answer");
//! engine.recycle(answer);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does not do
//!
//! No fragmentation: a datagram must fit the MTU. No reassembly: fragments have to be put
//! together before they come here. The caller verifies the checksum of what it hands in.
//!
//! # Features
//!
//! - `sync` (default): the thread-safe flavor.
//! - `local`: the single-threaded flavor.
//! - `futures`: `Stream` for [`UdpReadHalf`] and `Sink` for [`UdpWriteHalf`].
//! - `serde`: `Serialize` and `Deserialize` for [`Config`], [`Stats`] and [`Datagram`].

#![cfg_attr(docsrs, feature(doc_cfg))]

mod buffer_pool;
mod config;
mod engine;
mod error;
mod halves;
mod inbound;
mod interface;
mod outbound;
mod shared;
#[cfg(feature = "futures")]
mod sink;
mod socket;
mod stats;
mod wakers;

#[cfg(test)]
#[cfg(any(feature = "sync", feature = "local"))]
mod tests;

pub use brooklet_io::StackClosed;
pub use config::Config;
pub use engine::{Engine, Received};
pub use error::SendError;
pub use halves::{UdpReadHalf, UdpWriteHalf};
pub use interface::Interface;
pub use socket::{Datagram, UdpSocket};
pub use stats::{Counters, Stats};

#[cfg(all(doctest, feature = "sync"))]
#[doc = include_str!("../README.md")]
struct Readme;

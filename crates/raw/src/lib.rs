//! ICMP and raw IP sockets without I/O: everything that is neither TCP nor UDP.
//!
//! - [`Engine`] is the driver's side. Parsed packets go in by the `handle_` methods, complete IP
//!   packets come out by [`poll_transmit`](Engine::poll_transmit). The engine does no I/O and needs
//!   no executor.
//! - [`Binder`] is the application's side. It makes sockets, sends ICMP errors, and sets the
//!   policy for echo requests: what happens to them, by their destination.
//! - [`IcmpSocket`] receives echo requests as items that the program answers, rejects or drops, and
//!   sends echo requests of its own.
//! - [`RawSocket`] sends and receives whole IP packets: other protocols, multicast, and packets that
//!   the filter diverts.
//! - [`icmp_error_of`] and [`io_error_of`] turn the I/O error of an upstream socket into the ICMP
//!   error for the client, and back.
//!
//! All are generic over the [`Flavor`](brooklet_cell::Flavor): an `Engine<Threaded>` is for many
//! threads, an `Engine<SingleThread>` stays on one.
//!
//! ```
//! # #[cfg(feature = "sync")] {
//! use brooklet_cell::Threaded;
//! use brooklet_packet::icmp::{self, Echo};
//! use brooklet_packet::{IpFields, Packet};
//! use brooklet_raw::{Clock, Config, Echoed, Engine, IcmpMessage, Interface};
//! use futures_lite::future::block_on;
//! use std::time::Instant;
//!
//! let clock = Clock::new(Instant::now);
//! let engine = Engine::<Threaded>::new(Interface::new(), Config::new(), clock);
//! let socket = engine.binder().bind_icmp()?;
//!
//! // A packet arrives: 10.0.0.1 pings 192.0.2.7.
//! let (client, server) = ("10.0.0.1".parse()?, "192.0.2.7".parse()?);
//! let echo = Echo { identifier: 7, sequence: 1 };
//! let mut bytes = Vec::new();
//! icmp::write_echo_request(&mut bytes, client, server, IpFields::new(), echo, b"ping")?;
//! let packet = Packet::parse(&bytes)?;
//! assert_eq!(engine.handle_echo_request(Instant::now(), &packet), Echoed::Queued);
//!
//! // The application answers in the name of the server.
//! let IcmpMessage::EchoRequest(request) = block_on(socket.recv())? else { panic!("a request") };
//! assert_eq!((request.source(), request.sequence()), (client, 1));
//! request.reply()?;
//!
//! // The answer is a complete IP packet.
//! let answer = engine.poll_transmit().expect("one packet waits");
//! assert_eq!(icmp::parse_echo_reply(&Packet::parse(&answer)?), Some(echo));
//! engine.recycle(answer);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Bounded queues
//!
//! The queue of each socket is bounded in packets and in bytes. A source, which is an IPv4 address
//! or an IPv6 /64, may hold three times the room that is free: a source that floods the queue leaves
//! a quarter of it to other sources. The outbound queue is bounded in packets and in bytes, too. [`Stats`] counts what
//! is dropped, by its reason.
//!
//! # Rate limit
//!
//! ICMP errors are limited to 100 per second and 50 at once to one source, an IPv4 address or an IPv6
//! /64, and to 1,000 per second and 500 at once to all: those of the driver and those of the program
//! together (RFC 4443, 2.4(f); RFC 1812, 4.3.2.8). "Fragmentation needed" and "packet too big" have no
//! limit, as with Linux.
//!
//! # Limits
//!
//! The engine neither fragments nor reassembles: the caller does. The caller also filters packets.
//!
//! # Features
//!
//! - `sync` (default): the thread-safe flavor.
//! - `local`: the single-threaded flavor.
//! - `futures`: `Stream` for [`IcmpSocket`] and [`RawSocket`].
//! - `serde`: `Serialize` and `Deserialize` for the configurations and [`Stats`].

#![cfg_attr(docsrs, feature(doc_cfg))]

mod binder;
mod config;
mod echo_policy;
mod engine;
mod error;
mod hub;
mod icmp;
mod interface;
mod io_errors;
mod ledger;
mod memory_stats;
mod outbound;
mod outcome;
mod queue;
mod raw_socket;
mod stats;
#[cfg(feature = "futures")]
mod stream;
mod token_bucket;

#[cfg(test)]
#[cfg(any(feature = "sync", feature = "local"))]
mod tests;

pub use binder::Binder;
pub use brooklet_io::{Clock, StackClosed};
pub use config::{Config, IcmpSocketConfig, RawConfig};
pub use echo_policy::EchoAction;
pub use engine::Engine;
pub use error::SendError;
pub use icmp::{EchoReply, EchoRequest, IcmpMessage, IcmpSocket};
pub use interface::Interface;
pub use io_errors::{icmp_error_of, io_error_of};
pub use memory_stats::MemoryStats;
pub use outcome::{Answered, Echoed, RawReceived};
pub use raw_socket::{RawPacket, RawSocket};
pub use stats::Stats;

#[cfg(all(doctest, feature = "sync"))]
#[doc = include_str!("../README.md")]
struct Readme;

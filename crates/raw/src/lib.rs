//! ICMP and raw IP sockets over IP packets: everything that is neither TCP nor UDP.
//!
//! - [`IcmpSocket`] receives the echo requests of clients, which the program answers, rejects or
//!   ignores, and sends echo requests of its own.
//! - [`RawSocket`] receives and sends whole IP packets: those of other protocols, multicast, and
//!   those that a filter diverts.
//! - [`Binder`] binds the sockets, sets the policy for echo requests, and sends ICMP errors.
//! - [`Engine`] is the driver's side. Parsed packets go in, complete IP packets come out by
//!   [`poll_transmit`](Engine::poll_transmit). The engine does no I/O and needs no executor.
//! - [`icmp_error_of`] and [`io_error_of`] translate between errors of sockets and ICMP errors.
//!
//! All are generic over the [`Flavor`](brooklet_cell::Flavor): an `Engine<Threaded>` is for many
//! threads, an `Engine<SingleThread>` stays on one.
//!
//! ```
//! # #[cfg(feature = "sync")] {
//! use brooklet_cell::Threaded;
//! use brooklet_io::Clock;
//! use brooklet_packet::icmp::{self, Echo};
//! use brooklet_packet::{IpFields, Packet};
//! use brooklet_raw::{Config, Echoed, Engine, IcmpMessage, Interface};
//! use futures_lite::future::block_on;
//!
//! let clock = Clock::new(std::time::Instant::now);
//! let engine = Engine::<Threaded>::new(Interface::new(), Config::new(), clock);
//! let socket = engine.binder().bind_icmp()?;
//!
//! // A packet arrives: 10.0.0.1 pings a host.
//! let mut bytes = Vec::new();
//! let (client, host) = ("10.0.0.1".parse()?, "192.0.2.7".parse()?);
//! let echo = Echo { identifier: 7, sequence: 1 };
//! icmp::write_echo_request(&mut bytes, client, host, IpFields::new(), echo, b"ping")?;
//! assert_eq!(engine.handle_echo_request(&Packet::parse(&bytes)?), Echoed::Delivered);
//!
//! // The program knows that the host is alive.
//! let IcmpMessage::EchoRequest(request) = block_on(socket.recv())? else { unreachable!() };
//! assert_eq!(request.destination(), host);
//! request.reply()?;
//!
//! let reply = engine.poll_transmit().expect("one packet waits");
//! assert_eq!(icmp::parse_echo_reply(&Packet::parse(&reply)?), Some(echo));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! Every queue is bounded by [`Config`]. ICMP errors of the program and of the driver share one rate
//! limit: 100 per second, 50 at once. Echo replies of the program have no rate limit: each answers
//! one request.
//!
//! # Features
//!
//! - `sync` (default): the thread-safe flavor.
//! - `local`: the single-threaded flavor.
//! - `futures`: `Stream` for the sockets.
//! - `serde`: `Serialize` and `Deserialize` for [`Config`], [`RawConfig`], [`EchoAction`] and
//!   [`Stats`].
#![cfg_attr(docsrs, feature(doc_cfg))]

mod binder;
mod config;
mod echo_policy;
mod echo_request;
mod engine;
mod error;
mod errors;
mod hub;
mod icmp_socket;
mod inbound;
mod interface;
mod outbound;
mod outstanding;
mod raw_socket;
mod stats;
mod token_bucket;
mod wait;

pub use binder::Binder;
pub use brooklet_io::StackClosed;
pub use config::Config;
pub use echo_policy::EchoAction;
pub use echo_request::EchoRequest;
pub use engine::{Echoed, Engine};
pub use error::SendError;
pub use errors::{icmp_error_of, io_error_of};
pub use icmp_socket::{EchoReply, IcmpMessage, IcmpSocket};
pub use interface::Interface;
pub use raw_socket::{RawConfig, RawPacket, RawSocket};
pub use stats::Stats;

#[cfg(all(doctest, feature = "sync"))]
#[doc = include_str!("../README.md")]
struct Readme;

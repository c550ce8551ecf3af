//! A UDP engine without I/O, and async UDP sockets over IP packets.
//!
//! A program with a TUN device receives the datagrams of a whole host or network. Its first socket
//! is therefore bound to no address. Each datagram comes with its source address (`from`) and its
//! destination address (`to`), and the program can send a datagram from any address. A proxy thus
//! answers from the address of the remote host.
//!
//! - [`Engine`] is the driver's side. Parsed packets go in by
//!   [`handle_packet`](Engine::handle_packet), complete IP packets come out by
//!   [`poll_transmit`](Engine::poll_transmit). The engine does no I/O, reads no clock and needs no
//!   executor.
//! - [`TransparentUdpSocket`] is the application's side: every datagram, with both addresses. It
//!   works on any executor, and can be [split](TransparentUdpSocket::split) into a
//!   [`UdpReadHalf`] and a [`UdpWriteHalf`].
//! - [`UdpListener`] makes [sessions](#sessions) of the datagrams: a [`UdpSession`] for each client.
//! - [`UdpSocket`] is bound to an address, as on any host. A [`UdpBinder`] makes it.
//!
//! All are generic over the [`Flavor`](brooklet_cell::Flavor): an `Engine<Threaded>` is for many
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
//! let received = engine.handle_packet(Instant::now(), &packet, Arrival::new());
//! assert_eq!(received, Received::Queued { congested: false });
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
//! # Which handle receives a datagram
//!
//! 1. A [`UdpSocket`] that is connected to the source of the datagram.
//! 2. A [`UdpSocket`] that is bound to its destination address and port.
//! 3. A [`UdpSocket`] that is bound to its destination port and the unspecified address.
//! 4. The [session](#sessions) of its client.
//! 5. A new session, if there is a [`UdpListener`].
//! 6. A [`TransparentUdpSocket`] or [`UdpReadHalf`].
//!
//! # Sessions
//!
//! A proxy keeps a socket of its own for each client, and has to know when it may close the socket.
//! It does what a NAT does (RFC 4787), and [`TransparentUdpSocket::into_sessions`] does the
//! bookkeeping:
//!
//! - The [`Mapping`] says which datagrams of a client are one session: all from one address and port
//!   (endpoint-independent, which RFC 4787 asks for in REQ-1), or those to one destination address,
//!   or to one destination address and port.
//! - The [`Filtering`] says which remote hosts may send to the client: all, or those that the client
//!   has sent to. [`UdpSession::send_to_client`] enforces it, and refused datagrams are counted.
//! - A datagram in either direction keeps the session (REQ-6). Without one the session ends after
//!   the [`idle_timeout`](SessionConfig#structfield.idle_timeout) of 120 s (REQ-5), or, when a DNS
//!   question was answered, after the [`dns_timeout`](SessionConfig#structfield.dns_timeout) of
//!   10 s.
//! - The number of sessions is bounded, in total and for each source. A new session ends the least
//!   recently used one, of its source or of all.
//! - Each session has a queue of its own. All queues together are bounded in bytes, and of those a
//!   source may hold three times the room that is free.
//! - The sessions that wait to be accepted are bounded as well. A source may take three times the
//!   places that are free.
//!
//! The end of a session is an error of its next call, with a [`SessionEnd`] inside. There are no
//! callbacks. Every operation on the table takes constant time.
//!
//! # Any length
//!
//! A datagram may be as long as UDP allows: 65,507 bytes on IPv4 and 65,527 bytes on IPv6. The engine
//! returns one packet for it, and the driver fragments a packet that exceeds the
//! [path MTU](Engine::path_mtu). A datagram with
//! [`dont_fragment`](Datagram#structfield.dont_fragment) is refused instead, with an error that names
//! the limit.
//!
//! Path MTUs come from ICMP errors about datagrams that were sent, and from the program by
//! [`Engine::set_path_mtu`].
//!
//! # Several datagrams at once
//!
//! `recv_batch` and `send_batch` pass many datagrams under one lock. A
//! [`segment_size`](Datagram#structfield.segment_size) makes a batch of one
//! [`Datagram`]: with [`Interface::offload`] it leaves as one packet (UDP GSO), and a receiver that
//! asked for it gets a received batch (GRO) as one [`Datagram`].
//!
//! # Shares of the inbound queue
//!
//! The inbound queue of the [`TransparentUdpSocket`], and that of each [`UdpSocket`], is bounded in
//! datagrams and in bytes. A source, which is an IPv4 address or an IPv6 /64, may hold three times
//! the room that is free. A queue that is at most three quarters full of one source's datagrams
//! drops none of them; a source that floods the queue leaves a quarter of it to other sources.
//! [`Stats`] counts the datagrams dropped for this reason.
//!
//! # Limits
//!
//! The engine neither fragments nor reassembles: the driver does both. The caller also verifies the
//! checksums of the packets that it passes to the engine.
//!
//! # Features
//!
//! - `sync` (default): the thread-safe flavor.
//! - `local`: the single-threaded flavor.
//! - `futures`: `Stream` for [`UdpReadHalf`] and for the sessions of a [`UdpListener`], and `Sink`
//!   for [`UdpWriteHalf`].
//! - `log`: the start and the end of a session are log events of the level `Debug` with the target
//!   `brooklet::udp`, such as `UDP 192.0.2.1:53 10.0.0.1:5000 ended: idle age=0.020s in=40 out=120
//!   datagrams_in=1 datagrams_out=1`: the destination (`*` if there were several), the client, and
//!   the reason, which is `idle`, `evicted`, `closed` or `stack ended`. The age is that at the last
//!   datagram. An event has no payload.
//! - `serde`: `Serialize` and `Deserialize` for [`Config`], [`SessionConfig`], [`Stats`] and
//!   [`Datagram`].

#![cfg_attr(docsrs, feature(doc_cfg))]

mod arrival;
mod binder;
mod config;
mod counters;
mod datagram;
mod engine;
mod error;
mod events;
mod flow;
mod flow_error;
mod inbound;
mod interface;
mod ledger;
mod memory_stats;
mod outbound;
mod ports;
mod queues;
mod read_half;
mod reader;
mod received;
mod send;
mod session;
mod setters;
mod shares;
#[cfg(feature = "futures")]
mod sink;
mod socket;
mod split;
mod stats;
mod transparent;
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
pub use flow::UdpFlow;
pub use flow_error::FlowError;
pub use interface::Interface;
pub use memory_stats::MemoryStats;
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

//! TCP streams out of IP packets.
//!
//! - [`TcpListener`] accepts connections to every address or to one: as connected streams from
//!   [`accept`](TcpListener::accept), or as [`TcpRequest`] requests, which the program accepts,
//!   refuses, rejects with an ICMP error or ignores.
//! - [`TcpStream`] is a connection, with the method names of async-net.
//! - [`Connector`] opens connections and binds listeners.
//! - [`Engine`] is the driver's side: it processes received packets and returns packets to send. It
//!   does no I/O, knows no executor, and takes the time as an argument.
//!
//! Each connection has a cell of its own, which a table finds by the 4-tuple, so that the cost of a
//! packet does not grow with the number of connections. A connection with data in flight or data to
//! read holds buffers out of a budget for all connections ([`Config::memory`]). Tasks read and
//! write these buffers directly and make the packets of their connection; the driver moves packets.
//!
//! A SYN waits in the SYN queue, in at most 256 bytes, until the program answers it. If the queue or
//! the half-open connections are full, SYNs are answered with SYN cookies ([`Config::syn_cookies`]).
//!
//! With the feature `log`, the start and the end of a connection are log events of the level `Debug`
//! with the target `brooklet::tcp`, such as
//! `TCP 192.0.2.1:80 10.0.0.1:4000 ended: closed age=1.250s in=512 out=20480 retransmits=0`: the
//! address of this side, that of the peer, and the reason, which is `closed`, `reset by the peer`,
//! `refused by the peer`, `timed out`, `network unreachable`, `host unreachable`, `aborted`,
//! `dropped and reset` or `stack ended`. An event has no bytes of the stream. A connection whose
//! handshake fails only has an end.
//!
//! The types are generic over a [`Flavor`](brooklet_cell::Flavor): the features `sync` (default)
//! and `local` choose which flavors exist. The facade crate `brooklet` has names without the
//! parameter.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod buffer;
mod config;
mod connection;
mod connector;
mod engine;
mod error;
mod events;
mod flow;
mod interface;
mod listener;
mod listeners;
mod memory_stats;
mod options;
mod ports;
mod queue;
mod receive;
mod request;
mod round_trips;
mod segment;
mod send;
mod seq;
mod setters;
mod shared;
mod shares;
mod stack;
mod stats;
mod stream;
mod syn;
mod syn_cookie;
mod syn_queue;
mod table;
mod time_wait;
mod timers;

pub use brooklet_io::Clock;
pub use brooklet_io::StackClosed;
pub use brooklet_packet::TrafficClass;
pub use brooklet_packet::icmp::{IcmpErrorKind, Unreachable};
pub use config::Config;
pub use connection::TcpState;
pub use connection::info::TcpInfo;
pub use connector::Connector;
pub use engine::Engine;
pub use flow::TcpFlow;
pub use interface::Interface;
pub use listener::{TcpIncoming, TcpListener, TcpRequests};
pub use memory_stats::MemoryStats;
pub use options::{Congestion, TcpOptions};
pub use request::TcpRequest;
pub use round_trips::RoundTrips;
pub use stats::Stats;
pub use stream::TcpStream;
pub use stream::halves::{ReadHalf, ReuniteError, WriteHalf};

#[cfg(all(doctest, feature = "sync"))]
#[doc = include_str!("../README.md")]
struct Readme;

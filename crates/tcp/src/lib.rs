//! TCP streams out of IP packets.
//!
//! - [`TcpListener`] takes connections, to every address or to one: as [`Incoming`] requests that the
//!   program accepts, refuses, declares unreachable or ignores once it knows what to say, or already connected from
//!   [`accept`](TcpListener::accept).
//! - [`TcpStream`] is a connection, with the names of async-net.
//! - [`Connector`] begins connections from here.
//! - [`Engine`] is the other side: it is fed with packets and gives packets to send. It does no
//!   I/O, knows no executor and is told the time.
//!
//! Each connection is in a cell of its own, found by its 4-tuple in a table, so that the cost of a
//! packet does not grow with the number of connections. While it has data on its way or waiting, it
//! has a smoltcp socket of its own, with buffers out of a budget for all ([`Config::memory`]). Tasks
//! read and write those buffers directly and make their own packets; the driver moves packets.
//!
//! Losses, order, congestion, timers and blind attacks are dealt with outside of smoltcp, which is
//! shown a perfect peer.
//!
//! A SYN is held outside of smoltcp, in a few hundred bytes, until somebody answers it.
//!
//! Everything is written once over a [`Flavor`](brooklet_cell::Flavor): features `sync` (default)
//! and `local` say which flavors exist. The facade crate `brooklet` has the plain names.

#[allow(
    dead_code,
    unused_imports,
    reason = "the connection does not use it yet"
)]
mod buffer;
mod clock;
mod config;
mod connector;
mod context;
mod engine;
mod error;
mod flow;
mod guard;
mod hub;
mod incoming;
mod listener;
mod listeners;
mod memory;
mod options;
mod ports;
mod requests;
mod segment;
mod send;
mod seq;
mod stats;
mod stream;
mod syn;
mod table;
mod timers;
mod train;
mod wake;

pub use brooklet_packet::icmp::Unreachable;
pub use clock::Clock;
pub use config::Config;
pub use connector::Connector;
pub use engine::Engine;
pub use error::StackClosed;
pub use flow::{TcpInfo, TcpState};
pub use incoming::Incoming;
pub use listener::{Requests, TcpListener};
pub use options::{Congestion, TcpOptions};
pub use stats::Stats;
pub use stream::{ReadHalf, TcpStream, WriteHalf};

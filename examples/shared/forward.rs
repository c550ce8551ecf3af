//! A transparent forwarder: what arrives at the stack goes out through the host's own sockets.

mod tcp;
mod udp;

pub use tcp::{Streams, decline, relay, reset, streams};
pub use udp::datagrams;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Where the host reaches the destination that a client asked for; `None` is refused.
#[derive(Clone)]
pub struct Map(Arc<dyn Fn(SocketAddr) -> Option<SocketAddr> + Send + Sync>);

impl Map {
    /// Makes a map of a function.
    ///
    /// ```
    /// use brooklet_examples::shared::forward::Map;
    ///
    /// let map = Map::new(|to| (to.port() != 25).then_some(to));
    /// assert_eq!(map.host("192.0.2.1:25".parse().unwrap()), None);
    /// ```
    pub fn new(map: impl Fn(SocketAddr) -> Option<SocketAddr> + Send + Sync + 'static) -> Self {
        Self(Arc::new(map))
    }

    /// Every destination as it is, but for the host's loopback: a client behind a TUN has one of
    /// its own, and no business with the host's.
    pub fn transparent() -> Self {
        Self::new(|to| (!to.ip().to_canonical().is_loopback()).then_some(to))
    }

    /// Where the host reaches `to`.
    pub fn host(&self, to: SocketAddr) -> Option<SocketAddr> {
        (self.0)(to)
    }
}

impl std::fmt::Debug for Map {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Map")
    }
}

/// What the forwarder holds at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// TCP connections at a time, those being dialled included; requests beyond them wait in the
    /// stack's backlog. Default 4,096.
    pub connections: usize,
    /// How long to wait for the remote host to answer a connection. Default 15 s, which is as
    /// long as the stack keeps the client's request.
    pub dial: Duration,
    /// UDP sessions, each with a socket of its own; the one that was silent longest makes room
    /// for a new one. Default 1,024.
    pub sessions: usize,
    /// A UDP session ends when nothing was sent for so long in either direction. Default 60 s.
    pub idle: Duration,
    /// The same for questions to name servers (port 53). Default 10 s.
    pub idle_dns: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            dial: Duration::from_secs(15),
            sessions: 1024,
            idle: Duration::from_secs(60),
            idle_dns: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests;

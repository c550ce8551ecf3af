//! A transparent forwarder: the connections and datagrams of the stack go out through the host's
//! own sockets.

pub mod host;
mod tcp;
mod udp;

pub use tcp::{Streams, decline, relay, reset, streams};
pub use udp::datagrams;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Maps the destination that a client asks for to the address that the host connects to. A client
/// whose destination maps to `None` is refused.
#[derive(Clone)]
pub struct Map(Arc<dyn Fn(SocketAddr) -> Option<SocketAddr> + Send + Sync>);

impl Map {
    /// Makes a map from a function.
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

    /// Maps every destination to itself, except loopback addresses, which map to `None`: they would
    /// reach services that the host keeps for itself.
    pub fn transparent() -> Self {
        Self::new(|to| (!to.ip().to_canonical().is_loopback()).then_some(to))
    }

    /// Returns the address that the host connects to for the destination `to`.
    pub fn host(&self, to: SocketAddr) -> Option<SocketAddr> {
        (self.0)(to)
    }
}

impl std::fmt::Debug for Map {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Map")
    }
}

/// The limits of the forwarder.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most TCP connections at a time, including those that are connecting. More requests wait
    /// in the stack's backlog. Default 4,096.
    pub connections: usize,
    /// How long to wait for the remote host to accept a connection. Default 15 s: the stack keeps
    /// the client's request that long.
    pub dial: Duration,
    /// The most UDP sessions, each with a socket of its own. A new session replaces the one that
    /// was idle longest. Default 1,024.
    pub sessions: usize,
    /// How long a UDP session may be idle in both directions before it ends. Default 60 s.
    pub idle: Duration,
    /// The same for queries to name servers (port 53). Default 10 s.
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

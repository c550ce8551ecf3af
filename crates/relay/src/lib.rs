//! Relays the connections, datagrams and echo requests of a [brooklet] stack through the
//! host's own sockets. What the host learns about them, the clients learn too.
//!
//! - [`Relay`] starts the tasks, and counts ([`RelayStats`]).
//! - [`Map`] says where a destination leads.
//! - [`Dial`] makes the connections to remote hosts, directly ([`HostDialer`]) or otherwise.
//! - [`Limits`] bounds everything that a client can make the relay keep.
//! - [`Spawner`] starts the tasks on an executor, and [`Workers`] are threads for them.
//!
//! The tasks end with the stack. A task that waits on a socket of the host ends with its
//! connection or session, at the latest after the times of the limits.
//!
//! ```no_run
//! use brooklet::{Builder, Parts};
//! use brooklet_relay::{Limits, Map, Relay, Router, Spawner};
//!
//! # fn example(device: impl brooklet::PacketIo + Send + 'static) -> std::io::Result<()> {
//! let Parts { stack, tcp, udp, driver, .. } = Builder::new().build(device)?;
//! let spawner = Spawner::new(|task| smol::spawn(task).detach());
//! let relay = Relay::new(stack, Map::transparent(), Router::default(), Limits::default(), spawner);
//! relay.start(tcp, udp, true)?;
//! smol::block_on(driver)
//! # }
//! ```
//!
//! # Datagrams
//!
//! Each address and port of a client is a session with one port of the host for each IP version,
//! whatever the destinations are, and every remote host may send to that port: endpoint-independent
//! mapping and filtering (RFC 4787). [`Limits`] bounds the sessions and says when they end.
//!
//! Hop limit, traffic class and "don't fragment" pass in both directions. The client learns by ICMP
//! what happens to a datagram, also to one in the middle of a batch:
//!
//! | event | ICMP error, and its source |
//! |---|---|
//! | the host receives an ICMP error about the datagram (Linux) | the same one, from the router or host that sent it |
//! | the hop limit runs out at the relay | hop limit exceeded, from the [`Router`] |
//! | the datagram exceeds the path MTU that the host knows | packet too big, from the [`Router`]; the stack keeps the MTU for 10 minutes |
//! | the host has no route, or may not send | what the error says, from the [`Router`] |
//! | no file or no memory is left for the socket of the session | administratively prohibited, from the [`Router`] |
//! | the [`Map`] refuses or rejects the destination | port unreachable, from the destination; or the error of the map, from the [`Router`] |
//!
//! On Linux, datagrams pass the host's sockets in batches: `sendmmsg`, `recvmmsg`, `UDP_SEGMENT` and
//! `UDP_GRO`. The buffers belong to the threads. A session without traffic has none.
//!
//! # Echo requests
//!
//! On Linux, the host pings what the client pings, by an ICMP socket where the sysctl
//! `net.ipv4.ping_group_range` allows one, or else by a raw socket. The reply has the round trip and
//! the hop limit of the host's, and ICMP errors pass as for datagrams. Where the host may not ping, a
//! warning of the crate `log` says why, and clients are told that echo requests are prohibited.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod echo;
pub mod host;
mod limits;
mod map;
pub mod metrics;
mod publish;
mod rules;
mod spawner;
mod stats;
mod tcp;
mod udp;
mod workers;

pub use limits::Limits;
pub use map::{Destination, Map};
pub use rules::Rules;
pub use spawner::{Spawner, Task};
pub use stats::RelayStats;
pub use tcp::{Dial, DialRequest, HostDialer, Keepalive, Upstream};
pub use workers::Workers;

use async_lock::Semaphore;
use brooklet::{IcmpErrorKind, Packet, Stack, TcpListener, TransparentUdpSocket};
use brooklet_packet::{IpFields, udp as udp_packet};
use echo::echo_requests;
use host::Report;
use spawner::Contained;
use stats::Counters;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tcp::connections;
use udp::datagrams;

/// The addresses that the relay has as a router, for clients that ask for its path:
/// `traceroute` shows them as the first hop.
///
/// The default for IPv4 is the dummy address of RFC 7600, 192.0.0.8. The default for IPv6 is fe80::1.
#[derive(Clone, Copy, Debug)]
pub struct Router {
    /// For IPv4.
    pub ipv4: Ipv4Addr,
    /// For IPv6.
    pub ipv6: Ipv6Addr,
}

impl Default for Router {
    fn default() -> Self {
        Self {
            ipv4: Ipv4Addr::new(192, 0, 0, 8),
            ipv6: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
        }
    }
}

/// What the tasks of a relay share. Clones share the counters.
#[derive(Clone, Debug)]
pub struct Relay {
    stack: Stack,
    map: Map,
    router: Router,
    limits: Limits,
    spawner: Spawner,
    counters: Arc<Counters>,
    /// The places of the connections of published listeners.
    published: Arc<Semaphore>,
    /// The places of the sessions of published sockets.
    published_sessions: Arc<Semaphore>,
}

/// Where the packets of a client go.
#[derive(Clone, Copy, Debug)]
enum Hop {
    /// To the host, which sends them on with this hop limit, or with its own.
    On(SocketAddr, Option<u8>),
    /// Nowhere: the hop limit runs out here (RFC 1812, section 5.3.1).
    Exceeded,
    /// Nowhere: the map refuses it, see [`Destination`].
    Refused,
    /// Nowhere: the map answers with this error.
    Rejected(IcmpErrorKind),
    /// Nowhere, without an answer.
    Dropped,
}

impl Relay {
    /// Makes a relay for the clients of `stack`.
    pub fn new(stack: Stack, map: Map, router: Router, limits: Limits, spawner: Spawner) -> Self {
        Self {
            stack,
            map,
            router,
            limits,
            spawner,
            counters: Arc::default(),
            published: Arc::new(Semaphore::new(limits.connections)),
            published_sessions: Arc::new(Semaphore::new(limits.sessions.max(1))),
        }
    }

    /// Forwards connections and datagrams, and echo requests too if `ping` is set, until the stack
    /// ends. Otherwise the stack answers echo requests for every address.
    ///
    /// # Errors
    ///
    /// If the stack has an ICMP socket already.
    pub fn start(&self, tcp: TcpListener, udp: TransparentUdpSocket, ping: bool) -> io::Result<()> {
        if ping {
            self.start_ping()?;
        }
        self.start_tcp(tcp, HostDialer);
        self.start_udp(udp);
        Ok(())
    }

    /// Forwards connections, by a dialer of the program, until the stack ends.
    ///
    /// ```no_run
    /// # use brooklet_relay::{Dial, Relay};
    /// # fn example(relay: Relay, tcp: brooklet::TcpListener, proxy: impl Dial) {
    /// relay.start_tcp(tcp, proxy);
    /// # }
    /// ```
    pub fn start_tcp(&self, tcp: TcpListener, dialer: impl Dial) {
        self.spawn(0, connections(self.clone(), tcp, dialer));
    }

    /// Forwards datagrams until the stack ends.
    pub fn start_udp(&self, udp: TransparentUdpSocket) {
        self.spawn(0, datagrams(self.clone(), udp));
    }

    /// Forwards echo requests until the stack ends.
    ///
    /// # Errors
    ///
    /// If the stack has an ICMP socket already.
    pub fn start_ping(&self) -> io::Result<()> {
        let socket = self.stack.bind_icmp()?;
        self.spawn(0, echo_requests(self.clone(), socket));
        Ok(())
    }

    /// Returns the counters and gauges. Clones of a relay share them.
    pub fn stats(&self) -> RelayStats {
        self.counters.snapshot()
    }

    /// Starts a task on the thread of a queue. A panic of the task ends the task alone, and is counted:
    /// the connection of the task is reset, and the others go on.
    fn spawn(&self, queue: usize, task: impl Future<Output = ()> + Send + 'static) {
        let counters = self.counters.clone();
        self.spawner.spawn(queue, Contained { task, counters });
    }

    fn hop(&self, to: SocketAddr, hop_limit: u8) -> Hop {
        // The task that asks accepts the other connections too.
        let destination = catch_unwind(AssertUnwindSafe(|| self.map.destination(to)));
        let destination = destination.unwrap_or_else(|_| {
            self.counters.panics.count();
            Destination::Refuse
        });
        match destination {
            // The destination is the relay itself.
            Destination::To(host) if host != to => Hop::On(host, None),
            Destination::To(_) if hop_limit <= 1 => Hop::Exceeded,
            Destination::To(host) => Hop::On(host, Some(hop_limit - 1)),
            Destination::Refuse => Hop::Refused,
            Destination::Reject(kind) => Hop::Rejected(kind),
            Destination::Drop => Hop::Dropped,
        }
    }

    /// Returns the address of the relay in the family of `to`.
    fn router(&self, to: IpAddr) -> IpAddr {
        match to {
            IpAddr::V4(_) => self.router.ipv4.into(),
            IpAddr::V6(_) => self.router.ipv6.into(),
        }
    }

    /// Returns the address that an ICMP error to the client comes from: the one that the report
    /// names. `None` is the destination `to` itself, whose address for the host is `host`.
    fn reporter(&self, report: &Report, to: IpAddr, host: IpAddr) -> Option<IpAddr> {
        let reporter = report.reporter;
        if reporter == host {
            None
        } else if reporter.is_loopback() || reporter.is_ipv4() != to.is_ipv4() {
            Some(self.router(to))
        } else {
            Some(reporter)
        }
    }

    /// Sends an ICMP error about a datagram of a client.
    fn reject(
        &self,
        (from, to): (SocketAddr, SocketAddr),
        payload: &[u8],
        router: Option<IpAddr>,
        kind: impl Into<IcmpErrorKind>,
    ) {
        let mut bytes = Vec::new();
        let written = udp_packet::write_with(&mut bytes, from, to, IpFields::new(), payload);
        let (Ok(()), Ok(packet)) = (written, Packet::parse(&bytes)) else {
            return; // no datagram of a client
        };
        // The limit of the rate of ICMP errors may be reached, as at every router.
        let _ = match router {
            Some(router) => self.stack.send_error_from(router, &packet, kind),
            None => self.stack.send_error(&packet, kind),
        };
    }
}

#[cfg(test)]
mod tests;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

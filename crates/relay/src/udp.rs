use super::host::{Fields, HostUdpSocket, Report, UdpArrival, path_mtu};
use super::{Hop, Relay};
use brooklet::{
    Datagram, IcmpErrorKind, SessionEnd, StackClosed, TransparentUdpSocket, UdpSession,
    Unreachable, icmp_error_of,
};
use futures_lite::future;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

/// How many datagrams of one direction are forwarded before those of the other.
const BATCH: usize = 32;

/// The most mapped destinations that a session remembers.
const MAPPED: usize = 256;

/// The smallest MTU of IPv6 (RFC 8200, section 5).
const LEAST_IPV6: u32 = 1280;

/// Forwards every datagram until the stack ends.
///
/// Each client address and port is a session with one port of the host, whatever the destinations
/// are, and every remote host may send to that port: endpoint-independent mapping and filtering
/// (RFC 4787), which STUN needs. What the host learns about a datagram, the client learns too, by
/// ICMP.
pub(super) async fn datagrams(relay: Relay, socket: TransparentUdpSocket) {
    let listener = socket.into_sessions(relay.limits.session_config());
    // An error is the end of the stack, which the driver reports.
    while let Ok(client) = listener.accept().await {
        let session = Session {
            relay: relay.clone(),
            client,
            ipv4: None,
            ipv6: None,
            mapped: HashMap::new(),
        };
        relay.spawner.spawn(0, session.run());
    }
}

struct Session {
    relay: Relay,
    client: UdpSession,
    /// Bound when the client first sends to that family: the map may lead to the other one.
    ipv4: Option<HostUdpSocket>,
    ipv6: Option<HostUdpSocket>,
    /// The addresses that the host sends to, and what the client calls them, where they differ.
    mapped: HashMap<SocketAddr, SocketAddr>,
}

enum Event {
    Client(io::Result<usize>),
    Host(io::Result<UdpArrival>),
}

impl Session {
    async fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let client = async { Event::Client(self.client.recv_batch(&mut batch, BATCH).await) };
            let host = async { Event::Host(arrival(&self.ipv4, &self.ipv6).await) };
            match future::or(client, host).await {
                Event::Client(Ok(_)) => {
                    for datagram in batch.drain(..) {
                        self.outbound(&datagram);
                    }
                    // A client that sends without a pause receives nevertheless.
                    for _ in 0..BATCH {
                        let Some(arrival) = self.arrived() else {
                            break;
                        };
                        if !self.inbound(arrival).await {
                            return;
                        }
                    }
                }
                Event::Client(Err(error)) if is_end(&error) => return,
                // The client has closed its port, for example. It may open the port again.
                Event::Client(Err(_)) => {}
                Event::Host(Ok(arrival)) => {
                    if !self.inbound(arrival).await {
                        return;
                    }
                }
                // The host's network is gone. A later datagram opens a new session.
                Event::Host(Err(_)) => return,
            }
        }
    }

    /// Sends a datagram of the client, or tells the client why it cannot be sent.
    fn outbound(&mut self, datagram: &Datagram) {
        let router = self.relay.router(datagram.to.ip());
        let (host, hop_limit) = match self
            .relay
            .hop(datagram.to, datagram.hop_limit.unwrap_or(64))
        {
            Hop::On(host, hop_limit) => (host, hop_limit),
            Hop::Exceeded => {
                return self.reject(datagram, Some(router), IcmpErrorKind::HopLimitExceeded);
            }
            Hop::Unmapped => return self.reject(datagram, None, Unreachable::Port),
        };
        if host != datagram.to {
            if self.mapped.len() >= MAPPED {
                self.mapped.clear();
            }
            self.mapped.insert(host, datagram.to);
        }
        let fields = Fields {
            hop_limit,
            traffic_class: datagram.traffic_class,
            dont_fragment: datagram.dont_fragment,
        };
        let Err(error) = self.send(host, &datagram.payload, fields) else {
            return;
        };
        if error.kind() == ErrorKind::WouldBlock {
            return; // lost, as at a router whose queue is full
        }
        if let Some(mtu) = too_big(&error, host.ip()) {
            let is_new = self.relay.path_mtus.learn(datagram.to.ip(), mtu);
            // A client that fragments its datagrams cannot be told apart by IPv6 datagrams: they
            // are all "don't fragment". It has been told the MTU before.
            if datagram.to.is_ipv4() || is_new {
                let kind = Unreachable::PacketTooBig { mtu };
                self.reject(datagram, Some(router), kind);
            }
            if datagram.to.is_ipv6() {
                let fields = Fields {
                    dont_fragment: false,
                    ..fields
                };
                let _ = self.send(host, &datagram.payload, fields);
            }
        } else if let Some(kind) = icmp_error_of(&error) {
            self.reject(datagram, Some(router), kind);
        }
    }

    fn send(&mut self, to: SocketAddr, payload: &[u8], fields: Fields) -> io::Result<()> {
        let place = match to {
            SocketAddr::V4(_) => &mut self.ipv4,
            SocketAddr::V6(_) => &mut self.ipv6,
        };
        let socket = match place {
            Some(socket) => socket,
            None => place.insert(HostUdpSocket::bind(to.is_ipv6())?),
        };
        socket.send(to, payload, fields)
    }

    fn reject(&self, datagram: &Datagram, router: Option<IpAddr>, kind: impl Into<IcmpErrorKind>) {
        let addresses = (datagram.from, datagram.to);
        self.relay
            .reject(addresses, &datagram.payload, router, kind);
    }

    /// What has arrived at the sockets of the host already.
    fn arrived(&self) -> Option<UdpArrival> {
        let sockets = [&self.ipv4, &self.ipv6].into_iter().flatten();
        sockets
            .into_iter()
            .find_map(|socket| socket.try_recv().ok())
    }

    /// Passes on what has arrived at the host; returns whether the session goes on.
    async fn inbound(&self, arrival: UdpArrival) -> bool {
        match arrival {
            UdpArrival::Datagram {
                from,
                payload,
                fields,
            } => self.answer(from, payload, fields).await,
            UdpArrival::Report(report) => {
                self.report(&report);
                true
            }
        }
    }

    async fn answer(&self, host: SocketAddr, payload: Vec<u8>, fields: Fields) -> bool {
        let client = self.client.source();
        let (from, hop_limit) = match self.mapped.get(&host) {
            Some(from) => (*from, None),
            None => (host, fields.hop_limit.map(|limit| (limit - 1).max(1))),
        };
        // The host's own processes, and those of another family, have no address for the client.
        if from.ip().is_loopback() || from.is_ipv4() != client.is_ipv4() {
            return true;
        }
        let datagram = Datagram::new(payload, from, client)
            .hop_limit(hop_limit)
            .traffic_class(fields.traffic_class);
        match self.client.send_datagram(&datagram).await {
            Err(error) => !is_end(&error),
            Ok(()) => true,
        }
    }

    /// Tells the client what the host has learned about one of its datagrams.
    fn report(&self, report: &Report) {
        let host = report.destination;
        let to = self.mapped.get(&host).copied().unwrap_or(host);
        if to.is_ipv4() != self.client.source().is_ipv4() {
            return;
        }
        let mut kind = report.kind;
        if let Some(mtu) = report.mtu() {
            // Routers before RFC 1191 name no MTU, and the kernel guesses one.
            let mtu = match mtu {
                0 => path_mtu(host.ip()).ok(),
                mtu => Some(mtu),
            };
            kind = mtu.map(|mtu| Unreachable::PacketTooBig { mtu }.into());
            if let Some(mtu) = mtu {
                self.relay.path_mtus.learn(to.ip(), mtu);
            }
        }
        let router = self.relay.reporter(report, to.ip(), host.ip());
        if let Some(kind) = kind {
            let addresses = (self.client.source(), to);
            self.relay.reject(addresses, &report.quoted, router, kind);
        }
    }
}

/// Waits for what arrives at either socket.
async fn arrival(
    ipv4: &Option<HostUdpSocket>,
    ipv6: &Option<HostUdpSocket>,
) -> io::Result<UdpArrival> {
    match (ipv4, ipv6) {
        (Some(ipv4), Some(ipv6)) => future::or(ipv4.recv(), ipv6.recv()).await,
        (Some(socket), None) | (None, Some(socket)) => socket.recv().await,
        (None, None) => future::pending().await,
    }
}

/// Returns the path MTU to `to` if the error says that a packet exceeds it.
pub(super) fn too_big(error: &io::Error, to: IpAddr) -> Option<u32> {
    // The number is in the standard library only as a kind that is not stable.
    #[cfg(unix)]
    let is_too_long = error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error());
    #[cfg(not(unix))]
    let is_too_long = error.raw_os_error() == Some(10_040); // WSAEMSGSIZE
    let least = if to.is_ipv6() { LEAST_IPV6 } else { 0 };
    is_too_long
        .then(|| path_mtu(to).ok())?
        .map(|mtu| mtu.max(least))
}

/// Returns whether the session or the stack has ended.
fn is_end(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<SessionEnd>() || inner.is::<StackClosed>())
}

//! The UDP sessions of the clients.

mod outbound;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

pub(super) use outbound::too_big;

use super::Relay;
use super::host::{Fields, HostUdpSocket, Report, UdpArrival, path_mtu};
use super::stats::Entry;
use brooklet::{Datagram, SessionEnd, StackClosed, TransparentUdpSocket, UdpSession, Unreachable};
use futures_lite::future;
use outbound::Unsent;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How many datagrams, or batches, of the client are forwarded before those of the hosts.
const BATCH: usize = 32;

/// Forwards every datagram until the stack ends.
///
/// Each client address and port is a session with one port of the host, whatever the destinations
/// are, and every remote host may send to that port: endpoint-independent mapping and filtering
/// (RFC 4787), which STUN needs. What the host learns about a datagram, the client learns too, by
/// ICMP.
pub(super) async fn datagrams(relay: Relay, socket: TransparentUdpSocket) {
    let listener = socket.into_sessions(relay.limits.session_config());
    let relay = Arc::new(relay);
    // An error is the end of the stack, which the driver reports.
    while let Ok(client) = listener.accept().await {
        relay.counters.udp_sessions_total.count();
        let queue = client.queue();
        let mut session = Session {
            open: Entry::new(&relay.counters, |counters| &counters.udp_sessions),
            relay: relay.clone(),
            client,
            ipv4: None,
            ipv6: None,
            mapped: HashMap::new(),
            unsent: None,
        };
        // The future has one place for the session: a session that moves into `run` has two.
        let run = async move { session.run().await };
        relay.spawn(queue, run);
    }
}

/// A session, which stays small while nothing passes: buffers belong to batches and to threads.
struct Session {
    relay: Arc<Relay>,
    client: UdpSession,
    /// Bound when the client first sends to that family: the map may lead to the other one.
    ipv4: Option<HostUdpSocket>,
    ipv6: Option<HostUdpSocket>,
    /// The addresses that the host sends to, and what the client calls them, where they differ.
    mapped: HashMap<SocketAddr, SocketAddr>,
    /// What waits for room in the buffer of a socket.
    unsent: Option<Unsent>,
    #[expect(dead_code, reason = "its drop ends the count of the session")]
    open: Entry,
}

enum Event {
    Client(io::Result<Vec<Datagram>>),
    /// The host has sent some of what waited, or failed to send the first of it.
    Sent(io::Result<usize>),
    Host(io::Result<Vec<UdpArrival>>),
}

impl Session {
    async fn run(&mut self) {
        let mut host_first = false;
        loop {
            match self.next(host_first).await {
                Event::Client(Ok(batch)) => self.outbound(batch),
                Event::Client(Err(error)) if is_end(&error) => return,
                // The client has closed its port, for example. It may open the port again.
                Event::Client(Err(_)) => {}
                Event::Sent(sent) => self.sent(sent),
                Event::Host(Ok(arrivals)) => {
                    if !self.inbound(arrivals).await {
                        return;
                    }
                }
                // The host's network is gone. A later datagram opens a new session.
                Event::Host(Err(_)) => return,
            }
            // A client that sends without a pause receives nevertheless, and the other way round.
            host_first = !host_first;
        }
    }

    /// Waits for the next event. Looks at the host's sockets before the client, or behind it.
    async fn next(&self, host_first: bool) -> Event {
        let client = async {
            // Meanwhile the datagrams of the client wait in the queue of the session.
            if let Some(unsent) = &self.unsent {
                return Event::Sent(poll_fn(|cx| self.poll_send(cx, unsent)).await);
            }
            let mut batch = Vec::new();
            let received = self.client.recv_batch(&mut batch, BATCH).await;
            Event::Client(received.map(|_| batch))
        };
        let host = async {
            let mut arrivals = Vec::new();
            let arrived = poll_fn(|cx| self.poll_arrivals(cx, &mut arrivals)).await;
            Event::Host(arrived.map(|()| arrivals))
        };
        if host_first {
            future::or(host, client).await
        } else {
            future::or(client, host).await
        }
    }

    /// Waits for what arrives at either socket.
    fn poll_arrivals(
        &self,
        cx: &mut Context<'_>,
        arrivals: &mut Vec<UdpArrival>,
    ) -> Poll<io::Result<()>> {
        let mut result = Poll::Pending;
        for socket in [&self.ipv4, &self.ipv6].into_iter().flatten() {
            match socket.poll_recv_batch(cx, arrivals) {
                Poll::Pending => {}
                // Arrivals before the error are passed on first. A broken socket reports again.
                Poll::Ready(Err(error)) if arrivals.is_empty() => return Poll::Ready(Err(error)),
                Poll::Ready(_) => result = Poll::Ready(Ok(())),
            }
        }
        result
    }

    /// Passes on what has arrived at the host; returns whether the session goes on.
    async fn inbound(&self, arrivals: Vec<UdpArrival>) -> bool {
        let mut datagrams = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            match arrival {
                UdpArrival::Datagram {
                    from,
                    payload,
                    fields,
                    segment_size,
                } => {
                    let datagram = Datagram::new(payload, from, self.client.source());
                    datagrams.extend(self.answer(datagram.segment_size(segment_size), fields));
                }
                UdpArrival::Report(report) => self.report(&report),
            }
        }
        let mut left = &datagrams[..];
        while let Some(first) = left.first() {
            let sent = self.client.send_batch(left).await;
            match self.delivered(left, &sent) {
                Some(0) => {
                    if !self.deliver_one_by_one(first).await {
                        return false;
                    }
                    left = &left[1..];
                }
                Some(done) => left = &left[done..],
                None => return false,
            }
        }
        true
    }

    /// Sends the datagrams of a batch that the stack does not take as one: the client's path takes
    /// shorter packets, for example. Returns whether the session goes on.
    async fn deliver_one_by_one(&self, batch: &Datagram) -> bool {
        let size = batch
            .segment_size
            .map_or(usize::MAX, |size| size.get().into());
        for payload in batch.payload.chunks(size) {
            let one = [Datagram::new(payload, batch.from, batch.to)
                .hop_limit(batch.hop_limit)
                .traffic_class(batch.traffic_class)];
            let sent = self.client.send_batch(&one).await;
            if self.delivered(&one, &sent).is_none() {
                return false;
            }
        }
        true
    }

    /// Counts what was sent to the client of these datagrams. Returns how many are done: 0 if the
    /// first one is a batch, which has failed as such. `None` if the session has ended.
    fn delivered(&self, datagrams: &[Datagram], sent: &io::Result<usize>) -> Option<usize> {
        let counters = &self.relay.counters;
        match sent {
            Ok(sent) => {
                let sent = &datagrams[..*sent];
                counters.datagrams_down.add(sent.iter().map(count).sum());
                let bytes = sent.iter().map(|datagram| datagram.payload.len() as u64);
                counters.datagram_bytes_down.add(bytes.sum());
                Some(sent.len())
            }
            Err(error) if is_end(error) => None,
            Err(_) if datagrams[0].segment_size.is_some() => Some(0),
            Err(_) => {
                counters.datagrams_dropped.count();
                Some(1)
            }
        }
    }

    /// Makes the datagram for the client of one that has arrived with these fields. `None` if the
    /// client has no address for the host that has sent it.
    fn answer(&self, mut datagram: Datagram, fields: Fields) -> Option<Datagram> {
        let mapped = self.mapped.get(&datagram.from).copied();
        datagram.hop_limit = match mapped {
            Some(from) => {
                datagram.from = from;
                None
            }
            None => fields.hop_limit.map(onward),
        };
        datagram.traffic_class = fields.traffic_class;
        // The host's own processes, and those of another family, have no address for the client.
        let from = datagram.from;
        if from.ip().is_loopback() || from.is_ipv4() != datagram.to.is_ipv4() {
            self.relay.counters.datagrams_dropped.add(count(&datagram));
            return None;
        }
        Some(datagram)
    }

    /// Tells the client what the host has learned about one of its datagrams.
    fn report(&self, report: &Report) {
        self.relay.counters.datagram_errors.count();
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
                self.relay.stack.learn_path_mtu(to.ip(), mtu as usize);
            }
        }
        let router = self.relay.reporter(report, to.ip(), host.ip());
        if let Some(kind) = kind {
            let addresses = (self.client.source(), to);
            self.relay.reject(addresses, &report.quoted, router, kind);
        }
    }
}

/// Returns the hop limit with which a router sends on a packet that has arrived with this one. The
/// packet has passed the host's check already, so it is not dropped.
pub(super) fn onward(hop_limit: u8) -> u8 {
    hop_limit.saturating_sub(1).max(1)
}

/// Returns the number of datagrams in a batch.
fn count(datagram: &Datagram) -> u64 {
    let size = datagram.segment_size.map(NonZeroU16::get);
    size.map_or(1, |size| {
        datagram.payload.len().div_ceil(size.into()).max(1)
    }) as u64
}

/// Returns whether the session or the stack has ended.
fn is_end(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<SessionEnd>() || inner.is::<StackClosed>())
}

//! Connections.

mod copy;
mod dial;
mod idle;
mod upstream;

pub use dial::{Dial, DialRequest, HostDialer};
pub use upstream::{Keepalive, Upstream};

use super::host::Fields;
use super::stats::Entry;
use super::{Hop, Relay};
use async_lock::{Semaphore, SemaphoreGuardArc};
use brooklet::{Ecn, IcmpErrorKind, TcpListener, TcpRequest, TcpStream};
use copy::Outcome;
use dial::{decline, dial};
use futures_lite::{StreamExt, future};
use std::io::ErrorKind;
use std::sync::Arc;

/// What the tasks of the connections share.
#[derive(Debug)]
struct Shared<D> {
    relay: Relay,
    dialer: D,
    /// The places of dials, and those of open connections. A dial to a host that does not answer
    /// takes no place of an open connection.
    dials: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

/// Forwards every connection until the stack ends.
///
/// The relay first connects to the remote host, and then answers the client as the remote host
/// or a router on the way did: accepted, refused, unreachable, hop limit exceeded, or no answer. It
/// passes on the end of each direction, and resets.
pub(super) async fn connections<D: Dial>(relay: Relay, listener: TcpListener, dialer: D) {
    let shared = Arc::new(Shared {
        dials: Arc::new(Semaphore::new(relay.limits.dials.max(1))),
        open: Arc::new(Semaphore::new(relay.limits.connections.max(1))),
        relay,
        dialer,
    });
    let mut requests = listener.requests();
    loop {
        // Requests beyond the limits wait in the stack's backlog.
        let dialing = shared.dials.acquire_arc().await;
        drop(shared.open.acquire().await);
        // An error is the end of the stack, which the driver reports.
        let Some(Ok(request)) = requests.next().await else {
            return;
        };
        let relay = &shared.relay;
        relay.counters.requests.count();
        let Some((request, dial_request)) = route(relay, request) else {
            continue;
        };
        let own = shared.clone();
        shared.relay.spawn(request.queue(), async move {
            let shared = own;
            let connecting = Entry::new(&shared.relay.counters, |counters| &counters.connecting);
            let opened = open(&shared, request, dial_request, dialing).await;
            drop(connecting);
            if let Some(opened) = opened {
                let Opened {
                    client,
                    upstream,
                    upload,
                    place: _place,
                } = opened;
                shared.relay.copy(client, upstream, upload).await;
            }
        });
    }
}

/// Returns what a client asks for, or answers the request.
fn route(relay: &Relay, request: TcpRequest) -> Option<(TcpRequest, DialRequest)> {
    let requested = request.local_addr();
    let counters = &relay.counters;
    let (to, hop_limit) = match relay.hop(requested, request.hop_limit()) {
        Hop::On(to, hop_limit) => (to, hop_limit),
        Hop::Exceeded => {
            counters.hop_limit_exceeded.count();
            let router = relay.router(requested.ip());
            request.reject_from(IcmpErrorKind::HopLimitExceeded, router);
            return None;
        }
        Hop::Refused => {
            counters.unmapped.count();
            request.refuse();
            return None;
        }
        Hop::Rejected(kind) => {
            counters.unmapped.count();
            request.reject_from(kind, relay.router(requested.ip()));
            return None;
        }
        Hop::Dropped => {
            counters.unmapped.count();
            request.drop_silently();
            return None;
        }
    };
    let fields = Fields {
        hop_limit,
        // The connection of the host negotiates ECN by itself (RFC 3168, section 6.1.1).
        traffic_class: request.traffic_class().with_ecn(Ecn::NotEct),
        dont_fragment: true,
    };
    let client = request.peer_addr();
    let dial_request = DialRequest {
        client,
        requested,
        to,
        fields,
    };
    Some((request, dial_request))
}

/// A connection to both sides.
struct Opened<S> {
    client: TcpStream,
    upstream: S,
    upload: Entry,
    place: SemaphoreGuardArc,
}

/// Connects to the remote host and accepts the request, or answers it otherwise.
///
/// The place of the dial is free once the remote host has answered: the rest of the handshake is the
/// client's, and clients that never complete one must not keep others from dialing.
async fn open<D: Dial>(
    shared: &Shared<D>,
    request: TcpRequest,
    dial_request: DialRequest,
    dialing: SemaphoreGuardArc,
) -> Option<Opened<D::Stream>> {
    let relay = &shared.relay;
    let dialed = async {
        let upstream = dial(&shared.dialer, dial_request, relay.limits.dial).await;
        match upstream {
            Ok(upstream) => Some(Ok((upstream, shared.open.acquire_arc().await))),
            Err(failed) => Some(Err(failed)),
        }
    };
    let gone = async {
        request.withdrawn().await;
        None
    };
    let (mut upstream, place) = match future::or(dialed, gone).await {
        Some(Ok(opened)) => {
            drop(dialing);
            opened
        }
        // The client sees the error that it would see without the relay.
        Some(Err(failed)) => {
            decline(relay, request, dial_request.to, &failed);
            return None;
        }
        None => {
            relay.counters.withdrawn.count();
            return None;
        }
    };
    // Data of the client may wait in the device already.
    let upload = Entry::new(&relay.counters, |counters| &counters.uploads);
    let Ok(client) = request.accept().await else {
        relay.counters.withdrawn.count(); // meanwhile
        upstream.reset();
        return None;
    };
    Some(Opened {
        client,
        upstream,
        upload,
        place,
    })
}

impl Relay {
    /// Copies both directions between a connection of the stack and another connection, until both
    /// have ended. The connection is counted, and the [`Limits`](crate::Limits) to its time apply.
    ///
    /// The end of one direction is passed on, and the other direction goes on. An error of one side
    /// resets the other side, after everything that arrived before the error.
    ///
    /// [`start`](Self::start) does this for every connection of a client. Programs call the method
    /// for connections that they open otherwise, as for a port of the host that leads to the stack.
    ///
    /// ```no_run
    /// use brooklet_relay::Relay;
    /// use brooklet_relay::host::HostStream;
    /// use std::net::{SocketAddr, TcpStream};
    ///
    /// # async fn example(
    /// #     relay: Relay, stack: brooklet::Stack, accepted: TcpStream, inside: SocketAddr,
    /// # ) -> std::io::Result<()> {
    /// let outside = HostStream::new(accepted)?;
    /// relay.copy_bidirectional(stack.connect(inside).await?, outside).await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes both sides; data that is not delivered yet may be lost.
    pub async fn copy_bidirectional(&self, client: TcpStream, upstream: impl Upstream) {
        let upload = Entry::new(&self.counters, |counters| &counters.uploads);
        self.copy(client, upstream, upload).await;
    }

    /// The same. `upload` counts the direction from the client.
    pub(crate) async fn copy(&self, client: TcpStream, mut upstream: impl Upstream, upload: Entry) {
        let counters = &self.counters;
        let _open = Entry::new(counters, |counters| &counters.connections);
        counters.connections_total.count();
        if let Some(keepalive) = self.limits.keepalive {
            client.set_keepalive(Some(keepalive.idle));
            client.set_user_timeout(Some(keepalive.timeout));
            // Without it, the connection lasts until the host sends or the client closes.
            let _ = upstream.set_keepalive(keepalive);
        }
        let outcome = copy::copy(client, upstream, &self.limits, counters, upload).await;
        let counter = match outcome {
            Outcome::Closed => return,
            Outcome::Client(error) if error.kind() == ErrorKind::TimedOut => {
                &counters.clients_vanished
            }
            Outcome::Client(_) => &counters.client_resets,
            Outcome::Host(error) if error.kind() == ErrorKind::TimedOut => &counters.hosts_vanished,
            Outcome::Host(_) => &counters.host_resets,
            Outcome::HalfClosed => &counters.half_close_timeouts,
            Outcome::Idle => &counters.idle_timeouts,
        };
        counter.count();
    }
}

mod waiting;

use super::host::{Fields, PingArrival, PingSocket, Report, is_shortage};
use super::udp::{onward, too_big};
use super::{Hop, Relay};
use async_channel::Sender;
use brooklet::{EchoRequest, IcmpErrorKind, IcmpMessage, IcmpSocket, Unreachable, icmp_error_of};
use futures_lite::future;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use waiting::Waiting;

/// Forwards every echo request until the stack ends: the client gets the reply of the host that it
/// pings, with the true round trip, and nothing from a host that does not exist.
///
/// Where the host cannot send echo requests, a client is told that they are prohibited, and a warning
/// of the crate `log` says why.
pub(super) async fn echo_requests(relay: Relay, socket: IcmpSocket) {
    let mut hosts = [Host::Unopened, Host::Unopened];
    // An error is the end of the stack, which the driver reports.
    while let Ok(message) = socket.recv().await {
        if let IcmpMessage::EchoRequest(request) = message {
            forward(&relay, &mut hosts, request);
        }
    }
}

/// A host's socket for one IP version.
enum Host {
    Unopened,
    Unavailable,
    /// The drop of the sender ends the task that receives. The channel is closed if the task has
    /// ended by itself.
    Open(Arc<Pings>, Sender<()>),
}

impl Host {
    fn open(&mut self, relay: &Relay, ipv6: bool) -> Option<&Arc<Pings>> {
        if let Self::Open(_, open) = self
            && open.is_closed()
        {
            *self = Self::Unopened;
        }
        if let Self::Unopened = self {
            *self = match PingSocket::open(ipv6) {
                Ok(socket) => {
                    let pings = Arc::new(Pings {
                        socket,
                        waiting: Mutex::default(),
                    });
                    let (open, closed) = async_channel::bounded::<()>(1);
                    let replies = replies(relay.clone(), pings.clone());
                    relay.spawn(0, async move {
                        let closed = async {
                            let _ = closed.recv().await;
                        };
                        future::or(replies, closed).await;
                    });
                    Self::Open(pings, open)
                }
                // The next request may find a file.
                Err(why) if is_shortage(&why) => Self::Unopened,
                Err(why) => {
                    unavailable(&why);
                    Self::Unavailable
                }
            };
        }
        match self {
            Self::Open(pings, _) => Some(pings),
            _ => None,
        }
    }
}

/// Says once for each IP version why ping is not forwarded.
fn unavailable(why: &io::Error) {
    let help = match why.kind() {
        ErrorKind::PermissionDenied => {
            ": it takes root, or a group in the sysctl net.ipv4.ping_group_range"
        }
        _ => "",
    };
    log::warn!("ping is answered with \"prohibited\": the host cannot ping ({why}){help}");
}

fn forward(relay: &Relay, hosts: &mut [Host; 2], request: EchoRequest) {
    let destination = request.destination();
    let router = relay.router(destination);
    let to = SocketAddr::new(destination, 0);
    // A rejection fails at the limit of the rate of ICMP errors, as at every router.
    let (host, hop_limit) = match relay.hop(to, request.hop_limit()) {
        Hop::On(host, hop_limit) => (host.ip(), hop_limit),
        Hop::Exceeded => {
            relay.counters.echo_dropped.count();
            let _ = request.reject_from(router, IcmpErrorKind::HopLimitExceeded);
            return;
        }
        Hop::Refused => {
            relay.counters.echo_dropped.count();
            let _ = request.reject_from(router, Unreachable::Host);
            return;
        }
        Hop::Rejected(kind) => {
            relay.counters.echo_dropped.count();
            let _ = request.reject_from(router, kind);
            return;
        }
        Hop::Dropped => {
            relay.counters.echo_dropped.count();
            return;
        }
    };
    if host != destination {
        relay.counters.echo_replies.count();
        let _ = request.reply(); // the client pings the relay itself
        return;
    }
    let pings = match host {
        IpAddr::V4(_) => hosts[0].open(relay, false),
        IpAddr::V6(_) => hosts[1].open(relay, true),
    };
    let Some(pings) = pings else {
        let _ = request.reject_from(router, Unreachable::Prohibited);
        relay.counters.echo_dropped.count();
        return;
    };
    let fields = Fields {
        hop_limit,
        traffic_class: request.traffic_class(),
        dont_fragment: request.dont_fragment(),
    };
    // Locked until the request is in the table: the reply may come at once.
    let mut waiting = lock(&pings.waiting);
    let Some(sequence) = waiting.unused(request.source(), relay.limits.echo) else {
        relay.counters.echo_dropped.count();
        return; // lost, as at a router whose queue is full
    };
    let send = |fields| {
        let payload = request.payload();
        pings.socket.send(host, sequence, payload, fields)
    };
    let mut sent = send(fields);
    let too_big = sent.as_ref().err().and_then(|error| too_big(error, host));
    if let Some(mtu) = too_big {
        let is_new = relay.stack.learn_path_mtu(host, mtu as usize);
        if host.is_ipv4() || is_new {
            relay.counters.echo_dropped.count();
            let _ = request.reject_from(router, Unreachable::PacketTooBig { mtu });
            return;
        }
        // The client has been told the MTU, and sends fragments.
        sent = send(Fields {
            dont_fragment: false,
            ..fields
        });
    }
    match sent {
        Ok(()) => {
            relay.counters.echo_requests.count();
            waiting.insert(sequence, request);
        }
        Err(error) => {
            relay.counters.echo_dropped.count();
            if let Some(kind) = icmp_error_of(&error) {
                let _ = request.reject_from(router, kind);
            }
        }
    }
}

/// The echo requests of all clients to the hosts of one IP version. One socket of the host carries
/// them, so each has a sequence number of its own there; the client gets its own identifier and
/// sequence number back.
struct Pings {
    socket: PingSocket,
    waiting: Mutex<Waiting>,
}

/// Passes on what the host receives.
async fn replies(relay: Relay, pings: Arc<Pings>) {
    loop {
        match pings.socket.recv().await {
            Ok(PingArrival::Reply {
                from,
                sequence,
                fields,
                ..
            }) => {
                let request = lock(&pings.waiting).answered(sequence, from);
                if let Some(request) = request {
                    relay.counters.echo_replies.count();
                    // Lost if the queue to the device is full.
                    let _ = match fields.hop_limit {
                        Some(limit) => request.reply_with(onward(limit)),
                        None => request.reply(),
                    };
                }
            }
            Ok(PingArrival::Report { sequence, report }) => {
                let host = report.destination.ip();
                let request = lock(&pings.waiting).answered(sequence, host);
                if let Some(request) = request {
                    reject(&relay, &report, request);
                }
            }
            Err(why) => {
                // The next request opens another socket.
                log::warn!("the host has no replies to ping any more: {why}");
                return;
            }
        }
    }
}

fn reject(relay: &Relay, report: &Report, request: EchoRequest) {
    let host = request.destination();
    if let Some(mtu) = report.mtu() {
        relay.stack.learn_path_mtu(host, mtu as usize);
    }
    let Some(kind) = report.kind else { return };
    let _ = match relay.reporter(report, host, host) {
        Some(router) => request.reject_from(router, kind),
        None => request.reject(kind),
    };
}

/// Ignores poisoning: no panic leaves the guarded values half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

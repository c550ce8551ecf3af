use super::host::{self, DialError, Fields};
use super::stats::Entry;
use super::{Hop, Relay};
use async_io::Timer;
use async_lock::Semaphore;
use brooklet::{
    Ecn, IcmpErrorKind, TcpListener, TcpRequest, TcpStream, Unreachable, icmp_error_of,
};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt, future};
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The buffer of each direction of a connection, in bytes.
const BUFFER: usize = 64 * 1024;

/// Forwards every connection until the stack ends.
///
/// The relay first connects to the remote host, and then answers the client as the remote host
/// or a router on the way did: accepted, refused, unreachable, hop limit exceeded, or no answer. It
/// passes on the end of each direction, and resets.
pub(super) async fn streams(relay: Relay, listener: TcpListener) {
    let room = Arc::new(Semaphore::new(relay.limits.connections));
    let mut requests = listener.requests();
    loop {
        // Requests beyond the limit wait in the stack's backlog.
        let place = room.acquire_arc().await;
        // An error is the end of the stack, which the driver reports.
        let Some(Ok(request)) = requests.next().await else {
            return;
        };
        relay.counters.requests.count();
        let to = request.local_addr();
        let (to, hop_limit) = match relay.hop(to, request.hop_limit()) {
            Hop::On(to, hop_limit) => (to, hop_limit),
            Hop::Exceeded => {
                let router = relay.router(to.ip());
                request.reject_from(IcmpErrorKind::HopLimitExceeded, router);
                continue;
            }
            Hop::Unmapped => {
                request.refuse();
                continue;
            }
        };
        let fields = Fields {
            hop_limit,
            // The connection of the host negotiates ECN by itself (RFC 3168, section 6.1.1).
            traffic_class: request.traffic_class().with_ecn(Ecn::NotEct),
            dont_fragment: true,
        };
        let relay = relay.clone();
        let spawner = relay.spawner.clone();
        spawner.spawn(0, async move {
            connection(&relay, request, to, fields).await;
            drop(place);
        });
    }
}

async fn connection(relay: &Relay, request: TcpRequest, to: SocketAddr, fields: Fields) {
    let connecting = Entry::new(&relay.counters, |counters| &counters.connecting);
    let dialed = async { Some(dial(to, fields, relay.limits.dial).await) };
    let gone = async {
        request.withdrawn().await;
        None
    };
    let host = match future::or(dialed, gone).await {
        Some(Ok(host)) => host,
        // The client sees the error that it would see without the relay.
        Some(Err(failed)) => return pass_on(relay, request, to, &failed),
        None => return,
    };
    let upload = Entry::new(&relay.counters, |counters| &counters.uploads);
    let Ok(client) = request.accept().await else {
        return reset(&host); // the client has gone meanwhile
    };
    drop(connecting);
    let _open = Entry::new(&relay.counters, |counters| &counters.connections);
    relay.counters.connections_total.count();
    copy_bidirectional(&client, &host, || drop(upload)).await;
}

/// Answers a request whose remote host cannot be reached, as the host was answered.
fn pass_on(relay: &Relay, request: TcpRequest, host: SocketAddr, failed: &DialError) {
    let report = failed.report.as_ref();
    match report.and_then(|report| Some((report, report.kind?))) {
        Some((report, kind)) => {
            let to = request.local_addr().ip();
            match relay.reporter(report, to, host.ip()) {
                Some(router) => request.reject_from(kind, router),
                None => request.reject(kind),
            }
        }
        None => decline(request, &failed.error),
    }
}

/// Copies both directions of a connection until each has ended, and passes on the end of each
/// direction and a reset. Calls `uploaded` when the direction from the client has ended.
pub async fn copy_bidirectional(
    client: &TcpStream,
    host: &async_net::TcpStream,
    uploaded: impl FnOnce(),
) {
    let up = async {
        let result = pipe(client, host.clone()).await;
        uploaded();
        result
    };
    let down = pipe(host.clone(), client);
    // An error in one direction resets both sides.
    if future::try_zip(up, down).await.is_err() {
        client.abort();
        reset(host);
    }
}

/// Answers a request whose remote host cannot be reached, with the error that `why` is.
pub fn decline(request: TcpRequest, why: &io::Error) {
    match icmp_error_of(why) {
        _ if why.kind() == io::ErrorKind::TimedOut => request.drop_silently(),
        // A host refuses a connection by a RST.
        None | Some(IcmpErrorKind::Unreachable(Unreachable::Port)) => request.refuse(),
        Some(kind) => request.reject(kind),
    }
}

async fn dial(
    to: SocketAddr,
    fields: Fields,
    limit: Duration,
) -> Result<async_net::TcpStream, DialError> {
    let late = async {
        Timer::after(limit).await;
        Err(io::Error::from(io::ErrorKind::TimedOut).into())
    };
    let host = future::or(host::connect(to, fields), late).await?;
    // The client's stack has delayed small writes already, if the client allows that.
    host.set_nodelay(true)?;
    Ok(host)
}

/// Copies one direction, and passes its end on.
async fn pipe(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            return to.close().await;
        }
        to.write_all(&buffer[..n]).await?;
    }
}

/// Makes the kernel send RST instead of FIN when the last handle is dropped.
pub fn reset(host: &async_net::TcpStream) {
    // An error means that the connection has ended already.
    let _ = SockRef::from(host).set_linger(Some(Duration::ZERO));
}

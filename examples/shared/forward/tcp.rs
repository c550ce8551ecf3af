use super::{Limits, Map};
use async_io::Timer;
use brooklet::{TcpListener, TcpRequest, TcpStream, Unreachable};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt, future};
use nix::sys::socket::{setsockopt, sockopt};
use smol::lock::Semaphore;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Bytes that each direction of a connection reads at a time.
const BUFFER: usize = 64 * 1024;

/// The connections of a forwarder, as numbers.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    open: Count,
    uploads: Count,
}

impl Streams {
    /// Connections that are being dialled or are open.
    pub fn open(&self) -> usize {
        self.open.get()
    }

    /// Connections whose client may still send: what it sent is not all with the host yet.
    pub fn uploads(&self) -> usize {
        self.uploads.get()
    }
}

/// Forwards every connection until the stack ends.
///
/// The remote host is dialled first, and the client hears what came of it: accepted, refused,
/// unreachable, or nothing when the remote host did not answer. The ends of both directions and resets are passed
/// on in both directions.
pub async fn streams(listener: TcpListener, map: Map, limits: Limits, streams: Streams) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut requests = listener.requests();
    loop {
        // Until there is room, requests wait in the stack's backlog.
        let place = room.acquire_arc().await;
        // An error is the end of the stack, which the driver reports.
        let Some(Ok(request)) = requests.next().await else {
            return;
        };
        let Some(to) = map.host(request.local_addr()) else {
            request.refuse();
            continue;
        };
        let open = streams.open.enter();
        let uploads = streams.uploads.clone();
        smol::spawn(async move {
            connection(request, to, limits.dial, uploads).await;
            drop((open, place));
        })
        .detach();
    }
}

async fn connection(request: TcpRequest, to: SocketAddr, limit: Duration, uploads: Count) {
    let host = match dial(to, limit).await {
        Ok(host) => host,
        // As the client would have it without anything in between.
        Err(error) => return decline(request, error.kind()),
    };
    let upload = uploads.enter();
    let Ok(client) = request.accept().await else {
        return reset(&host); // the client has gone meanwhile
    };
    relay(&client, &host, || drop(upload)).await;
}

/// Copies both directions of a connection to their ends, and passes on the end of each direction
/// and a reset. Calls `uploaded` when the client has sent its last byte.
pub async fn relay(client: &TcpStream, host: &async_net::TcpStream, uploaded: impl FnOnce()) {
    let up = async {
        let result = pipe(client, host.clone()).await;
        uploaded();
        result
    };
    let down = pipe(host.clone(), client);
    // Whichever direction fails first ends the other one too.
    if future::try_zip(up, down).await.is_err() {
        client.abort();
        reset(host);
    }
}

/// Tells the client why the remote host cannot be had.
pub fn decline(request: TcpRequest, why: io::ErrorKind) {
    match why {
        io::ErrorKind::TimedOut => request.drop_silently(),
        io::ErrorKind::HostUnreachable => request.unreachable(Unreachable::Host),
        io::ErrorKind::NetworkUnreachable => request.unreachable(Unreachable::Network),
        io::ErrorKind::PermissionDenied => request.unreachable(Unreachable::Prohibited),
        _ => request.refuse(),
    }
}

async fn dial(to: SocketAddr, limit: Duration) -> io::Result<async_net::TcpStream> {
    let late = async {
        Timer::after(limit).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    let host = future::or(async_net::TcpStream::connect(to), late).await?;
    // The client has collected small writes already, or wants them sent.
    host.set_nodelay(true)?;
    Ok(host)
}

/// Copies to the end and passes the end on.
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

/// Makes the system send RST when the last handle is dropped, in the place of FIN.
pub fn reset(host: &async_net::TcpStream) {
    let now = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    // It fails on a connection that has ended already, which is as well.
    let _ = setsockopt(host, sockopt::Linger, &now);
}

/// A number of things that exist; each one is counted for as long as its [`Entry`] lives.
#[derive(Clone, Debug, Default)]
struct Count(Arc<AtomicUsize>);

struct Entry(Count);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    fn enter(&self) -> Entry {
        self.0.fetch_add(1, Ordering::AcqRel);
        Entry(self.clone())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

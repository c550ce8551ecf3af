use super::{Limits, Map};
use async_io::Timer;
use brooklet::{TcpListener, TcpRequest, TcpStream, Unreachable};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt, future};
use smol::lock::Semaphore;
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The buffer of each direction of a connection, in bytes.
const BUFFER: usize = 64 * 1024;

/// The numbers of a forwarder's connections.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    open: Count,
    uploads: Count,
}

impl Streams {
    /// Returns the number of connections that are connecting or open.
    pub fn open(&self) -> usize {
        self.open.get()
    }

    /// Returns the number of connections whose client has not closed, or whose data has not all
    /// reached the host's socket.
    pub fn uploads(&self) -> usize {
        self.uploads.get()
    }
}

/// Forwards every connection until the stack ends.
///
/// The forwarder first connects to the remote host, and then answers the client as the remote host
/// did: accepted, refused, unreachable, or no answer. It passes on the end of each direction, and
/// resets.
pub async fn streams(listener: TcpListener, map: Map, limits: Limits, streams: Streams) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut requests = listener.requests();
    loop {
        // Requests beyond the limit wait in the stack's backlog.
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
        // The client sees the error that it would see without the forwarder.
        Err(error) => return decline(request, error.kind()),
    };
    let upload = uploads.enter();
    let Ok(client) = request.accept().await else {
        return reset(&host); // the client has gone meanwhile
    };
    relay(&client, &host, || drop(upload)).await;
}

/// Copies both directions of a connection until each has ended, and passes on the end of each
/// direction and a reset. Calls `uploaded` when the direction from the client has ended.
pub async fn relay(client: &TcpStream, host: &async_net::TcpStream, uploaded: impl FnOnce()) {
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
pub fn decline(request: TcpRequest, why: io::ErrorKind) {
    match why {
        io::ErrorKind::TimedOut => request.drop_silently(),
        io::ErrorKind::HostUnreachable => request.reject(Unreachable::Host),
        io::ErrorKind::NetworkUnreachable => request.reject(Unreachable::Network),
        io::ErrorKind::PermissionDenied => request.reject(Unreachable::Prohibited),
        _ => request.refuse(),
    }
}

async fn dial(to: SocketAddr, limit: Duration) -> io::Result<async_net::TcpStream> {
    let late = async {
        Timer::after(limit).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    let host = future::or(async_net::TcpStream::connect(to), late).await?;
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

/// Counts the [`Entry`]s that live.
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

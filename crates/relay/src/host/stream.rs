//! A connected TCP socket of the host.

use crate::{Keepalive, Upstream};
use brooklet_reactor::Async;
use futures_lite::{AsyncRead, AsyncWrite};
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A connection of the host's own TCP.
///
/// A close sends a FIN and does not wait. A drop closes the socket.
///
/// ```
/// use brooklet_reactor::block_on;
/// use brooklet_relay::host::HostStream;
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use std::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut stream = HostStream::new(TcpStream::connect(listener.local_addr()?)?)?;
/// let mut peer = HostStream::new(listener.accept()?.0)?;
/// let mut received = String::new();
/// block_on(async {
///     stream.write_all(b"hello").await?;
///     stream.close().await?;
///     peer.read_to_string(&mut received).await
/// })?;
/// assert_eq!(received, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct HostStream(Async<TcpStream>);

impl HostStream {
    /// Makes a stream of a connected socket, and sets the socket to non-blocking mode.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn new(socket: TcpStream) -> io::Result<Self> {
        Ok(Self(Async::new(socket)?.byte_stream()))
    }

    pub(super) fn from_async(socket: Async<TcpStream>) -> Self {
        Self(socket.byte_stream())
    }

    /// Returns the socket.
    pub fn get_ref(&self) -> &TcpStream {
        self.0.get_ref()
    }
}

impl AsyncRead for HostStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read_vectored(cx, buffers)
    }
}

impl AsyncWrite for HostStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_ref().shutdown(Shutdown::Write))
    }
}

impl Upstream for HostStream {
    fn reset(&mut self) {
        // An error means that the connection has ended already.
        let _ = SockRef::from(self.get_ref()).set_linger(Some(Duration::ZERO));
    }

    fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Not even this is tried if the reactor knows that nothing has arrived.
        let ready = self.0.poll_read_with(cx, |_| Ok(()));
        ready.map(|_| ()) // a read returns the error
    }

    fn set_keepalive(&mut self, keepalive: Keepalive) -> io::Result<()> {
        SockRef::from(self.get_ref()).set_tcp_keepalive(&options(keepalive))
    }
}

/// The number of probes that the peer leaves unanswered before the connection times out.
const PROBES: u32 = 5;

// `TCP_USER_TIMEOUT` would be exact. On Linux it also ends the connection to a host that answers
// the probes of a closed window for so long, and a host may take its time to read.
fn options(keepalive: Keepalive) -> TcpKeepalive {
    let options = TcpKeepalive::new().with_time(keepalive.idle);
    #[cfg(any(
        target_os = "android",
        target_os = "freebsd",
        target_os = "linux",
        target_vendor = "apple",
        windows
    ))]
    let options = options
        .with_interval((keepalive.timeout / PROBES).max(Duration::from_secs(1)))
        .with_retries(PROBES);
    options
}

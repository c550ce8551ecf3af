pub(crate) mod halves;
mod settings;

use crate::connection::Connection;
use crate::error::End;
use crate::shared::Effects;
use crate::stack::StackShared;
use brooklet_cell::{Flavor, Shared};
use brooklet_io::StackClosed;
use brooklet_packet::FlowKey;
use futures_io::{AsyncRead, AsyncWrite};
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

/// A TCP connection.
///
/// A stream is read and written through [`AsyncRead`] and [`AsyncWrite`], which are implemented for
/// references too. Clones are handles of the same connection: one task may read and another write.
///
#[doc = include_str!("close.md")]
pub struct TcpStream<F: Flavor> {
    stack: StackShared<F>,
    connection: Shared<F, Connection>,
    key: FlowKey,
}

impl<F: Flavor> std::fmt::Debug for TcpStream<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpStream")
            .field("local", &self.key.destination())
            .field("peer", &self.key.source())
            .finish_non_exhaustive()
    }
}

impl<F: Flavor> TcpStream<F> {
    /// Makes a handle, which `connection` counts already.
    pub(crate) fn new(
        stack: StackShared<F>,
        connection: Shared<F, Connection>,
        key: FlowKey,
    ) -> Self {
        Self {
            stack,
            connection,
            key,
        }
    }

    pub(crate) fn connection(&self) -> &Shared<F, Connection> {
        &self.connection
    }

    fn enter<R>(&self, f: impl FnOnce(&mut Connection, &mut Effects<'_, F>) -> R) -> R {
        self.stack.enter(&self.connection, self.stack.moment(), f)
    }

    /// The local address. For an accepted stream it is the address that the client connected to.
    ///
    /// # Errors
    ///
    /// Never. The signature follows async-net.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.key.destination())
    }

    /// The address of the peer. For an accepted stream it is the address of the client.
    ///
    /// # Errors
    ///
    /// Never. The signature follows async-net.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.key.source())
    }

    /// Waits until the handshake is done.
    pub(crate) fn poll_connected(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.enter(|connection, fx| match connection.end {
            _ if connection.handshake_done => Poll::Ready(Ok(())),
            Some(end) => Poll::Ready(Err(end.into())),
            None => {
                connection.writer.register(cx, &mut fx.wakes);
                Poll::Pending
            }
        })
    }

    fn poll_recv(
        &self,
        cx: &mut TaskContext<'_>,
        buf: &mut [u8],
        peek: bool,
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.enter(|connection, fx| {
            if connection.end == Some(End::Aborted) {
                return Poll::Ready(Err(End::Aborted.into()));
            }
            match (connection.receive(buf, peek, fx), connection.end) {
                (Some(n), _) => Poll::Ready(Ok(n)),
                (None, Some(end)) => Poll::Ready(Err(end.into())),
                (None, None) if connection.read_shut => Poll::Ready(Ok(0)),
                (None, None) => {
                    connection.reader.register(cx, &mut fx.wakes);
                    Poll::Pending
                }
            }
        })
    }

    fn poll_send(&self, cx: &mut TaskContext<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.enter(|connection, fx| {
            if let Some(end) = connection.end {
                return Poll::Ready(Err(end.into()));
            }
            if connection.write_shut {
                return Poll::Ready(Err(write_shut()));
            }
            match connection.write(buf, fx) {
                0 => {
                    connection.writer.register(cx, &mut fx.wakes);
                    Poll::Pending
                }
                n => Poll::Ready(Ok(n)),
            }
        })
    }

    /// Receives data without removing it from the receive buffer.
    ///
    /// # Errors
    ///
    /// As for [reading](#impl-AsyncRead-for-TcpStream%3CF%3E).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_recv(cx, buf, true)).await
    }

    /// Shuts down one direction or both.
    ///
    /// `Write` sends the data that was written and then a FIN; the peer may still send. `Read`
    /// makes reads return `Ok(0)`; data that the peer sends is acknowledged and discarded.
    ///
    /// # Errors
    ///
    /// - [`NotConnected`](io::ErrorKind::NotConnected): the connection was reset, timed out or was
    ///   aborted. It is no error if both ends have closed the connection, nor is a second call.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.enter(|connection, fx| {
            match connection.end {
                None => {}
                Some(End::StackClosed) => return Err(StackClosed.into()),
                Some(_) => return Err(io::ErrorKind::NotConnected.into()),
            }
            if matches!(how, Shutdown::Read | Shutdown::Both) {
                connection.read_shut = true;
                connection.discard();
            }
            if matches!(how, Shutdown::Write | Shutdown::Both) {
                connection.shut_write();
            }
            connection.flush(fx);
            // Tasks that read wait for data or a FIN, and neither has arrived.
            if connection.read_shut {
                connection.reader.drain_into(&mut fx.wakes);
            }
            Ok(())
        })
    }

    /// Waits until the peer has acknowledged all data that was written, and the FIN if the stream
    /// was closed for writing.
    ///
    /// `flush` does not wait for the acknowledgement: written data is sent without a flush. An
    /// acknowledgement says that the peer's host has the data, not that its program has read it.
    ///
    /// # Errors
    ///
    /// As for writing, if the connection ends before.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn wait_acked(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_wait_acked(cx)).await
    }

    fn poll_wait_acked(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.enter(|connection, fx| {
            if connection.all_acknowledged() {
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = connection.end {
                return Poll::Ready(Err(end.into()));
            }
            connection.flusher.register(cx, &mut fx.wakes);
            Poll::Pending
        })
    }

    /// Closes the stream for writing, and waits until the peer has acknowledged the FIN.
    fn poll_close_write(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        let ended_before = self.enter(|connection, fx| {
            if !connection.write_shut && connection.end.is_none() {
                connection.shut_write();
                connection.flush(fx);
            }
            // All data may be acknowledged, but the FIN was never sent.
            connection.end.filter(|_| !connection.write_shut)
        });
        if let Some(end) = ended_before {
            return Poll::Ready(Err(end.into()));
        }
        self.poll_wait_acked(cx)
    }

    /// Ends the connection at once with a RST. Data that was not delivered or not read is lost.
    ///
    /// Every later read or write fails with
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted). If the connection was reset or
    /// timed out before, they go on to return that error.
    pub fn abort(&self) {
        self.enter(Connection::abort);
    }
}

fn write_shut() -> io::Error {
    io::Error::new(
        io::ErrorKind::BrokenPipe,
        "this end of the connection has been closed for writing",
    )
}

impl<F: Flavor> Clone for TcpStream<F> {
    fn clone(&self) -> Self {
        self.connection.with(|connection| connection.handles += 1);
        Self::new(self.stack.clone(), self.connection.clone(), self.key)
    }
}

impl<F: Flavor> Drop for TcpStream<F> {
    fn drop(&mut self) {
        self.enter(Connection::drop_handle);
    }
}

/// `Ok(0)` is the end of the stream: the peer has sent a FIN, or reading was
/// [shut down](TcpStream::shutdown) here. A read into an empty buffer returns `Ok(0)` too.
///
/// # Errors
///
/// An error is returned after the data that was received before it, and again by each later read:
///
/// - [`ConnectionReset`](io::ErrorKind::ConnectionReset): the peer has reset the connection.
/// - [`TimedOut`](io::ErrorKind::TimedOut): the peer has stopped answering.
/// - [`ConnectionAborted`](io::ErrorKind::ConnectionAborted): [`abort`](TcpStream::abort) was
///   called. Data that was received before is lost.
/// - [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
///
/// # Cancel safety
///
/// Dropping the future of a read loses nothing.
impl<F: Flavor> AsyncRead for TcpStream<F> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_recv(cx, buf, false)
    }
}

/// As for [`TcpStream`] itself.
impl<F: Flavor> AsyncRead for &TcpStream<F> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_recv(cx, buf, false)
    }
}

/// `poll_flush` is ready at once: written data is sent without a flush. `poll_close` sends a FIN,
/// as [`shutdown`](TcpStream::shutdown) does, and is ready as soon as the peer has acknowledged the
/// FIN; it does not wait for TIME-WAIT.
///
/// # Errors
///
/// - [`BrokenPipe`](io::ErrorKind::BrokenPipe): a write after `close` or
///   [`shutdown`](TcpStream::shutdown) for writing, on a connection that did not fail.
/// - [`ConnectionReset`](io::ErrorKind::ConnectionReset),
///   [`TimedOut`](io::ErrorKind::TimedOut),
///   [`ConnectionAborted`](io::ErrorKind::ConnectionAborted),
///   [`NetworkDown`](io::ErrorKind::NetworkDown): as for reading, but at once. `close` returns them
///   if the connection failed before the peer acknowledged everything.
///
/// # Cancel safety
///
/// Data that `poll_write` has taken is sent, and a close that `poll_close` has begun goes on.
impl<F: Flavor> AsyncWrite for TcpStream<F> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.poll_close_write(cx)
    }
}

/// As for [`TcpStream`] itself.
impl<F: Flavor> AsyncWrite for &TcpStream<F> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.poll_close_write(cx)
    }
}

pub(crate) mod halves;
mod lending;
mod read_write;
mod settings;

use crate::connection::Connection;
use crate::error::End;
use crate::shared::Effects;
use crate::stack::StackShared;
use brooklet_cell::{Flavor, Shared};
use brooklet_io::StackClosed;
use brooklet_packet::FlowKey;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::task::{Context as TaskContext, Poll};

/// A TCP connection.
///
/// [`TcpListener::accept`](crate::TcpListener::accept) and
/// [`TcpRequest::accept`](crate::TcpRequest::accept) return the streams that clients open,
/// [`Connector::connect`](crate::Connector::connect) (in the crate `brooklet`: `Stack::connect`)
/// those that the program opens. Programs that use `brooklet` import `TcpStream` from `brooklet`.
///
/// A stream is read and written through [`AsyncRead`](futures_io::AsyncRead) and
/// [`AsyncWrite`](futures_io::AsyncWrite), which are implemented for references too. Clones are
/// handles of the same connection: one task may read and another write.
///
/// A drop closes the connection too, but only `close` waits and reports an error. Reads have no
/// deadline: race a read with a timer and drop the read, which loses nothing. To notice a peer that
/// has gone silently, set a [keepalive](Self::set_keepalive).
///
/// ```
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
/// # example::run(async |mut stream, mut peer| {
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
///
/// stream.write_all(b"ping").await?;
/// stream.close().await?; // waits until the peer has acknowledged everything
/// let mut received = Vec::new();
/// peer.read_to_end(&mut received).await?;
/// assert_eq!(received, b"ping");
/// # Ok(()) });
/// ```
///
/// [`read_with`](Self::read_with) and [`write_with`](Self::write_with) lend the receive buffer and
/// the send buffer to a closure, which spares a program that passes the bytes on a copy.
///
/// `TcpStream` does not implement `AsyncBufRead`, because the receive buffer is behind a lock (a
/// cell in the flavor for one thread), so no slice of it can be lent for longer than a call. Wrap
/// the stream or its read half in `futures_lite::io::BufReader`.
///
#[doc = include_str!("close.md")]
///
/// # Waiting tasks
///
/// Several tasks can wait for one direction, and an event wakes all of them. Up to 1,024 tasks can
/// wait for one direction. The 1,025th wakes all of them; they poll again
/// ([`PollWakers`](brooklet_cell::wakers::PollWakers) says why). A dropped read may leave its waker
/// until the next event.
pub struct TcpStream<F: Flavor> {
    stack: StackShared<F>,
    connection: Shared<F, Connection<F>>,
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
        connection: Shared<F, Connection<F>>,
        key: FlowKey,
    ) -> Self {
        Self {
            stack,
            connection,
            key,
        }
    }

    pub(crate) fn connection(&self) -> &Shared<F, Connection<F>> {
        &self.connection
    }

    fn enter<R>(&self, f: impl FnOnce(&mut Connection<F>, &mut Effects<'_, F>) -> R) -> R {
        self.stack.enter(&self.connection, self.stack.moment(), f)
    }

    /// The local address. For an accepted stream it is the address that the client connected to.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, peer| {
    /// assert_eq!(stream.local_addr()?, peer.peer_addr()?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Never. The signature follows async-net.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.key.destination())
    }

    /// The address of the peer. For an accepted stream it is the address of the client.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// assert_eq!(stream.peer_addr()?, "192.0.2.1:80".parse().unwrap());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Never. The signature follows async-net.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.key.source())
    }

    /// The device queue through which the connection sends, counted from 0: always 0 on a device with
    /// one queue. The queue never changes. It is the queue on which the client's SYN arrived, or for
    /// a connection that the program opens a queue that the stack chooses by the addresses.
    ///
    /// The device may deliver packets of the connection on another queue.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// assert_eq!(stream.queue(), 0); // this device has one queue
    /// # Ok(()) });
    /// ```
    pub fn queue(&self) -> usize {
        self.connection.with(|connection| connection.queue().into())
    }

    /// Waits until the handshake is done.
    pub(crate) fn poll_connected(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.enter(|connection, fx| match connection.end {
            _ if connection.handshake_done => Poll::Ready(Ok(())),
            Some(end) => Poll::Ready(Err(end.into())),
            None => {
                connection.writer.register(cx.waker(), &mut fx.wakes);
                Poll::Pending
            }
        })
    }

    /// Receives data without removing it from the receive buffer.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |mut stream, mut peer| {
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt};
    ///
    /// peer.write_all(b"GET /").await?;
    /// let mut buf = [0; 3];
    /// stream.peek(&mut buf).await?;
    /// assert_eq!(&buf, b"GET");
    /// stream.read_exact(&mut buf).await?;
    /// assert_eq!(&buf, b"GET");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As for [reading](#impl-AsyncRead-for-TcpStream%3CF%3E).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_peek(cx, buf)).await
    }

    /// Shuts down one direction or both.
    ///
    /// `Write` sends the data that was written and then a FIN; the peer may still send. `Read`
    /// makes reads return `Ok(0)`, also if the connection fails later; only
    /// [`abort`](Self::abort) makes them fail. The stack acknowledges and discards incoming data.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |mut stream, mut peer| {
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt};
    /// use std::net::Shutdown;
    ///
    /// stream.write_all(b"the end").await?;
    /// stream.shutdown(Shutdown::Write)?;
    /// let mut received = String::new();
    /// peer.read_to_string(&mut received).await?;
    /// assert_eq!(received, "the end");
    /// // The other direction goes on.
    /// peer.write_all(b"ok").await?;
    /// assert_eq!(stream.read(&mut [0; 8]).await?, 2);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// - [`NotConnected`](io::ErrorKind::NotConnected): the connection was reset, timed out or was
    ///   aborted; `close` returns that error instead. It is no error if both ends have closed the connection, nor is a second call.
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
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |mut stream, _peer| {
    /// use futures_lite::AsyncWriteExt;
    ///
    /// stream.write_all(b"data").await?;
    /// stream.wait_acked().await?;
    /// assert_eq!(stream.info().send_queue, 0);
    /// # Ok(()) });
    /// ```
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
            let waiters = connection.waiters();
            waiters.acknowledged.register(cx.waker(), &mut fx.wakes);
            Poll::Pending
        })
    }

    /// Waits until both FINs are acknowledged, or the connection fails, even if unread data remains.
    ///
    /// Use `closed` in a task that does not read, to notice a reset. The FIN of the peer alone does
    /// not end the connection, because the peer may still read. The first outcome stays: a later
    /// call returns the same.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, peer| {
    /// use futures_lite::future;
    /// use std::io::{self, ErrorKind};
    ///
    /// peer.abort();
    /// let answer = future::or(
    ///     async {
    ///         stream.closed().await?;
    ///         Err(io::Error::from(ErrorKind::UnexpectedEof))
    ///     },
    ///     future::pending::<io::Result<u32>>(), // a lookup that takes long
    /// );
    /// assert_eq!(answer.await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Why the connection ended before both FINs were acknowledged:
    ///
    /// - [`ConnectionReset`](io::ErrorKind::ConnectionReset): the peer has reset the connection.
    /// - [`TimedOut`](io::ErrorKind::TimedOut): the peer has stopped answering.
    /// - [`ConnectionAborted`](io::ErrorKind::ConnectionAborted): [`abort`](Self::abort) was called.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn closed(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_closed(cx)).await
    }

    fn poll_closed(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.enter(|connection, fx| match connection.outcome() {
            Some(outcome) => Poll::Ready(outcome.map_err(Into::into)),
            None => {
                connection
                    .waiters()
                    .closed
                    .register(cx.waker(), &mut fx.wakes);
                Poll::Pending
            }
        })
    }

    /// Ends the connection at once with a RST. Data that was not delivered or not read is lost.
    ///
    /// Every later read or write fails with
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted). If the connection was reset or
    /// timed out before, they go on to return that error.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, mut peer| {
    /// use futures_lite::AsyncReadExt;
    /// use std::io::ErrorKind;
    ///
    /// stream.abort();
    /// let error = peer.read(&mut [0; 8]).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    /// # Ok(()) });
    /// ```
    pub fn abort(&self) {
        self.enter(Connection::abort);
    }
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

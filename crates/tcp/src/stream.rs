mod settings;

use crate::context::{Context, Work};
use crate::error::{End, stack_closed};
use crate::flow::Flow;
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::FlowKey;
use futures_io::{AsyncRead, AsyncWrite};
use smoltcp::socket::tcp::RecvError;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

/// A TCP connection.
///
/// It reads and writes like any socket, through [`AsyncRead`] and [`AsyncWrite`], also by
/// reference. Clones are the same connection; one task may read and another write.
///
#[doc = include_str!("close.md")]
pub struct TcpStream<F: Flavor> {
    context: Context<F>,
    flow: Shared<F, Flow>,
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
    /// Makes the handle that `flow` already counts.
    pub(crate) fn new(context: Context<F>, flow: Shared<F, Flow>, key: FlowKey) -> Self {
        Self { context, flow, key }
    }

    pub(crate) fn flow(&self) -> &Shared<F, Flow> {
        &self.flow
    }

    fn enter<R>(&self, f: impl FnOnce(&mut Flow, &mut Work<'_, F>) -> R) -> R {
        self.context.enter(&self.flow, self.context.now(), f)
    }

    /// The address of this end: of an accepted stream, the one that the client asked for.
    ///
    /// # Errors
    ///
    /// Never; the signature is that of other streams.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.key.destination())
    }

    /// The address of the other end: of an accepted stream, the client.
    ///
    /// # Errors
    ///
    /// Never; the signature is that of other streams.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.key.source())
    }

    /// Waits until the handshake is done.
    pub(crate) fn poll_connected(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.enter(|flow, work| match flow.end {
            _ if flow.connected => Poll::Ready(Ok(())),
            Some(end) => Poll::Ready(Err(end.into())),
            None => {
                flow.writer.register(cx, &mut work.wakes);
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
        self.enter(|flow, work| {
            if flow.end == Some(End::Aborted) {
                return Poll::Ready(Err(End::Aborted.into()));
            }
            match (flow.receive(buf, peek, work), flow.end) {
                (Ok(n @ 1..), _) => Poll::Ready(Ok(n)),
                (Err(RecvError::Finished), _) => Poll::Ready(Ok(0)),
                (_, Some(end)) => Poll::Ready(Err(end.into())),
                _ if flow.read_shut => Poll::Ready(Ok(0)),
                // Both ends have finished, and this one was not told of the peer's end.
                (Err(RecvError::InvalidState), None) => {
                    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
                }
                (Ok(_), None) => {
                    flow.reader.register(cx, &mut work.wakes);
                    Poll::Pending
                }
            }
        })
    }

    fn poll_send(&self, cx: &mut TaskContext<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.enter(|flow, work| {
            if let Some(end) = flow.end {
                return Poll::Ready(Err(end.into()));
            }
            if flow.write_shut {
                return Poll::Ready(Err(write_shut()));
            }
            match flow.write(buf, work) {
                Ok(n @ 1..) => Poll::Ready(Ok(n)),
                Ok(_) => {
                    flow.writer.register(cx, &mut work.wakes);
                    Poll::Pending
                }
                Err(_) => Poll::Ready(Err(write_shut())),
            }
        })
    }

    /// Receives without taking the data out of the buffer.
    ///
    /// # Errors
    ///
    /// As for [reading](#impl-AsyncRead-for-TcpStream%3CF%3E).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_recv(cx, buf, true)).await
    }

    /// Shuts down one direction or both.
    ///
    /// `Write` sends what was written and then tells the peer that no more comes; the peer may
    /// still send. `Read` makes reads end, and throws away what the peer sends.
    ///
    /// # Errors
    ///
    /// - [`NotConnected`](io::ErrorKind::NotConnected): the connection was reset, timed out or was
    ///   aborted. One that both ends have finished, or a second call, is no error.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.enter(|flow, work| {
            match flow.end {
                None => {}
                Some(End::StackClosed) => return Err(stack_closed()),
                Some(_) => return Err(io::ErrorKind::NotConnected.into()),
            }
            if matches!(how, Shutdown::Read | Shutdown::Both) {
                flow.read_shut = true;
                flow.discard();
            }
            if matches!(how, Shutdown::Write | Shutdown::Both) {
                flow.shut_write();
            }
            flow.settle(work);
            // Reads end by our own decision, which smoltcp does not know of.
            if flow.read_shut {
                flow.reader.drain_into(&mut work.wakes);
            }
            Ok(())
        })
    }

    /// Waits until the peer has acknowledged everything that was written, and the end of the
    /// stream if that was written too.
    ///
    /// `flush` does not wait for that: what was written is on its way without it. An
    /// acknowledgement says that the peer's host has the data, not that its program has read it.
    ///
    /// # Errors
    ///
    /// The connection ended before: as for writing.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn acknowledged(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_acknowledged(cx)).await
    }

    fn poll_acknowledged(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.enter(|flow, work| {
            if flow.all_acknowledged() {
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = flow.end {
                return Poll::Ready(Err(end.into()));
            }
            flow.flusher.register(cx, &mut work.wakes);
            Poll::Pending
        })
    }

    /// Finishes, and waits until the peer has acknowledged it.
    fn poll_finish(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        let too_late = self.enter(|flow, work| {
            if !flow.write_shut && flow.end.is_none() {
                flow.shut_write();
                flow.settle(work);
            }
            // Everything may have been acknowledged, but not an end that was never sent.
            flow.end.filter(|_| !flow.write_shut)
        });
        if let Some(end) = too_late {
            return Poll::Ready(Err(end.into()));
        }
        self.poll_acknowledged(cx)
    }

    /// Ends the connection at once with a reset. What was not delivered or not read is lost.
    ///
    /// Every later read or write is a [`ConnectionAborted`](io::ErrorKind::ConnectionAborted),
    /// unless it was reset or timed out before, which is then what they go on to say.
    pub fn abort(&self) {
        self.enter(Flow::abort);
    }

    /// Splits the stream into a half to read from and a half to write to, each of which may go to
    /// a task of its own. No lock stands between them but the connection's own.
    pub fn split(self) -> (ReadHalf<F>, WriteHalf<F>) {
        (ReadHalf(self.clone()), WriteHalf(self))
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
        self.flow.with(|flow| flow.handles += 1);
        Self::new(self.context.clone(), self.flow.clone(), self.key)
    }
}

impl<F: Flavor> Drop for TcpStream<F> {
    fn drop(&mut self) {
        self.enter(Flow::release);
    }
}

/// `Ok(0)` is the end of the stream: the peer has finished, or reading was
/// [shut down](TcpStream::shutdown) here. It is also what an empty buffer gets, without a look at
/// the connection.
///
/// # Errors
///
/// After the data that came before, each time anew:
///
/// - [`ConnectionReset`](io::ErrorKind::ConnectionReset): the peer has reset the connection.
/// - [`TimedOut`](io::ErrorKind::TimedOut): the peer has stopped answering.
/// - [`ConnectionAborted`](io::ErrorKind::ConnectionAborted): [`abort`](TcpStream::abort) was
///   called. No data comes before this one.
/// - [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
///
/// # Cancel safety
///
/// Nothing is lost if the future of a read is dropped.
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

/// `poll_flush` is ready at once: what was written is on its way. `poll_close` finishes, as
/// [`shutdown`](TcpStream::shutdown) does, and is ready when the peer has acknowledged that: not
/// later, and not after TIME-WAIT.
///
/// # Errors
///
/// - [`BrokenPipe`](io::ErrorKind::BrokenPipe): a write after `close` or
///   [`shutdown`](TcpStream::shutdown) for writing, while nothing worse has happened.
/// - [`ConnectionReset`](io::ErrorKind::ConnectionReset),
///   [`TimedOut`](io::ErrorKind::TimedOut),
///   [`ConnectionAborted`](io::ErrorKind::ConnectionAborted),
///   [`NetworkDown`](io::ErrorKind::NetworkDown): as for reading, and at once. `close` gives them if
///   they happened before the peer acknowledged everything.
///
/// # Cancel safety
///
/// What `poll_write` has taken is sent, and what `poll_close` has begun goes on.
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
        self.poll_finish(cx)
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
        self.poll_finish(cx)
    }
}

/// The half of a [`TcpStream`] to read from.
#[derive(Debug)]
pub struct ReadHalf<F: Flavor>(TcpStream<F>);

/// The half of a [`TcpStream`] to write to. Dropped, it closes that direction.
#[derive(Debug)]
pub struct WriteHalf<F: Flavor>(TcpStream<F>);

impl<F: Flavor> ReadHalf<F> {
    /// The stream that this is a half of.
    pub fn stream(&self) -> &TcpStream<F> {
        &self.0
    }
}

impl<F: Flavor> WriteHalf<F> {
    /// The stream that this is a half of.
    pub fn stream(&self) -> &TcpStream<F> {
        &self.0
    }
}

impl<F: Flavor> Drop for WriteHalf<F> {
    fn drop(&mut self) {
        // An error says that the connection has ended, which is as good.
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

impl<F: Flavor> AsyncRead for ReadHalf<F> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_recv(cx, buf, false)
    }
}

impl<F: Flavor> AsyncWrite for WriteHalf<F> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_send(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.0.poll_finish(cx)
    }
}

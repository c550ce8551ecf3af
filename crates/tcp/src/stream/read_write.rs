//! Reading and writing.

use super::TcpStream;
use super::halves::{ReadHalf, WriteHalf};
use crate::connection::Connection;
use crate::error::End;
use crate::shared::Effects;
use brooklet_cell::Flavor;
use futures_io::{AsyncRead, AsyncWrite};
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, Waker};

impl<F: Flavor> TcpStream<F> {
    /// Does what RECEIVE does, with `receive`, which reads or only looks. Without a `waker` nobody
    /// is woken after `Pending`.
    pub(super) fn poll_receive(
        &self,
        waker: Option<&Waker>,
        receive: impl FnOnce(&mut Connection<F>, &mut Effects<'_, F>) -> Option<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.enter(|connection, fx| {
            if connection.end == Some(End::Aborted) {
                return Poll::Ready(Err(End::Aborted.into()));
            }
            if connection.read_shut {
                // What was shut stays so, whatever becomes of the connection.
                return Poll::Ready(Ok(0));
            }
            match (receive(connection, fx), connection.end) {
                (Some(read), _) => Poll::Ready(read),
                (None, Some(end)) => Poll::Ready(Err(end.into())),
                (None, None) => {
                    if let Some(waker) = waker {
                        connection.reader.register(waker, &mut fx.wakes);
                    }
                    Poll::Pending
                }
            }
        })
    }

    pub(super) fn poll_read_slices(
        &self,
        cx: &mut TaskContext<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        self.poll_receive(Some(cx.waker()), |connection, fx| {
            connection.receive(bufs, fx).map(Ok)
        })
    }

    pub(super) fn poll_peek(
        &self,
        cx: &mut TaskContext<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.poll_receive(Some(cx.waker()), |connection, _| {
            connection.peek(buf).map(Ok)
        })
    }

    /// Does what SEND does, with `send`, which returns `None` if there is no room. Without a
    /// `waker` nobody is woken after `Pending`.
    pub(super) fn poll_send(
        &self,
        waker: Option<&Waker>,
        send: impl FnOnce(&mut Connection<F>, &mut Effects<'_, F>) -> Option<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.enter(|connection, fx| {
            if let Some(end) = connection.end {
                return Poll::Ready(Err(end.into()));
            }
            if connection.write_shut {
                return Poll::Ready(Err(write_shut()));
            }
            match send(connection, fx) {
                Some(written) => Poll::Ready(written),
                None => {
                    if let Some(waker) = waker {
                        connection.writer.register(waker, &mut fx.wakes);
                    }
                    Poll::Pending
                }
            }
        })
    }

    pub(super) fn poll_write_slices(
        &self,
        cx: &mut TaskContext<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        self.poll_send(Some(cx.waker()), |connection, fx| {
            let written = connection.write(bufs, fx);
            (written > 0).then_some(Ok(written))
        })
    }

    /// Closes the stream for writing, and waits until the peer has acknowledged the FIN.
    pub(super) fn poll_close_write(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
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
}

fn write_shut() -> io::Error {
    io::Error::new(
        io::ErrorKind::BrokenPipe,
        "this end of the connection has been closed for writing",
    )
}

/// Implements [`AsyncRead`] for a type that is a stream, or has one.
macro_rules! async_read {
    ($(#[$doc:meta])* $type:ty $(, $stream:ident)?) => {
        $(#[$doc])*
        impl<F: Flavor> AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut TaskContext<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                self$(.$stream())?.poll_read_slices(cx, &mut [IoSliceMut::new(buf)])
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut TaskContext<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                self$(.$stream())?.poll_read_slices(cx, bufs)
            }
        }
    };
}

/// Implements [`AsyncWrite`] for a type that is a stream, or has one.
macro_rules! async_write {
    ($(#[$doc:meta])* $type:ty $(, $stream:ident)?) => {
        $(#[$doc])*
        impl<F: Flavor> AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut TaskContext<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                self$(.$stream())?.poll_write_slices(cx, &[IoSlice::new(buf)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut TaskContext<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self$(.$stream())?.poll_write_slices(cx, bufs)
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_close(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
                self$(.$stream())?.poll_close_write(cx)
            }
        }
    };
}

async_read! {
    /// `Ok(0)` is the end of the stream: the peer has sent a FIN, or reading was
    /// [shut down](TcpStream::shutdown) here. A read into empty buffers returns `Ok(0)` too.
    ///
    /// A vectored read fills the buffers one after the other.
    ///
    /// # Errors
    ///
    /// An error is returned after the data that was received before it, and again by each later
    /// read. After `Ok(0)` for a FIN or for `shutdown(Read)`, reads fail only after `abort`.
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
    TcpStream<F>
}
async_read!(
    /// As for [`TcpStream`] itself.
    &TcpStream<F>
);
async_read!(
    /// As for [`TcpStream`](TcpStream#impl-AsyncRead-for-TcpStream%3CF%3E).
    ReadHalf<F>,
    stream
);
async_read!(
    /// As for [`ReadHalf`] itself.
    &ReadHalf<F>,
    stream
);

async_write! {
    /// A vectored write copies all buffers, as far as there is room, before it sends; short buffers
    /// share one segment.
    ///
    /// `poll_flush` is ready at once: written data is sent without a flush. `poll_close` sends a
    /// FIN, as [`shutdown`](TcpStream::shutdown) does, and is ready as soon as the peer has
    /// acknowledged the FIN; it does not wait for TIME-WAIT.
    ///
    /// # Errors
    ///
    /// - [`BrokenPipe`](io::ErrorKind::BrokenPipe): a write after `close` or
    ///   [`shutdown`](TcpStream::shutdown) for writing, on a connection that did not fail.
    /// - [`ConnectionReset`](io::ErrorKind::ConnectionReset),
    ///   [`TimedOut`](io::ErrorKind::TimedOut),
    ///   [`ConnectionAborted`](io::ErrorKind::ConnectionAborted),
    ///   [`NetworkDown`](io::ErrorKind::NetworkDown): as for reading, but at once. `close` returns
    ///   them if the connection failed before the peer acknowledged everything.
    ///
    /// # Cancel safety
    ///
    /// Data that `poll_write` has taken is sent, and a close that `poll_close` has begun goes on.
    TcpStream<F>
}
async_write!(
    /// As for [`TcpStream`] itself.
    &TcpStream<F>
);
async_write!(
    /// As for [`TcpStream`](TcpStream#impl-AsyncWrite-for-TcpStream%3CF%3E).
    WriteHalf<F>,
    stream
);
async_write!(
    /// As for [`WriteHalf`] itself.
    &WriteHalf<F>,
    stream
);

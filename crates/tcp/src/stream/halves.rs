//! A stream in two halves, for a task each.

use super::TcpStream;
use brooklet_cell::Flavor;
use futures_io::{AsyncRead, AsyncWrite};
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

/// The read half of a [`TcpStream`].
#[derive(Debug)]
pub struct ReadHalf<F: Flavor>(TcpStream<F>);

/// The write half of a [`TcpStream`]. Dropping it closes the stream for writing.
#[derive(Debug)]
pub struct WriteHalf<F: Flavor>(TcpStream<F>);

impl<F: Flavor> TcpStream<F> {
    /// Splits the stream into a read half and a write half, for a task each. The halves share no
    /// lock other than the connection's own.
    pub fn split(self) -> (ReadHalf<F>, WriteHalf<F>) {
        (ReadHalf(self.clone()), WriteHalf(self))
    }
}

impl<F: Flavor> ReadHalf<F> {
    /// The stream to which this half belongs.
    pub fn stream(&self) -> &TcpStream<F> {
        &self.0
    }
}

impl<F: Flavor> WriteHalf<F> {
    /// The stream to which this half belongs.
    pub fn stream(&self) -> &TcpStream<F> {
        &self.0
    }
}

impl<F: Flavor> Drop for WriteHalf<F> {
    fn drop(&mut self) {
        // On an error the connection has ended already.
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
        self.0.poll_close_write(cx)
    }
}

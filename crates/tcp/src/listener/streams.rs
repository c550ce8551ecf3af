//! What arrives at a listener, as streams.

use super::Waiter;
#[cfg(feature = "futures")]
use crate::TcpListener;
use crate::request::TcpRequest;
use crate::stream::TcpStream;
use brooklet_cell::Flavor;
use futures_core::Stream;
use std::io;
#[cfg(feature = "futures")]
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

/// The connection requests to a [`TcpListener`](crate::TcpListener), as a [`Stream`] of [`TcpRequest`]; see
/// [`TcpListener::requests`](crate::TcpListener::requests).
///
/// When the stack's driver ends, the stream returns that error once and then ends.
///
/// ```no_run
/// use brooklet_cell::Flavor;
/// use brooklet_tcp::TcpListener;
/// use futures_lite::StreamExt;
///
/// async fn serve<F: Flavor>(listener: TcpListener<F>) -> std::io::Result<()> {
///     let mut items = listener.requests();
///     while let Some(item) = items.next().await {
///         item?.refuse();
///     }
///     Ok(())
/// }
/// ```
///
/// # Cancel safety
///
/// Dropping the stream drops no request: those that it has not returned stay with the listener.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct TcpRequests<'a, F: Flavor> {
    pub(super) waiter: Waiter<'a, F>,
    pub(super) ended: bool,
}

impl<F: Flavor> Stream for TcpRequests<'_, F> {
    type Item = io::Result<TcpRequest<F>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = self.waiter.poll_request(cx);
        self.ended = matches!(next, Poll::Ready(Err(_)));
        next.map(Some)
    }
}

/// The connections of a [`TcpListener`](crate::TcpListener), as a [`Stream`] of [`TcpStream`]; see
/// [`TcpListener::incoming`](crate::TcpListener::incoming).
///
/// When the stack's driver ends, the stream returns that error once and then ends.
///
/// ```no_run
/// use brooklet_cell::Flavor;
/// use brooklet_tcp::TcpListener;
/// use futures_lite::StreamExt;
///
/// async fn serve<F: Flavor>(listener: TcpListener<F>) -> std::io::Result<()> {
///     let mut items = listener.incoming();
///     while let Some(item) = items.next().await {
///         println!("connected to {}", item?.peer_addr()?);
///     }
///     Ok(())
/// }
/// ```
///
/// # Cancel safety
///
/// Dropping the stream drops no connection: those that it has not returned stay with the listener.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct TcpIncoming<'a, F: Flavor> {
    pub(super) waiter: Waiter<'a, F>,
    pub(super) ended: bool,
}

impl<F: Flavor> Stream for TcpIncoming<'_, F> {
    type Item = io::Result<TcpStream<F>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = self.waiter.poll_accept(cx).map_ok(|(stream, _)| stream);
        self.ended = matches!(next, Poll::Ready(Err(_)));
        next.map(Some)
    }
}

/// Yields each connection that [`accept`](TcpListener::accept) returns, with the client's address and
/// the address that the client connected to. The stream ends when the stack's driver does.
#[cfg(feature = "futures")]
impl<F: Flavor> Stream for TcpListener<F> {
    type Item = (TcpStream<F>, SocketAddr, SocketAddr);

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.poll_accept(cx).map(|accepted| {
            let (stream, peer) = accepted.ok()?;
            let local = stream.local_addr().ok()?;
            Some((stream, peer, local))
        })
    }
}

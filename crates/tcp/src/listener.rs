use crate::context::Context;
use crate::error::stack_closed;
use crate::flow::Flow;
use crate::{Incoming, Stats, TcpStream};
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::FlowKey;
use futures_core::Stream;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

/// Takes the connections that clients open, to whatever address.
///
/// Use one of two ways. [`accept`](Self::accept) gives connected streams, as any listener does.
/// [`incoming`](Self::incoming) gives the requests, so that a program can find out first what to
/// answer; the client learns the truth.
///
/// Clones share the connections: each goes to one of them. When the last one is dropped, clients
/// are refused, as on a host where nobody listens.
pub struct TcpListener<F: Flavor> {
    context: Context<F>,
}

impl<F: Flavor> std::fmt::Debug for TcpListener<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpListener").finish_non_exhaustive()
    }
}

impl<F: Flavor> TcpListener<F> {
    pub(crate) fn new(context: Context<F>) -> Self {
        context.table.with(|table| table.listeners += 1);
        Self { context }
    }

    /// Waits for the next connection and its client's address.
    ///
    /// Requests are answered while this waits; a client that does not finish the handshake holds
    /// up nobody else. The address that was asked for is the stream's
    /// [`local_addr`](TcpStream::local_addr).
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended. Nothing else, so
    /// that no client can end the loop.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost if the future is dropped.
    pub async fn accept(&self) -> io::Result<(TcpStream<F>, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// Polls for the next connection, as [`accept`](Self::accept) does. Any number of tasks may
    /// wait.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    pub fn poll_accept(
        &self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<io::Result<(TcpStream<F>, SocketAddr)>> {
        let limit = self.context.fixed.config.handshakes;
        loop {
            let next = self.context.table.with(|table| {
                if table.gone {
                    Next::Gone
                } else if let Some(flow) = table.next_ready() {
                    Next::Ready(flow)
                } else if table.handshakes < limit
                    && let Some((key, id)) = table.next_offer()
                {
                    Next::Offer(key, id)
                } else {
                    table.acceptors.register(cx);
                    Next::Wait
                }
            });
            match next {
                Next::Ready(flow) => {
                    let key = flow.with(|flow| {
                        // Its tuple may have ended and begun anew since it was noted.
                        let ready = flow.connected && std::mem::take(&mut flow.listened);
                        flow.handles += usize::from(ready);
                        ready.then(|| flow.key())
                    });
                    if let Some(key) = key {
                        let stream = TcpStream::new(self.context.clone(), flow, key);
                        return Poll::Ready(Ok((stream, key.source())));
                    }
                }
                // A request that went away meanwhile is nobody's error.
                Next::Offer(key, id) => drop(self.context.answer(key, id, true)),
                Next::Wait => return Poll::Pending,
                Next::Gone => return Poll::Ready(Err(stack_closed())),
            }
        }
    }

    /// The requests for connections, as a stream that ends when the stack is gone.
    ///
    /// ```no_run
    /// use futures_lite::StreamExt;
    /// # async fn example<F: brooklet_cell::Flavor>(listener: brooklet_tcp::TcpListener<F>) -> std::io::Result<()> {
    /// let mut requests = listener.incoming();
    /// while let Some(request) = requests.next().await {
    ///     let request = request?;
    ///     println!("{} asks for {}", request.peer_addr(), request.local_addr());
    ///     request.refuse();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn incoming(&self) -> Requests<'_, F> {
        Requests {
            listener: self,
            ended: false,
        }
    }

    /// Polls for the next request. Any number of tasks may wait.
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
    pub fn poll_incoming(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<Incoming<F>>> {
        let next = self.context.table.with(|table| {
            if table.gone {
                return Poll::Ready(Err(stack_closed()));
            }
            match table.next_offer() {
                Some(offer) => Poll::Ready(Ok(offer)),
                None => {
                    table.acceptors.register(cx);
                    Poll::Pending
                }
            }
        });
        next.map_ok(|offer| Incoming::new(self.context.clone(), offer))
    }

    /// What the TCP side has done and holds.
    pub fn stats(&self) -> Stats {
        self.context.stats()
    }
}

enum Next<F: Flavor> {
    Ready(Shared<F, Flow>),
    Offer(FlowKey, u64),
    Wait,
    Gone,
}

impl<F: Flavor> Clone for TcpListener<F> {
    fn clone(&self) -> Self {
        Self::new(self.context.clone())
    }
}

impl<F: Flavor> Drop for TcpListener<F> {
    fn drop(&mut self) {
        let last = self.context.table.with(|table| {
            table.listeners -= 1;
            (table.listeners == 0).then(|| (table.flows(), table.take_offers()))
        });
        let Some((flows, syns)) = last else { return };
        self.context.refuse(&syns);
        let now = self.context.now();
        for flow in flows {
            self.context.enter(&flow, now, |flow, work| {
                if flow.listened {
                    flow.abort(work);
                }
            });
        }
    }
}

/// The requests for connections: a [`Stream`] of [`Incoming`].
///
/// When the stack's driver ends it gives that error once, and then ends.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Requests<'a, F: Flavor> {
    listener: &'a TcpListener<F>,
    ended: bool,
}

impl<F: Flavor> Stream for Requests<'_, F> {
    type Item = io::Result<Incoming<F>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = self.listener.poll_incoming(cx);
        self.ended = matches!(next, Poll::Ready(Err(_)));
        next.map(Some)
    }
}

/// Connected streams with the client's address and the one it asked for. Ends when the stack's
/// driver does.
#[cfg(feature = "futures-sink")]
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

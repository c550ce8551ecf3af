use crate::context::Context;
use crate::error::stack_closed;
use crate::flow::Flow;
use crate::requests::Ticket;
use crate::table::Table;
use crate::wake::{Place, Wakes};
use crate::{Incoming, Stats, TcpStream};
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::FlowKey;
use futures_core::Stream;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

/// Takes the connections that clients open.
///
/// The listener that an engine is made with takes those to every address. One that is
/// [bound](crate::Connector::bind) takes those to its own address, and the other the rest.
///
/// Use one of two ways. [`accept`](Self::accept) gives connected streams, as any listener does.
/// [`incoming`](Self::incoming) gives the requests, so that a program can find out first what to
/// answer; the client learns the truth.
///
/// Clones share the connections: each goes to one of them. When the last one is dropped, its
/// clients are refused, as on a host where nobody listens, and the address is free again.
pub struct TcpListener<F: Flavor> {
    context: Context<F>,
    id: u32,
}

impl<F: Flavor> std::fmt::Debug for TcpListener<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpListener").finish_non_exhaustive()
    }
}

impl<F: Flavor> TcpListener<F> {
    /// Makes the handle that the table already counts.
    pub(crate) fn new(context: Context<F>, id: u32) -> Self {
        Self { context, id }
    }

    /// The address that the listener is bound to; of the one that takes what no other does,
    /// `[::]:0`.
    ///
    /// # Errors
    ///
    /// Never; the signature is that of other listeners.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = self.context.table.with(|table| {
            let listening = table.listeners.get(self.id);
            listening.and_then(|listening| listening.address)
        });
        Ok(address.unwrap_or_else(|| (Ipv6Addr::UNSPECIFIED, 0).into()))
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
        let mut waiter = Waiter::new(self);
        poll_fn(|cx| waiter.poll_accept(cx)).await
    }

    /// Polls for the next connection, as [`accept`](Self::accept) does. Up to 1,024 tasks may
    /// wait by this method; one more wakes all others.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    pub fn poll_accept(
        &self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<io::Result<(TcpStream<F>, SocketAddr)>> {
        self.poll_accept_with(cx, None)
    }

    fn poll_accept_with(
        &self,
        cx: &mut TaskContext<'_>,
        mut place: Option<&mut Place>,
    ) -> Poll<io::Result<(TcpStream<F>, SocketAddr)>> {
        let config = &self.context.fixed.config;
        let mut gave_way = false;
        loop {
            let now = self.context.now();
            let next = self.wait(cx, place.as_deref_mut(), |table, id| {
                if let Some(flow) = table.next_ready(id) {
                    return Some(Next::Ready(flow));
                }
                if table.listeners.get(id)?.handshakes >= config.handshakes {
                    // One for one: a reset that finds no room leaves its connection waiting.
                    let stale = !gave_way && table.requests.has_offers(id);
                    return stale
                        .then(|| table.stale_handshake(id, now, PATIENCE))?
                        .map(Next::Stale);
                }
                let (ticket, request) = table.requests.next_offer(id)?;
                Some(Next::Offer(request.key, ticket))
            });
            match std::task::ready!(next)? {
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
                Next::Stale(flow) => {
                    gave_way = true;
                    self.context.enter(&flow, now, |flow, work| {
                        if !flow.connected {
                            flow.abort(work);
                        }
                    });
                }
                // A request that went away meanwhile is nobody's error.
                Next::Offer(key, ticket) => {
                    gave_way = false;
                    drop(self.context.answer(key, ticket, &config.options, true));
                }
            }
        }
    }

    /// Looks for something, and waits for a change where there is nothing.
    fn wait<R>(
        &self,
        cx: &TaskContext<'_>,
        place: Option<&mut Place>,
        look: impl FnOnce(&mut Table<F>, u32) -> Option<R>,
    ) -> Poll<io::Result<R>> {
        let mut wakes = Wakes::default();
        let (found, _old) = self.context.table.with(|table| {
            if table.gone {
                return (Poll::Ready(Err(stack_closed())), None);
            }
            if let Some(found) = look(table, self.id) {
                return (Poll::Ready(Ok(found)), None);
            }
            let listening = table.listeners.get_mut(self.id);
            let old = listening.and_then(|listening| match place {
                Some(place) => listening.acceptors.register(cx, place),
                None => {
                    listening.acceptors.register_other(cx, &mut wakes);
                    None
                }
            });
            (Poll::Pending, old)
        });
        wakes.wake();
        found
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
            waiter: Waiter::new(self),
            ended: false,
        }
    }

    /// Polls for the next request. Up to 1,024 tasks may wait by this method; one more wakes all
    /// others.
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
    pub fn poll_incoming(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<Incoming<F>>> {
        self.poll_incoming_with(cx, None)
    }

    fn poll_incoming_with(
        &self,
        cx: &mut TaskContext<'_>,
        place: Option<&mut Place>,
    ) -> Poll<io::Result<Incoming<F>>> {
        let offer = self.wait(cx, place, |table, id| {
            let (ticket, request) = table.requests.next_offer(id)?;
            Some((request.key, ticket, request.facts()?))
        });
        offer.map_ok(|offer| Incoming::new(self.context.clone(), offer))
    }

    /// What the TCP side has done and holds.
    pub fn stats(&self) -> Stats {
        self.context.stats()
    }
}

enum Next<F: Flavor> {
    Ready(Shared<F, Flow>),
    Offer(FlowKey, Ticket),
    Stale(Shared<F, Flow>),
}

/// What a client has for the third packet of the handshake when others wait. Behind a TUN it takes
/// less than a millisecond.
const PATIENCE: Duration = Duration::from_millis(5);

impl<F: Flavor> Clone for TcpListener<F> {
    fn clone(&self) -> Self {
        self.context
            .table
            .with(|table| table.listeners.enter(self.id));
        Self::new(self.context.clone(), self.id)
    }
}

impl<F: Flavor> Drop for TcpListener<F> {
    fn drop(&mut self) {
        let last = self.context.table.with(|table| table.unlisten(self.id));
        let Some(left) = last else { return };
        self.context.reset(&left.requests);
        let now = self.context.now();
        for flow in &left.answered {
            self.context.enter(flow, now, |flow, work| {
                if flow.listened {
                    flow.abort(work);
                }
            });
        }
    }
}

/// Somebody who waits on a listener, and leaves nothing there when it is dropped.
#[derive(Debug)]
struct Waiter<'a, F: Flavor> {
    listener: &'a TcpListener<F>,
    place: Place,
}

impl<'a, F: Flavor> Waiter<'a, F> {
    fn new(listener: &'a TcpListener<F>) -> Self {
        Self {
            listener,
            place: Place::default(),
        }
    }

    fn poll_accept(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<io::Result<(TcpStream<F>, SocketAddr)>> {
        self.listener.poll_accept_with(cx, Some(&mut self.place))
    }

    fn poll_incoming(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<Incoming<F>>> {
        self.listener.poll_incoming_with(cx, Some(&mut self.place))
    }
}

impl<F: Flavor> Drop for Waiter<'_, F> {
    fn drop(&mut self) {
        let TcpListener { context, id } = self.listener;
        let _waker = context.table.with(|table| {
            let listening = table.listeners.get_mut(*id)?;
            listening.acceptors.leave(&mut self.place)
        });
    }
}

/// The requests for connections: a [`Stream`] of [`Incoming`].
///
/// When the stack's driver ends it gives that error once, and then ends.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Requests<'a, F: Flavor> {
    waiter: Waiter<'a, F>,
    ended: bool,
}

impl<F: Flavor> Stream for Requests<'_, F> {
    type Item = io::Result<Incoming<F>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = self.waiter.poll_incoming(cx);
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

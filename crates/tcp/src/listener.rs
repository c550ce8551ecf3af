mod streams;
mod waiter;

pub use self::streams::{TcpIncoming, TcpRequests};

use self::waiter::Waiter;
use crate::connection::Connection;
use crate::options::TcpOptions;
use crate::request::TcpRequest;
use crate::stack::StackShared;
use crate::stats::Stats;
use crate::stream::TcpStream;
use crate::syn_queue::SynId;
use crate::table::Table;
use brooklet_cell::wakers::{WaitKey, WakeList};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::StackClosed;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

/// Accepts the connections that clients open.
///
/// The listener that comes with the engine accepts connections to every address. A listener that
/// was [bound](crate::Connector::bind) accepts the connections to its own address, and the first
/// listener accepts the rest.
///
/// In the crate `brooklet`, `Parts::tcp` is the first listener, and `Stack::bind` and
/// `Stack::connect` stand in the place of the methods of `Connector`. Programs that use `brooklet`
/// import `TcpListener` from `brooklet`.
///
/// Use one of two ways. [`accept`](Self::accept) and [`incoming`](Self::incoming) return connected
/// streams, as any listener does. [`requests`](Self::requests) returns connection requests, so that
/// a program can decide how to answer each client.
///
/// Clones share the connections: each connection goes to one of them. When the last clone is
/// dropped, the clients that wait are refused, as on a host without a listener, and the address is
/// free again.
///
/// ```
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
/// # example::run(async |connector, listener| {
/// use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
///
/// let server = async {
///     let (mut stream, peer) = listener.accept().await?;
///     assert_eq!(peer, stream.peer_addr()?);
///     stream.write_all(b"hello").await?;
///     stream.close().await
/// };
/// let client = async {
///     let mut stream = connector.connect("192.0.2.1:80".parse().unwrap()).await?;
///     let mut text = String::new();
///     stream.read_to_string(&mut text).await?;
///     assert_eq!(text, "hello");
///     Ok(())
/// };
/// future::try_zip(server, client).await?;
/// # Ok(()) });
/// ```
pub struct TcpListener<F: Flavor> {
    stack: StackShared<F>,
    id: u32,
}

impl<F: Flavor> std::fmt::Debug for TcpListener<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpListener").finish_non_exhaustive()
    }
}

impl<F: Flavor> TcpListener<F> {
    /// Makes a handle, which the table counts already.
    pub(crate) fn new(stack: StackShared<F>, id: u32) -> Self {
        Self { stack, id }
    }

    /// The address that the listener is bound to; `[::]:0` for the listener that accepts
    /// connections to every address.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// assert_eq!(listener.local_addr()?, "[::]:0".parse().unwrap());
    /// let web = connector.bind("0.0.0.0:80".parse().unwrap())?;
    /// assert_eq!(web.local_addr()?, "0.0.0.0:80".parse().unwrap());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Never. The signature follows async-net.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = self.stack.table.with(|table| {
            let listening = table.listeners.get(self.id);
            listening.and_then(|listening| listening.address)
        });
        Ok(address.unwrap_or_else(|| (Ipv6Addr::UNSPECIFIED, 0).into()))
    }

    /// The options of the connections that the listener accepts.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// assert_eq!(listener.options().ttl, 64);
    /// # Ok(()) });
    /// ```
    pub fn options(&self) -> TcpOptions {
        let options = self.stack.table.with(|table| {
            let listening = table.listeners.get(self.id);
            listening.map(|listening| listening.options.clone())
        });
        options.map_or_else(TcpOptions::default, |options| (*options).clone())
    }

    /// Sets the options of the connections that the listener and its clones accept from now on.
    /// Connections, and [requests](Self::requests) that were returned already, keep theirs.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// use brooklet_tcp::TcpOptions;
    /// use futures_lite::future;
    ///
    /// listener.set_options(TcpOptions::new().ttl(128));
    /// let connect = connector.connect("192.0.2.1:80".parse().unwrap());
    /// let (_, (stream, _)) = future::try_zip(connect, listener.accept()).await?;
    /// assert_eq!(stream.ttl()?, 128);
    /// # Ok(()) });
    /// ```
    pub fn set_options(&self, options: TcpOptions) {
        let options = Arc::new(options.usable());
        let _old = self.stack.table.with(|table| {
            let listening = table.listeners.get_mut(self.id);
            listening.map(|listening| std::mem::replace(&mut listening.options, options))
        });
    }

    /// Waits for the next connection and its client's address.
    ///
    /// Requests are answered while this method waits; a client that does not complete the
    /// handshake delays no other. The address that the client connected to is the stream's
    /// [`local_addr`](TcpStream::local_addr).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// use futures_lite::future;
    ///
    /// let connect = connector.connect("192.0.2.1:80".parse().unwrap());
    /// let (_, (stream, peer)) = future::try_zip(connect, listener.accept()).await?;
    /// assert_eq!(stream.local_addr()?, "192.0.2.1:80".parse().unwrap());
    /// assert_eq!(stream.peer_addr()?, peer);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended. There is no other
    /// error, so that no client can end an accept loop.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no connection; the next `accept` returns it.
    pub async fn accept(&self) -> io::Result<(TcpStream<F>, SocketAddr)> {
        let mut waiter = Waiter::new(self);
        poll_fn(|cx| waiter.poll_accept(cx)).await
    }

    /// Polls for the next connection, as [`accept`](Self::accept) does. Up to 1,024 tasks wait
    /// by this method; one more wakes the others.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// use futures_lite::future;
    ///
    /// let accept = future::poll_fn(|cx| listener.poll_accept(cx));
    /// let connect = connector.connect("192.0.2.1:80".parse().unwrap());
    /// let (_, (stream, peer)) = future::try_zip(connect, accept).await?;
    /// assert_eq!(stream.peer_addr()?, peer);
    /// # Ok(()) });
    /// ```
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
        mut key: Option<&mut WaitKey>,
    ) -> Poll<io::Result<(TcpStream<F>, SocketAddr)>> {
        let cookies = self.stack.config.config.syn_cookies;
        let mut sent = 0;
        loop {
            let now = self.stack.now();
            let next = self.wait(cx, key.as_deref_mut(), |table, id| {
                if let Some(connection) = table.next_accepted(id) {
                    return Some(Next::Accepted(connection));
                }
                let is_full = table.is_half_open_full(id);
                if is_full && !cookies {
                    return table
                        .stale_half_open(id, now, HANDSHAKE_GRACE)
                        .map(Next::Stale);
                }
                let (syn, entry, options) = table.next_syn(id)?;
                Some(match is_full && entry.completed().is_none() {
                    true => Next::Cookie(syn),
                    false => Next::Syn(syn, options),
                })
            });
            match std::task::ready!(next)? {
                Next::Accepted(connection) => {
                    let key = connection.with(|connection| {
                        // The connection may be a later one of the same 4-tuple.
                        let accepted = connection.handshake_done && connection.take_listened();
                        connection.handles += u32::from(accepted);
                        accepted.then(|| connection.key())
                    });
                    if let Some(key) = key {
                        let stream = TcpStream::new(self.stack.clone(), connection, key);
                        return Poll::Ready(Ok((stream, key.source())));
                    }
                }
                Next::Stale(connection) => {
                    let moment = self.stack.config.micros(now);
                    self.stack.enter(&connection, moment, Connection::evict);
                }
                Next::Cookie(syn) => {
                    self.answer_with_cookie(syn, now);
                    sent += 1;
                    if sent == COOKIES_PER_POLL {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                // A SYN that is gone meanwhile is no error of the listener.
                Next::Syn(syn, options) => {
                    drop(self.stack.answer(syn, &options, true));
                }
            }
        }
    }

    /// Returns what `look` finds in the table. If `look` finds nothing, registers the task.
    fn wait<R>(
        &self,
        cx: &TaskContext<'_>,
        key: Option<&mut WaitKey>,
        look: impl FnOnce(&mut Table<F>, u32) -> Option<R>,
    ) -> Poll<io::Result<R>> {
        let mut wakes = WakeList::default();
        let (found, _old) = self.stack.table.with(|table| {
            if table.is_closed() {
                return (Poll::Ready(Err(StackClosed.into())), None);
            }
            if let Some(found) = look(table, self.id) {
                return (Poll::Ready(Ok(found)), None);
            }
            let listening = table.listeners.get_mut(self.id);
            let old = listening.and_then(|listening| match key {
                Some(key) => listening.acceptors.register(key, cx.waker()),
                None => {
                    listening.acceptors.register_poll(cx.waker(), &mut wakes);
                    None
                }
            });
            (Poll::Pending, old)
        });
        wakes.wake_all();
        found
    }

    /// The connections, as a stream that ends with the stack. Each item is what
    /// [`accept`](Self::accept) returns, without the peer's address.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// use futures_lite::{StreamExt, future};
    ///
    /// let server = async {
    ///     let mut incoming = listener.incoming();
    ///     while let Some(stream) = incoming.next().await {
    ///         println!("connected to {}", stream?.peer_addr()?);
    ///     }
    ///     Ok(())
    /// };
    /// let client = async {
    ///     connector.connect("192.0.2.1:80".parse().unwrap()).await?;
    ///     Ok(())
    /// };
    /// future::or(server, client).await
    /// # });
    /// ```
    pub fn incoming(&self) -> TcpIncoming<'_, F> {
        TcpIncoming {
            waiter: Waiter::new(self),
            ended: false,
        }
    }

    /// The connection requests, as a stream that ends with the stack.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// use futures_lite::{StreamExt, future};
    ///
    /// let server = async {
    ///     let mut requests = listener.requests();
    ///     while let Some(request) = requests.next().await {
    ///         let request = request?;
    ///         println!("{} asks for {}", request.peer_addr(), request.local_addr());
    ///         request.refuse();
    ///     }
    ///     Ok(())
    /// };
    /// let client = async {
    ///     let refused = connector.connect("192.0.2.1:80".parse().unwrap()).await;
    ///     assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    ///     Ok(())
    /// };
    /// future::or(server, client).await
    /// # });
    /// ```
    pub fn requests(&self) -> TcpRequests<'_, F> {
        TcpRequests {
            waiter: Waiter::new(self),
            ended: false,
        }
    }

    /// Polls for the next request. Up to 1,024 tasks wait by this method; one more wakes the
    /// others.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// use futures_lite::future;
    ///
    /// let server = async {
    ///     let request = future::poll_fn(|cx| listener.poll_request(cx)).await?;
    ///     request.accept().await
    /// };
    /// let connect = connector.connect("192.0.2.1:80".parse().unwrap());
    /// let (near, far) = future::try_zip(connect, server).await?;
    /// assert_eq!(near.local_addr()?, far.peer_addr()?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
    pub fn poll_request(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<TcpRequest<F>>> {
        self.poll_request_with(cx, None)
    }

    fn poll_request_with(
        &self,
        cx: &mut TaskContext<'_>,
        mut key: Option<&mut WaitKey>,
    ) -> Poll<io::Result<TcpRequest<F>>> {
        let mut cookies = 0;
        loop {
            let now = self.stack.now();
            let next = self.wait(cx, key.as_deref_mut(), |table, id| {
                let was_full = table.was_full(now);
                let (syn, entry, options) = table.next_syn(id)?;
                if was_full && entry.completed().is_none() {
                    return Some(Err(syn));
                }
                Some(Ok(((syn, entry.queue), entry.parse()?, options)))
            });
            match std::task::ready!(next)? {
                Ok(syn) => return Poll::Ready(Ok(TcpRequest::new(self.stack.clone(), syn))),
                Err(syn) => self.answer_with_cookie(syn, now),
            }
            cookies += 1;
            if cookies == COOKIES_PER_POLL {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Answers a SYN with a cookie, after it has waited in the queue.
    fn answer_with_cookie(&self, syn: SynId, now: Instant) {
        let mut wakes = WakeList::default();
        let table = &self.stack.table;
        let taken = table.with(|table| table.answer_with_cookie(syn, now, &mut wakes));
        wakes.wake_all();
        if let Some((entry, source)) = taken {
            self.stack.answer_with_cookie(&entry, &source);
        }
    }

    /// The counters and gauges of the stack's TCP side.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// assert_eq!(listener.stats().connections, 0);
    /// # Ok(()) });
    /// ```
    pub fn stats(&self) -> Stats {
        self.stack.stats()
    }
}

/// The next step of `accept`.
enum Next<F: Flavor> {
    Accepted(Shared<F, Connection<F>>),
    Syn(SynId, Arc<TcpOptions>),
    /// A SYN that is answered with a cookie.
    Cookie(SynId),
    /// A half-open connection that gives its place to a SYN.
    Stale(Shared<F, Connection<F>>),
}

/// How many SYNs a listener answers with cookies before the driver has its turn: the outbound queue
/// has no room for all that may wait.
const COOKIES_PER_POLL: usize = 64;

/// How long a client may take to acknowledge the SYN-ACK while SYNs wait for its place. On a TUN
/// it takes less than a millisecond.
const HANDSHAKE_GRACE: Duration = Duration::from_millis(5);

impl<F: Flavor> Clone for TcpListener<F> {
    fn clone(&self) -> Self {
        self.stack
            .table
            .with(|table| table.listeners.enter(self.id));
        Self::new(self.stack.clone(), self.id)
    }
}

impl<F: Flavor> Drop for TcpListener<F> {
    fn drop(&mut self) {
        let mut wakes = WakeList::default();
        let wakes = &mut wakes;
        let last = self
            .stack
            .table
            .with(|table| table.unlisten(self.id, wakes));
        wakes.wake_all();
        let Some(left) = last else { return };
        self.stack.refuse(&left.syns);
        let now = self.stack.moment();
        for connection in &left.connections {
            self.stack.enter(connection, now, |connection, fx| {
                if connection.is_listened() {
                    connection.abort(fx);
                }
            });
        }
    }
}

mod poll;
mod streams;
mod waiter;

pub use self::streams::{TcpIncoming, TcpRequests};

use self::waiter::Waiter;
use crate::options::TcpOptions;
use crate::request::TcpRequest;
use crate::stack::StackShared;
use crate::stats::Stats;
use crate::stream::TcpStream;
use brooklet_cell::Flavor;
use brooklet_cell::wakers::WakeList;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

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
    /// handshake delays no other. If there are [too many](crate::Config::max_half_open) of such
    /// clients, SYNs are answered with [SYN cookies](crate::Config::syn_cookies). The address that the client connected to is the stream's
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

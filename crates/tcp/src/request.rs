mod answer;
mod reject;
mod withdrawal;

use self::withdrawal::Withdrawal;
use crate::options::TcpOptions;
use crate::stack::StackShared;
use crate::stats::Stats;
use crate::stream::TcpStream;
use crate::syn::Syn;
use crate::syn_queue::{SynEntry, SynId};
use brooklet_cell::Flavor;
use brooklet_cell::wakers::WakeList;
use brooklet_packet::TrafficClass;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// An unanswered connection request: a client has sent a SYN, and the stack has not replied. The
/// client waits until the program calls one of the methods below. A proxy can therefore connect to
/// its upstream first, and then accept the request or answer as the upstream did.
///
/// The request expires when the client stops repeating the SYN, at the latest after
/// [`request_timeout`](crate::Config::request_timeout) (120 s), or when the client sends a RST. A
/// request whose client never repeats the SYN expires after
/// [`handshake_timeout`](crate::Config::handshake_timeout) (15 s). Then
/// [`withdrawn`](Self::withdrawn) completes and `accept` returns `ConnectionAborted`. A new SYN never
/// takes the place of a request that the program holds.
///
/// # While SYNs flood the stack
///
/// If the [`backlog`](crate::Config::backlog) or the [half-open
/// connections](crate::Config::max_half_open) are full, the stack answers SYNs itself, with [SYN
/// cookies](crate::Config::syn_cookies). A client becomes a request when it completes the handshake,
/// so that a program that connects upstream first does so for no spoofed source. Such a client is
/// connected already:
///
/// - [`accept`](Self::accept) returns the stream at once. The stack keeps the client's first segment
///   with data and drops later ones, which the client sends again.
/// - [`refuse`](Self::refuse) and [`reject`](Self::reject) reset the client's connection.
/// - The client withdraws the request by a RST, or by a FIN if it has sent no data.
/// - [`window`](Self::window) is that of the client's segment, which is scaled, and
///   [`mss`](Self::mss) is rounded down to one of eight values.
/// - The request expires after [`request_timeout`](crate::Config::request_timeout).
///
/// # Answers
///
/// | the program calls | the client's `connect` returns |
/// |---|---|
/// | [`accept`](Self::accept) | connected |
/// | [`refuse`](Self::refuse) | connection refused |
/// | [`reject`](Self::reject) | no route to host, network unreachable, or what the ICMP error means |
/// | [`drop_silently`](Self::drop_silently) | timed out, after a while |
///
/// Dropping a `TcpRequest` is the same as [`drop_silently`](Self::drop_silently): the client gets no
/// reply and times out.
///
/// Programs that use the crate `brooklet` import `TcpRequest` from `brooklet`, where `Config` is
/// `TcpConfig`.
///
/// ```
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
/// # example::run(async |connector, listener| {
/// # use futures_lite::{StreamExt, future};
/// use brooklet_tcp::Unreachable;
///
/// # let server = async {
/// let mut requests = listener.requests();
/// while let Some(request) = requests.next().await {
///     let request = request?;
///     match request.local_addr().port() {
///         443 => {
///             let stream = request.accept().await?;
///             println!("{} asked for {}", stream.peer_addr()?, stream.local_addr()?);
///         }
///         80 => request.refuse(),
///         _ => request.reject(Unreachable::Host),
///     }
/// }
/// # Ok(()) };
/// # let client = async {
/// # let refused = connector.connect("192.0.2.1:80".parse().unwrap()).await.unwrap_err();
/// # assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
/// # connector.connect("192.0.2.1:443".parse().unwrap()).await?;
/// # Ok(()) };
/// # future::or(server, client).await
/// # });
/// ```
#[must_use = "a dropped request gets no reply: the client times out"]
pub struct TcpRequest<F: Flavor> {
    stack: StackShared<F>,
    id: SynId,
    /// The device queue on which the SYN arrived.
    queue: u8,
    syn: Syn,
    /// The options of the listener.
    options: Arc<TcpOptions>,
    answered: bool,
}

impl<F: Flavor> std::fmt::Debug for TcpRequest<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpRequest")
            .field("peer", &self.peer_addr())
            .field("local", &self.local_addr())
            .finish_non_exhaustive()
    }
}

impl<F: Flavor> TcpRequest<F> {
    pub(crate) fn new(
        stack: StackShared<F>,
        ((id, queue), syn, options): ((SynId, u8), Syn, Arc<TcpOptions>),
    ) -> Self {
        Self {
            stack,
            id,
            queue,
            syn,
            options,
            answered: false,
        }
    }

    /// The address of the client.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// # use futures_lite::{StreamExt, future};
    /// # let client = connector.connect("192.0.2.1:80".parse().unwrap());
    /// # let server = async {
    /// # let request = listener.requests().next().await.unwrap()?;
    /// assert_eq!(request.peer_addr().ip(), std::net::Ipv4Addr::new(10, 0, 0, 2));
    /// # request.refuse();
    /// # Ok::<(), std::io::Error>(()) };
    /// # future::zip(client, server).await.1?;
    /// # Ok(()) });
    /// ```
    pub fn peer_addr(&self) -> SocketAddr {
        self.id.key.source()
    }

    /// The address that the client asked for.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// # use futures_lite::{StreamExt, future};
    /// # let client = connector.connect("192.0.2.1:80".parse().unwrap());
    /// # let server = async {
    /// # let request = listener.requests().next().await.unwrap()?;
    /// assert_eq!(request.local_addr(), "192.0.2.1:80".parse().unwrap());
    /// # request.refuse();
    /// # Ok::<(), std::io::Error>(()) };
    /// # future::zip(client, server).await.1?;
    /// # Ok(()) });
    /// ```
    pub fn local_addr(&self) -> SocketAddr {
        self.id.key.destination()
    }

    /// The MSS option of the client's SYN, in bytes; `None` if the SYN has none (RFC 9293, 3.7.1).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// # use futures_lite::{StreamExt, future};
    /// # let client = connector.connect("192.0.2.1:80".parse().unwrap());
    /// # let server = async {
    /// # let request = listener.requests().next().await.unwrap()?;
    /// assert_eq!(request.mss(), Some(1460));
    /// # request.refuse();
    /// # Ok::<(), std::io::Error>(()) };
    /// # future::zip(client, server).await.1?;
    /// # Ok(()) });
    /// ```
    pub fn mss(&self) -> Option<u16> {
        self.syn.mss
    }

    /// The window in the client's SYN, in bytes. The window of a SYN is never scaled (RFC 7323,
    /// 2.2).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// # use futures_lite::{StreamExt, future};
    /// # let client = connector.connect("192.0.2.1:80".parse().unwrap());
    /// # let server = async {
    /// # let request = listener.requests().next().await.unwrap()?;
    /// assert_eq!(request.window(), 65_535);
    /// # request.refuse();
    /// # Ok::<(), std::io::Error>(()) };
    /// # future::zip(client, server).await.1?;
    /// # Ok(()) });
    /// ```
    pub fn window(&self) -> u16 {
        self.syn.window
    }

    /// The TTL or hop limit with which the client's SYN arrived. With 1 or 0 the SYN would go no
    /// further than this hop, like a probe of `traceroute -T`: a proxy that counts as a router
    /// answers it with [`reject_from`](Self::reject_from).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// # use futures_lite::{StreamExt, future};
    /// # let client = connector.connect("192.0.2.1:80".parse().unwrap());
    /// # let server = async {
    /// # let request = listener.requests().next().await.unwrap()?;
    /// assert_eq!(request.hop_limit(), 64);
    /// # request.refuse();
    /// # Ok::<(), std::io::Error>(()) };
    /// # future::zip(client, server).await.1?;
    /// # Ok(()) });
    /// ```
    pub fn hop_limit(&self) -> u8 {
        self.syn.hop_limit
    }

    /// The traffic class with which the client's SYN arrived.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// # use futures_lite::{StreamExt, future};
    /// # let client = connector.connect("192.0.2.1:80".parse().unwrap());
    /// # let server = async {
    /// # let request = listener.requests().next().await.unwrap()?;
    /// use brooklet_tcp::TcpOptions;
    ///
    /// // The replies have the client's class, as with Linux's `net.ipv4.tcp_reflect_tos`.
    /// let class = request.traffic_class();
    /// let stream = request.accept_with(TcpOptions::new().traffic_class(class)).await?;
    /// # assert_eq!(stream.traffic_class(), class);
    /// # Ok::<(), std::io::Error>(()) };
    /// # future::zip(client, server).await.1?;
    /// # Ok(()) });
    /// ```
    pub fn traffic_class(&self) -> TrafficClass {
        self.syn.traffic_class
    }

    /// The device queue on which the client's SYN arrived, counted from 0: always 0 on a device with
    /// one queue. The accepted stream sends through the same [queue](TcpStream::queue), so a program
    /// with a thread for each queue can hand the request to the thread of this queue.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// # use futures_lite::{StreamExt, future};
    /// # let client = connector.connect("192.0.2.1:80".parse().unwrap());
    /// # let server = async {
    /// # let request = listener.requests().next().await.unwrap()?;
    /// assert_eq!(request.queue(), 0); // this device has one queue
    /// # request.refuse();
    /// # Ok::<(), std::io::Error>(()) };
    /// # future::zip(client, server).await.1?;
    /// # Ok(()) });
    /// ```
    pub fn queue(&self) -> usize {
        self.queue.into()
    }

    /// Accepts the request and waits for the end of the handshake. The connection has the
    /// [options](crate::TcpListener::set_options) that the listener had when it returned the
    /// request.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// # use futures_lite::{StreamExt, future};
    /// # let client = connector.connect("192.0.2.1:80".parse().unwrap());
    /// # let server = async {
    /// # let request = listener.requests().next().await.unwrap()?;
    /// let stream = request.accept().await?;
    /// assert_eq!(stream.local_addr()?.port(), 80);
    /// # Ok::<(), std::io::Error>(()) };
    /// # future::zip(client, server).await.1?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ConnectionAborted`](io::ErrorKind::ConnectionAborted): the request is gone, because the
    ///   client withdrew it or it expired. Without [SYN cookies](crate::Config::syn_cookies) also: a
    ///   newer connection took the place of this one before the client completed the handshake
    ///   ([`max_half_open`](crate::Config::max_half_open)).
    /// - [`ConnectionReset`](io::ErrorKind::ConnectionReset),
    ///   [`TimedOut`](io::ErrorKind::TimedOut): the client went away during the handshake.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it completes resets the connection.
    pub async fn accept(self) -> io::Result<TcpStream<F>> {
        let options = self.options.clone();
        self.accept_usable(&options).await
    }

    /// Accepts the request, as [`accept`](Self::accept) does, with options for this connection.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// # use futures_lite::{StreamExt, future};
    /// # let client = connector.connect("192.0.2.1:80".parse().unwrap());
    /// # let server = async {
    /// # let request = listener.requests().next().await.unwrap()?;
    /// use brooklet_tcp::TcpOptions;
    ///
    /// let small = TcpOptions::new().recv_buffer(8192).send_buffer(8192);
    /// let stream = request.accept_with(small).await?;
    /// # Ok::<(), std::io::Error>(()) };
    /// # future::zip(client, server).await.1?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    ///
    /// # Cancel safety
    ///
    /// As for [`accept`](Self::accept).
    pub async fn accept_with(self, options: TcpOptions) -> io::Result<TcpStream<F>> {
        self.accept_usable(&options.usable()).await
    }

    async fn accept_usable(mut self, options: &TcpOptions) -> io::Result<TcpStream<F>> {
        self.answered = true;
        let connection = self.stack.answer(self.id, options, false)?;
        let stream = TcpStream::new(self.stack.clone(), connection, self.id.key);
        poll_fn(|cx| stream.poll_connected(cx)).await?;
        Ok(stream)
    }

    /// Refuses the request with a RST: the client's `connect` fails with "connection refused".
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// # use futures_lite::{StreamExt, future};
    /// # let client = connector.connect("192.0.2.1:80".parse().unwrap());
    /// # let server = async {
    /// # let request = listener.requests().next().await.unwrap()?;
    /// request.refuse();
    /// # Ok::<(), std::io::Error>(()) };
    /// let refused = future::zip(client, server).await.0.unwrap_err();
    /// assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    /// # Ok(()) });
    /// ```
    pub fn refuse(mut self) {
        self.answered = true;
        let syn = self.take(|stats| &mut stats.refused);
        self.stack.refuse(syn.as_slice());
    }

    /// Sends no reply. The stack ignores repeated SYNs until the request expires; a SYN after that is
    /// a new request. A full backlog evicts these requests first.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// # use futures_lite::{StreamExt, future};
    /// # let client = connector.connect("192.0.2.1:80".parse().unwrap());
    /// # let server = async {
    /// # let request = listener.requests().next().await.unwrap()?;
    /// request.drop_silently();
    /// assert_eq!(listener.stats().dropped_silently, 1);
    /// # Ok::<(), std::io::Error>(()) };
    /// # future::or(server, async { client.await.map(drop) }).await?;
    /// # Ok(()) });
    /// ```
    pub fn drop_silently(self) {}

    /// Waits until the request is gone: the client gave up with a RST, the client has stopped
    /// repeating its SYN and the request [expired](crate::Config::handshake_timeout), or the
    /// stack's driver has ended. An answer is of no use then.
    ///
    /// A proxy races this future with its own `connect`, so that it does not go on for a client
    /// that is gone. A new SYN from the same client port does not end the request.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// # use futures_lite::StreamExt;
    /// # use std::{io, net::SocketAddr};
    /// # struct Upstream;
    /// # impl Upstream { async fn connect(to: SocketAddr) -> io::Result<Self> { std::future::pending().await } }
    /// # let mut client = Box::pin(connector.connect("192.0.2.1:80".parse().unwrap()));
    /// # futures_lite::future::poll_once(&mut client).await;
    /// # let request = listener.requests().next().await.unwrap()?;
    /// # drop(client);
    /// use futures_lite::future;
    ///
    /// let dial = async { Some(Upstream::connect(request.local_addr()).await) };
    /// let gone = async {
    ///     request.withdrawn().await;
    ///     None
    /// };
    /// match future::or(dial, gone).await {
    ///     Some(Ok(upstream)) => drop(request.accept().await?),
    ///     Some(Err(_)) => request.refuse(),
    ///     None => println!("{} gave up", request.peer_addr()),
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// Any number of tasks may wait. Each waiting future uses a little memory until it is dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the request.
    pub async fn withdrawn(&self) {
        let mut withdrawal = Withdrawal::new(self);
        poll_fn(|cx| withdrawal.poll(cx)).await;
    }

    /// Takes the SYN out of the queue, to be answered otherwise than by a connection, and counts
    /// it.
    fn take(&self, counter: impl FnOnce(&mut Stats) -> &mut u64) -> Option<SynEntry> {
        let mut wakes = WakeList::default();
        let syn = self.stack.table.with(|table| {
            let syn = table.take_syn(self.id, &mut wakes)?;
            *counter(&mut table.stats) += 1;
            Some(syn)
        });
        wakes.wake_all();
        syn
    }
}

impl<F: Flavor> Drop for TcpRequest<F> {
    fn drop(&mut self) {
        if !self.answered {
            self.stack
                .table
                .with(|table| table.leave_unanswered(self.id));
        }
    }
}

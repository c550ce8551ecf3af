use crate::connection::Connection;
use crate::error::request_gone;
use crate::options::TcpOptions;
use crate::stack::StackShared;
use crate::stats::Stats;
use crate::stream::TcpStream;
use crate::syn::Syn;
use crate::syn_queue::{SynEntry, SynId};
use crate::wake::{Place, Wakes};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::StackClosed;
use brooklet_packet::Packet;
use brooklet_packet::icmp::{self, Unreachable};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

/// A client's connection request that was not answered yet: a SYN in the SYN queue.
///
/// The client waits, as for a distant host, until the program calls one of the methods. A proxy
/// can so connect to its upstream first, and then accept the request or answer as the upstream
/// did.
///
/// The request waits as long as the client repeats its SYN, for at most
/// [`request_timeout`](crate::Config::request_timeout). Then, or when the client withdraws it with
/// a RST, it is gone: [`withdrawn`](Self::withdrawn) is ready and `accept` fails. A new SYN never
/// takes the place of a request that the program holds.
///
/// | the program calls | the client's `connect` returns |
/// |---|---|
/// | [`accept`](Self::accept) | connected |
/// | [`refuse`](Self::refuse) | connection refused |
/// | [`unreachable`](Self::unreachable) | no route to host, or network unreachable |
/// | [`drop_silently`](Self::drop_silently) | timed out, after a while |
///
/// A request that is dropped is ignored.
///
/// ```no_run
/// # async fn example<F: brooklet_cell::Flavor>(request: brooklet_tcp::TcpRequest<F>) -> std::io::Result<()> {
/// use brooklet_tcp::Unreachable;
///
/// match request.local_addr().port() {
///     443 => {
///         let stream = request.accept().await?;
///         println!("{} asked for {}", stream.peer_addr()?, stream.local_addr()?);
///     }
///     80 => request.refuse(),
///     _ => request.unreachable(Unreachable::Host),
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a request that is dropped is ignored: the client waits until it gives up"]
pub struct TcpRequest<F: Flavor> {
    stack: StackShared<F>,
    id: SynId,
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
        (id, syn, options): (SynId, Syn, Arc<TcpOptions>),
    ) -> Self {
        Self {
            stack,
            id,
            syn,
            options,
            answered: false,
        }
    }

    /// The address of the client.
    pub fn peer_addr(&self) -> SocketAddr {
        self.id.key.source()
    }

    /// The address that the client asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.id.key.destination()
    }

    /// The MSS option of the client's SYN, in bytes; `None` if the SYN has none (RFC 9293, 3.7.1).
    pub fn mss(&self) -> Option<u16> {
        self.syn.mss
    }

    /// The window in the client's SYN, in bytes. The window of a SYN is never scaled (RFC 7323,
    /// 2.2).
    pub fn window(&self) -> u16 {
        self.syn.window
    }

    /// The TTL or hop limit with which the client's SYN arrived.
    pub fn ttl(&self) -> u8 {
        self.syn.ttl
    }

    /// Accepts the request and waits for the end of the handshake. The connection has the
    /// [options](crate::TcpListener::set_options) that the listener had when it returned the
    /// request.
    ///
    /// # Errors
    ///
    /// - [`ConnectionAborted`](io::ErrorKind::ConnectionAborted): the request is gone, because the
    ///   client withdrew it or it expired.
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
    /// ```no_run
    /// # async fn example<F: brooklet_cell::Flavor>(request: brooklet_tcp::TcpRequest<F>) -> std::io::Result<()> {
    /// use brooklet_tcp::TcpOptions;
    ///
    /// let small = TcpOptions::new().recv_buffer(8192).send_buffer(8192);
    /// let stream = request.accept_with(small).await?;
    /// # Ok(())
    /// # }
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
    pub fn refuse(mut self) {
        self.answered = true;
        let syn = self.take(|stats| &mut stats.refused);
        self.stack.refuse(syn.as_slice());
    }

    /// Answers with an ICMP destination unreachable error: the client's `connect` fails at once
    /// with "no route to host", "network unreachable" or the error that `why` means to the client
    /// (RFC 1122, 4.2.3.9; RFC 5461).
    ///
    /// The network may filter or drop the ICMP error. The client then retransmits its SYN, which
    /// makes a new request.
    pub fn unreachable(mut self, why: Unreachable) {
        self.answered = true;
        let syn = self.take(|stats| &mut stats.unreachable);
        self.stack.reply(syn.as_slice(), |out, packet| {
            icmp::unreachable(out, packet, why)
        });
    }

    /// Does not answer, as if the request was dropped. Retransmissions of the SYN are dropped until
    /// the request expires; a later one makes a new request. A full backlog gives up such requests
    /// first.
    pub fn drop_silently(self) {}

    /// Waits until the request is gone: the client gave up with a RST, the client has stopped
    /// repeating its SYN and the request [expired](crate::Config::handshake_timeout), or the
    /// stack's driver has ended. An answer is of no use then.
    ///
    /// A proxy races this future with its own `connect`, so that it does not go on for a client
    /// that is gone. A client that starts anew with another SYN from the same port keeps its
    /// request.
    ///
    /// ```no_run
    /// # use brooklet_cell::Flavor;
    /// # use brooklet_tcp::TcpRequest;
    /// # use std::{io, net::SocketAddr};
    /// # struct Upstream;
    /// # impl Upstream { async fn connect(to: SocketAddr) -> io::Result<Self> { Ok(Self) } }
    /// # async fn example<F: Flavor>(request: TcpRequest<F>) -> io::Result<()> {
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
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Any number of tasks on any thread may wait. Each of these futures takes memory of its own in
    /// the stack, and returns it when it is dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the request.
    pub async fn withdrawn(&self) {
        let mut waiter = Withdrawal {
            request: self,
            place: Place::default(),
        };
        poll_fn(|cx| waiter.poll(cx)).await;
    }

    /// Takes the SYN out of the queue, to be answered otherwise than by a connection, and counts
    /// it.
    fn take(&self, counter: impl FnOnce(&mut Stats) -> &mut u64) -> Option<SynEntry> {
        let mut wakes = Wakes::default();
        let syn = self.stack.table.with(|table| {
            let syn = table.take_syn(self.id, &mut wakes)?;
            *counter(&mut table.stats) += 1;
            Some(syn)
        });
        wakes.wake();
        syn
    }
}

/// A task that waits until a request is gone. Dropping it removes its waker.
struct Withdrawal<'a, F: Flavor> {
    request: &'a TcpRequest<F>,
    place: Place,
}

impl<F: Flavor> Withdrawal<'_, F> {
    fn poll(&mut self, cx: &TaskContext<'_>) -> Poll<()> {
        let TcpRequest { stack, id, .. } = self.request;
        let place = &mut self.place;
        let (poll, _old) = stack
            .table
            .with(|table| table.poll_withdrawn(*id, cx, place));
        poll
    }
}

impl<F: Flavor> Drop for Withdrawal<'_, F> {
    fn drop(&mut self) {
        let TcpRequest { stack, id, .. } = self.request;
        let place = &mut self.place;
        let _waker = stack
            .table
            .with(|table| table.unregister_withdrawn(*id, place));
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

impl<F: Flavor> StackShared<F> {
    /// Puts a connection in the place of a queued SYN, and sends the SYN-ACK.
    ///
    /// With `listened` the connection belongs to the listener until its `accept` returns it.
    pub(crate) fn answer(
        &self,
        id: SynId,
        options: &TcpOptions,
        listened: bool,
    ) -> io::Result<Shared<F, Connection<F>>> {
        let now = self.now();
        let moment = self.config.micros(now);
        let (queue, syn) = self.table.with(|table| {
            if table.gone {
                return Err(StackClosed.into());
            }
            let entry = table.syn(id);
            let syn = entry.and_then(|entry| Some((entry.queue, entry.parse()?)));
            syn.ok_or_else(request_gone)
        })?;
        let mut connection = Connection::passive(
            (id.key, queue),
            &syn,
            options,
            &self.config,
            self.config.micros(now),
        );
        connection.listened = listened;
        connection.handles = u32::from(!listened);
        let connection = Shared::new(connection);
        let mut wakes = Wakes::default();
        let accepted = self
            .table
            .with(|table| table.accept(id, connection.clone(), listened, now, &mut wakes));
        wakes.wake();
        accepted?;
        self.enter(&connection, moment, Connection::flush);
        Ok(connection)
    }

    /// Answers SYNs with a RST.
    pub(crate) fn refuse(&self, syns: &[SynEntry]) {
        self.reply(syns, brooklet_packet::tcp::reset);
    }

    /// Answers SYNs with the packet that `write` makes of them.
    fn reply(&self, syns: &[SynEntry], write: impl Fn(&mut Vec<u8>, &Packet<'_>) -> bool) {
        for entry in syns {
            let mut reply = Vec::new();
            if Packet::parse(&entry.syn).is_ok_and(|syn| write(&mut reply, &syn))
                && let Some(driver) = self
                    .queue(entry.queue)
                    .with(|queue| queue.push(reply.into()))
            {
                driver.wake();
            }
        }
    }
}

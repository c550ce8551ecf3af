use crate::connection::Connection;
use crate::error::request_gone;
use crate::options::TcpOptions;
use crate::stack::StackShared;
use crate::stream::TcpStream;
use crate::syn::Syn;
use crate::syn_queue::{SynEntry, SynId};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::StackClosed;
use brooklet_packet::icmp::{self, Unreachable};
use brooklet_packet::{FlowKey, Packet};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

/// A client's connection request that was not answered yet: a SYN in the SYN queue.
///
/// The client waits, as for a distant host, until the program calls one of the methods. A proxy
/// can so connect to its upstream first, and then accept the request or answer as the upstream
/// did. A client gives up after a time, and a request expires after
/// [`handshake_timeout`](crate::Config::handshake_timeout), or earlier if the backlog is full;
/// `accept` then fails.
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
    key: FlowKey,
    id: SynId,
    syn: Syn,
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
    pub(crate) fn new(stack: StackShared<F>, (key, id, syn): (FlowKey, SynId, Syn)) -> Self {
        Self {
            stack,
            key,
            id,
            syn,
            answered: false,
        }
    }

    /// The address of the client.
    pub fn peer_addr(&self) -> SocketAddr {
        self.key.source()
    }

    /// The address that the client asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.key.destination()
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

    /// Accepts the request and waits for the end of the handshake.
    ///
    /// # Errors
    ///
    /// - [`ConnectionAborted`](io::ErrorKind::ConnectionAborted): the request is gone, because the
    ///   client withdrew it, it expired, or a newer one took its place in a full backlog.
    /// - [`ConnectionReset`](io::ErrorKind::ConnectionReset),
    ///   [`TimedOut`](io::ErrorKind::TimedOut): the client went away during the handshake.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it completes resets the connection.
    pub async fn accept(self) -> io::Result<TcpStream<F>> {
        let options = self.stack.config.config.options.clone();
        self.accept_with(options).await
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
    pub async fn accept_with(mut self, options: TcpOptions) -> io::Result<TcpStream<F>> {
        self.answered = true;
        let options = options.usable();
        let connection = self.stack.answer(self.key, self.id, &options, false)?;
        let stream = TcpStream::new(self.stack.clone(), connection, self.key);
        poll_fn(|cx| stream.poll_connected(cx)).await?;
        Ok(stream)
    }

    /// Refuses the request with a RST: the client's `connect` fails with "connection refused".
    pub fn refuse(mut self) {
        self.answered = true;
        let syn = self.stack.table.with(|table| {
            let syn = table.take_syn(self.id)?;
            table.stats.refused += 1;
            Some(syn)
        });
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
        let syn = self.stack.table.with(|table| {
            let syn = table.take_syn(self.id)?;
            table.stats.unreachable += 1;
            Some(syn)
        });
        self.stack.reply(syn.as_slice(), |out, packet| {
            icmp::unreachable(out, packet, why)
        });
    }

    /// Does not answer. Retransmissions of the SYN are dropped until the request expires; a later
    /// one makes a new request.
    pub fn drop_silently(self) {}
}

impl<F: Flavor> Drop for TcpRequest<F> {
    fn drop(&mut self) {
        if !self.answered {
            self.stack
                .table
                .with(|table| table.stats.dropped_silently += 1);
        }
    }
}

impl<F: Flavor> StackShared<F> {
    /// Puts a connection in the place of a queued SYN, and sends the SYN-ACK.
    ///
    /// With `listened` the connection belongs to the listener until its `accept` returns it.
    pub(crate) fn answer(
        &self,
        key: FlowKey,
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
            (key, queue),
            &syn,
            options,
            &self.config,
            self.config.micros(now),
        );
        connection.listened = listened;
        connection.handles = u32::from(!listened);
        let connection = Shared::new(connection);
        self.table
            .with(|table| table.accept(id, connection.clone(), listened, now))?;
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

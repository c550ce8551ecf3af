use crate::context::Context;
use crate::error::stack_closed;
use crate::flow::Flow;
use crate::requests::{Request, Ticket};
use crate::syn::Syn;
use crate::{TcpOptions, TcpStream, Unreachable};
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::{FlowKey, Packet, icmp};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

/// A client's request for a connection, not answered yet.
///
/// The client waits, as it would for a host far away, until one of the methods is called: a proxy
/// reaches its upstream first, and then accepts, or says what the upstream said. Clients give up
/// by themselves, and a request expires after
/// [`handshake_timeout`](crate::Config::handshake_timeout), or earlier when the backlog is full;
/// then `accept` fails.
///
/// | the program calls | the client's `connect` says |
/// |---|---|
/// | [`accept`](Self::accept) | connected |
/// | [`refuse`](Self::refuse) | connection refused |
/// | [`unreachable`](Self::unreachable) | no route to host, or network unreachable |
/// | [`ignore`](Self::ignore) | timed out, after a while |
///
/// Dropped, it is ignored.
///
/// ```no_run
/// # async fn example<F: brooklet_cell::Flavor>(request: brooklet_tcp::Incoming<F>) -> std::io::Result<()> {
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
pub struct Incoming<F: Flavor> {
    context: Context<F>,
    key: FlowKey,
    ticket: Ticket,
    syn: Syn,
    answered: bool,
}

impl<F: Flavor> std::fmt::Debug for Incoming<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("peer", &self.peer_addr())
            .field("local", &self.local_addr())
            .finish_non_exhaustive()
    }
}

impl<F: Flavor> Incoming<F> {
    pub(crate) fn new(context: Context<F>, (key, ticket, syn): (FlowKey, Ticket, Syn)) -> Self {
        Self {
            context,
            key,
            ticket,
            syn,
            answered: false,
        }
    }

    /// The client.
    pub fn peer_addr(&self) -> SocketAddr {
        self.key.source()
    }

    /// The address that the client asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.key.destination()
    }

    /// The largest segment that the client takes, in bytes, as its SYN says; `None` if it does
    /// not (RFC 9293, 3.7.1).
    pub fn mss(&self) -> Option<u16> {
        self.syn.mss
    }

    /// The window in the client's SYN, in bytes. It is never scaled (RFC 7323, 2.2).
    pub fn window(&self) -> u16 {
        self.syn.window
    }

    /// The TTL or hop limit that the client's SYN arrived with.
    pub fn ttl(&self) -> u8 {
        self.syn.ttl
    }

    /// Accepts the request and waits for the end of the handshake.
    ///
    /// # Errors
    ///
    /// - [`ConnectionAborted`](io::ErrorKind::ConnectionAborted): the request is no longer there,
    ///   because the client withdrew it, it expired or it gave way in a full backlog.
    /// - [`ConnectionReset`](io::ErrorKind::ConnectionReset),
    ///   [`TimedOut`](io::ErrorKind::TimedOut): the client went away during the handshake.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, the future resets the connection.
    pub async fn accept(self) -> io::Result<TcpStream<F>> {
        let options = self.context.fixed.config.options.clone();
        self.accept_with(options).await
    }

    /// Accepts the request, as [`accept`](Self::accept) does, with options for this connection.
    ///
    /// ```no_run
    /// # async fn example<F: brooklet_cell::Flavor>(request: brooklet_tcp::Incoming<F>) -> std::io::Result<()> {
    /// use brooklet_tcp::TcpOptions;
    ///
    /// let small = TcpOptions { recv_buffer: 8192, send_buffer: 8192, ..TcpOptions::default() };
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
        let flow = self
            .context
            .answer(self.key, self.ticket, &options, false)?;
        let stream = TcpStream::new(self.context.clone(), flow, self.key);
        poll_fn(|cx| stream.poll_connected(cx)).await?;
        Ok(stream)
    }

    /// Refuses the request with a reset: the client's `connect` fails with "connection refused".
    pub fn refuse(mut self) {
        self.answered = true;
        let request = self.context.table.with(|table| {
            let request = table.requests.take(self.ticket)?;
            table.stats.refused += 1;
            Some(request)
        });
        self.context.reset(request.as_slice());
    }

    /// Answers that the address cannot be reached, with an ICMP error: the client's `connect`
    /// fails at once with "no route to host", "network unreachable" or what else `why` means to
    /// it (RFC 1122, 4.2.3.9; RFC 5461).
    ///
    /// ICMP may be filtered or dropped on its way. Then the client goes on asking, as if it had
    /// been [ignored](Self::ignore), with a new request.
    pub fn unreachable(mut self, why: Unreachable) {
        self.answered = true;
        let request = self.context.table.with(|table| {
            let request = table.requests.take(self.ticket)?;
            table.stats.unreachable += 1;
            Some(request)
        });
        self.context.reply(request.as_slice(), |out, packet| {
            icmp::unreachable(out, packet, why)
        });
    }

    /// Does not answer. The client asks again a few times, unheard until the request expires,
    /// and then gives up; a client that still asks after that makes a new request.
    pub fn ignore(self) {}
}

impl<F: Flavor> Drop for Incoming<F> {
    fn drop(&mut self) {
        if !self.answered {
            self.context.table.with(|table| table.stats.ignored += 1);
        }
    }
}

impl<F: Flavor> Context<F> {
    /// Puts a connection in the place of a request and answers the SYN.
    pub(crate) fn answer(
        &self,
        key: FlowKey,
        ticket: Ticket,
        options: &TcpOptions,
        listened: bool,
    ) -> io::Result<Shared<F, Flow>> {
        let now = self.now();
        let (queue, syn) = self.table.with(|table| {
            if table.gone {
                return Err(stack_closed());
            }
            let request = table.requests.get(ticket);
            let facts = request.and_then(|request| Some((request.queue, request.facts()?)));
            facts.ok_or_else(withdrawn)
        })?;
        let mut flow = Flow::passive((key, queue), &syn, options, &self.fixed, now);
        flow.listened = listened;
        flow.handles = usize::from(!listened);
        let flow = Shared::new(flow);
        self.table
            .with(|table| table.answer(ticket, flow.clone(), listened, now))?;
        self.enter(&flow, now, |flow, work| {
            flow.open(work);
            flow.settle(work);
        });
        Ok(flow)
    }

    /// Answers SYNs with resets.
    pub(crate) fn reset(&self, requests: &[Request]) {
        self.reply(requests, brooklet_packet::tcp::reset);
    }

    /// Answers SYNs with what `write` makes of them.
    fn reply(&self, requests: &[Request], write: impl Fn(&mut Vec<u8>, &Packet<'_>) -> bool) {
        for request in requests {
            let mut reply = Vec::new();
            if Packet::parse(&request.syn).is_ok_and(|syn| write(&mut reply, &syn))
                && let Some(driver) = self
                    .hub(request.queue)
                    .with(|hub| hub.push(reply.into(), false))
            {
                driver.wake();
            }
        }
    }
}

pub(crate) fn withdrawn() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "the request is gone: the client withdrew it, it waited too long or the backlog was full",
    )
}

use crate::TcpStream;
use crate::context::Context;
use crate::error::stack_closed;
use crate::flow::Flow;
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::{FlowKey, Packet};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

/// A client's request for a connection, not answered yet.
///
/// The client waits, as it would for a host far away, until one of the methods is called: a proxy
/// reaches its upstream first, and then accepts, or refuses as the upstream did. Clients give up
/// by themselves, and a request expires after
/// [`handshake_timeout`](crate::Config::handshake_timeout); then `accept` fails.
///
/// Dropped, it is ignored.
///
/// ```no_run
/// # async fn example<F: brooklet_cell::Flavor>(request: brooklet_tcp::Incoming<F>) -> std::io::Result<()> {
/// if request.local_addr().port() == 443 {
///     let stream = request.accept().await?;
///     println!("{} asked for {}", stream.peer_addr()?, stream.local_addr()?);
/// } else {
///     request.refuse();
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a request that is dropped is ignored: the client waits until it gives up"]
pub struct Incoming<F: Flavor> {
    context: Context<F>,
    key: FlowKey,
    id: u64,
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
    pub(crate) fn new(context: Context<F>, (key, id): (FlowKey, u64)) -> Self {
        Self {
            context,
            key,
            id,
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

    /// Accepts the request and waits for the end of the handshake.
    ///
    /// # Errors
    ///
    /// - [`ConnectionAborted`](io::ErrorKind::ConnectionAborted): the request is no longer there,
    ///   because the client withdrew it or it expired.
    /// - [`ConnectionReset`](io::ErrorKind::ConnectionReset),
    ///   [`TimedOut`](io::ErrorKind::TimedOut): the client went away during the handshake.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, the future resets the connection.
    pub async fn accept(mut self) -> io::Result<TcpStream<F>> {
        self.answered = true;
        let flow = self.context.answer(self.key, self.id, false)?;
        let stream = TcpStream::new(self.context.clone(), flow, self.key);
        poll_fn(|cx| stream.poll_connected(cx)).await?;
        Ok(stream)
    }

    /// Refuses the request with a reset: the client's `connect` fails with "connection refused".
    pub fn refuse(mut self) {
        self.answered = true;
        if let Some(syn) = self
            .context
            .table
            .with(|table| table.take(self.key, self.id))
        {
            self.context.refuse(&[syn]);
        }
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
        id: u64,
        listened: bool,
    ) -> io::Result<Shared<F, Flow>> {
        let now = self.now();
        let request = self.table.with(|table| {
            if table.gone {
                return Err(stack_closed());
            }
            let request = table.pending(key, id).ok_or_else(withdrawn)?;
            Ok(request.facts)
        });
        let syn = request?;
        let options = &self.fixed.config.options;
        let mut flow = Flow::passive(key, &syn, options, &self.fixed, now)?;
        flow.listened = listened;
        flow.handles = usize::from(!listened);
        let flow = Shared::new(flow);
        if !self
            .table
            .with(|table| table.answer(key, id, flow.clone(), listened))
        {
            return Err(withdrawn());
        }
        self.enter(&flow, now, |flow, work| {
            flow.open(work);
            flow.settle(work);
        });
        Ok(flow)
    }

    /// Answers SYNs with resets.
    pub(crate) fn refuse(&self, syns: &[Box<[u8]>]) {
        for syn in syns {
            let mut reply = Vec::new();
            let Ok(packet) = Packet::parse(syn) else {
                continue;
            };
            if brooklet_packet::tcp::reset(&mut reply, &packet) {
                self.table.with(|table| table.stats.refused += 1);
                if let Some(driver) = self.hub.with(|hub| hub.push(reply.into(), false)) {
                    driver.wake();
                }
            }
        }
    }
}

fn withdrawn() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "the request is gone: the client withdrew it or it waited too long",
    )
}

use crate::context::Context;
use crate::error::stack_closed;
use crate::flow::{Flow, unaddressable};
use crate::{Stats, TcpStream};
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::{FlowKey, is_unicast};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

/// Begins connections from this side. Clones share the stack.
pub struct Connector<F: Flavor> {
    context: Context<F>,
}

impl<F: Flavor> std::fmt::Debug for Connector<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl<F: Flavor> Clone for Connector<F> {
    fn clone(&self) -> Self {
        Self {
            context: self.context.clone(),
        }
    }
}

impl<F: Flavor> Connector<F> {
    pub(crate) fn new(context: Context<F>) -> Self {
        Self { context }
    }

    /// Connects from `from` to `to`. Any address serves as `from`: the peer must know that it is
    /// reached through this stack.
    ///
    /// # Errors
    ///
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput): an IPv4 and an IPv6 address.
    /// - [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): a port 0 or an address that is not
    ///   unicast.
    /// - [`AddrInUse`](io::ErrorKind::AddrInUse): the two addresses are connected already.
    /// - [`ConnectionRefused`](io::ErrorKind::ConnectionRefused): the peer refused.
    /// - [`TimedOut`](io::ErrorKind::TimedOut): the peer did not answer.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
    /// - [`OutOfMemory`](io::ErrorKind::OutOfMemory): there are
    ///   [`max_connections`](crate::Config::max_connections) already.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, the future gives the connection up.
    pub async fn connect(&self, from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream<F>> {
        let key = FlowKey::new(to, from).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{from} and {to} are of different families; use two of one"),
            )
        })?;
        let usable = |end: SocketAddr| is_unicast(end.ip()) && end.port() != 0;
        if !usable(from) || !usable(to) || from == to {
            return Err(unaddressable());
        }
        let now = self.context.now();
        let fixed = &self.context.fixed;
        let mut flow = Flow::active(key, &fixed.config.options, fixed, now)?;
        flow.handles = 1;
        let flow = Shared::new(flow);
        self.context.table.with(|table| {
            if table.gone {
                Err(stack_closed())
            } else if (table.stats.connections + table.stats.requests) as usize
                >= fixed.config.max_connections
            {
                Err(io::Error::new(
                    io::ErrorKind::OutOfMemory,
                    "max_connections is reached",
                ))
            } else if !table.connect(key, flow.clone()) {
                Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    format!("{from} is connected to {to} already"),
                ))
            } else {
                Ok(())
            }
        })?;
        let stream = TcpStream::new(self.context.clone(), flow, key);
        self.context.enter(stream.flow(), now, Flow::settle);
        poll_fn(|cx| stream.poll_connected(cx)).await?;
        Ok(stream)
    }

    /// What the TCP side has done and holds.
    pub fn stats(&self) -> Stats {
        self.context.stats()
    }
}

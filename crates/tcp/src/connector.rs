use crate::context::Context;
use crate::error::stack_closed;
use crate::flow::{Flow, queue_of, unaddressable};
use crate::listeners::unspecified;
use crate::{Stats, TcpListener, TcpOptions, TcpStream};
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::{FlowKey, is_unicast};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Begins connections from this side, and binds listeners. Clones share the stack.
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

    /// Connects to `to`, from the stack's own address
    /// ([`Config::ipv4`](crate::Config::ipv4), [`Config::ipv6`](crate::Config::ipv6)) and an
    /// ephemeral port.
    ///
    /// # Errors
    ///
    /// Those of [`connect_from`](Self::connect_from).
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, the future gives the connection up.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream<F>> {
        self.connect_from(SocketAddr::new(unspecified(to), 0), to)
            .await
    }

    /// Connects from `from` to `to`. Any address serves as `from`: the peer must know that it is
    /// reached through this stack.
    ///
    /// The unspecified address stands for the stack's own, as in [`connect`](Self::connect). Port
    /// 0 stands for an ephemeral one, from 49152 to 65535, that no connection between the same
    /// addresses has used lately; it is chosen so that it is hard to guess (RFC 6056, 3.3.4).
    ///
    /// # Errors
    ///
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput): an IPv4 and an IPv6 address.
    /// - [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): a destination with port 0, an
    ///   address that is not unicast, or none of the stack's own where one is needed.
    /// - [`AddrInUse`](io::ErrorKind::AddrInUse): the two addresses are connected already, or all
    ///   ephemeral ports to `to` are in use.
    /// - [`ConnectionRefused`](io::ErrorKind::ConnectionRefused): the peer refused.
    /// - [`HostUnreachable`](io::ErrorKind::HostUnreachable),
    ///   [`NetworkUnreachable`](io::ErrorKind::NetworkUnreachable): a router said with ICMP that the
    ///   peer cannot be had (RFC 1122, 4.2.3.9).
    /// - [`TimedOut`](io::ErrorKind::TimedOut): the peer did not answer.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
    /// - [`OutOfMemory`](io::ErrorKind::OutOfMemory): there are
    ///   [`max_connections`](crate::Config::max_connections) already, or their buffers take all of
    ///   [`memory`](crate::Config::memory).
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, the future gives the connection up.
    pub async fn connect_from(&self, from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream<F>> {
        let stream = self.begin(from, to)?;
        poll_fn(|cx| stream.poll_connected(cx)).await?;
        Ok(stream)
    }

    /// Takes the connections to `address`, instead of the listener that takes those to every
    /// address.
    ///
    /// `0.0.0.0` stands for every IPv4 address and `::` for every IPv6 address; a listener bound to
    /// just the address that a client asks for goes first. Port 0 is replaced by a free one
    /// above 49151, which [`local_addr`](TcpListener::local_addr) tells.
    ///
    /// ```
    /// # use brooklet_cell::Sync;
    /// # use brooklet_tcp::{Clock, Config, Engine};
    /// # let clock = Clock::new(std::time::Instant::now);
    /// let (engine, rest, connector) = Engine::<Sync>::new(Config::default(), clock, [1, 2]);
    /// let web = connector.bind("0.0.0.0:80".parse().unwrap())?;
    /// let any = connector.bind("192.0.2.1:0".parse().unwrap())?;
    /// assert!(any.local_addr()?.port() > 49_151);
    /// assert!(connector.bind("0.0.0.0:80".parse().unwrap()).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`AddrInUse`](io::ErrorKind::AddrInUse): another listener is bound to `address`.
    /// - [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): `address` is multicast or
    ///   broadcast.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
    pub fn bind(&self, address: SocketAddr) -> io::Result<TcpListener<F>> {
        // Scope and flow label tell nothing apart here.
        let address = SocketAddr::new(address.ip(), address.port());
        if !is_unicast(address.ip()) && !address.ip().is_unspecified() {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                format!("{address} is not the address of a single host"),
            ));
        }
        let secret = self.context.fixed.secret;
        let id = self
            .context
            .table
            .with(|table| table.bind(secret, address))?;
        Ok(TcpListener::new(self.context.clone(), id))
    }

    /// Sends the SYN.
    fn begin(&self, from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream<F>> {
        let Context { table, fixed, .. } = &self.context;
        let now = self.context.now();
        let from = self.source(from)?;
        if from.is_ipv4() != to.is_ipv4() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{from} and {to} are of different families; use two of one"),
            ));
        }
        if !is_unicast(from.ip()) || !is_unicast(to.ip()) || to.port() == 0 || from == to {
            return Err(unaddressable());
        }
        loop {
            let mut source = from;
            if from.port() == 0 {
                let port = table.with(|table| table.port(fixed.secret, from, to));
                source.set_port(port.ok_or_else(|| {
                    let why = format!("all ephemeral ports from {} to {to} are in use", from.ip());
                    io::Error::new(io::ErrorKind::AddrInUse, why)
                })?);
            }
            let key = FlowKey::new(to, source).ok_or_else(unaddressable)?;
            let queue = queue_of(key, self.context.hubs().len());
            let mut flow = Flow::active((key, queue), &fixed.config.options, fixed, now);
            flow.handles = 1;
            let flow = Shared::new(flow);
            let free = table.with(|table| {
                if table.gone {
                    return Err(stack_closed());
                }
                let held = table.stats.connections as usize + table.requests.len();
                if held >= fixed.config.max_connections {
                    return Err(io::Error::new(
                        io::ErrorKind::OutOfMemory,
                        "max_connections is reached",
                    ));
                }
                // This one's own part has been promised to it already.
                let TcpOptions {
                    recv_buffer,
                    send_buffer,
                    ..
                } = fixed.config.options;
                if !fixed
                    .memory
                    .has_room(table.requests.len(), recv_buffer, send_buffer)
                {
                    return Err(io::Error::new(
                        io::ErrorKind::OutOfMemory,
                        "the memory for buffers is used up: close connections, read what waits in \
                         them, or raise Config::memory",
                    ));
                }
                let free = table.is_free(key);
                if free {
                    table.connect(key, flow.clone());
                }
                Ok(free)
            })?;
            if free {
                let stream = TcpStream::new(self.context.clone(), flow, key);
                self.context.enter(stream.flow(), now, Flow::settle);
                return Ok(stream);
            }
            if from.port() != 0 {
                return Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    format!("{from} is connected to {to} already"),
                ));
            }
            // Another task was faster with this port: the next one.
        }
    }

    /// `from` with the stack's own address where it has none.
    fn source(&self, from: SocketAddr) -> io::Result<SocketAddr> {
        if !from.ip().is_unspecified() {
            return Ok(SocketAddr::new(from.ip(), from.port()));
        }
        let config = &self.context.fixed.config;
        let (own, family) = match from {
            SocketAddr::V4(_) => (config.ipv4.map(IpAddr::V4), "IPv4"),
            SocketAddr::V6(_) => (config.ipv6.map(IpAddr::V6), "IPv6"),
        };
        let own = own.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                format!(
                    "the stack has no {family} address to connect from: give it one when it is \
                     built, or say the address with connect_from"
                ),
            )
        })?;
        Ok(SocketAddr::new(own, from.port()))
    }

    /// What the TCP side has done and holds.
    pub fn stats(&self) -> Stats {
        self.context.stats()
    }
}

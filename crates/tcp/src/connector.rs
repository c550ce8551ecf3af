use crate::address::broken_rule;
use crate::connection::Connection;
use crate::error::not_available;
use crate::flow::TcpFlow;
use crate::listener::TcpListener;
use crate::listeners::unspecified;
use crate::memory_stats::MemoryStats;
use crate::options::TcpOptions;
use crate::stack::{Stack, StackShared};
use crate::stats::Stats;
use crate::stream::TcpStream;
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::FlowKey;
use foldhash::quality::FixedState;
use std::future::poll_fn;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Opens connections from this side and binds listeners. Clones share the stack. Programs that use
/// the crate `brooklet` call the methods of its `Stack` instead.
///
/// ```
/// use brooklet_cell::Threaded;
/// use brooklet_tcp::{Clock, Config, Engine, Interface};
///
/// let interface = Interface::new().ipv4(Some([10, 0, 0, 2].into()));
/// let clock = Clock::new(std::time::Instant::now);
/// let (mut engine, _, connector) =
///     Engine::<Threaded>::new(interface, Config::default(), clock, [1, 2]);
/// let mut connect = Box::pin(connector.connect("192.0.2.1:80".parse().unwrap()));
/// assert!(futures_lite::future::block_on(futures_lite::future::poll_once(&mut connect)).is_none());
/// let syn = engine.poll_transmit().expect("the SYN is to be sent");
/// assert_eq!(syn[12..20], [10, 0, 0, 2, 192, 0, 2, 1]);
/// ```
pub struct Connector<F: Flavor> {
    pub(crate) stack: StackShared<F>,
}

impl<F: Flavor> std::fmt::Debug for Connector<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl<F: Flavor> Clone for Connector<F> {
    fn clone(&self) -> Self {
        Self {
            stack: self.stack.clone(),
        }
    }
}

impl<F: Flavor> Connector<F> {
    pub(crate) fn new(stack: StackShared<F>) -> Self {
        Self { stack }
    }

    /// Connects to `to`, from the stack's own address
    /// ([`Interface::ipv4`](crate::Interface::ipv4), [`Interface::ipv6`](crate::Interface::ipv6))
    /// and an ephemeral port. In the crate `brooklet` this is `Stack::connect`.
    ///
    /// A `connect` to a host that does not answer fails with `TimedOut`, at the latest after
    /// [`Config::handshake_timeout`](crate::Config::handshake_timeout) (15 s). Loopback and
    /// IPv4-mapped destinations fail at once with `AddrNotAvailable`: a stack does not reach them.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// use futures_lite::AsyncWriteExt;
    ///
    /// # let client = async {
    /// let mut stream = connector.connect("192.0.2.1:7".parse().unwrap()).await?;
    /// stream.write_all(b"hello").await?;
    /// # Ok::<(), std::io::Error>(()) };
    /// # futures_lite::future::try_zip(client, listener.accept()).await?;
    /// # drop(listener);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`connect_from`](Self::connect_from).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it completes aborts the connection.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream<F>> {
        self.connect_from(SocketAddr::new(unspecified(to), 0), to)
            .await
    }

    /// Connects from `from` to `to`. `from` may be any address that the peer routes to this stack.
    ///
    /// The unspecified address stands for the stack's own, as in [`connect`](Self::connect). Port
    /// 0 stands for an ephemeral port, from 49152 to 65535, that no connection between the same
    /// addresses has used lately and that is hard to guess (RFC 6056, 3.3.4).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// use std::net::SocketAddr;
    ///
    /// let from: SocketAddr = "10.0.0.7:0".parse().unwrap();
    /// let to = "192.0.2.1:7".parse().unwrap();
    /// # let client = async {
    /// let stream = connector.connect_from(from, to).await?;
    /// assert_eq!(stream.local_addr()?.ip(), from.ip());
    /// # Ok::<(), std::io::Error>(()) };
    /// # futures_lite::future::try_zip(client, listener.accept()).await?;
    /// # drop(listener);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput): one address is IPv4 and the other IPv6.
    /// - [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): the destination has port 0, an
    ///   address is not unicast, is loopback or IPv4-mapped, or the stack has no address of its own
    ///   and needs one.
    /// - [`AddrInUse`](io::ErrorKind::AddrInUse): the two addresses are connected already, or all
    ///   ephemeral ports to `to` are in use.
    /// - [`ConnectionRefused`](io::ErrorKind::ConnectionRefused): the peer refused.
    /// - [`HostUnreachable`](io::ErrorKind::HostUnreachable),
    ///   [`NetworkUnreachable`](io::ErrorKind::NetworkUnreachable): an ICMP error says that the peer
    ///   cannot be reached (RFC 1122, 4.2.3.9).
    /// - [`TimedOut`](io::ErrorKind::TimedOut): the peer did not answer for
    ///   [`handshake_timeout`](crate::Config::handshake_timeout) (15 s), or for a shorter
    ///   [`user_timeout`](TcpOptions::user_timeout).
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
    /// - [`QuotaExceeded`](io::ErrorKind::QuotaExceeded): there are
    ///   [`max_connections`](crate::Config::max_connections) already, or their buffers take all of
    ///   [`memory`](crate::Config::memory).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it completes aborts the connection.
    pub async fn connect_from(&self, from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream<F>> {
        self.complete(self.open(from, to, &self.stack.config.config.options)?)
            .await
    }

    /// Connects from `from` to `to`, as [`connect_from`](Self::connect_from) does, with options for
    /// this connection in place of [`Config::options`](crate::Config::options).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// use brooklet_tcp::TcpOptions;
    /// use std::net::{Ipv4Addr, SocketAddr};
    /// use std::time::Duration;
    ///
    /// // From the stack's own address.
    /// let from = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    /// let options = TcpOptions::new().user_timeout(Some(Duration::from_secs(20)));
    /// # let client = async {
    /// let stream = connector
    ///     .connect_with(from, "192.0.2.1:7".parse().unwrap(), options)
    ///     .await?;
    /// # Ok::<(), std::io::Error>(()) };
    /// # futures_lite::future::try_zip(client, listener.accept()).await?;
    /// # drop(listener);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`connect_from`](Self::connect_from).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it completes aborts the connection.
    pub async fn connect_with(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        options: TcpOptions,
    ) -> io::Result<TcpStream<F>> {
        self.complete(self.open(from, to, &options.usable())?).await
    }

    /// Waits for the end of the handshake.
    async fn complete(&self, stream: TcpStream<F>) -> io::Result<TcpStream<F>> {
        poll_fn(|cx| stream.poll_connected(cx)).await?;
        Ok(stream)
    }

    /// Binds a listener to `address`. It accepts the connections to `address` in place of the
    /// listener for every address.
    ///
    /// `0.0.0.0` stands for every IPv4 address and `::` for every IPv6 address; a listener that is
    /// bound to the very address of the connection takes precedence. Port 0 is replaced by a free
    /// port above 49151, which [`local_addr`](TcpListener::local_addr) returns.
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// # let (interface, config) = (Interface::default(), Config::default());
    /// # let clock = Clock::new(std::time::Instant::now);
    /// let (engine, rest, connector) =
    ///     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
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
    /// - [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): `address` is multicast, broadcast,
    ///   loopback or IPv4-mapped.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the stack's driver has ended.
    pub fn bind(&self, address: SocketAddr) -> io::Result<TcpListener<F>> {
        self.bind_with(address, self.stack.config.config.options.clone())
    }

    /// Binds a listener to `address`, as [`bind`](Self::bind) does, with options for the
    /// connections that it accepts in place of [`Config::options`](crate::Config::options).
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// # let (interface, config) = (Interface::default(), Config::default());
    /// # let clock = Clock::new(std::time::Instant::now);
    /// use brooklet_tcp::TcpOptions;
    ///
    /// # let (engine, rest, connector) =
    /// #     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    /// let options = TcpOptions::new().nodelay(false);
    /// let listener = connector.bind_with("0.0.0.0:80".parse().unwrap(), options)?;
    /// assert!(!listener.options().nodelay);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`bind`](Self::bind).
    pub fn bind_with(
        &self,
        address: SocketAddr,
        options: TcpOptions,
    ) -> io::Result<TcpListener<F>> {
        // Packets carry no scope, and the flow label does not identify a listener.
        let address = SocketAddr::new(address.ip(), address.port());
        if let Some(rule) = broken_rule(address.ip())
            && !address.ip().is_unspecified()
        {
            return Err(not_available(format!("cannot bind to {address}: {rule}")));
        }
        let options = Arc::new(options.usable());
        let id = self
            .stack
            .table
            .with(|table| table.bind(address, options))?;
        Ok(TcpListener::new(self.stack.clone(), id))
    }

    /// States the MTU of the path to `address`, in bytes of an IP packet; `None` takes the statement
    /// back. A proxy states here what its upstream sockets find out. In the crate `brooklet` this is
    /// `Stack::set_path_mtu`.
    ///
    /// The connections from and to `address`, open ones and later ones, send no longer packets, as
    /// after an ICMP error "packet too big" (RFC 1191, RFC 8201). SYNs and SYN-ACKs that are sent
    /// from then on announce the MSS that fits (RFC 6691), so that the peer sends no longer packets
    /// either. The MTU of the device stays the upper limit. A statement below 68 bytes with IPv4
    /// (RFC 791, 3.2) or 1,280 bytes with IPv6 (RFC 8200, 5) counts as that many.
    ///
    /// A statement does not expire. Once it is taken back, open connections probe whether the path
    /// takes larger packets (RFC 4821). The stack keeps 4,096 statements and forgets the oldest for
    /// one more. A new statement looks through all connections; the same statement again costs
    /// little.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// # use futures_lite::{StreamExt, future};
    /// connector.set_path_mtu("192.0.2.1".parse().unwrap(), Some(1400));
    /// # let client = connector.connect("192.0.2.1:80".parse().unwrap());
    /// # let server = async {
    /// let request = listener.requests().next().await.unwrap()?;
    /// assert_eq!(request.mss(), Some(1360));
    /// # request.refuse();
    /// # Ok::<(), std::io::Error>(()) };
    /// # future::zip(client, server).await.1?;
    /// # Ok(()) });
    /// ```
    pub fn set_path_mtu(&self, address: IpAddr, mtu: Option<u16>) {
        let Stack { table, .. } = &*self.stack;
        let now = self.stack.now();
        let connections = table.with(|table| table.set_path_mtu(now, address, mtu));
        for connection in &connections {
            let key = connection.with(|connection| connection.key());
            self.stack.follow_path_mtu(connection, (key, now));
        }
    }

    /// Adds the connection to the table and sends its SYN.
    fn open(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        options: &TcpOptions,
    ) -> io::Result<TcpStream<F>> {
        let Stack { table, config, .. } = &*self.stack;
        let now = self.stack.now();
        let moment = config.micros(now);
        // The destination first: a better source does not help a wrong one.
        check_destination(to)?;
        let from = self.source(from)?;
        check_source(from, to)?;
        loop {
            let mut source = from;
            if from.port() == 0 {
                let port = table.with(|table| table.port(from, to));
                source.set_port(port.ok_or_else(|| {
                    let why = format!("all ephemeral ports from {} to {to} are in use", from.ip());
                    io::Error::new(io::ErrorKind::AddrInUse, why)
                })?);
            }
            let key = FlowKey::new(to, source).ok_or_else(|| two_families(from, to))?;
            let queue = queue_of(key, self.stack.queues().len());
            let mut connection = Connection::active((key, queue), options, config, moment);
            connection.handles = 1;
            let connection = Shared::new(connection);
            let (connected, path_mtu) = table.with(|table| {
                let connected = table.connect(key, &connection)?;
                Ok::<_, io::Error>((connected, table.path_mtu(now, key)))
            })?;
            if connected {
                let stream = TcpStream::new(self.stack.clone(), connection, key);
                match path_mtu {
                    None => (self.stack).enter(stream.connection(), moment, Connection::flush),
                    Some(_) => (self.stack).follow_path_mtu(stream.connection(), (key, now)),
                }
                return Ok(stream);
            }
            if from.port() != 0 {
                return Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    format!("{from} is connected to {to} already"),
                ));
            }
            // Another task has taken this port meanwhile: try the next one.
        }
    }

    /// `from` with the stack's own address in place of the unspecified one.
    fn source(&self, from: SocketAddr) -> io::Result<SocketAddr> {
        if !from.ip().is_unspecified() {
            return Ok(SocketAddr::new(from.ip(), from.port()));
        }
        let interface = &self.stack.config.interface;
        let (own, family) = match from {
            SocketAddr::V4(_) => (interface.ipv4.map(IpAddr::V4), "IPv4"),
            SocketAddr::V6(_) => (interface.ipv6.map(IpAddr::V6), "IPv6"),
        };
        let own = own.ok_or_else(|| {
            not_available(format!(
                "the stack has no {family} address to connect from: give it one with \
                 `Builder::address`, or pass the source to `connect_from`"
            ))
        })?;
        Ok(SocketAddr::new(own, from.port()))
    }

    /// The counters and gauges of the stack's TCP side.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// assert_eq!(connector.stats().connects, 0);
    /// # Ok(()) });
    /// ```
    pub fn stats(&self) -> Stats {
        self.stack.stats()
    }

    /// The memory that the stack's TCP side holds now. Its bound is
    /// [`Config::memory`](crate::Config#structfield.memory).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// let memory = connector.memory();
    /// assert!(memory.buffers <= memory.total());
    /// # Ok(()) });
    /// ```
    pub fn memory(&self) -> MemoryStats {
        self.stack.memory()
    }

    /// Lists the connections of the stack in every state, from the handshake to TIME-WAIT, in the
    /// order of the addresses of the peers. Requests that wait for an answer are not among them.
    ///
    /// The stack goes on: the list of the connections is taken in one step, and the connections
    /// are looked at one after the other, each as it is then. The call allocates about 150 bytes
    /// for each connection.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// use brooklet_tcp::TcpState;
    ///
    /// let to = "192.0.2.1:7".parse().unwrap();
    /// let connect = connector.connect(to);
    /// let (stream, _peer) = futures_lite::future::try_zip(connect, listener.accept()).await?;
    /// let flows = connector.flows();
    /// assert_eq!((flows[0].peer_addr, flows[0].state), (to, TcpState::Established));
    /// println!("{}", flows[0]);
    /// # drop(stream);
    /// # Ok(()) });
    /// ```
    pub fn flows(&self) -> Vec<TcpFlow> {
        self.stack.flows()
    }
}

/// Checks that packets can go to `to`.
fn check_destination(to: SocketAddr) -> io::Result<()> {
    let why = match broken_rule(to.ip()) {
        Some(rule) => format!("cannot connect to {to}: {rule}"),
        None if to.port() == 0 => format!("cannot connect to {to}: the port is 0"),
        None => return Ok(()),
    };
    Err(not_available(why))
}

/// Checks that packets to `to` can come from `from`, whose port may be 0.
fn check_source(from: SocketAddr, to: SocketAddr) -> io::Result<()> {
    if from.is_ipv4() != to.is_ipv4() {
        return Err(two_families(from, to));
    }
    let why = if let Some(rule) = broken_rule(from.ip()) {
        format!("cannot connect from {from}: {rule}")
    } else if from == to {
        format!("cannot connect from {from} to itself: both ends are equal")
    } else {
        return Ok(());
    };
    Err(not_available(why))
}

fn two_families(from: SocketAddr, to: SocketAddr) -> io::Error {
    let why = format!("{from} and {to} are of different families; use two of one");
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// The queue, out of `queues`, through which a connection that begins here sends.
///
/// The choice is free: a device that distributes packets over its queues learns it from the packets
/// that are sent.
pub(crate) fn queue_of(key: FlowKey, queues: usize) -> u8 {
    match queues {
        1 => 0,
        // There are at most 255 queues.
        _ => (FixedState::default().hash_one(key) % queues as u64) as u8,
    }
}

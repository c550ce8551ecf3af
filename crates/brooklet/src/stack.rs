//! The handle to a running stack.

mod icmp;
mod udp;

use crate::common::Common;
use crate::stats::Stats;
use brooklet_cell::Flavor;
use brooklet_tcp::{Connector, TcpListener, TcpOptions, TcpStream};
use brooklet_udp::UdpBinder;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// A handle to a running stack. Clones are handles to the same one.
pub struct Stack<F: Flavor> {
    pub(crate) connector: Connector<F>,
    pub(crate) udp: UdpBinder<F>,
    pub(crate) udp_counters: brooklet_udp::Counters<F>,
    pub(crate) raw: brooklet_raw::Binder<F>,
    pub(crate) common: Common<F>,
}

impl<F: Flavor> Stack<F> {
    /// Connects to `to`, from the stack's own [`address`](crate::generic::Builder::address) and an
    /// ephemeral port.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] fn main() -> std::io::Result<()> {
    /// use brooklet::{Builder, Parts};
    /// use futures_lite::future::{block_on, or, zip};
    ///
    /// let (client_device, server_device) = brooklet::pipe(64);
    /// let Parts { stack, driver: client, .. } =
    ///     Builder::new().address([10, 0, 0, 2]).build(client_device)?;
    /// let Parts { tcp, driver: server, .. } = Builder::new().build(server_device)?;
    /// let exchange = async {
    ///     let to = "192.0.2.1:80".parse().unwrap();
    ///     let (stream, accepted) = zip(stack.connect(to), tcp.accept()).await;
    ///     assert_eq!(stream?.local_addr()?, accepted?.1);
    ///     Ok(())
    /// };
    /// block_on(or(exchange, or(client, server)))
    /// # }
    /// # #[cfg(not(all(feature = "sync", feature = "async-io")))] fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if the stack has no address of that
    /// family, and those of [`connect_from`](Self::connect_from).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it completes aborts the connection.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream<F>> {
        self.check(to)?;
        self.connector.connect(to).await
    }

    /// Connects from `from` to `to`. `from` may be any address that the peer routes to this stack;
    /// port 0 stands for an ephemeral port.
    ///
    /// # Errors
    ///
    /// Those of [`Connector::connect_from`](brooklet_tcp::Connector::connect_from);
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) also if an address is loopback or a
    /// mapped IPv4 address; [`Unsupported`](io::ErrorKind::Unsupported) if an address is IPv6 and
    /// the stack was built [without IPv6](crate::generic::Builder::ipv6).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it completes aborts the connection.
    pub async fn connect_from(&self, from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream<F>> {
        self.check(from)?;
        self.check(to)?;
        self.connector.connect_from(from, to).await
    }

    /// Connects from `from` to `to`, as [`connect_from`](Self::connect_from) does, with options for
    /// this connection in place of those of the
    /// [configuration](crate::generic::Builder::tcp_config).
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] fn main() -> std::io::Result<()> {
    /// # use brooklet::{Builder, Parts};
    /// # use futures_lite::future::{block_on, or, zip};
    /// use brooklet::TcpOptions;
    /// use std::net::{Ipv4Addr, SocketAddr};
    /// use std::time::Duration;
    ///
    /// # let (client_device, server_device) = brooklet::pipe(64);
    /// # let Parts { stack, driver: client, .. } =
    /// #     Builder::new().address([10, 0, 0, 2]).build(client_device)?;
    /// # let Parts { tcp, driver: server, .. } = Builder::new().build(server_device)?;
    /// # let exchange = async {
    /// // From the stack's own address.
    /// let from = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    /// let options = TcpOptions::new().user_timeout(Some(Duration::from_secs(20)));
    /// let connect = stack.connect_with(from, "192.0.2.1:7".parse().unwrap(), options);
    /// # let stream = zip(connect, tcp.accept()).await.0?;
    /// # assert_eq!(stream.user_timeout(), Some(Duration::from_secs(20)));
    /// # Ok(())
    /// # };
    /// # block_on(or(exchange, or(client, server)))
    /// # }
    /// # #[cfg(not(all(feature = "sync", feature = "async-io")))] fn main() {}
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
        self.check(from)?;
        self.check(to)?;
        self.connector.connect_with(from, to, options).await
    }

    /// Binds a listener to `address`. It accepts the connections to `address` in place of
    /// [`Parts::tcp`](crate::generic::Parts::tcp). `0.0.0.0` and `::` stand for every address of
    /// their family, and port 0 for a free port.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// # let (device, _) = brooklet::pipe(64);
    /// let parts = brooklet::Builder::new().build(device)?;
    /// let web = parts.stack.bind("0.0.0.0:80".parse().unwrap())?;
    /// assert_eq!(web.local_addr()?.port(), 80);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Connector::bind`](brooklet_tcp::Connector::bind);
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) also if `address` is loopback or a
    /// mapped IPv4 address; [`Unsupported`](io::ErrorKind::Unsupported) if `address` is IPv6 and
    /// the stack was built [without IPv6](crate::generic::Builder::ipv6).
    pub fn bind(&self, address: SocketAddr) -> io::Result<TcpListener<F>> {
        self.check(address)?;
        self.connector.bind(address)
    }

    /// Binds a listener to `address`, as [`bind`](Self::bind) does, with options for the connections
    /// that it accepts.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// use brooklet::TcpOptions;
    ///
    /// # let (device, _) = brooklet::pipe(64);
    /// let parts = brooklet::Builder::new().build(device)?;
    /// let options = TcpOptions::new().nodelay(false);
    /// let web = parts.stack.bind_with("0.0.0.0:80".parse().unwrap(), options)?;
    /// assert!(!web.options().nodelay);
    /// # }
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
        self.check(address)?;
        self.connector.bind_with(address, options)
    }

    /// Checks that the stack speaks the family of `address`; the connector checks the rest.
    fn check(&self, address: SocketAddr) -> io::Result<()> {
        if address.is_ipv6() && !self.common.ipv6 {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{address} is an IPv6 address, and the stack was built without IPv6"),
            ));
        }
        Ok(())
    }

    /// Shuts the stack down gracefully, and waits until it has ended.
    ///
    /// - From now on the stack takes no new connection: `accept`, `connect` and `bind` fail with
    ///   [`NetworkDown`](io::ErrorKind::NetworkDown). Clients that were not accepted yet, and
    ///   later ones, are refused with a RST, as by a host whose programs have closed their
    ///   listeners.
    /// - Open connections, and those that `connect` has begun, go on until both sides have closed
    ///   them. A connection whose stream was dropped still delivers the data that was written.
    ///   TIME-WAIT is not waited for. Datagrams and echo requests are served until the end.
    /// - After the last connection, or at the latest after `timeout`, every driver of the stack
    ///   ends with `Ok(())`. Connections that are open then are reset, and every call on the
    ///   handles fails with `NetworkDown`.
    ///
    /// The drivers do the work and must keep running. If a driver fails or is dropped, the
    /// shutdown is over.
    ///
    /// Of several calls the earliest deadline counts. `Duration::ZERO` resets the connections at
    /// once, and `Duration::MAX` waits for the connections without a limit.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] fn main() -> std::io::Result<()> {
    /// use brooklet::{Builder, Parts};
    /// use futures_lite::future::{block_on, zip};
    /// use std::time::Duration;
    ///
    /// let (device, _other_end) = brooklet::pipe(64);
    /// let Parts { stack, driver, .. } = Builder::new().build(device)?;
    /// let (ended, ()) = block_on(zip(driver, stack.shutdown(Duration::from_secs(10))));
    /// assert!(ended.is_ok());
    /// # Ok(())
    /// # }
    /// # #[cfg(not(all(feature = "sync", feature = "async-io")))] fn main() {}
    /// ```
    ///
    /// # Cancel safety
    ///
    /// The shutdown begins when the future is polled for the first time. Dropping the future after
    /// that does not stop the shutdown.
    pub async fn shutdown(&self, timeout: Duration) {
        let deadline = self.common.clock.now().checked_add(timeout);
        self.common.shutdown.begin(deadline);
        self.connector.close();
        self.common.shutdown.ended().await;
    }

    /// Returns the counters and gauges of the stack. Those of packets are as of the last time that
    /// each driver ran.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for published in &*self.common.published {
            stats.add(&published.with(|stats| *stats));
        }
        if let Some(reassembler) = &self.common.reassembler {
            let (reassembly, allocated) =
                reassembler.with(|reassembler| (reassembler.stats(), reassembler.allocated()));
            stats.reassembly = reassembly;
            stats.memory.reassembly = allocated as u64;
        }
        stats.tcp = self.connector.stats();
        stats.udp = self.udp_counters.stats();
        stats.raw = self.raw.stats();
        stats.memory.set_tcp(self.connector.memory());
        stats.memory.set_udp(self.udp_counters.memory());
        stats.memory.set_raw(self.raw.memory());
        stats
    }
}

impl<F: Flavor> Clone for Stack<F> {
    fn clone(&self) -> Self {
        Self {
            connector: self.connector.clone(),
            udp: self.udp.clone(),
            udp_counters: self.udp_counters.clone(),
            raw: self.raw.clone(),
            common: self.common.clone(),
        }
    }
}

impl<F: Flavor> std::fmt::Debug for Stack<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").finish_non_exhaustive()
    }
}

use crate::{inbound::Receiver, queues::Queues, reader::Reader, socket::UdpSocket};
use brooklet_cell::Flavor;
use brooklet_io::StackClosed;
use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
};

/// Binds [`UdpSocket`]s. Clones bind on the same stack.
///
/// The binder keeps no engine running. In the crate `brooklet`, `Stack::bind_udp` stands in its
/// place.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # use brooklet_udp::{Clock, Config, Engine, Interface};
/// # let (engine, _all) = Engine::<brooklet_cell::Threaded>::new(Interface::new(),
/// #     Config::new(), Clock::new(std::time::Instant::now), [1, 2]);
/// let binder = engine.binder();
/// let socket = binder.bind("10.0.0.2:53".parse().unwrap())?;
/// assert_eq!(socket.local_addr()?, "10.0.0.2:53".parse().unwrap());
/// # }
/// # std::io::Result::Ok(())
/// ```
pub struct UdpBinder<F: Flavor>(Queues<F>);

impl<F: Flavor> UdpBinder<F> {
    pub(crate) fn new(queues: &Queues<F>) -> Self {
        Self(queues.clone())
    }

    /// Binds a socket to `address`.
    ///
    /// The address may be any unicast address, whether or not it is the stack's own: the stack is
    /// transparent. An unspecified address stands for every address of its family; `[::]` does not
    /// include IPv4. Port 0 stands for a free port from 49,152 on, chosen at random (RFC 6056).
    ///
    /// The datagrams of a bound socket reach neither a session nor a
    /// [`TransparentUdpSocket`](crate::TransparentUdpSocket). Of several sockets the most specific
    /// one receives a datagram: one that is connected to its source, then one that is bound to its
    /// destination address, then one that is bound to its destination port.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_udp::{Clock, Config, Engine, Interface};
    /// # let (engine, _all) = Engine::<brooklet_cell::Threaded>::new(Interface::new(),
    /// #     Config::new(), Clock::new(std::time::Instant::now), [1, 2]);
    /// # let binder = engine.binder();
    /// let socket = binder.bind("0.0.0.0:0".parse().unwrap())?;
    /// assert!(socket.local_addr()?.port() >= 49_152);
    ///
    /// let taken = binder.bind(socket.local_addr()?).unwrap_err();
    /// assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`AddrInUse`](io::ErrorKind::AddrInUse): another socket is bound to the same address and
    ///   port, or no ephemeral port is free.
    /// - [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): no host can have the address, such
    ///   as a multicast or loopback address, or IPv6 is switched off.
    /// - [`QuotaExceeded`](io::ErrorKind::QuotaExceeded): as many sockets are bound as
    ///   [`Config::sockets`](crate::Config#structfield.sockets) allows.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the driver has ended.
    pub fn bind(&self, address: SocketAddr) -> io::Result<UdpSocket<F>> {
        let inbound = &self.0.inbound;
        let receiver = inbound.with(|inbound| {
            if inbound.closed {
                return Err(StackClosed.into());
            }
            let receiver = Receiver::Socket(inbound.sockets.bind(address)?);
            inbound.add_handle(receiver);
            io::Result::Ok(receiver)
        })?;
        Ok(UdpSocket::new(
            Reader::counted(inbound, receiver),
            self.0.clone(),
        ))
    }

    /// Returns the path MTU of a destination, as
    /// [`Engine::path_mtu`](crate::Engine::path_mtu) does.
    #[must_use]
    pub fn path_mtu(&self, destination: IpAddr) -> usize {
        self.0.path_mtu(None, destination)
    }

    /// States the path MTU of a destination, as
    /// [`Engine::set_path_mtu`](crate::Engine::set_path_mtu) does.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_udp::{Clock, Config, Engine, Interface};
    /// # let (engine, _all) = Engine::<brooklet_cell::Threaded>::new(Interface::new(),
    /// #     Config::new(), Clock::new(std::time::Instant::now), [1, 2]);
    /// # let binder = engine.binder();
    /// let host = "10.0.0.1".parse().unwrap();
    /// binder.set_path_mtu(host, Some(1280));
    /// assert_eq!(binder.path_mtu(host), 1280);
    /// # }
    /// ```
    pub fn set_path_mtu(&self, destination: IpAddr, mtu: Option<usize>) {
        let now = self.0.now();
        self.0.set_path_mtu(|mtus| mtus.set(now, destination, mtu));
    }

    /// States the path MTU of a destination that the program's own sockets have learned, in bytes.
    /// The statement expires after 10 minutes (RFC 8201, 4), and lowers the path MTU only. Returns
    /// whether the path MTU has become smaller.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_udp::{Clock, Config, Engine, Interface};
    /// # let (engine, _all) = Engine::<brooklet_cell::Threaded>::new(Interface::new(),
    /// #     Config::new(), Clock::new(std::time::Instant::now), [1, 2]);
    /// # let binder = engine.binder();
    /// let host = "10.0.0.1".parse().unwrap();
    /// assert!(binder.learn_path_mtu(host, 1280));
    /// assert!(!binder.learn_path_mtu(host, 1400));
    /// assert_eq!(binder.path_mtu(host), 1280);
    /// # }
    /// ```
    pub fn learn_path_mtu(&self, destination: IpAddr, mtu: usize) -> bool {
        let known = self.0.path_mtu(None, destination);
        if mtu > known {
            return false;
        }
        // The same one again prolongs the time.
        let now = self.0.now();
        self.0
            .set_path_mtu(|mtus| _ = mtus.set_expiring(now, destination, mtu));
        mtu < known
    }
}

impl<F: Flavor> Clone for UdpBinder<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: Flavor> fmt::Debug for UdpBinder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpBinder").finish_non_exhaustive()
    }
}

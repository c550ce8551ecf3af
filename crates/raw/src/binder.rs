use crate::echo_policy::{EchoAction, EchoPolicy};
use crate::hub::Hub;
use crate::icmp_socket::IcmpSocket;
use crate::raw_socket::{RawConfig, RawSocket};
use crate::stats::Stats;
use brooklet_cell::Flavor;
use brooklet_packet::Packet;
use brooklet_packet::icmp::IcmpErrorKind;
use std::net::IpAddr;
use std::{fmt, io};

/// Binds ICMP and raw sockets, decides about echo requests and sends ICMP errors. Clones are handles
/// to the same stack.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # use brooklet_io::Clock;
/// # use brooklet_raw::{Config, Engine, Interface};
/// # let clock = Clock::new(std::time::Instant::now);
/// # let engine = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), clock);
/// let binder = engine.binder();
/// let socket = binder.bind_icmp()?;
/// let second = binder.bind_icmp().unwrap_err();
/// assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse);
/// # drop(socket);
/// # assert!(binder.bind_icmp().is_ok());
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Binder<F: Flavor>(Hub<F>);

impl<F: Flavor> Binder<F> {
    pub(crate) fn new(hub: &Hub<F>) -> Self {
        Self(hub.clone())
    }

    /// Binds the ICMP socket of the stack. While it lives, echo requests go to it, unless a
    /// [policy](Self::set_echo_policy) decides otherwise.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if the stack has an ICMP socket, which can be cloned;
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub fn bind_icmp(&self) -> io::Result<IcmpSocket<F>> {
        Ok(IcmpSocket::new(self.0.bind_icmp()?, &self.0))
    }

    /// Binds a raw socket for the packets that `config` names.
    ///
    /// # Errors
    ///
    /// [`QuotaExceeded`](io::ErrorKind::QuotaExceeded) if there are as many raw sockets as the
    /// [configuration](crate::Config::raw_sockets) allows;
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub fn bind_raw(&self, config: RawConfig) -> io::Result<RawSocket<F>> {
        Ok(RawSocket::new(self.0.bind_raw(config)?, &self.0))
    }

    /// Lets `policy` decide about each echo request by its destination, in place of an earlier
    /// policy.
    ///
    /// The driver calls the function for each request and holds no lock meanwhile.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_io::Clock;
    /// # use brooklet_raw::{Config, Engine, Interface};
    /// use brooklet_raw::EchoAction;
    /// use std::net::IpAddr;
    ///
    /// # let clock = Clock::new(std::time::Instant::now);
    /// # let engine = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), clock);
    /// // The stack answers for its gateway. The program decides about the rest.
    /// let gateway = IpAddr::from([10, 0, 0, 1]);
    /// engine.binder().set_echo_policy(move |destination| match destination == gateway {
    ///     true => EchoAction::Answer,
    ///     false => EchoAction::Deliver,
    /// });
    /// # }
    /// ```
    pub fn set_echo_policy(&self, policy: impl Fn(IpAddr) -> EchoAction + Send + Sync + 'static) {
        let policy = Some(EchoPolicy::new(policy));
        let _old = self.0.policy.with(|known| std::mem::replace(known, policy));
    }

    /// Removes the [policy](Self::set_echo_policy).
    pub fn clear_echo_policy(&self) {
        let _old = self.0.policy.with(Option::take);
    }

    /// Sends an ICMP error about `packet` to the packet's source, in the name of the packet's
    /// destination. The error quotes the packet.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_io::Clock;
    /// # use brooklet_packet::{Packet, icmp, udp};
    /// # use brooklet_raw::{Config, Engine, Interface};
    /// use brooklet_packet::icmp::Unreachable;
    ///
    /// # let clock = Clock::new(std::time::Instant::now);
    /// # let engine = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), clock);
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:53".parse()?, 64, b"question")?;
    /// let packet = Packet::parse(&bytes)?;
    /// engine.binder().send_error(&packet, Unreachable::Port)?;
    /// # let sent = engine.poll_transmit().unwrap();
    /// # assert!(icmp::parse_error(&Packet::parse(&sent)?).is_some());
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) with a [`SendError`](crate::SendError) inside
    /// if no error may be sent about the packet; [`WouldBlock`](io::ErrorKind::WouldBlock) if the
    /// rate limit of ICMP errors is reached or the outbound queue is full, both counted;
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub fn send_error(
        &self,
        packet: &Packet<'_>,
        kind: impl Into<IcmpErrorKind>,
    ) -> io::Result<()> {
        self.0.send_error(packet, kind.into(), None)
    }

    /// Sends an ICMP error about `packet` in the name of `router`, a host on the path of the packet.
    /// `traceroute` shows the address.
    ///
    /// # Errors
    ///
    /// As [`send_error`](Self::send_error).
    pub fn send_error_from(
        &self,
        router: IpAddr,
        packet: &Packet<'_>,
        kind: impl Into<IcmpErrorKind>,
    ) -> io::Result<()> {
        self.0.send_error(packet, kind.into(), Some(router))
    }

    /// Returns the counters of this moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.state.with(|state| state.stats)
    }
}

impl<F: Flavor> Clone for Binder<F> {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl<F: Flavor> fmt::Debug for Binder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binder").finish_non_exhaustive()
    }
}

use crate::{
    config::{IcmpSocketConfig, RawConfig},
    echo_policy::{EchoAction, EchoPolicy},
    hub::{Hub, RawEntry, Sockets},
    icmp::{IcmpEntry, IcmpSocket},
    memory_stats::MemoryStats,
    outcome::Answered,
    queue::{Bounds, Queue},
    raw_socket::{RawSocket, is_for_raw_sockets},
    stats::Stats,
};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::StackClosed;
use brooklet_packet::Packet;
use brooklet_packet::icmp::IcmpErrorKind;
use std::{fmt, io, net::IpAddr};

/// Binds sockets, sends ICMP errors and sets the policy for echo requests. Clones belong to the
/// same stack.
///
/// The binder keeps no engine running. In the crate `brooklet`, the `Stack` stands in its place.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
/// # let engine = example::engine();
/// use brooklet_raw::RawConfig;
///
/// let binder = engine.binder();
/// let icmp = binder.bind_icmp()?;
/// let igmp = binder.bind_raw(RawConfig::new().protocol(2))?;
/// # let _ = (icmp, igmp);
/// # }
/// # std::io::Result::Ok(())
/// ```
pub struct Binder<F: Flavor>(Hub<F>);

impl<F: Flavor> Binder<F> {
    pub(crate) fn new(hub: &Hub<F>) -> Self {
        Self(hub.clone())
    }

    /// Binds a socket for ICMP messages, which takes the echo requests that the
    /// [policy](Self::set_echo_policy) delivers: without a policy all of them.
    ///
    /// # Errors
    ///
    /// As [`bind_icmp_with`](Self::bind_icmp_with).
    pub fn bind_icmp(&self) -> io::Result<IcmpSocket<F>> {
        self.bind_icmp_with(IcmpSocketConfig::new())
    }

    /// Binds a socket for ICMP messages, with the settings of `config`.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// use brooklet_raw::IcmpSocketConfig;
    /// use std::io::ErrorKind;
    ///
    /// let socket = engine.binder().bind_icmp()?;
    /// let second = engine.binder().bind_icmp();
    /// assert_eq!(second.unwrap_err().kind(), ErrorKind::AddrInUse);
    ///
    /// // A socket that only sends echo requests is in nobody's way.
    /// let config = IcmpSocketConfig::new().echo_requests(false);
    /// let pings = engine.binder().bind_icmp_with(config)?;
    /// # let _ = (socket, pings);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if another socket receives the
    /// [echo requests](IcmpSocketConfig::echo_requests) that this one asks for;
    /// [`QuotaExceeded`](io::ErrorKind::QuotaExceeded) if the stack has as many sockets as its
    /// [`Config`](crate::Config) allows; [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver
    /// has ended.
    pub fn bind_icmp_with(&self, config: IcmpSocketConfig) -> io::Result<IcmpSocket<F>> {
        let entry = IcmpEntry::new(config, &self.0.ledger);
        self.0.sockets.with(|sockets| {
            self.check(sockets)?;
            if config.echo_requests {
                if sockets.echo.is_some() {
                    return Err(io::Error::new(
                        io::ErrorKind::AddrInUse,
                        "another socket receives the echo requests",
                    ));
                }
                sockets.echo = Some(entry.clone());
            }
            sockets.icmp.push(entry.clone());
            Ok(())
        })?;
        Ok(IcmpSocket::new(self.0.clone(), entry))
    }

    /// Binds a socket for whole IP packets.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// use brooklet_packet::Protocol;
    /// use brooklet_raw::RawConfig;
    /// use std::io::ErrorKind;
    ///
    /// let multicast = engine.binder().bind_raw(RawConfig::new().multicast(true))?;
    /// let refused = engine.binder().bind_raw(RawConfig::new().protocol(Protocol::Udp));
    /// assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    /// # let _ = multicast;
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if TCP or UDP is among the
    /// [protocols](RawConfig::protocols); [`QuotaExceeded`](io::ErrorKind::QuotaExceeded) if the
    /// stack has as many sockets as its [`Config`](crate::Config) allows;
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub fn bind_raw(&self, config: RawConfig) -> io::Result<RawSocket<F>> {
        let refused = config.protocols.iter().find(|p| !is_for_raw_sockets(**p));
        if let Some(protocol) = refused {
            let why = format!("a rule of the filter diverts {protocol}, not a raw socket");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let bounds = Bounds {
            packets: config.inbound_packets,
            bytes: config.inbound_bytes,
        };
        let queue = Shared::new(Queue::new(bounds, &self.0.ledger));
        let entry = RawEntry {
            config,
            queue: queue.clone(),
        };
        self.0.sockets.with(|sockets| {
            self.check(sockets)?;
            sockets.raw.push(entry);
            io::Result::Ok(())
        })?;
        Ok(RawSocket::new(self.0.clone(), &queue))
    }

    /// Checks whether there may be one more socket.
    fn check(&self, sockets: &Sockets<F>) -> io::Result<()> {
        if sockets.closed {
            return Err(StackClosed.into());
        }
        if sockets.len() >= self.0.config.sockets {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "the stack has as many sockets as it may have",
            ));
        }
        Ok(())
    }

    /// Lets `policy` decide about each echo request by its destination, in place of an earlier
    /// policy. Requests that are in the queue of a socket remain there.
    ///
    /// The driver calls the function for each echo request, so the function should be fast and must
    /// not block. No lock is held meanwhile: the function may use the stack. A request about which
    /// the function panics is ignored. Without a policy, a socket that takes echo requests receives all of them, and without such a socket
    /// [`Config::echo`](crate::Config#structfield.echo) decides.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// use brooklet_packet::icmp::Unreachable;
    /// use brooklet_raw::{EchoAction, Echoed};
    /// use std::net::IpAddr;
    ///
    /// // The stack's own address answers, the program pings the hosts of one network, and the
    /// // others do not exist.
    /// let own: IpAddr = "10.0.0.1".parse().unwrap();
    /// engine.binder().set_echo_policy(move |destination| match destination {
    ///     to if to == own => EchoAction::Answer,
    ///     IpAddr::V4(to) if to.octets()[0] == 10 => EchoAction::Deliver,
    ///     _ => EchoAction::Reject(Unreachable::Host),
    /// });
    /// # assert_eq!(example::ping(&engine), Echoed::Reject(Unreachable::Host.into()));
    /// # }
    /// ```
    pub fn set_echo_policy(&self, policy: impl Fn(IpAddr) -> EchoAction + Send + Sync + 'static) {
        let policy = Some(EchoPolicy::new(policy));
        let replaced = self.0.sockets.with(|sockets| {
            // A policy may hold handles to the stack, and the end of the stack frees them.
            if sockets.closed {
                return policy;
            }
            std::mem::replace(&mut sockets.policy, policy)
        });
        drop(replaced);
    }

    /// Removes the [policy](Self::set_echo_policy).
    pub fn clear_echo_policy(&self) {
        let removed = self.0.sockets.with(|sockets| sockets.policy.take());
        drop(removed);
    }

    /// Sends an ICMP error about `packet` to the packet's source, in the name of the packet's
    /// destination. The error quotes the packet.
    ///
    /// All ICMP errors of a stack share the [rate limit](crate#rate-limit).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// use brooklet_packet::icmp::{self, Unreachable};
    /// use brooklet_packet::{Packet, udp};
    /// use brooklet_raw::Answered;
    ///
    /// let mut bytes = Vec::new();
    /// udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:9".parse()?, 64, b"anyone?")?;
    /// let answered = engine.binder().send_error(&Packet::parse(&bytes)?, Unreachable::Port)?;
    /// assert_eq!(answered, Answered::Queued);
    ///
    /// let error = engine.poll_transmit().expect("one packet waits");
    /// let error = icmp::parse_error(&Packet::parse(&error)?).expect("it is an error");
    /// assert_eq!(error.key.to_string(), "10.0.0.1:5000 -> 10.0.0.2:9");
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended. That an error is not
    /// sent is no failure: [`Answered`] tells.
    pub fn send_error(
        &self,
        packet: &Packet<'_>,
        kind: impl Into<IcmpErrorKind>,
    ) -> io::Result<Answered> {
        self.0.send_error(packet.destination(), packet, kind.into())
    }

    /// Sends an ICMP error about `packet` as [`send_error`](Self::send_error) does, in the name of
    /// `router`, a host on the path of the packet. `traceroute` shows the address.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// use brooklet_packet::icmp::IcmpErrorKind;
    /// use brooklet_packet::{Packet, udp};
    ///
    /// let mut bytes = Vec::new();
    /// udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:33434".parse()?, 1, b"")?;
    /// let (probe, kind) = (Packet::parse(&bytes)?, IcmpErrorKind::HopLimitExceeded);
    /// let router = "10.0.0.254".parse()?;
    /// engine.binder().send_error_from(router, &probe, kind)?;
    /// let error = engine.poll_transmit().expect("one packet waits");
    /// assert_eq!(Packet::parse(&error)?.source(), router);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send_error`](Self::send_error).
    pub fn send_error_from(
        &self,
        router: IpAddr,
        packet: &Packet<'_>,
        kind: impl Into<IcmpErrorKind>,
    ) -> io::Result<Answered> {
        self.0.send_error(router, packet, kind.into())
    }

    /// Returns the memory that the sockets' queues hold at this moment. An example is at
    /// [`MemoryStats`].
    #[must_use]
    pub fn memory(&self) -> MemoryStats {
        self.0.memory()
    }

    /// Returns the counters of this moment.
    ///
    /// The counters of several queues are read one after the other, while the stack runs.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }
}

impl<F: Flavor> Clone for Binder<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: Flavor> fmt::Debug for Binder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binder").finish_non_exhaustive()
    }
}

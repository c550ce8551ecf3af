use crate::common::{Common, Settings};
use crate::driver::Driver;
use crate::stack::Stack;
use crate::timer::Timer;
use brooklet_cell::Flavor;
use brooklet_filter::{Direction, Filter, UnicastOnly, Verdict};
use brooklet_io::PacketIo;
use brooklet_packet::{Packet, reassembly};
use brooklet_tcp::{Clock, TcpListener};
use brooklet_udp::UdpSocket;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::num::NonZeroU8;

/// Builds a stack over a device, or over the queues of one.
///
/// Nothing is spawned: [`build_with_timer`](Self::build_with_timer) gives handles and a
/// [`Driver`], which is a future to be run like any other.
pub struct Builder<F: Flavor, P = UnicastOnly> {
    mtu: usize,
    ipv6: bool,
    icmp_echo: bool,
    reassembly: Option<reassembly::Config>,
    filter: P,
    tcp: brooklet_tcp::Config,
    udp: brooklet_udp::Config,
    addresses: Vec<IpAddr>,
    flavor: PhantomData<F>,
}

/// What a stack consists of: take it apart by pattern.
#[derive(Debug)]
#[non_exhaustive]
pub struct Parts<F: Flavor, D, T, P = UnicastOnly> {
    /// Connections outward, and the counters.
    pub stack: Stack<F>,
    /// The connections that come in, for every address.
    pub tcp: TcpListener<F>,
    /// The datagrams that come in, for every address.
    pub udp: UdpSocket<F>,
    /// Moves the packets. Nothing works unless it runs.
    pub driver: Driver<F, D, T, P>,
}

/// What a stack over several queues of a device consists of: take it apart by pattern.
#[derive(Debug)]
#[non_exhaustive]
pub struct QueueParts<F: Flavor, D, T, P = UnicastOnly> {
    /// Connections outward, and the counters.
    pub stack: Stack<F>,
    /// The connections that come in, for every address.
    pub tcp: TcpListener<F>,
    /// The datagrams that come in, for every address.
    pub udp: UdpSocket<F>,
    /// Move the packets, each those of one queue. Nothing works unless all of them run.
    pub drivers: Vec<Driver<F, D, T, P>>,
}

impl<F: Flavor> Builder<F> {
    /// Starts with the defaults.
    pub fn new() -> Self {
        Self {
            mtu: 1500,
            ipv6: true,
            icmp_echo: true,
            reassembly: Some(reassembly::Config::default()),
            filter: UnicastOnly,
            tcp: brooklet_tcp::Config::default(),
            udp: brooklet_udp::Config::default(),
            addresses: Vec::new(),
            flavor: PhantomData,
        }
    }
}

impl<F: Flavor> Default for Builder<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Flavor, P: std::fmt::Debug> std::fmt::Debug for Builder<F, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("mtu", &self.mtu)
            .field("ipv6", &self.ipv6)
            .field("icmp_echo", &self.icmp_echo)
            .field("reassembly", &self.reassembly)
            .field("filter", &self.filter)
            .field("tcp", &self.tcp)
            .field("udp", &self.udp)
            .field("addresses", &self.addresses)
            .finish()
    }
}

impl<F: Flavor, P: Filter> Builder<F, P> {
    /// Sets the MTU of the device, in bytes: the longest IP packet. 1,500 by default.
    ///
    /// The range is 1,280 (the minimum of IPv6, RFC 8200, section 5) to 65,535, and 576 to 65,535
    /// [without IPv6](Self::ipv6).
    pub fn mtu(mut self, mtu: usize) -> Self {
        self.mtu = mtu;
        self
    }

    /// Sets whether the stack speaks IPv6. It does by default.
    ///
    /// A stack without IPv6 drops IPv6 packets and counts them
    /// ([`DropReason::Ipv6`](crate::DropReason::Ipv6)), and to connect to, bind or send to an IPv6
    /// address is an error. Its [`mtu`](Self::mtu) may be less than 1,280: the MTU of a tunnel for
    /// IPv4 only.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// let (device, _) = brooklet::pipe(64);
    /// let parts = brooklet::Builder::new().ipv6(false).mtu(576).build(device)?;
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn ipv6(mut self, ipv6: bool) -> Self {
        self.ipv6 = ipv6;
        self
    }

    /// Whether ICMP echo requests ("ping") are answered, for every address. They are by default.
    pub fn icmp_echo(mut self, answer: bool) -> Self {
        self.icmp_echo = answer;
        self
    }

    /// Sets limits of the reassembly of fragments, or switches it off with `None`: then every
    /// fragment is dropped.
    pub fn reassembly(mut self, config: Option<reassembly::Config>) -> Self {
        self.reassembly = config;
        self
    }

    /// Sets the filter that decides on every packet, inbound and outbound. By default,
    /// [`UnicastOnly`] drops packets that are not unicast.
    ///
    /// - The filter decides on whole packets: it sees a reassembled packet, with its ports, and no
    ///   inbound fragment. Fragments of a packet that the filter would drop are held within the
    ///   limits of [`reassembly`](Self::reassembly). An echo reply that is longer than the MTU
    ///   leaves in fragments, each of which the filter sees.
    /// - A super-packet of up to 64 KiB is one packet to the filter: count bytes, not packets.
    /// - The filter gives one verdict for each packet, however long an outbound packet then waits
    ///   for the device.
    /// - [Martian](crate::generic::Driver#addresses) packets are dropped before the filter sees
    ///   them.
    ///
    /// For a closure, [`filter_fn`](Self::filter_fn) needs no types.
    pub fn filter<Q: Filter>(self, filter: Q) -> Builder<F, Q> {
        let Self {
            mtu,
            ipv6,
            icmp_echo,
            reassembly,
            tcp,
            udp,
            addresses,
            flavor,
            ..
        } = self;
        Builder {
            mtu,
            ipv6,
            icmp_echo,
            reassembly,
            filter,
            tcp,
            udp,
            addresses,
            flavor,
        }
    }

    /// Sets a function as the [filter](Self::filter).
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// use brooklet::filter::{Direction, Verdict};
    /// use brooklet::{Builder, Protocol};
    ///
    /// # let (device, _) = brooklet::pipe(64);
    /// let parts = Builder::new()
    ///     .filter_fn(|packet, direction| match (packet.protocol(), direction) {
    ///         (Protocol::Udp, Direction::Inbound) => Verdict::Drop,
    ///         _ => Verdict::Pass,
    ///     })
    ///     .build(device)?;
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn filter_fn<Q>(self, verdict: Q) -> Builder<F, Q>
    where
        Q: Fn(&Packet<'_>, Direction) -> Verdict,
    {
        self.filter(verdict)
    }

    /// Gives the stack an address of its own, from which
    /// [`Stack::connect`](crate::generic::Stack::connect) begins connections: one of IPv4 and one of
    /// IPv6, of which the last one said counts. Every address is served all the same.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// let (device, _) = brooklet::pipe(64);
    /// let parts = brooklet::Builder::new()
    ///     .address([10, 0, 0, 2].into())
    ///     .address([0xfd00, 0, 0, 0, 0, 0, 0, 2].into())
    ///     .build(device)?;
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn address(mut self, address: IpAddr) -> Self {
        self.addresses.push(address);
        self
    }

    /// Sets limits, timeouts and default options of TCP.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// use brooklet::{Builder, TcpConfig};
    ///
    /// let (device, _) = brooklet::pipe(64);
    /// let parts = Builder::new()
    ///     .tcp_config(TcpConfig::new().max_connections(1000))
    ///     .build(device)?;
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn tcp_config(mut self, config: brooklet_tcp::Config) -> Self {
        self.tcp = config;
        self
    }

    /// Sets limits of UDP.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// use brooklet::{Builder, UdpConfig};
    ///
    /// let (device, _) = brooklet::pipe(64);
    /// let parts = Builder::new()
    ///     .udp_config(UdpConfig::new().inbound_packets(64))
    ///     .build(device)?;
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn udp_config(mut self, config: brooklet_udp::Config) -> Self {
        self.udp = config;
        self
    }

    /// Builds the stack with the timer of async-io.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the MTU is out of range, or an
    /// [`address`](Self::address) is not unicast, is loopback or IPv4-mapped, or is not of a family
    /// that the stack speaks.
    #[cfg(feature = "async-io")]
    pub fn build<D: PacketIo>(
        self,
        device: D,
    ) -> io::Result<Parts<F, D, crate::timer::AsyncIoTimer, P>> {
        self.build_with_timer(device, crate::timer::AsyncIoTimer::new())
    }

    /// Builds the stack with a timer of your own.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the MTU is out of range, or an
    /// [`address`](Self::address) is not unicast, is loopback or IPv4-mapped, or is not of a family
    /// that the stack speaks.
    pub fn build_with_timer<D: PacketIo, T: Timer>(
        self,
        device: D,
        timer: T,
    ) -> io::Result<Parts<F, D, T, P>> {
        let mut plan = self.plan(NonZeroU8::MIN, timer.clock())?;
        let engines = plan.engines.remove(0);
        let driver = plan.driver(0, engines, (device, timer, self.filter));
        let Plan {
            stack, tcp, udp, ..
        } = plan;
        Ok(Parts {
            stack,
            tcp,
            udp,
            driver,
        })
    }

    /// Builds the stack over several queues of one device, with a driver for each, to be run on as
    /// many threads. The handles know nothing of the queues.
    ///
    /// A connection sends through the queue on which its SYN came, and one that begins here
    /// through any; so do the datagrams of two addresses, in their order. What comes in may come
    /// on every queue: Linux gives the packets of a flow to the queue that it was last sent
    /// through. Limits are those of the whole stack, except that each queue has an outbound queue
    /// of its own. The end of one driver is the end of the stack.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// use brooklet::{Builder, QueueParts};
    ///
    /// # let ((one, _), (two, _)) = (brooklet::pipe(64), brooklet::pipe(64));
    /// let QueueParts { tcp, drivers, .. } = Builder::new().build_queues([one, two])?;
    /// let threads = drivers.into_iter().map(|driver| {
    ///     std::thread::spawn(|| async_io::block_on(driver))
    /// });
    /// # let ends = threads.map(|thread| thread.join().unwrap().is_err()).collect::<Vec<_>>();
    /// # assert_eq!(ends, [true, true], "the wires have no other end");
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there is no queue or there are more than
    /// 255, if the MTU is out of range, or if an [`address`](Self::address) is not unicast, is
    /// loopback or IPv4-mapped, or is not of a family that the stack speaks.
    #[cfg(feature = "async-io")]
    pub fn build_queues<D: PacketIo>(
        self,
        queues: impl IntoIterator<Item = D>,
    ) -> io::Result<QueueParts<F, D, crate::timer::AsyncIoTimer, P>>
    where
        P: Clone,
    {
        let timer = |device| (device, crate::timer::AsyncIoTimer::new());
        self.build_queues_with_timers(queues.into_iter().map(timer))
    }

    /// Builds the stack over several queues of one device, as `build_queues` does, with a timer of
    /// your own for each. Their clocks are the same.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there is no queue or there are more than
    /// 255, if the MTU is out of range, or if an [`address`](Self::address) is not unicast, is
    /// loopback or IPv4-mapped, or is not of a family that the stack speaks.
    pub fn build_queues_with_timers<D: PacketIo, T: Timer>(
        self,
        queues: impl IntoIterator<Item = (D, T)>,
    ) -> io::Result<QueueParts<F, D, T, P>>
    where
        P: Clone,
    {
        let queues: Vec<(D, T)> = queues.into_iter().collect();
        let number = u8::try_from(queues.len()).ok().and_then(NonZeroU8::new);
        let (Some(number), Some((_, timer))) = (number, queues.first()) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a stack over {} queues; use 1 to 255", queues.len()),
            ));
        };
        let mut plan = self.plan(number, timer.clock())?;
        let engines = std::mem::take(&mut plan.engines);
        let drivers = engines.into_iter().zip(queues).zip(0..);
        let drivers = drivers.map(|((engines, (device, timer)), queue)| {
            plan.driver(queue, engines, (device, timer, self.filter.clone()))
        });
        Ok(QueueParts {
            drivers: drivers.collect(),
            stack: plan.stack,
            tcp: plan.tcp,
            udp: plan.udp,
        })
    }

    /// Makes everything but the drivers.
    fn plan(&self, queues: NonZeroU8, clock: Clock) -> io::Result<Plan<F>> {
        let mtu = self.mtu;
        let (least, hint) = match self.ipv6 {
            true => (1280, ", or 576 to 65535 without IPv6"),
            false => (576, ""),
        };
        if !(least..=65_535).contains(&mtu) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("an MTU of {mtu} is out of range; use {least} to 65535{hint}"),
            ));
        }
        let mut tcp_interface = brooklet_tcp::Interface::new().mtu(mtu).offload(true);
        for &address in &self.addresses {
            let is_mapped =
                matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
            if !brooklet_packet::is_unicast(address) || address.is_loopback() || is_mapped {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("{address} is not an address that a host can have on a link"),
                ));
            }
            if address.is_ipv6() && !self.ipv6 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("{address} is the address of a stack without IPv6"),
                ));
            }
            match address {
                IpAddr::V4(address) => tcp_interface.ipv4 = Some(address),
                IpAddr::V6(address) => tcp_interface.ipv6 = Some(address),
            }
        }
        let udp_interface = brooklet_udp::Interface::new().mtu(mtu).ipv6(self.ipv6);
        // Two hashers of the standard library's: their keys come from the system.
        let secret = [
            RandomState::new().hash_one(0),
            RandomState::new().hash_one(1),
        ];
        let (tcp_engines, tcp, connector) = brooklet_tcp::Engine::with_queues(
            queues,
            tcp_interface,
            self.tcp.clone(),
            clock.clone(),
            secret,
        );
        let (udp_engines, udp) = brooklet_udp::Engine::with_queues(queues, udp_interface, self.udp);
        let stack = Stack {
            connector,
            udp: udp_engines[0].counters(),
            common: Common::new(queues, self.reassembly, self.ipv6, clock),
        };
        Ok(Plan {
            stack,
            tcp,
            udp,
            engines: tcp_engines.into_iter().zip(udp_engines).collect(),
            mtu,
            icmp_echo: self.icmp_echo,
            identification: RandomState::new().hash_one(2) as u32,
            queues: queues.get().into(),
        })
    }
}

/// A stack to which the drivers are missing.
struct Plan<F: Flavor> {
    stack: Stack<F>,
    tcp: TcpListener<F>,
    udp: UdpSocket<F>,
    /// Those of each queue.
    engines: Vec<(brooklet_tcp::Engine<F>, brooklet_udp::Engine<F>)>,
    mtu: usize,
    icmp_echo: bool,
    identification: u32,
    queues: u32,
}

impl<F: Flavor> Plan<F> {
    fn driver<D: PacketIo, T: Timer, P: Filter>(
        &self,
        queue: u8,
        engines: (brooklet_tcp::Engine<F>, brooklet_udp::Engine<F>),
        parts: (D, T, P),
    ) -> Driver<F, D, T, P> {
        let first = self.identification.wrapping_add(queue.into());
        let settings = Settings {
            mtu: self.mtu,
            icmp_echo: self.icmp_echo,
            identification: (first, self.queues),
        };
        Driver::new(engines, parts, (queue, self.stack.common.clone()), settings)
    }
}

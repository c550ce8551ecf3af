mod build;

use brooklet_cell::Flavor;
use brooklet_filter::{Direction, Filter, UnicastOnly, Verdict};
use brooklet_packet::{Packet, reassembly};
use brooklet_raw::EchoAction;
use std::marker::PhantomData;
use std::net::IpAddr;

/// Builds a stack over a device, or over several queues of a device.
///
/// ```
/// # #[cfg(all(feature = "sync", feature = "async-io"))] {
/// use brooklet::{Builder, Parts};
///
/// let (device, _other_end) = brooklet::pipe(64); // or a `brooklet_tun::Tun`
/// let Parts { stack, tcp, udp, driver, .. } = Builder::new().mtu(1420).build(device)?;
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
///
#[cfg_attr(
    feature = "async-io",
    doc = "The last call is [`build`](Self::build), or",
    doc = "[`build_with_timer`](Self::build_with_timer) with another timer than that of async-io."
)]
#[cfg_attr(
    not(feature = "async-io"),
    doc = "The last call is [`build_with_timer`](Self::build_with_timer)."
)]
/// Nothing is spawned: the result is a set of handles and a
/// [`Driver`](crate::generic::Driver), which is a future that the program runs. A setting that
/// cannot work is an error when the stack is built.
pub struct Builder<F: Flavor, P = UnicastOnly> {
    /// `None`: the MTU of the device.
    mtu: Option<usize>,
    ipv6: bool,
    icmp: brooklet_raw::Config,
    reassembly: Option<reassembly::Config>,
    filter: P,
    tcp: brooklet_tcp::Config,
    udp: brooklet_udp::Config,
    /// `None`: each part has its own limit.
    memory: Option<usize>,
    addresses: Vec<IpAddr>,
    /// `None`: the system's randomness.
    seed: Option<u64>,
    flavor: PhantomData<F>,
}

impl<F: Flavor> Builder<F> {
    /// Returns a builder with the defaults.
    pub fn new() -> Self {
        Self {
            mtu: None,
            ipv6: true,
            icmp: brooklet_raw::Config::default(),
            reassembly: Some(reassembly::Config::default()),
            filter: UnicastOnly,
            tcp: brooklet_tcp::Config::default(),
            udp: brooklet_udp::Config::default(),
            memory: None,
            addresses: Vec::new(),
            seed: None,
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
            .field("icmp", &self.icmp)
            .field("reassembly", &self.reassembly)
            .field("filter", &self.filter)
            .field("tcp", &self.tcp)
            .field("udp", &self.udp)
            .field("memory", &self.memory)
            .field("addresses", &self.addresses)
            .field("seed", &self.seed)
            .finish()
    }
}

impl<F: Flavor, P: Filter> Builder<F, P> {
    /// Sets the MTU of the stack, in bytes: the length of the longest IP packet that it sends.
    ///
    /// The default is the MTU of the device ([`PacketIo::mtu`](brooklet_io::PacketIo::mtu)), or
    /// 1,500 if the device has none. An MTU above that of the device is an error, because the device
    /// would not send such packets.
    ///
    /// The range is 1,280 (the minimum of IPv6, RFC 8200, section 5) to 65,535, and 576 to 65,535
    /// [without IPv6](Self::ipv6).
    pub fn mtu(mut self, mtu: usize) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// Sets whether the stack speaks IPv6. It does by default.
    ///
    /// A stack without IPv6 drops IPv6 packets and counts them
    /// ([`DropReason::Ipv6Disabled`](crate::DropReason::Ipv6Disabled)). `connect` and `bind` with an
    /// IPv6 address fail with [`Unsupported`](std::io::ErrorKind::Unsupported), and `send_to` fails
    /// with [`InvalidInput`](std::io::ErrorKind::InvalidInput). The [`mtu`](Self::mtu) of the stack
    /// may be less than 1,280: the MTU of a tunnel for IPv4 only.
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

    /// Sets whether the stack answers ICMP echo requests ("ping"), for every address. It does by
    /// default, until the program binds an [ICMP socket](crate::generic::Stack::bind_icmp) or sets a
    /// [policy](crate::generic::Stack::set_echo_policy).
    ///
    /// This is [`IcmpConfig::echo`](brooklet_raw::Config#structfield.echo):
    /// [`Answer`](brooklet_raw::EchoAction::Answer) or [`Ignore`](brooklet_raw::EchoAction::Ignore).
    pub fn icmp_echo(mut self, answer: bool) -> Self {
        self.icmp = self.icmp.echo(match answer {
            true => EchoAction::Answer,
            false => EchoAction::Ignore,
        });
        self
    }

    /// Sets the limits of ICMP and raw sockets, and what happens to echo requests.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// use brooklet::{Builder, EchoAction, IcmpConfig, Unreachable};
    ///
    /// let (device, _) = brooklet::pipe(64);
    /// let nobody_is_here = EchoAction::Reject(Unreachable::Host);
    /// let parts = Builder::new()
    ///     .icmp_config(IcmpConfig::new().echo(nobody_is_here))
    ///     .build(device)?;
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn icmp_config(mut self, config: brooklet_raw::Config) -> Self {
        self.icmp = config;
        self
    }

    /// Sets the limits of the reassembly of fragments. `None` switches reassembly off: the stack
    /// drops every fragment.
    pub fn reassembly(mut self, config: Option<reassembly::Config>) -> Self {
        self.reassembly = config;
        self
    }

    /// Sets the filter that decides on every packet, inbound and outbound. By default,
    /// [`UnicastOnly`] drops packets that are not unicast: a program that takes multicast, such as a
    /// [raw socket](crate::generic::Stack::bind_raw) for IGMP, sets
    /// [`PassAll`](brooklet_filter::PassAll) or a filter of its own.
    ///
    /// - The filter decides on whole packets: it sees a received packet once it is reassembled, and
    ///   a packet to send before it is fragmented, with its ports. Received fragments of a packet
    ///   that the filter would drop are held within the limits of
    ///   [`reassembly`](Self::reassembly).
    /// - The sender of a [rejected](brooklet_filter::Verdict::Reject) packet gets an answer. A
    ///   received packet is answered through the device: by a RST, or by an ICMP error within the
    ///   limit of 100 per second. A packet of the stack is answered within the stack: the TCP
    ///   connection or the UDP socket that sent it gets the RST or the ICMP error, and its call
    ///   fails with `ConnectionRefused` or the like. The filter does not see that answer.
    /// - The filter sees each packet once.
    /// - A super-packet of up to 64 KiB, which the device has coalesced or will segment, is one
    ///   packet to the filter: count bytes, not packets.
    /// - [Martian](crate::generic::Driver#addresses) packets are dropped before the filter sees
    ///   them.
    ///
    /// For a closure, [`filter_fn`](Self::filter_fn) needs no types.
    pub fn filter<Q: Filter>(self, filter: Q) -> Builder<F, Q> {
        let Self {
            mtu,
            ipv6,
            icmp,
            reassembly,
            tcp,
            udp,
            memory,
            addresses,
            seed,
            flavor,
            ..
        } = self;
        Builder {
            mtu,
            ipv6,
            icmp,
            reassembly,
            filter,
            tcp,
            udp,
            memory,
            addresses,
            seed,
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
    /// [`Stack::connect`](crate::generic::Stack::connect) opens connections, and from which a UDP
    /// socket that is [bound](crate::generic::Stack::bind_udp) to no address sends: at most one IPv4
    /// and one IPv6 address. The stack accepts connections and datagrams to every address all the
    /// same.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// let (device, _) = brooklet::pipe(64);
    /// let parts = brooklet::Builder::new()
    ///     .address([10, 0, 0, 2])
    ///     .address([0xfd00, 0, 0, 0, 0, 0, 0, 2])
    ///     .build(device)?;
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn address(mut self, address: impl Into<IpAddr>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Sets limits, timeouts and default options of TCP. A value that cannot work makes
    /// [`build_with_timer`](Self::build_with_timer) fail with the name of the field
    /// ([`TcpConfig::check`](brooklet_tcp::Config::check)).
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

    /// Sets the limits of UDP.
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

    /// Bounds the memory of the whole stack, in bytes: everything that
    /// [`Stats::memory`](crate::Stats#structfield.memory) lists. By default each part has a limit of its
    /// own: TCP 1 GiB, UDP 256 MiB, ICMP and raw sockets 64 MiB, and the reassembly of fragments 1 MiB.
    ///
    /// The budget is divided when the stack is built, so that a flood of one kind takes no memory of
    /// another:
    ///
    /// | part | share | what happens at the limit |
    /// |---|---|---|
    /// | drivers | 640 KiB for each queue of the device | fixed |
    /// | reassembly of fragments | 1/32, at least 80,000 bytes | the oldest packet is dropped, counted |
    /// | ICMP and raw sockets | 1/32 | the newest message is dropped, counted; `send` waits |
    /// | UDP | 1/4 | a new session ends the one that was idle longest; the newest datagram is dropped, counted; `send_to` waits |
    /// | TCP | the rest | buffers shrink to 4 KiB; then a SYN is dropped, counted, and `connect` fails; the writer waits |
    ///
    /// Within TCP and UDP the shares are those of
    /// [`TcpConfig::memory`](brooklet_tcp::Config#structfield.memory) and
    /// [`UdpConfig::memory`](brooklet_udp::Config#structfield.memory). Limits in numbers, as of
    /// connections, sessions and packets in a queue, are lowered to what the share has room for. A part
    /// whose configuration asks for less than its share leaves the rest to TCP. A program without UDP
    /// sets [`UdpConfig::memory`](brooklet_udp::Config#structfield.memory) to little.
    ///
    /// The process needs more than this: the program itself, the overhead of its allocator (which
    /// also keeps freed memory for a while), the device, and
    /// captures. `docs/memory.md` of the repository has budgets for
    /// processes of 15 and 50 MiB.
    ///
    /// A budget that is too small to work is an error when the stack is built: less than 2 MiB and
    /// 1 MiB for each queue of the device.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// use brooklet::{Builder, Parts};
    ///
    /// let (device, _) = brooklet::pipe(64);
    /// let Parts { stack, .. } = Builder::new().memory(8 << 20).build(device)?;
    ///
    /// let (device, _) = brooklet::pipe(64);
    /// let error = Builder::new().memory(1 << 20).build(device).unwrap_err();
    /// assert!(error.to_string().contains("use 3145728 or more"));
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Derives everything random in the stack from `seed`: initial sequence numbers, ephemeral
    /// ports and IP identifications. By default they come from the system's randomness.
    ///
    /// For tests only. Two runs with the same seed, in virtual time, send the same packets. In
    /// production a seed lets an attacker who knows it guess the sequence numbers and ports of
    /// other connections (RFC 6528, RFC 6056).
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// let (device, _) = brooklet::pipe(64);
    /// let parts = brooklet::Builder::new().seed(42).build(device)?;
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

//! Checks the settings of a stack and puts its parts together.

use super::Builder;
use crate::common::Common;
use crate::driver::Driver;
use crate::engines::Engines;
use crate::memory::Configs;
use crate::mtu::{MtuLimits, StackMtu};
use crate::parts::{Parts, QueueParts};
use crate::random::Random;
use crate::stack::Stack;
use crate::time::StackTime;
#[cfg(feature = "async-io")]
use crate::timer::AsyncIoTimer;
use crate::timer::Timer;
use brooklet_cell::Flavor;
use brooklet_filter::Filter;
use brooklet_io::PacketIo;
use brooklet_packet::is_martian;
use brooklet_tcp::{Clock, TcpListener};
use brooklet_udp::TransparentUdpSocket;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU8;

impl<F: Flavor, P: Filter> Builder<F, P> {
    /// Builds the stack, with the timer of async-io.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): the [`mtu`](Self::mtu) is out of range or
    /// exceeds that of the device, or an [`address`](Self::address) is not unicast, is loopback or
    /// a mapped IPv4 address, is IPv6 [without IPv6](Self::ipv6), or is the second one of its
    /// family.
    #[cfg(feature = "async-io")]
    pub fn build<D: PacketIo>(self, device: D) -> io::Result<Parts<F, D, AsyncIoTimer, P>> {
        self.build_with_timer(device, AsyncIoTimer::new())
    }

    /// Builds the stack, with another [`Timer`].
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): the [`mtu`](Self::mtu) is out of range or
    /// exceeds that of the device, or an [`address`](Self::address) is not unicast, is loopback or
    /// a mapped IPv4 address, is IPv6 [without IPv6](Self::ipv6), or is the second one of its
    /// family.
    pub fn build_with_timer<D: PacketIo, T: Timer>(
        self,
        device: D,
        timer: T,
    ) -> io::Result<Parts<F, D, T, P>> {
        let mut plan = self.plan(NonZeroU8::MIN, vec![device.mtu()], timer.clock())?;
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

    /// Builds the stack over several queues of one device, with a driver for each queue. The
    /// drivers may run on as many threads. The program uses the handles as with one queue.
    ///
    /// A connection sends through the queue on which its SYN arrived. The stack chooses the queue
    /// of a connection that `Stack::connect` opens, and that of the datagrams between two addresses,
    /// which stay in order. A packet may arrive on every queue: Linux gives the packets of a flow to the
    /// queue through which the flow was last sent. Limits are those of the whole stack, except for
    /// the outbound queues. The end of one driver is the end of the stack.
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
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): there is no queue or there are more than 255,
    /// and the cases of [`build_with_timer`](Self::build_with_timer).
    #[cfg(feature = "async-io")]
    pub fn build_queues<D: PacketIo>(
        self,
        queues: impl IntoIterator<Item = D>,
    ) -> io::Result<QueueParts<F, D, AsyncIoTimer, P>>
    where
        P: Clone,
    {
        let timer = |device| (device, AsyncIoTimer::new());
        self.build_queues_with_timers(queues.into_iter().map(timer))
    }

    /// Builds the stack over several queues of one device, each with another [`Timer`]. The clocks
    /// of the timers are the same. `build_queues` does so with the timers of async-io.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): there is no queue or there are more than 255,
    /// and the cases of [`build_with_timer`](Self::build_with_timer).
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
            let queues = queues.len();
            return Err(invalid(format!(
                "a stack over {queues} queues; use 1 to 255"
            )));
        };
        let mtus = queues.iter().map(|(device, _)| device.mtu()).collect();
        let mut plan = self.plan(number, mtus, timer.clock())?;
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

    /// Makes everything but the drivers. `device_mtus` is what the device of each queue says.
    fn plan(
        &self,
        queues: NonZeroU8,
        device_mtus: Vec<Option<usize>>,
        clock: Clock,
    ) -> io::Result<Plan<F>> {
        self.tcp.check()?;
        let configs = self.configs(queues)?;
        let time = StackTime::new(clock);
        let clock = time.clock();
        let stack_mtu = self.stack_mtu(device_mtus)?;
        let mtu = stack_mtu.get();
        let mut tcp_interface = brooklet_tcp::Interface::new().mtu(mtu).offload(true);
        for &address in &self.addresses {
            self.check_address(address)?;
            let first = match address {
                IpAddr::V4(address) => tcp_interface.ipv4.replace(address).map(IpAddr::V4),
                IpAddr::V6(address) => tcp_interface.ipv6.replace(address).map(IpAddr::V6),
            };
            if let Some(first) = first {
                return Err(invalid(format!(
                    "the stack has one address of each family, not both {first} and {address}; \
                     connect_from takes any address"
                )));
            }
        }
        let own_ipv6 = tcp_interface.ipv6;
        let udp_interface = brooklet_udp::Interface::new()
            .mtu(mtu)
            .ipv4(tcp_interface.ipv4)
            .ipv6(tcp_interface.ipv6)
            .ipv6_enabled(self.ipv6)
            .offload(true);
        let mut random = Random::new(self.seed);
        let (tcp_engines, tcp, connector) = brooklet_tcp::Engine::with_queues(
            queues,
            tcp_interface,
            configs.tcp,
            clock.clone(),
            [random.next(), random.next()],
        );
        let (udp_engines, udp) = brooklet_udp::Engine::with_queues(
            queues,
            udp_interface,
            configs.udp,
            clock.clone(),
            [random.next(), random.next()],
        );
        let raw_interface = brooklet_raw::Interface::new().mtu(mtu).ipv6(self.ipv6);
        let raw_engines =
            brooklet_raw::Engine::with_queues(queues, raw_interface, configs.raw, clock.clone());
        let stack = Stack {
            connector,
            udp: udp_engines[0].binder(),
            udp_counters: udp_engines[0].counters(),
            raw: raw_engines[0].binder(),
            common: Common::new(
                queues,
                configs.reassembly,
                (self.ipv6, own_ipv6, stack_mtu),
                time,
            ),
        };
        let engines = tcp_engines.into_iter().zip(udp_engines).zip(raw_engines);
        Ok(Plan {
            stack,
            tcp,
            udp,
            engines: engines
                .map(|((tcp, udp), raw)| Engines { tcp, udp, raw })
                .collect(),
            identification: random.next() as u32,
            queues: queues.get().into(),
        })
    }

    /// The configurations of the parts, within the memory budget if there is one.
    fn configs(&self, queues: NonZeroU8) -> io::Result<Configs> {
        let configs = Configs {
            tcp: self.tcp.clone(),
            udp: self.udp,
            raw: self.icmp,
            reassembly: self.reassembly,
        };
        match self.memory {
            Some(memory) => configs.within(memory, queues),
            None => Ok(configs),
        }
    }

    /// The MTU of the stack: the one that was set, or the device's, or the default.
    fn stack_mtu(&self, devices: Vec<Option<usize>>) -> io::Result<StackMtu<F>> {
        let device = devices.iter().copied().flatten().min();
        if let (Some(mtu), Some(device)) = (self.mtu, device)
            && mtu > device
        {
            return Err(invalid(format!(
                "an MTU of {mtu} exceeds that of the device, which sends packets of up to {device} \
                 bytes; set an MTU of {device} or less, or none to use the device's"
            )));
        }
        let limits = MtuLimits {
            configured: self.mtu,
            ipv6: self.ipv6,
        };
        StackMtu::new(limits, devices)
    }

    fn check_address(&self, address: IpAddr) -> io::Result<()> {
        // The driver would drop the answers to such an address.
        if is_martian(address, address) {
            return Err(invalid(format!(
                "a stack cannot have the address {address}: use a unicast address that is neither \
                 loopback nor IPv4-mapped"
            )));
        }
        if address.is_ipv6() && !self.ipv6 {
            return Err(invalid(format!(
                "{address} is the address of a stack without IPv6"
            )));
        }
        Ok(())
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// A stack without its drivers.
struct Plan<F: Flavor> {
    stack: Stack<F>,
    tcp: TcpListener<F>,
    udp: TransparentUdpSocket<F>,
    /// The engines of each queue.
    engines: Vec<Engines<F>>,
    identification: u32,
    queues: u32,
}

impl<F: Flavor> Plan<F> {
    fn driver<D: PacketIo, T: Timer, P: Filter>(
        &self,
        queue: u8,
        engines: Engines<F>,
        parts: (D, T, P),
    ) -> Driver<F, D, T, P> {
        let first = self.identification.wrapping_add(queue.into());
        let identification = (first, self.queues);
        Driver::new(
            engines,
            parts,
            (queue, self.stack.common.clone()),
            identification,
        )
    }
}

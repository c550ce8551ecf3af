//! The places that the traffic crosses: stacks with their drivers.

use crate::gate::Gate;
use crate::host::Kernel;
use crate::service::{serve_kernel, serve_requests, serve_sessions, session_config};
use crate::tally::Tally;
use crate::traffic::{self, Path};
use brooklet::{
    AsyncIoTimer, Builder, Driver, PacketIo, Parts, Stack, Stats, TcpConfig, TcpListener,
    TransparentUdpSocket,
};
use brooklet_sim::{Link, LinkConfig};
use brooklet_tun::TunBuilder;
use futures_lite::future;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

/// Shorter than the default, so that no flow of the traffic outlasts the beginning of a rest.
const TIME_WAIT: Duration = Duration::from_secs(1);

/// For the same reason: how long fragments wait for the others of their packet.
const LIFETIME: Duration = Duration::from_secs(1);

/// The memory of each stack, in bytes. A 64th of it may be pooled: with the default the pools would hide
/// a leak for many minutes.
pub(crate) const MEMORY: usize = 64 << 20;

/// Packets on the pipe, in each direction.
const PIPE: usize = 256;

const CLIENT: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1)),
];
/// The addresses of the stack on the TUN device, when it is the client of the kernel.
const STACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2)),
    IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2)),
];
const SERVERS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// A running stack.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) name: &'static str,
    pub(crate) stack: Stack,
    /// How many times the driver was polled.
    polls: Arc<AtomicU64>,
    /// The end of the driver, and its device.
    end: Option<smol::Task<Ended>>,
}

impl Running {
    fn start<D: PacketIo + Send + 'static>(
        name: &'static str,
        device: D,
        addresses: [IpAddr; 2],
    ) -> io::Result<(Self, TcpListener, TransparentUdpSocket)> {
        let Parts {
            stack,
            tcp,
            udp,
            driver,
            ..
        } = Builder::new()
            .address(addresses[0])
            .address(addresses[1])
            .memory(MEMORY)
            .tcp_config(TcpConfig::new().time_wait(TIME_WAIT))
            .reassembly(Some(brooklet::ReassemblyConfig::new().lifetime(LIFETIME)))
            .build(device)?;
        let polls = Arc::<AtomicU64>::default();
        let counted = Counted {
            driver: Some(driver),
            polls: polls.clone(),
        };
        let end = Some(smol::spawn(counted));
        let running = Self {
            name,
            stack,
            polls,
            end,
        };
        Ok((running, tcp, udp))
    }

    /// Returns how many times the driver was polled.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Relaxed)
    }

    /// Returns the flows of the stack: connections in every state, requests and sessions.
    pub(crate) fn flows(&self) -> u64 {
        let Stats { tcp, udp, .. } = self.stack.stats();
        tcp.connections + tcp.time_wait + tcp.requests + udp.sessions
    }
}

/// How a driver has ended, and the driver with its device.
type Ended = (io::Result<()>, Box<dyn Send>);

/// A driver that counts how many times it is polled, and gives its device back in the end.
struct Counted<D> {
    driver: Option<Driver<D>>,
    polls: Arc<AtomicU64>,
}

impl<D: PacketIo + Send + 'static> Future for Counted<D> {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls.fetch_add(1, Relaxed);
        let driver = self.driver.as_mut().expect("polled after the end");
        let end = std::task::ready!(Pin::new(driver).poll(cx));
        let driver = self.driver.take();
        Poll::Ready((end, Box::new(driver)))
    }
}

/// All places.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) stacks: Vec<Running>,
    /// The kernel's services.
    kernel: Vec<smol::Task<()>>,
}

impl Places {
    /// Starts the stacks, the services and the traffic.
    pub(crate) fn start(tun: bool, seed: u64, gate: &Gate, tally: &Tally) -> io::Result<Self> {
        let mut places = Self {
            stacks: Vec::new(),
            kernel: Vec::new(),
        };
        let (here, there) = brooklet::pipe(PIPE);
        places.pair(
            "pipe",
            ["pipe, client", "pipe, server"],
            (here, there),
            1,
            seed,
            gate,
            tally,
        )?;
        let config = LinkConfig::new()
            .delay(Duration::from_millis(5))
            .jitter(Duration::from_millis(2))
            .loss(0.01)
            .duplicate(0.01)
            .reorder(0.01)
            .corrupt(0.002)
            .rate(Some(100_000_000));
        let timers = [AsyncIoTimer::new(), AsyncIoTimer::new()];
        let (_, here, there) = Link::with_timers(timers, seed, config);
        places.pair(
            "lossy",
            ["lossy, client", "lossy, server"],
            (here, there),
            20,
            seed + 1,
            gate,
            tally,
        )?;
        if tun {
            places.tun(seed + 2, gate, tally)?;
        }
        Ok(places)
    }

    /// Two stacks, of which one is the client of the other.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of them differ from place to place"
    )]
    fn pair<D: PacketIo + Send + 'static>(
        &mut self,
        place: &'static str,
        names: [&'static str; 2],
        (here, there): (D, D),
        divisor: u64,
        seed: u64,
        gate: &Gate,
        tally: &Tally,
    ) -> io::Result<()> {
        let (client, client_tcp, client_udp) = Running::start(names[0], here, CLIENT)?;
        let (server, tcp, udp) = Running::start(names[1], there, SERVERS)?;
        // The client serves nobody: what nobody binds is refused.
        drop((client_tcp, client_udp));
        smol::spawn(serve_requests(place, tcp, tally.clone())).detach();
        let sessions = udp.into_sessions(session_config());
        smol::spawn(serve_sessions(place, sessions, tally.clone())).detach();
        let path = Path {
            place,
            servers: SERVERS,
            server_addresses: 250,
            client: CLIENT,
            sources: [10, 78],
            requests: true,
            flows: 2,
            divisor,
        };
        traffic::start(&client.stack, &path, gate, tally, seed);
        self.stacks.extend([client, server]);
        Ok(())
    }

    /// A stack on a TUN device: the server of the kernel, and its client.
    fn tun(&mut self, seed: u64, gate: &Gate, tally: &Tally) -> io::Result<()> {
        // The kernel sends nothing that it is not asked for, and the tests ping without a raw socket.
        for (name, value) in [
            ("ipv6/conf/default/router_solicitations", "0"),
            ("ipv6/conf/default/addr_gen_mode", "1"),
            ("ipv4/ping_group_range", "0 2147483647"),
        ] {
            fs::write(format!("/proc/sys/net/{name}"), value)?;
        }
        let tun = TunBuilder::new("soak0")
            .mtu(1500)
            .ipv4([10, 77, 0, 1].into(), 24)
            .ipv6("fd77::1".parse().expect("an address"), 64)
            .route([192, 0, 2, 0], 24)
            .route("2001:db8::".parse::<IpAddr>().expect("an address"), 64)
            .route([10, 79, 0, 0], 16)
            .open()?;
        // Each of these is an address of the kernel.
        brooklet_testbed::ip("route add local 10.78.0.0/16 dev lo");
        let (stack, tcp, udp) = Running::start("TUN", tun, STACK)?;
        smol::spawn(serve_requests("TUN", tcp, tally.clone())).detach();
        let sessions = udp.into_sessions(session_config());
        smol::spawn(serve_sessions("TUN", sessions, tally.clone())).detach();
        let inwards = Path {
            place: "TUN, the kernel connects",
            servers: SERVERS,
            server_addresses: 250,
            client: CLIENT,
            sources: [10, 78],
            requests: true,
            flows: 1,
            divisor: 1,
        };
        traffic::start(&Kernel, &inwards, gate, tally, seed);
        for address in CLIENT {
            wait_for_address(address)?;
            self.kernel.extend(serve_kernel("TUN", address, tally)?);
        }
        let outwards = Path {
            place: "TUN, the stack connects",
            servers: CLIENT,
            server_addresses: 1,
            client: STACK,
            sources: [10, 79],
            requests: false,
            flows: 1,
            divisor: 1,
        };
        traffic::start(&stack.stack, &outwards, gate, tally, seed + 1);
        self.stacks.push(stack);
        Ok(())
    }

    /// Shuts all stacks down.
    pub(crate) async fn end(mut self, tally: &Tally) {
        let mut devices = Vec::new();
        for running in &mut self.stacks {
            running.stack.shutdown(Duration::from_secs(10)).await;
            let Some(end) = running.end.take() else {
                continue;
            };
            let late = async {
                smol::Timer::after(Duration::from_secs(5)).await;
                None
            };
            match future::or(async { Some(end.await) }, late).await {
                Some((Ok(()), device)) => devices.push(device),
                Some((Err(error), device)) => {
                    tally.error(format!("the driver of {}: {error}", running.name));
                    devices.push(device);
                }
                None => tally.error(format!("the driver of {} goes on", running.name)),
            }
        }
        for task in self.kernel {
            task.cancel().await;
        }
    }
}

/// Waits until the kernel lets programs bind to one of its addresses, which takes a moment with IPv6.
fn wait_for_address(address: IpAddr) -> io::Result<()> {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        match UdpSocket::bind((address, 0)) {
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable && Instant::now() < end => {
                thread::sleep(Duration::from_millis(10));
            }
            bound => return bound.map(drop),
        }
    }
}

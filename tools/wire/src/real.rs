//! Real TUN devices, each in a network namespace of the calling thread's own: the kernel behind
//! one, or brooklet.
//!
//! The kernel is tested by whoever has opened its TUN: what is written there is received by it.
//! brooklet has opened the TUN itself, so it is tested from the kernel's side by a packet socket,
//! which puts bytes on the interface as they are and sees all that comes from there. The kernel
//! sees the answers too, but has neither the addresses nor leave to forward, and says nothing.

use crate::app::{self, Env, Log, Received, Setup, TCP_PORTS, UDP_PORTS, Udp};
use crate::backend::{Backend, CLIENT, CLIENT6, SERVER, SERVER6, concerns};
use crate::brooklet_app;
use async_executor::LocalExecutor;
use async_io::{Async, Timer, block_on};
use brooklet::{AsyncIoTimer, PacketBuf, PacketIo};
use brooklet_tun::{Tun, TunBuilder};
use futures_lite::future;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvfrom, sendto,
    setsockopt, socket, sockopt,
};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

const DEVICE: &str = "tun0";

pub(crate) struct Real {
    executor: Rc<LocalExecutor<'static>>,
    device: Device,
    log: Rc<RefCell<Log>>,
    start: Instant,
}

enum Device {
    Tun(Tun),
    Socket(Async<OwnedFd>, LinkAddr),
}

/// What this machine lacks.
pub(crate) fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root, for a network namespace".into());
    }
    let tun = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun");
    tun.err()
        .map(|error| format!("needs /dev/net/tun: {error}"))
}

impl Real {
    /// The kernel.
    pub(crate) fn kernel(setup: Setup) -> io::Result<Self> {
        enter()?;
        let tun = TunBuilder::new(DEVICE)
            .mtu(crate::backend::MTU as u16)
            .offload(false) // each packet is looked at
            .ipv4(SERVER, 24)
            .ipv6(SERVER6, 64)
            .open()?;
        if let Some(orphan) = setup.orphan {
            let seconds = orphan.as_secs().to_string();
            std::fs::write("/proc/sys/net/ipv4/tcp_fin_timeout", seconds)?;
        }
        if let Some(lifetime) = setup.reassembly {
            let seconds = lifetime.as_secs().to_string();
            std::fs::write("/proc/sys/net/ipv4/ipfrag_time", &seconds)?;
            std::fs::write("/proc/sys/net/ipv6/ip6frag_time", &seconds)?;
        }
        wait_for_address()?;
        let (env, start) = environment();
        let executor = Rc::new(LocalExecutor::new());
        let spawn = brooklet_app::spawner(&executor);
        for port in TCP_PORTS {
            let hosts: &[IpAddr] = &[IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(SERVER6)];
            for host in hosts {
                let listener = Async::<TcpListener>::bind((*host, port))?;
                // As much as brooklet has by default, so that what is written at once is as much.
                setsockopt(&listener, sockopt::SndBuf, &(128 * 1024))?;
                spawn(Box::pin(listen(
                    env.clone(),
                    spawn.clone(),
                    setup,
                    listener,
                )));
            }
        }
        if setup.udp == Udp::Connected {
            for host in [IpAddr::V4(CLIENT), IpAddr::V6(CLIENT6)] {
                let (local, peer) = app::connected_ends(host);
                let socket = Async::<UdpSocket>::bind(local)?;
                socket.get_ref().connect(peer)?;
                spawn(Box::pin(connected(env.clone(), socket, local)));
            }
        } else if setup.udp != Udp::Nobody {
            for port in UDP_PORTS {
                for host in [IpAddr::V4(SERVER), IpAddr::V6(SERVER6)] {
                    let socket = Async::<UdpSocket>::bind((host, port))?;
                    spawn(Box::pin(datagrams(env.clone(), socket)));
                }
            }
        }
        if setup.connect {
            spawn(Box::pin(connect(env.clone())));
        }
        Ok(Self {
            executor,
            device: Device::Tun(tun),
            log: env.log,
            start,
        })
    }

    /// brooklet.
    pub(crate) fn brooklet(setup: Setup) -> io::Result<Self> {
        enter()?;
        // An address only for the packet that tells the packet socket which interface it is.
        let tun = TunBuilder::new(DEVICE)
            .mtu(crate::backend::MTU as u16)
            .offload(false) // each packet is looked at
            .ipv4(Ipv4Addr::new(192, 0, 2, 1), 30)
            .open()?;
        let (family, kind) = (AddressFamily::Packet, SockType::Raw);
        let raw = socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
        setsockopt(&raw, sockopt::RcvBuf, &(4 << 20))?;
        let link = find_link(&raw)?;
        let (env, start) = environment();
        let executor = Rc::new(LocalExecutor::new());
        let spawn = brooklet_app::spawner(&executor);
        brooklet_app::start(&env, &spawn, setup, tun, AsyncIoTimer::new())?;
        Ok(Self {
            executor,
            device: Device::Socket(Async::new(raw)?, link),
            log: env.log,
            start,
        })
    }
}

impl Backend for Real {
    fn tx(&mut self, packet: &[u8]) -> io::Result<()> {
        match &mut self.device {
            Device::Tun(tun) => {
                let packet = PacketBuf::from(packet.to_vec());
                block_on(poll_fn(|cx| tun.poll_send(cx, &packet)))
            }
            Device::Socket(socket, link) => {
                sendto(socket.as_raw_fd(), packet, link, MsgFlags::empty())
                    .map(drop)
                    .map_err(io::Error::from)
            }
        }
    }

    fn rx(&mut self, within: Duration) -> io::Result<Option<Vec<u8>>> {
        let device = &mut self.device;
        let received = async move {
            loop {
                let packet = device.recv().await?;
                if concerns(&packet) {
                    return Ok(Some(packet));
                }
            }
        };
        let late = async {
            Timer::after(within).await;
            Ok(None)
        };
        block_on(self.executor.run(future::or(received, late)))
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn log(&self) -> &Rc<RefCell<Log>> {
        &self.log
    }
}

impl Device {
    async fn recv(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Tun(tun) => {
                let mut packet = PacketBuf::with_capacity(65_535);
                poll_fn(|cx| tun.poll_recv(cx, &mut packet)).await?;
                Ok(packet.to_vec())
            }
            Self::Socket(socket, link) => loop {
                let mut packet = vec![0; 65_535];
                let (len, from) = socket
                    .read_with(|socket| Ok(recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut packet)?))
                    .await?;
                // Loopback has its packets seen as well.
                if from.is_some_and(|from| from.ifindex() == link.ifindex()) {
                    packet.truncate(len);
                    return Ok(packet);
                }
            },
        }
    }
}

/// A network namespace for the calling thread, with nothing in it but loopback.
fn enter() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| {
        let help = match error {
            Errno::EPERM => "run as root; a container takes --cap-add=SYS_ADMIN",
            Errno::ENOSPC => "raise user.max_net_namespaces",
            _ => "the kernel has none",
        };
        io::Error::new(
            io::Error::from(error).kind(),
            format!("no network namespace: {help}"),
        )
    })?;
    // What the machine is set to must not matter.
    for (name, value) in [
        ("ipv4/ip_forward", "0"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv6/conf/all/forwarding", "0"),
        // An address is of use at once.
        ("ipv6/conf/all/accept_dad", "0"),
        ("ipv6/conf/default/accept_dad", "0"),
        // As many ICMP errors as a case asks for.
        ("ipv4/icmp_ratelimit", "0"),
        ("ipv6/icmp/ratelimit", "0"),
        // Black-hole detection (RFC 4821) is off by default.
        ("ipv4/tcp_mtu_probing", "1"),
    ] {
        std::fs::write(format!("/proc/sys/net/{name}"), value)?;
    }
    Ok(())
}

/// The interface's packet-socket address, told by a packet that it carries: that takes no unsafe
/// code.
fn find_link(raw: &OwnedFd) -> io::Result<LinkAddr> {
    const KNOCK: &[u8] = b"which interface is it?";
    let knock = UdpSocket::bind("192.0.2.1:0")?;
    // brooklet will find it in its queue, and nobody at that port.
    knock.send_to(KNOCK, "192.0.2.2:1")?;
    loop {
        let mut packet = [0; 2000];
        let (len, from) = recvfrom::<LinkAddr>(raw.as_raw_fd(), &mut packet)?;
        if packet[..len].ends_with(KNOCK) {
            return from.ok_or_else(|| io::Error::other("a packet of no interface"));
        }
    }
}

/// The kernel gives leave to use an IPv6 address a moment after it was set.
fn wait_for_address() -> io::Result<()> {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        match UdpSocket::bind((SERVER6, 0)) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn environment() -> (Env, Instant) {
    let start = Instant::now();
    let env = Env {
        log: Rc::default(),
        now: Rc::new(move || start.elapsed()),
        sleep: Rc::new(|time| {
            Box::pin(async move {
                Timer::after(time).await;
            })
        }),
    };
    (env, start)
}

async fn listen(env: Env, spawn: brooklet_app::Spawn, setup: Setup, listener: Async<TcpListener>) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => return env.fault(format!("the listener ended: {error}")),
        };
        if let Err(error) = configure(&stream, setup) {
            return env.fault(format!("a socket option: {error}"));
        }
        // A connection may be gone before it is accepted, and then has no address any more.
        if let Ok(local) = stream.get_ref().local_addr() {
            let stream = async_net::TcpStream::from(stream);
            spawn(Box::pin(app::serve(env.clone(), stream, peer, local)));
        }
    }
}

async fn connect(env: Env) {
    let peer = SocketAddr::from((CLIENT, app::OUTWARD));
    let stream = Async::<std::net::TcpStream>::connect(peer).await;
    let stream = stream.and_then(|stream| {
        let local = stream.get_ref().local_addr()?;
        Ok((async_net::TcpStream::from(stream), local))
    });
    app::connect(env, stream, peer).await;
}

fn configure(stream: &Async<std::net::TcpStream>, setup: Setup) -> io::Result<()> {
    setsockopt(stream, sockopt::TcpNoDelay, &true)?;
    setsockopt(stream, sockopt::OobInline, &true)?;
    if let Some(idle) = setup.keepalive {
        let seconds = idle.as_secs() as u32;
        setsockopt(stream, sockopt::KeepAlive, &true)?;
        setsockopt(stream, sockopt::TcpKeepIdle, &seconds)?;
        setsockopt(stream, sockopt::TcpKeepInterval, &seconds)?;
    }
    if let Some(timeout) = setup.user_timeout {
        setsockopt(
            stream,
            sockopt::TcpUserTimeout,
            &(timeout.as_millis() as u32),
        )?;
    }
    Ok(())
}

async fn datagrams(env: Env, socket: Async<UdpSocket>) {
    let mut buf = vec![0; 65_535];
    let to = match socket.get_ref().local_addr() {
        Ok(to) => to,
        Err(error) => return env.fault(format!("the UDP socket has no address: {error}")),
    };
    loop {
        // An ICMP error about an answer is told here once, and is nobody's fault.
        let Ok((len, from)) = socket.recv_from(&mut buf).await else {
            continue;
        };
        let answer = match app::answer(to.port(), &buf[..len]) {
            Some(answer) => {
                let sent = socket.send_to(&answer, from).await;
                Some(sent.map(drop).map_err(|error| error.kind()))
            }
            None => None,
        };
        env.log.borrow_mut().datagrams.push(Received {
            from: SocketAddr::new(from.ip(), from.port()),
            to,
            data: buf[..len].to_vec(),
            answer,
        });
        if to.port() == app::ECHO_ONCE {
            return;
        }
    }
}

/// A socket that is connected.
async fn connected(env: Env, socket: Async<UdpSocket>, local: SocketAddr) {
    loop {
        if let Err(error) = socket.send(app::GREETING).await {
            return env.fault(format!("a UDP socket does not send: {error}"));
        }
        let mut buf = vec![0; 2000];
        let received = socket.recv(&mut buf).await;
        app::received(&env, local, received.map(|len| buf[..len].to_vec()));
    }
}

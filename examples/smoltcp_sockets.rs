//! smoltcp's own sockets, with brooklet beneath them.
//!
//! ```sh
//! cargo run --release --example smoltcp_sockets
//! sudo cargo run --release --example smoltcp_sockets -- --tun tun9
//! ```
//!
//! smoltcp's ICMP socket pings a peer, its UDP socket sends datagrams to the peer's echo service,
//! and its TCP socket sends a stream there and compares the bytes that come back. Without
//! arguments the peer is a brooklet stack in the same program, at the other end of a pipe. With
//! `--tun` the peer is the kernel, behind a TUN device. smoltcp's `Interface` is the same in both:
//! [`PacketDevice`] is its device over anything that implements `PacketIo`.

use brooklet::PacketIo;
use brooklet::local::{Builder, Parts, TcpListener};
use brooklet_device::PacketDevice;
use brooklet_tun::Tun;
use futures_lite::{AsyncWriteExt, FutureExt, StreamExt};
use smol::LocalExecutor;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::{AnySocket, icmp, tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, Icmpv4Packet, Icmpv4Repr, IpAddress, IpCidr};
use std::io;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::task::Poll;
use std::time::Duration;

const USAGE: &str = "\
Usage: smoltcp_sockets [--tun NAME [--offload]] [--kib N]

  --tun NAME  TUN device to create, with the kernel as the peer (default: a pipe
              with a brooklet stack as the peer)
  --offload   let the kernel deliver packets of up to 64 KiB and leave out their
              checksums
  --kib N     kibibytes that the TCP socket sends and receives (default 1024)
";

/// The longest packet, in bytes.
const MTU: usize = 1500;
/// The address of smoltcp's interface, and of the peer: the brooklet stack or the kernel.
const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// The echo service (RFC 862).
const ECHO: u16 = 7;
/// Echo requests and datagrams to send.
const MESSAGES: u16 = 5;
/// A limit for each of the three sockets.
const LIMIT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("smoltcp_sockets: {why}; `smoltcp_sockets --help` lists the flags");
            return ExitCode::from(2);
        }
    };
    let executor = LocalExecutor::new();
    match smol::block_on(executor.run(run(&executor, &options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("smoltcp_sockets: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(executor: &LocalExecutor<'_>, options: &Options) -> io::Result<()> {
    match &options.tun {
        None => {
            let (here, there) = brooklet::local::pipe(64);
            let parts = Builder::new().mtu(MTU).build(there)?;
            let Parts {
                tcp, udp, driver, ..
            } = parts;
            executor.spawn(driver).detach();
            executor.spawn(echo_streams(tcp)).detach();
            executor.spawn(echo_datagrams(udp)).detach();
            talk(here, options.kib).await
        }
        Some(name) => {
            let tun = open(name, options.offload)?;
            // The kernel answers echo requests itself; its echo services are these two.
            let listener = async_net::TcpListener::bind((PEER, ECHO)).await?;
            let socket = async_net::UdpSocket::bind((PEER, ECHO)).await?;
            executor.spawn(kernel_echo_streams(listener)).detach();
            executor.spawn(kernel_echo_datagrams(socket)).detach();
            talk(tun, options.kib).await
        }
    }
}

#[cfg(not(any(target_os = "android", target_os = "ios")))]
fn open(name: &str, offload: bool) -> io::Result<Tun> {
    brooklet_tun::TunBuilder::new(name)
        .mtu(MTU as u16)
        .ipv4(PEER, 24)
        .offload(offload)
        .open()
}

#[cfg(any(target_os = "android", target_os = "ios"))]
fn open(_: &str, _: bool) -> io::Result<Tun> {
    Err(brooklet_examples::shared::no_tun_by_name())
}

/// Uses each kind of smoltcp's sockets over `device`.
async fn talk(device: impl PacketIo, kib: usize) -> io::Result<()> {
    let mut host = Host::new(device);
    limited(ping(&mut host)).await?;
    limited(send_datagrams(&mut host)).await?;
    limited(send_stream(&mut host, kib)).await
}

async fn limited(work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let limit = async {
        smol::Timer::after(LIMIT).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    work.or(limit).await
}

/// smoltcp's interface, its sockets and its device.
struct Host<D> {
    device: PacketDevice<D>,
    interface: Interface,
    sockets: SocketSet<'static>,
}

impl<D: PacketIo> Host<D> {
    fn new(io: D) -> Self {
        let mut device = PacketDevice::new(io, MTU);
        let mut config = Config::new(HardwareAddress::Ip);
        // The source of initial sequence numbers; see `Config::random_seed`.
        config.random_seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
        let mut interface = Interface::new(config, &mut device, Instant::now());
        interface.update_ip_addrs(|addresses| {
            // There is room for the first address.
            let _ = addresses.push(IpCidr::new(LOCAL.into(), 24));
        });
        Self {
            device,
            interface,
            sockets: SocketSet::new(Vec::new()),
        }
    }

    /// Lets smoltcp work until `step` has a result for the socket.
    async fn until<S: AnySocket<'static>, R>(
        &mut self,
        socket: SocketHandle,
        mut step: impl FnMut(&mut S) -> Poll<io::Result<R>>,
    ) -> io::Result<R> {
        loop {
            let now = Instant::now();
            self.interface
                .poll(now, &mut self.device, &mut self.sockets);
            if let Poll::Ready(result) = step(self.sockets.get_mut(socket)) {
                return result;
            }
            let delay = self.interface.poll_delay(Instant::now(), &self.sockets);
            self.device.wait(delay, smol::Timer::after).await?;
        }
    }

    /// Removes a socket, and sends what smoltcp has left to send for it.
    async fn remove(&mut self, socket: SocketHandle) -> io::Result<()> {
        let now = Instant::now();
        self.interface
            .poll(now, &mut self.device, &mut self.sockets);
        self.sockets.remove(socket);
        self.device.flush().await
    }
}

/// Sends echo requests and waits for the reply to each.
async fn ping<D: PacketIo>(host: &mut Host<D>) -> io::Result<()> {
    const IDENT: u16 = 0x5a;
    let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 8], vec![0; 1024]);
    let mut socket = icmp::Socket::new(buffer(), buffer());
    socket.bind(icmp::Endpoint::Ident(IDENT)).map_err(other)?;
    let handle = host.sockets.add(socket);
    let start = std::time::Instant::now();
    for seq_no in 0..MESSAGES {
        let request = Icmpv4Repr::EchoRequest {
            ident: IDENT,
            seq_no,
            data: b"smoltcp on brooklet",
        };
        let socket = host.sockets.get_mut::<icmp::Socket<'_>>(handle);
        let bytes = socket.send(request.buffer_len(), PEER.into());
        let mut packet = Icmpv4Packet::new_unchecked(bytes.map_err(other)?);
        request.emit(&mut packet, &ChecksumCapabilities::default());

        let reply = |socket: &mut icmp::Socket<'_>| {
            let Ok((bytes, from)) = socket.recv() else {
                return Poll::Pending;
            };
            let packet = Icmpv4Packet::new_unchecked(bytes);
            let reply = Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default());
            let wanted = Icmpv4Repr::EchoReply {
                ident: IDENT,
                seq_no,
                data: b"smoltcp on brooklet",
            };
            match reply == Ok(wanted) && from == IpAddress::from(PEER) {
                true => Poll::Ready(Ok(())),
                false => Poll::Ready(Err(other(format!("{reply:?} from {from}")))),
            }
        };
        host.until(handle, reply).await?;
    }
    println!("icmp: {MESSAGES} echo replies in {:?}", start.elapsed());
    host.remove(handle).await
}

/// Sends datagrams to the echo service and waits for each to come back.
async fn send_datagrams<D: PacketIo>(host: &mut Host<D>) -> io::Result<()> {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; 8192]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    socket.bind(40_000).map_err(other)?;
    let handle = host.sockets.add(socket);
    for n in 0..MESSAGES {
        // From a short one to one that fills a packet.
        let sent = vec![n as u8; 1 + usize::from(n) * (MTU - 29) / usize::from(MESSAGES - 1)];
        let socket = host.sockets.get_mut::<udp::Socket<'_>>(handle);
        socket.send_slice(&sent, (PEER, ECHO)).map_err(other)?;
        let echo = |socket: &mut udp::Socket<'_>| match socket.recv() {
            Ok((echo, _)) if echo == sent => Poll::Ready(Ok(())),
            Ok((echo, from)) => Poll::Ready(Err(other(format!("{echo:?} from {from}")))),
            Err(_) => Poll::Pending,
        };
        host.until(handle, echo).await?;
    }
    println!("udp: {MESSAGES} datagrams came back");
    host.remove(handle).await
}

/// Sends a stream to the echo service, compares what comes back, and closes in good order.
async fn send_stream<D: PacketIo>(host: &mut Host<D>, kib: usize) -> io::Result<()> {
    let buffer = || tcp::SocketBuffer::new(vec![0; 128 * 1024]);
    let socket = tcp::Socket::new(buffer(), buffer());
    let handle = host.sockets.add(socket);
    let (socket, context) = (
        host.sockets.get_mut::<tcp::Socket<'_>>(handle),
        host.interface.context(),
    );
    socket
        .connect(context, (PEER, ECHO), 40_000)
        .map_err(other)?;

    let len = kib * 1024;
    let (mut sent, mut received) = (0, 0);
    let byte = |at: usize| (at % 251) as u8;
    let start = std::time::Instant::now();
    let exchange = |socket: &mut tcp::Socket<'_>| {
        while sent < len && socket.can_send() {
            let written = socket.send(|room| {
                let n = room.len().min(len - sent);
                (sent..)
                    .zip(&mut room[..n])
                    .for_each(|(at, b)| *b = byte(at));
                (n, n)
            });
            sent += written.unwrap_or_default();
        }
        if sent == len && socket.may_send() {
            socket.close(); // a FIN behind the last byte; the peer closes then, too
        }
        while socket.can_recv() {
            let equal = socket.recv(|bytes| {
                let same = bytes.iter().zip(received..).all(|(b, at)| *b == byte(at));
                received += bytes.len();
                (bytes.len(), same)
            });
            if equal != Ok(true) {
                return Poll::Ready(Err(other("other bytes came back than were sent")));
            }
        }
        match socket.state() {
            tcp::State::TimeWait if (sent, received) == (len, len) => Poll::Ready(Ok(())),
            tcp::State::TimeWait | tcp::State::Closed => {
                let end = format!("closed after {sent} bytes sent and {received} received");
                Poll::Ready(Err(other(end)))
            }
            _ => Poll::Pending,
        }
    };
    host.until(handle, exchange).await?;
    println!("tcp: {kib} KiB came back in {:?}", start.elapsed());
    host.remove(handle).await
}

async fn echo_streams(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        futures_lite::io::copy(&stream, &stream).await?;
        (&stream).close().await?;
    }
}

async fn echo_datagrams(socket: brooklet::local::TransparentUdpSocket) -> io::Result<()> {
    loop {
        let datagram = socket.recv_datagram().await?;
        socket
            .send_datagram(&datagram.reply(&datagram.payload[..]))
            .await?;
    }
}

async fn kernel_echo_streams(listener: async_net::TcpListener) -> io::Result<()> {
    while let Some(stream) = listener.incoming().next().await {
        let stream = stream?;
        futures_lite::io::copy(stream.clone(), stream.clone()).await?;
        stream.shutdown(std::net::Shutdown::Write)?;
    }
    Ok(())
}

async fn kernel_echo_datagrams(socket: async_net::UdpSocket) -> io::Result<()> {
    let mut buffer = vec![0; MTU];
    loop {
        let (n, from) = socket.recv_from(&mut buffer).await?;
        socket.send_to(&buffer[..n], from).await?;
    }
}

fn other(error: impl ToString) -> io::Error {
    io::Error::other(error.to_string())
}

struct Options {
    tun: Option<String>,
    offload: bool,
    kib: usize,
}

impl Options {
    /// `None` when the usage was asked for.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let mut options = Self {
            tun: None,
            offload: false,
            kib: 1024,
        };
        let mut args = lexopt::Parser::from_env();
        while let Some(arg) = args.next()? {
            match arg {
                Long("tun") => options.tun = Some(args.value()?.string()?),
                Long("offload") => options.offload = true,
                Long("kib") => options.kib = args.value()?.parse()?,
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(arg.unexpected()),
            }
        }
        if options.offload && options.tun.is_none() {
            return Err("--offload needs --tun NAME".into());
        }
        Ok(Some(options))
    }
}

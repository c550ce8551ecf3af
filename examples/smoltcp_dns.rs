//! smoltcp's DNS socket beside brooklet, on one TUN device.
//!
//! ```sh
//! cargo run --release --example smoltcp_dns -- www.example
//! sudo cargo run --release --example smoltcp_dns -- --tun tun9 --server 10.9.0.1 www.example
//! ```
//!
//! brooklet serves an echo on every address and port behind the device, but for one address, which
//! belongs to an `Interface` of smoltcp. brooklet's filter diverts the packets to that address, a
//! [`RawSocket`](brooklet::RawSocket) receives them, and [`PacketDevice`] makes a device of smoltcp
//! of that socket. smoltcp's DNS socket then resolves a name.
//!
//! Without `--tun`, a second brooklet stack at the other end of a pipe is the DNS server. With
//! `--tun`, the server is the kernel's side of the device or behind it, and the program serves the
//! echo until SIGTERM or SIGINT ends it.

use async_signal::{Signal, Signals};
use brooklet::filter::{Direction, Filter, UnicastOnly, Verdict};
use brooklet::{Builder, PacketIo, Parts, RawConfig, RawSocket, TcpListener, TransparentUdpSocket};
use brooklet_device::PacketDevice;
use brooklet_tun::Tun;
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt, future};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::socket::dns;
use smoltcp::time::Instant;
use smoltcp::wire::{DnsQueryType, HardwareAddress, IpCidr};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

const USAGE: &str = "\
Usage: smoltcp_dns [--tun NAME [--server ADDRESS]] DOMAIN

  --tun NAME        TUN device to create (default: a pipe with a brooklet stack
                    as the DNS server at its other end)
  --server ADDRESS  the DNS server, of IPv4 (default 10.9.0.1, the address of
                    the kernel's side of the device)
";

/// The longest packet, in bytes.
const MTU: usize = 1500;
/// The address of smoltcp's interface.
const OWN: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
/// The address of the other side of the device.
const PEER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// The service of the echo (RFC 862), on an address that is brooklet's.
const ECHO: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 80)), 7);
const DNS: u16 = 53;

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("smoltcp_dns: {why}; `smoltcp_dns --help` lists the flags");
            return ExitCode::from(2);
        }
    };
    match smol::block_on(run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("smoltcp_dns: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> io::Result<()> {
    match &options.tun {
        None => {
            let (here, there) = brooklet::pipe(64);
            let server = Builder::new().mtu(MTU).address(PEER).build(there)?;
            smol::spawn(server.driver).detach();
            smol::spawn(answer(server.udp)).detach();
            let stack = server.stack;
            on_device(here, options, async {
                // The same pipe leads to brooklet's own sockets.
                let mut stream = stack.connect(ECHO).await?;
                stream.write_all(b"hello").await?;
                stream.close().await?;
                let mut echo = String::new();
                stream.read_to_string(&mut echo).await?;
                println!("tcp: {ECHO} echoes {echo:?}");
                Ok(())
            })
            .await
        }
        Some(name) => on_device(open(name)?, options, wait_for_signal()).await,
    }
}

#[cfg(not(any(target_os = "android", target_os = "ios")))]
fn open(name: &str) -> io::Result<Tun> {
    brooklet_tun::TunBuilder::new(name)
        .mtu(MTU as u16)
        .ipv4(PEER, 24)
        .offload(false)
        .open()
}

#[cfg(any(target_os = "android", target_os = "ios"))]
fn open(_: &str) -> io::Result<Tun> {
    Err(brooklet_examples::shared::no_tun_by_name())
}

/// Shares `device` between brooklet and smoltcp: resolves the name, then does `rest`.
async fn on_device(
    device: impl PacketIo,
    options: &Options,
    rest: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    let Parts {
        stack,
        tcp,
        udp,
        driver,
        ..
    } = Builder::new()
        .mtu(MTU)
        .filter_fn(|packet, direction| match direction {
            Direction::Inbound if packet.destination() == OWN => Verdict::Divert,
            _ => UnicastOnly.verdict(packet, direction),
        })
        .build(device)?;
    // Packets of any protocol that the filter diverts.
    let raw = stack.bind_raw(RawConfig::new().diverted(true))?;
    let work = async {
        let addresses = resolve(raw, options).await?;
        println!("dns: {} is {addresses:?}", options.domain);
        rest.await
    };
    let echo = future::try_zip(echo_streams(tcp), echo_datagrams(udp));
    let services = async {
        future::try_zip(driver, echo).await?;
        Ok(())
    };
    future::or(work, services).await
}

/// Resolves a name with smoltcp.
async fn resolve(raw: RawSocket, options: &Options) -> io::Result<Vec<IpAddr>> {
    let mut device = PacketDevice::new(raw, MTU);
    let mut config = Config::new(HardwareAddress::Ip);
    // The source of query identifiers; see `Config::random_seed`.
    config.random_seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    let mut interface = Interface::new(config, &mut device, Instant::now());
    interface.update_ip_addrs(|addresses| {
        // There is room for the first address.
        let _ = addresses.push(IpCidr::new(OWN.into(), 24));
    });
    // The device leads everywhere. There is room for the first route.
    let _ = interface.routes_mut().add_default_ipv4_route(PEER);

    let servers = [options.server.into()];
    let mut sockets = SocketSet::new(Vec::new());
    let handle = sockets.add(dns::Socket::new(&servers, vec![None]));
    let query = sockets
        .get_mut::<dns::Socket<'_>>(handle)
        .start_query(interface.context(), &options.domain, DnsQueryType::A)
        .map_err(other)?;
    loop {
        interface.poll(Instant::now(), &mut device, &mut sockets);
        let socket = sockets.get_mut::<dns::Socket<'_>>(handle);
        match socket.get_query_result(query) {
            Ok(addresses) => return Ok(addresses.into_iter().map(IpAddr::from).collect()),
            Err(dns::GetQueryResultError::Pending) => {}
            Err(error) => return Err(other(error)),
        }
        let delay = interface.poll_delay(Instant::now(), &sockets);
        device.wait(delay, smol::Timer::after).await?;
    }
}

/// A DNS server that knows one address for every name.
async fn answer(socket: TransparentUdpSocket) -> io::Result<()> {
    loop {
        let query = socket.recv_datagram().await?;
        if query.to.port() != DNS || query.payload.len() < 12 {
            continue;
        }
        // RFC 1035, 4.1: the identifier; a response without an error; one question and one answer.
        let mut response = query.payload[..2].to_vec();
        response.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        response.extend(&query.payload[12..]);
        // The name of the question, an A record of the Internet, for 60 s.
        response.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 80]);
        socket.send_datagram(&query.reply(&response[..])).await?;
    }
}

async fn echo_streams(listener: TcpListener) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        smol::spawn(async move {
            futures_lite::io::copy(&stream, &stream).await?;
            stream.close().await
        })
        .detach();
    }
}

async fn echo_datagrams(socket: TransparentUdpSocket) -> io::Result<()> {
    loop {
        let datagram = socket.recv_datagram().await?;
        let reply = datagram.reply(&datagram.payload[..]);
        socket.send_datagram(&reply).await?;
    }
}

async fn wait_for_signal() -> io::Result<()> {
    let mut signals = Signals::new([Signal::Term, Signal::Int])?;
    signals
        .next()
        .await
        .map_or(Ok(()), |signal| signal.map(drop))
}

fn other(error: impl ToString) -> io::Error {
    io::Error::other(error.to_string())
}

struct Options {
    tun: Option<String>,
    server: Ipv4Addr,
    domain: String,
}

impl Options {
    /// `None` when the usage was asked for.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let (mut tun, mut server, mut domain) = (None, None, None);
        let mut args = lexopt::Parser::from_env();
        while let Some(arg) = args.next()? {
            match arg {
                Long("tun") => tun = Some(args.value()?.string()?),
                Long("server") => server = Some(args.value()?.parse()?),
                Value(value) if domain.is_none() => domain = Some(value.string()?),
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(arg.unexpected()),
            }
        }
        if server.is_some() && tun.is_none() {
            return Err("--server needs --tun NAME".into());
        }
        Ok(Some(Self {
            tun,
            server: server.unwrap_or(PEER),
            domain: domain.ok_or("DOMAIN is missing")?,
        }))
    }
}

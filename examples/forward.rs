//! A transparent forwarder: every TCP connection and UDP datagram that is routed into a TUN device
//! goes out through the host's own sockets.
//!
//! ```sh
//! cargo run --release --example forward -- --tun tun0 &
//! ip route add 192.0.2.0/24 dev tun0     # the destinations to forward
//! ```
//!
//! The host's own sockets follow the host's routes. A destination that is routed into the device
//! again makes a loop. Avoid the loop with a container or a virtual machine whose network is the
//! device, or with routes that depend on the user (`ip rule`). The example `run` uses a network
//! namespace.

use async_signal::{Signal, Signals};
use brooklet::Parts;
use brooklet_examples::shared::forward::{self, Limits, Map};
use brooklet_tun::Tun;
use futures_lite::{StreamExt, future};
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

const USAGE: &str = "\
Usage: forward --tun NAME [--mtu N] [--offload]

  --tun NAME    TUN device to create, or to attach to where it exists
  --mtu N       its MTU in bytes, 1280 to 65535 (default 1500)
  --offload     let the kernel hand over and take packets of up to 64 KiB, and
                leave out their checksums (default: packets of at most --mtu)

SIGTERM and SIGINT end it, and the counters of the stack are printed.
";

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("forward: {why}; `forward --help` lists the flags");
            return ExitCode::from(2);
        }
    };
    match forward(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("forward: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(any(target_os = "android", target_os = "ios")))]
fn open(options: &Options) -> io::Result<Tun> {
    brooklet_tun::TunBuilder::new(&options.tun)
        .mtu(options.mtu)
        .offload(options.offload)
        .open()
}

#[cfg(any(target_os = "android", target_os = "ios"))]
fn open(_: &Options) -> io::Result<Tun> {
    Err(brooklet_examples::shared::no_tun_by_name())
}

fn forward(options: &Options) -> io::Result<()> {
    let mtu = options.mtu;
    let tun = open(options)?;
    println!(
        "forward: forwarding from {}, mtu {mtu}",
        tun.name().unwrap_or("?")
    );
    let drops = tun.drop_counter();
    let Parts {
        stack,
        tcp,
        udp,
        driver,
        ..
    } = brooklet::Builder::new().mtu(mtu.into()).build(tun)?;
    let (map, limits) = (Map::transparent(), Limits::default());
    let streams = forward::Streams::default();
    smol::spawn(forward::streams(tcp, map.clone(), limits, streams.clone())).detach();
    smol::spawn(forward::datagrams(udp, map, limits)).detach();

    // smol's threads (SMOL_THREADS) copy the data, and this thread runs the driver.
    let ended = async_io::block_on(future::or(driver, stopped()));
    eprint!("{}", stack.stats());
    eprintln!("connections open at the end: {}", streams.open());
    eprintln!("packets the device did not take: {}", drops.get());
    ended
}

async fn stopped() -> io::Result<()> {
    let mut signals = Signals::new([Signal::Term, Signal::Int])?;
    signals
        .next()
        .await
        .map_or(Ok(()), |signal| signal.map(drop))
}

#[cfg_attr(
    any(target_os = "android", target_os = "ios"),
    expect(dead_code, reason = "this system opens no TUN device by its name")
)]
struct Options {
    tun: String,
    mtu: u16,
    offload: bool,
}

impl Options {
    /// `None` when the usage was asked for.
    fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let (mut tun, mut mtu, mut offload) = (None, 1500, false);
        let mut args = lexopt::Parser::from_iter(args);
        while let Some(arg) = args.next()? {
            match arg {
                Long("tun") => tun = Some(args.value()?.string()?),
                Long("mtu") => mtu = args.value()?.parse()?,
                Long("offload") => offload = true,
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(arg.unexpected()),
            }
        }
        if mtu < 1280 {
            return Err("--mtu is at least 1280, which IPv6 asks for".into());
        }
        let tun = tun.ok_or("--tun NAME is missing")?;
        Ok(Some(Self { tun, mtu, offload }))
    }
}

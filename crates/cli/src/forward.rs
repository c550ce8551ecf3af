//! `brooklet forward`: every TCP connection and UDP datagram that is routed into a TUN device goes out
//! through the host's own sockets.
//!
//! The host's own sockets follow the host's routes. A destination that is routed into the device
//! again makes a loop. Avoid the loop with a container or a virtual machine whose network is the
//! device, or with routes that depend on the user (`ip rule`). `brooklet run` uses a network
//! namespace.

use crate::limits::check_mtu;
use crate::runtime::Runtime;
use async_signal::{Signal, Signals};
use brooklet::Parts;
use brooklet_relay::{Limits, Map, Relay, Router, Rules};
use brooklet_tun::Tun;
use futures_lite::{StreamExt, future};
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
Usage: brooklet forward --tun NAME [--mtu N] [--offload] [--no-ipv6] [--rules FILE]
               [--router ADDRESS] [--answer-ping]

  --tun NAME    TUN device to create, or to attach to where it exists
  --mtu N       its MTU in bytes, 1280 to 65535 (default 1500)
  --offload     let the kernel hand over and take packets of up to 64 KiB, and
                leave out their checksums (default: packets of at most --mtu)
  --no-ipv6     IPv4 only, with an MTU from 576
  --rules FILE  packets to reject, drop or pass, one rule a line, such as
                `udp dport 443 reject`; SIGHUP reads the file again
  --router ADDRESS  the first hop that traceroute shows; once for each IP version
                (default 192.0.0.8 and fe80::1)
  --answer-ping answer ping here for every address (default: the host pings)

SIGTERM and SIGINT end it, and the counters of the stack and of the rules are printed.
";

/// Runs the subcommand with its arguments.
pub(crate) fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match Options::parse(args) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("forward: {why}; `brooklet forward --help` lists the flags");
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
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "programs cannot open a TUN device on this system",
    ))
}

fn forward(options: &Options) -> io::Result<()> {
    let mtu = options.mtu;
    let rules = Rules::read(options.rules.clone())?;
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
    } = brooklet::Builder::new()
        .mtu(mtu.into())
        .ipv6(options.ipv6)
        .filter(rules.clone())
        .build(tun)?;
    let limits = Limits::of_this_process();
    let runtime = Runtime::default();
    let relay = Relay::new(
        stack.clone(),
        Map::transparent(),
        options.router,
        limits,
        runtime.spawner(),
    );
    relay.start(tcp, udp, !options.answer_ping)?;

    let ended = runtime.block_on(future::or(driver, stopped(&rules)));
    eprint!("{}", stack.stats());
    eprint!("{}", relay.stats());
    eprintln!("packets the device did not take: {}", drops.get());
    eprint!("{rules}");
    ended
}

/// Waits for the signal to end, and reads the rules again on the other one.
async fn stopped(rules: &Rules) -> io::Result<()> {
    let mut signals = Signals::new([
        Signal::Term,
        Signal::Int,
        #[cfg(unix)]
        Signal::Hup,
    ])?;
    while let Some(Signal::Hup) = signals.next().await.transpose()? {
        match rules.reload() {
            Ok(()) => println!("forward: the rules have been read again"),
            Err(why) => eprintln!("forward: the old rules stay: {why}"),
        }
    }
    Ok(())
}

struct Options {
    tun: String,
    mtu: u16,
    offload: bool,
    ipv6: bool,
    rules: Option<PathBuf>,
    router: Router,
    answer_ping: bool,
}

impl Options {
    /// `None` when the usage was asked for.
    fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let mut tun = None;
        let mut options = Self {
            tun: String::new(),
            mtu: 1500,
            offload: false,
            ipv6: true,
            rules: None,
            router: Router::default(),
            answer_ping: false,
        };
        let mut args = lexopt::Parser::from_args(args);
        while let Some(arg) = args.next()? {
            match arg {
                Long("tun") => tun = Some(args.value()?.string()?),
                Long("mtu") => options.mtu = args.value()?.parse()?,
                Long("offload") => options.offload = true,
                Long("no-ipv6") => options.ipv6 = false,
                Long("rules") => options.rules = Some(args.value()?.into()),
                Long("router") => match args.value()?.parse()? {
                    IpAddr::V4(address) => options.router.ipv4 = address,
                    IpAddr::V6(address) => options.router.ipv6 = address,
                },
                Long("answer-ping") => options.answer_ping = true,
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(arg.unexpected()),
            }
        }
        check_mtu(options.mtu, options.ipv6)?;
        options.tun = tun.ok_or("--tun NAME is missing")?;
        Ok(Some(options))
    }
}

//! `brooklet forward`: every TCP connection and UDP datagram that is routed into a TUN device goes out
//! through the host's own sockets.
//!
//! The host's own sockets follow the host's routes. A destination that is routed into the device
//! again makes a loop. Avoid the loop with a container or a virtual machine whose network is the
//! device, or with routes that depend on the user (`ip rule`). `brooklet run` uses a network
//! namespace.

use crate::args::Forward as Options;
use crate::observe::Observers;
use crate::runtime::Runtime;
use crate::top::Source;
use async_signal::{Signal, Signals};
use brooklet::Parts;
use brooklet_relay::{Limits, Map, Relay, Rules};
use brooklet_tun::Tun;
use futures_lite::{StreamExt, future};
use std::io;
use std::process::ExitCode;

/// Runs the subcommand.
pub(crate) fn main(options: &Options) -> ExitCode {
    match forward(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("brooklet forward: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(any(target_os = "android", target_os = "ios")))]
fn open(options: &Options) -> io::Result<Tun> {
    brooklet_tun::TunBuilder::new(&options.tun)
        .mtu(options.mtu)
        .offload(options.common.offload)
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
    let rules = Rules::read(options.common.rules.clone())?;
    let observers = Observers::open(&options.observe, false)?;
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
        .ipv6(!options.common.no_ipv6)
        .filter(rules.clone())
        .build(tun)?;
    let limits = Limits::of_this_process();
    let runtime = Runtime::default();
    let relay = Relay::new(
        stack.clone(),
        Map::transparent(),
        options.router(),
        limits,
        runtime.spawner(),
    );
    relay.start(tcp, udp, !options.common.answer_ping)?;

    let counters = || {
        let (stack, relay, lost) = (stack.stats(), relay.stats(), drops.get());
        format!("{stack}{relay}packets the device did not take: {lost}\n{rules}")
    };
    let watched = observers.watch(
        Source {
            title: format!("brooklet forward {}", options.tun),
            stack: stack.clone(),
            relay: relay.clone(),
        },
        counters,
    );
    let driver = runtime.spawn(driver);
    let ended = future::or(driver, stopped(&rules));
    let ended = runtime.block_on(future::or(ended, watched))?;
    eprint!("{}", counters());
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
            Err(why) => eprintln!("brooklet forward: the old rules stay: {why}"),
        }
    }
    Ok(())
}

//! `brooklet forward`: every TCP connection and UDP datagram that is routed into a TUN device goes out
//! through the host's own sockets.
//!
//! The host's own sockets follow the host's routes. A destination that is routed into the device
//! again makes a loop. Avoid the loop with a container or a virtual machine whose network is the
//! device, or with routes that depend on the user (`ip rule`). `brooklet run` uses a network
//! namespace.

use crate::args::Forward as Options;
use crate::observe::Observers;
use crate::output;
use crate::top::Source;
use async_signal::{Signal, Signals};
use brooklet::QueueParts;
use brooklet_relay::{Limits, Map, Relay, Rules, Workers};
use brooklet_tun::{DropCounter, Tun};
use futures_lite::{StreamExt, future};
use std::io;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::Poll;

/// The most half-open connections. Clients that complete their handshake do it within a round trip, so
/// these are enough for 2,560 new connections a second at an RTT of 100 ms.
const HALF_OPEN: usize = 256;

/// Runs the subcommand.
pub(crate) fn main(options: &Options) -> ExitCode {
    match forward(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            output::eprint(format_args!("brooklet forward: {why}\n"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(any(target_os = "android", target_os = "ios")))]
fn open(options: &Options) -> io::Result<Vec<Tun>> {
    brooklet_tun::TunBuilder::new(&options.tun)
        .mtu(options.mtu)
        .offload(options.offload)
        .queues(options.queues.into())
        .open_queues()
}

#[cfg(any(target_os = "android", target_os = "ios"))]
fn open(_: &Options) -> io::Result<Vec<Tun>> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "programs cannot open a TUN device on this system",
    ))
}

fn forward(options: &Options) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    crate::files::check()?;
    let mtu = options.mtu;
    let rules = Rules::read(options.common.rules.clone())?;
    let observers = Observers::open(&options.observe, false)?;
    let queues = open(options)?;
    let name = queues.first().and_then(Tun::name).unwrap_or(&options.tun);
    output::print(format_args!("forward: forwarding from {name}, mtu {mtu}\n"));
    let drops: Vec<_> = queues.iter().map(Tun::drop_counter).collect();
    let limits = options.timeouts.set(Limits::of_this_process());
    let tcp = crate::tcp_config();
    // Each half-open connection holds the place of an open one, with a socket of the host. The clients of
    // a flood, who complete no handshake, leave most places to others.
    let half_open = HALF_OPEN.min(limits.connections / 4);
    let QueueParts {
        stack,
        tcp,
        udp,
        drivers,
        ..
    } = brooklet::Builder::new()
        .mtu(mtu.into())
        .ipv6(!options.common.no_ipv6)
        .tcp_config(tcp.max_half_open(half_open))
        .filter(rules.clone())
        .build_queues(queues)?;
    let workers = Workers::new(drivers.len());
    let relay = Relay::new(
        stack.clone(),
        Map::transparent(),
        options.router(),
        limits,
        workers.spawner(),
    );
    relay.start(tcp, udp, !options.common.answer_ping)?;

    let counters = || {
        let lost: u64 = drops.iter().map(DropCounter::get).sum();
        let (stack, relay) = (stack.stats(), relay.stats());
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
    let drivers = drivers.into_iter().enumerate();
    let drivers = drivers.map(|(queue, driver)| workers.spawn(queue, driver));
    let ended = future::or(first(drivers.collect()), stopped(&rules));
    let ended = workers.block_on(future::or(ended, watched))?;
    output::eprint(counters());
    ended
}

/// Runs the drivers until one of them ends.
async fn first<T>(mut drivers: Vec<impl Future<Output = T> + Unpin>) -> T {
    std::future::poll_fn(|cx| {
        let polled = drivers.iter_mut().map(|driver| Pin::new(driver).poll(cx));
        // All of them, so that each has the waker.
        polled.fold(
            Poll::Pending,
            |first, next| if first.is_ready() { first } else { next },
        )
    })
    .await
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
        if !rules.has_file() {
            continue;
        }
        match rules.reload() {
            Ok(()) => output::print("forward: the rules have been read again\n"),
            Err(why) => output::eprint(format_args!(
                "brooklet forward: the old rules stay: {why}\n"
            )),
        }
    }
    Ok(())
}

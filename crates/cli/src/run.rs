//! `brooklet run`: runs a command in a network namespace of its own, whose network is the stack, or
//! serves a network namespace that exists.

mod command;
mod publish;
mod ready;
mod target;

use crate::args::Run as Options;
use crate::namespace::{self, GATEWAY, GATEWAY6, Inside, Network};
use crate::observe::Observers;
use crate::output;
use crate::top::Source;
use async_signal::{Signal, Signals};
use brooklet::Parts;
use brooklet_reactor::Timer;
use brooklet_relay::{Destination, Limits, Map, Relay, Router, Rules, Workers};
use command::{FAILED, ended, exit_status, start_status};
use futures_lite::{StreamExt, future};
use publish::Published;
use ready::Ready;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Child, Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};
use target::Target;

/// How long the data of a command that has ended may take to reach the host's sockets.
const LINGER: Duration = Duration::from_secs(2);

/// Runs the subcommand.
pub(crate) fn main(options: Options) -> ExitCode {
    match run(options) {
        Ok(status) => ExitCode::from(status),
        Err(why) => {
            output::eprint(format_args!("brooklet run: {why}\n"));
            ExitCode::from(FAILED)
        }
    }
}

/// Who is in the namespace.
enum Client {
    Command(Child),
    Target(Target),
}

fn run(options: Options) -> io::Result<u8> {
    crate::files::check()?;
    let ready = options.ready_fd.map(Ready::open).transpose()?;
    let rules = Rules::read(options.common.rules.clone())?;
    let published = Published::bind(&options.publish)?;
    let target = options.netns.as_deref();
    let target = target.map(|netns| Target::open(netns, options.userns.as_deref()));
    let target = target.transpose()?;
    // Before the second thread starts: the kernel refuses a process with two threads.
    match &target {
        Some(target) => target.join_user()?,
        None if nix::unistd::geteuid().is_root() => {}
        None => namespace::become_root()?,
    }
    let observers = Observers::open(&options.observe, target.is_none())?;
    // Before the command starts, so that no signal is missed.
    let signals = Signals::new([
        Signal::Int,
        Signal::Term,
        Signal::Hup,
        Signal::Quit,
        Signal::Child,
    ])?;
    let name_server = options.dns.unwrap_or_else(namespace::name_server);
    let network = Network {
        mtu: options.mtu,
        offload: !options.no_offload,
        ipv6: !options.common.no_ipv6,
    };
    let mut words = options.command.into_iter();
    let command = words.next().unwrap_or_default();
    let name = match &options.netns {
        Some(netns) => format!("--netns {}", netns.to_string_lossy()),
        None => command.to_string_lossy().into_owned(),
    };

    // This thread and the process that it starts enter the namespace. The others stay outside.
    let inside = thread::spawn(move || -> io::Result<(Inside, io::Result<Client>)> {
        Ok(match target {
            Some(target) => {
                target.enter()?;
                (namespace::set_up(network)?, Ok(Client::Target(target)))
            }
            None => {
                let inside = namespace::enter(network)?;
                let child = Command::new(command).args(words).spawn();
                (inside, child.map(Client::Command))
            }
        })
    });
    let (Inside { tun, addresses }, client) = inside
        .join()
        .map_err(|_| io::Error::other("a thread panicked"))??;
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            output::eprint(format_args!("brooklet run: cannot run {name}: {error}\n"));
            return Ok(start_status(&error));
        }
    };
    let Parts {
        stack,
        tcp,
        udp,
        driver,
        ..
    } = brooklet::Builder::new()
        .mtu(network.mtu.into())
        .ipv6(network.ipv6)
        .tcp_config(crate::tcp_config())
        .filter(rules.clone())
        .build(tun)?;
    let map = Map::new(move |to| host(to, name_server));
    let router = Router {
        ipv4: GATEWAY,
        ipv6: GATEWAY6,
    };
    // The command keeps the limit of open files that it started with.
    let limits = options.timeouts.set(Limits::of_this_process());
    let workers = Workers::new(1);
    let relay = Relay::new(stack.clone(), map, router, limits, workers.spawner());
    relay.start(tcp, udp, !options.common.answer_ping)?;
    published.start(&relay, &addresses)?;
    let driver = workers.spawn(0, driver);
    let network_ended = async {
        if let Err(error) = driver.await {
            output::eprint(format_args!(
                "brooklet run: the network of {name} has ended: {error}\n"
            ));
        }
        future::pending().await
    };
    let client_ended = async {
        match client {
            Client::Command(child) => {
                let status = ended(child, signals).await?;
                drained(&relay).await;
                Ok::<_, io::Error>(exit_status(status))
            }
            Client::Target(target) => {
                announce(&name, &addresses, network.mtu);
                if let Some(ready) = ready {
                    ready.tell();
                }
                let gone = async {
                    target.ended().await?;
                    drained(&relay).await;
                    Ok(())
                };
                future::or(stopped(signals, &rules), gone).await?;
                Ok(0)
            }
        }
    };
    let counters = || format!("{}{}{rules}", stack.stats(), relay.stats());
    let watched = observers.watch(
        Source {
            title: format!("brooklet run {name}"),
            stack: stack.clone(),
            relay: relay.clone(),
        },
        counters,
    );
    let ended = future::or(client_ended, network_ended);
    let status = workers.block_on(future::or(ended, watched))??;
    if options.observe.stats.is_some() {
        output::eprint(counters());
    }
    Ok(status)
}

/// Says that the network of a namespace is up.
fn announce(name: &str, addresses: &[IpAddr], mtu: u16) {
    let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    let (device, addresses) = (namespace::DEVICE, addresses.join(" and "));
    output::print(format_args!(
        "run: serving {name}: {device} with {addresses}, mtu {mtu}\n"
    ));
}

/// Waits for the signal to end. SIGHUP reads the rules again if there are any.
async fn stopped(mut signals: Signals, rules: &Rules) -> io::Result<()> {
    while let Some(signal) = signals.next().await.transpose()? {
        match signal {
            Signal::Child => {}
            Signal::Hup if rules.has_file() => match rules.reload() {
                Ok(()) => output::eprint("brooklet run: the rules have been read again\n"),
                Err(why) => {
                    output::eprint(format_args!("brooklet run: the old rules stay: {why}\n"))
                }
            },
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// Maps a destination inside the namespace to the address that the host connects to.
fn host(to: SocketAddr, name_server: IpAddr) -> Destination {
    let ip = match to.ip() {
        IpAddr::V4(GATEWAY) | IpAddr::V6(GATEWAY6) if to.port() == 53 => name_server,
        IpAddr::V4(GATEWAY) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(GATEWAY6) => Ipv6Addr::LOCALHOST.into(),
        other => return Map::transparent().destination((other, to.port()).into()),
    };
    Destination::To((ip, to.port()).into())
}

/// Waits until the host's sockets have the last data that the command sent.
async fn drained(relay: &Relay) {
    let start = Instant::now();
    loop {
        // Sleep first: packets may wait in the device.
        Timer::after(Duration::from_millis(10)).await;
        if relay.stats().uploads == 0 || start.elapsed() > LINGER {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal as Sig, kill};
    use nix::unistd::Pid;
    use std::io::Write as _;

    fn options(args: &[&str]) -> Options {
        let args = ["brooklet", "run"].iter().chain(args);
        match crate::args::parse(args.map(Into::into)) {
            Ok(crate::args::Command::Run(options)) => options,
            other => panic!("no command to run: {other:?}"),
        }
    }

    #[test]
    fn the_gateway_is_the_host() {
        let server = "192.0.2.53".parse().unwrap();
        for (inside, outside) in [
            ("10.77.0.1:80", Some("127.0.0.1:80")),
            ("[fd77::1]:80", Some("[::1]:80")),
            ("10.77.0.1:53", Some("192.0.2.53:53")),
            ("[fd77::1]:53", Some("192.0.2.53:53")),
            ("192.0.2.1:53", Some("192.0.2.1:53")),
            ("[2001:db8::1]:443", Some("[2001:db8::1]:443")),
            ("127.0.0.1:80", None),
            ("[::1]:80", None),
            ("[::ffff:127.0.0.1]:80", None),
        ] {
            let expected: Option<SocketAddr> = outside.map(|address| address.parse().unwrap());
            let expected = Destination::from(expected);
            assert_eq!(host(inside.parse().unwrap(), server), expected, "{inside}");
        }
    }

    /// One test, because a signal is for everything that runs in the process.
    #[test]
    fn the_status_is_that_of_the_command() {
        let status = |args: &[&str]| run(options(args));
        if let Err(why) = status(&["true"]) {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
            // Not by `println`, which the test harness keeps to itself.
            let _ = writeln!(io::stderr(), "skipped: {why}");
            return;
        }
        for (args, expected) in [
            (&["sh", "-c", "exit 3"][..], 3),
            (&["sh", "-c", "kill -KILL $$"], 137),
            (&["/no/such/command"], 127),
            (&["/etc/passwd"], 126),
            (
                &["grep", "-q", "^nameserver 10.77.0.1$", "/etc/resolv.conf"],
                0,
            ),
        ] {
            assert_eq!(status(args).unwrap(), expected, "{args:?}");
        }
        let outside = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        assert!(!outside.contains("10.77.0.1"), "the mount shows up outside");

        // The handler stays from the first call on, so the signal ends the shell and not this.
        let ready = std::env::temp_dir().join(format!("brooklet-ready-{}", std::process::id()));
        let path = ready.display();
        let script = format!("trap 'exit 9' TERM; : > {path}; while :; do sleep 0.05; done");
        let command = thread::spawn(move || run(options(&["sh", "-c", &script])));
        while !ready.exists() && !command.is_finished() {
            thread::sleep(Duration::from_millis(10));
        }
        kill(Pid::this(), Sig::SIGTERM).unwrap();
        let _ = std::fs::remove_file(&ready);
        assert_eq!(command.join().unwrap().unwrap(), 9);
    }
}

//! `brooklet run`: runs a command in a network namespace of its own, whose network is the stack.

use crate::args::Run as Options;
use crate::namespace::{self, GATEWAY, GATEWAY6};
use crate::runtime::Runtime;
use async_io::Timer;
use async_signal::{Signal, Signals};
use brooklet::Parts;
use brooklet_relay::{Limits, Map, Relay, Router};
use brooklet_tun::Tun;
use futures_lite::{StreamExt, future};
use nix::unistd::Pid;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

const FAILED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// How long the data of a command that has ended may take to reach the host's sockets.
const LINGER: Duration = Duration::from_secs(2);

/// Runs the subcommand.
pub(crate) fn main(options: Options) -> ExitCode {
    match run(options) {
        Ok(status) => ExitCode::from(status),
        Err(why) => {
            eprintln!("brooklet run: {why}");
            ExitCode::from(FAILED)
        }
    }
}

fn run(options: Options) -> io::Result<u8> {
    // Before the second thread starts: the kernel refuses a process with two threads.
    if !nix::unistd::geteuid().is_root() {
        namespace::become_root()?;
    }
    // Before the command starts, so that no signal is missed.
    let signals = Signals::new([
        Signal::Int,
        Signal::Term,
        Signal::Hup,
        Signal::Quit,
        Signal::Child,
    ])?;
    let name_server = namespace::name_server();
    let (mtu, ipv6) = (options.mtu, !options.common.no_ipv6);
    let stats = options.observe.stats.is_some();
    let ping = !options.common.answer_ping;
    let mut words = options.command.into_iter();
    let command = words.next().unwrap_or_default();
    let name = command.to_string_lossy().into_owned();

    // This thread and the process that it starts enter the namespace. The others stay outside.
    let inside = thread::spawn(move || -> io::Result<(Tun, io::Result<Child>)> {
        let tun = namespace::enter(mtu, options.common.offload, ipv6)?;
        Ok((tun, Command::new(command).args(words).spawn()))
    });
    let (tun, child) = inside
        .join()
        .map_err(|_| io::Error::other("a thread panicked"))??;
    let child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("brooklet run: cannot run {name}: {error}");
            let missing = error.kind() == io::ErrorKind::NotFound;
            return Ok(if missing { NOT_FOUND } else { NOT_EXECUTABLE });
        }
    };
    let Parts {
        stack,
        tcp,
        udp,
        driver,
        ..
    } = brooklet::Builder::new()
        .mtu(mtu.into())
        .ipv6(ipv6)
        .build(tun)?;
    let map = Map::new(move |to| host(to, name_server));
    let router = Router {
        ipv4: GATEWAY,
        ipv6: GATEWAY6,
    };
    // The command keeps the limit of open files that it started with.
    let limits = Limits::of_this_process();
    let runtime = Runtime::default();
    let relay = Relay::new(stack.clone(), map, router, limits, runtime.spawner());
    relay.start(tcp, udp, ping)?;
    let network = async {
        if let Err(error) = driver.await {
            eprintln!("brooklet run: the network of {name} has ended: {error}");
        }
        future::pending().await
    };
    let command = async {
        let status = ended(child, signals).await?;
        drained(&relay).await;
        Ok::<_, io::Error>(status)
    };
    let status = runtime.block_on(future::or(command, network))?;
    if stats {
        eprint!("{}", stack.stats());
    }
    Ok(exit_status(status))
}

/// Returns the exit status that a shell reports.
fn exit_status(status: ExitStatus) -> u8 {
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code.try_into(),
        (None, Some(signal)) => (128 + signal).try_into(),
        (None, None) => Ok(FAILED), // neither of the two ways to end
    };
    code.unwrap_or(FAILED)
}

/// Maps a destination inside the namespace to the address that the host connects to.
fn host(to: SocketAddr, name_server: IpAddr) -> Option<SocketAddr> {
    let ip = match to.ip() {
        IpAddr::V4(GATEWAY) | IpAddr::V6(GATEWAY6) if to.port() == 53 => name_server,
        IpAddr::V4(GATEWAY) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(GATEWAY6) => Ipv6Addr::LOCALHOST.into(),
        other => return Map::transparent().host((other, to.port()).into()),
    };
    Some((ip, to.port()).into())
}

/// Waits for the command and passes signals on to it.
async fn ended(mut child: Child, mut signals: Signals) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        // The child was not waited for, so no other process has its number.
        let pid = Pid::from_raw(child.id().cast_signed());
        use nix::sys::signal::{Signal as Sig, kill};
        let pass = match signals.next().await.transpose()? {
            Some(Signal::Term) => Sig::SIGTERM,
            Some(Signal::Hup) => Sig::SIGHUP,
            // The terminal has sent these to the command already.
            Some(Signal::Int) if !in_foreground() => Sig::SIGINT,
            Some(Signal::Quit) if !in_foreground() => Sig::SIGQUIT,
            _ => continue,
        };
        kill(pid, pass)?;
    }
}

/// Returns whether the terminal sends its signals to this process and the command alike.
fn in_foreground() -> bool {
    let terminal = File::open("/dev/tty").ok();
    let group = terminal.and_then(|terminal| nix::unistd::tcgetpgrp(terminal).ok());
    group == Some(nix::unistd::getpgrp())
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
            let expected = outside.map(|address| address.parse().unwrap());
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
            (&["/no/such/command"], NOT_FOUND),
            (&["/etc/passwd"], NOT_EXECUTABLE),
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

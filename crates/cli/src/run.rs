//! `brooklet run`: runs a command in a network namespace of its own, whose network is the stack.

use crate::limits::check_mtu;
use crate::namespace::{self, GATEWAY, GATEWAY6};
use crate::runtime::Runtime;
use async_io::Timer;
use async_signal::{Signal, Signals};
use brooklet::Parts;
use brooklet_relay::{Limits, Map, Relay, Router};
use brooklet_tun::Tun;
use futures_lite::{StreamExt, future};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

const USAGE: &str = "\
Usage: brooklet run [--mtu N] [--offload] [--no-ipv6] [--answer-ping] [--stats]
                    -- COMMAND [ARGUMENT...]

Runs COMMAND in a network namespace of its own, whose packets brooklet turns into connections and
datagrams of the host. Inside, 10.77.0.1 and fd77::1 are the host: its loopback, and on port 53
its name server. As root, or where user namespaces are allowed and /dev/net/tun can be opened;
without root, COMMAND sees itself as root.

  --mtu N       MTU of the namespace's device in bytes, 1280 to 65535 (default 1500)
  --offload     let the kernel hand over and take packets of up to 64 KiB, and
                leave out their checksums (default: packets of at most --mtu)
  --no-ipv6     IPv4 only, with an MTU from 576
  --answer-ping answer ping here for every address (default: the host pings)
  --stats       print the counters of the stack in the end

The exit status is COMMAND's, or 128 and the number of the signal that ended it; 127 when it was
not found, 126 when it cannot be executed, 125 when run itself fails.
";

const FAILED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// How long the data of a command that has ended may take to reach the host's sockets.
const LINGER: Duration = Duration::from_secs(2);

/// Runs the subcommand with its arguments.
pub(crate) fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match Options::parse(args) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("run: {why}; `brooklet run --help` lists the flags");
            return ExitCode::from(FAILED);
        }
    };
    match run(options) {
        Ok(status) => ExitCode::from(status),
        Err(why) => {
            eprintln!("run: {why}");
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
    let (mtu, ipv6, stats) = (options.mtu, options.ipv6, options.stats);
    let ping = !options.answer_ping;
    let name = options.command.to_string_lossy().into_owned();

    // This thread and the process that it starts enter the namespace. The others stay outside.
    let inside = thread::spawn(move || -> io::Result<(Tun, io::Result<Child>)> {
        let tun = namespace::enter(options.mtu, options.offload, options.ipv6)?;
        Ok((
            tun,
            Command::new(options.command)
                .args(options.arguments)
                .spawn(),
        ))
    });
    let (tun, child) = inside
        .join()
        .map_err(|_| io::Error::other("a thread panicked"))??;
    let child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("run: cannot run {name}: {error}");
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
            eprintln!("run: the network of {name} has ended: {error}");
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

struct Options {
    mtu: u16,
    offload: bool,
    ipv6: bool,
    answer_ping: bool,
    stats: bool,
    command: OsString,
    arguments: Vec<OsString>,
}

impl Options {
    /// `None` when the usage was asked for.
    fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let (mut mtu, mut offload, mut stats) = (1500, false, false);
        let (mut ipv6, mut answer_ping) = (true, false);
        let mut args = lexopt::Parser::from_args(args);
        let command = loop {
            match args.next()? {
                Some(Long("mtu")) => mtu = args.value()?.parse()?,
                Some(Long("offload")) => offload = true,
                Some(Long("no-ipv6")) => ipv6 = false,
                Some(Long("answer-ping")) => answer_ping = true,
                Some(Long("stats")) => stats = true,
                Some(Short('h') | Long("help")) => return Ok(None),
                // The first word is the command, and the flags after it are the command's.
                Some(Value(command)) => break command,
                Some(other) => return Err(other.unexpected()),
                None => return Err("no COMMAND: `run -- COMMAND ARGUMENT...`".into()),
            }
        };
        check_mtu(mtu, ipv6)?;
        let arguments = args.raw_args()?.collect();
        Ok(Some(Self {
            mtu,
            offload,
            ipv6,
            answer_ping,
            stats,
            command,
            arguments,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal as Sig, kill};
    use std::io::Write as _;

    fn parse(args: &[&str]) -> Result<Option<Options>, lexopt::Error> {
        Options::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn flags_end_where_the_command_begins() {
        for args in [
            &[
                "--mtu",
                "9000",
                "--offload",
                "--stats",
                "--",
                "ls",
                "-l",
                "--stats",
            ][..],
            &["--stats", "--mtu=9000", "--offload", "ls", "-l", "--stats"],
        ] {
            let options = parse(args).unwrap().unwrap();
            assert_eq!((options.mtu, options.stats), (9000, true));
            assert!(options.offload);
            assert_eq!((options.command, options.arguments.len()), ("ls".into(), 2));
        }
        assert!(parse(&["--help"]).unwrap().is_none());
        for (args, about) in [
            (&[][..], "no COMMAND"),
            (&["--stats"], "no COMMAND"),
            (&["--"], "no COMMAND"),
            (&["--fast", "ls"], "--fast"),
            (&["--mtu", "1000", "ls"], "1280"),
            (&["--mtu", "500", "--no-ipv6", "ls"], "576"),
            (&["--mtu", "70000", "ls"], "70000"),
        ] {
            let error = parse(args).err().expect("a complaint").to_string();
            assert!(
                error.contains(about) && !error.contains('\n'),
                "{args:?}: {error}"
            );
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
        let status = |args: &[&str]| run(parse(args).unwrap().unwrap());
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
        let command = thread::spawn(move || run(parse(&["sh", "-c", &script]).unwrap().unwrap()));
        while !ready.exists() && !command.is_finished() {
            thread::sleep(Duration::from_millis(10));
        }
        kill(Pid::this(), Sig::SIGTERM).unwrap();
        let _ = std::fs::remove_file(&ready);
        assert_eq!(command.join().unwrap().unwrap(), 9);
    }
}

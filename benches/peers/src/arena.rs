//! One contender at one work, in a network namespace that nobody else has been in.

use crate::awake::Awake;
use crate::contender::{Contender, Inetd, Link, MTU, Server, TUN};
use crate::server::Process;
use crate::work::{Work, echo};
use nix::sched::{CloneFlags, unshare};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

/// The client's address where there is a TUN. Both are of the network for benchmarks (RFC 2544).
const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The server's first address; those behind it are its too.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);

/// What a server has to answer its first request.
pub(crate) const START: Duration = Duration::from_secs(10);

/// What the first attempt of it takes at most. A SYN that comes before the server has its device is
/// lost, so that the first attempts are short ones.
const FIRST_ATTEMPT: Duration = Duration::from_millis(50);

/// Says what is missing, if anything is.
pub(crate) fn check() -> io::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(io::Error::other(
            "run it as root: it makes network namespaces and TUN devices",
        ));
    }
    let tun = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun");
    tun.map_err(|why| {
        let text = format!("/dev/net/tun cannot be opened ({why}): load the module `tun`");
        io::Error::new(why.kind(), text)
    })?;
    let version = Command::new("ip").arg("-V").stdout(Stdio::null()).status();
    version.map_err(|why| {
        let text = format!("no program `ip` ({why}): apt-get install iproute2");
        io::Error::new(why.kind(), text)
    })?;
    Ok(())
}

/// The figures of the work's columns.
pub(crate) fn run(
    contender: &Contender,
    inetd: &Inetd,
    work: &dyn Work,
    span: Duration,
) -> io::Result<Vec<f64>> {
    let run = || -> io::Result<Vec<f64>> {
        // Of this thread, and of the threads and processes that it starts; it ends with them.
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|why| io::Error::other(format!("no network namespace: {why}")))?;
        set_up(contender.link)?;
        let mut server = Process::start(&mut command(contender, inetd)?)?;
        wait_for(&mut server)?;

        let awake = work.takes_turns().then(Awake::start).transpose()?;
        let figures = work.run(span, &server);
        if let Some(awake) = awake {
            awake.stop()?;
        }
        server.check()?;
        figures
    };
    thread::scope(|scope| {
        let joined = scope.spawn(run).join();
        joined.map_err(|_| io::Error::other("the client panicked"))?
    })
}

fn command(contender: &Contender, inetd: &Inetd) -> io::Result<Command> {
    let (program, args) = match contender.server {
        Server::Inetd(flags) => (inetd.now.clone(), flags.to_vec()),
        Server::InetdBefore(flags) => match &inetd.before {
            Some(before) => (before.clone(), flags.to_vec()),
            None => return Err(io::Error::other("no earlier revision was named")),
        },
        Server::Here(_) => (env::current_exe()?, vec!["serve", contender.key]),
    };
    let mut command = Command::new(program);
    command.args(args);
    Ok(command)
}

fn set_up(link: Link) -> io::Result<()> {
    let header = match link {
        Link::TunWithHeader => "vnet_hdr",
        Link::Tun | Link::Loopback => "",
    };
    let commands = match link {
        // Without an address of its own for IPv6 the kernel does not look for routers.
        Link::Tun | Link::TunWithHeader => format!(
            "link set lo up\n\
             tuntap add dev {TUN} mode tun {header}\n\
             link set {TUN} addrgenmode none\n\
             address add {CLIENT}/24 dev {TUN}\n\
             link set {TUN} mtu {MTU} up\n"
        ),
        Link::Loopback => "link set lo up\nroute add local 198.18.0.0/24 dev lo\n".to_owned(),
    };
    ip(&commands)
}

/// Runs commands of `ip`, one a line, in the namespace of this thread.
pub(crate) fn ip(commands: &str) -> io::Result<()> {
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = ip.stdin.take() {
        stdin.write_all(commands.as_bytes())?;
    }
    match ip.wait()? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(format!("`ip`: {status}"))),
    }
}

/// Waits until the server answers.
pub(crate) fn wait_for(server: &mut Process) -> io::Result<()> {
    let start = Instant::now();
    let mut attempt = FIRST_ATTEMPT;
    loop {
        server.check()?;
        match echo::once(attempt) {
            Ok(()) => return Ok(()),
            Err(why) if start.elapsed() > START => {
                return Err(io::Error::new(why.kind(), format!("no server: {why}")));
            }
            // The server is slow, or was not there in time.
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => attempt *= 2,
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

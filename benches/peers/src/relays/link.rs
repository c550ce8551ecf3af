//! Server, relay and client, each in a network namespace of its own.
//!
//! The server's and the host's are joined by a veth pair. The relay runs in the host's, and the
//! client's has no other way out than the relay.

use super::congestion;
use super::contender::{Relay, Route};
use super::namespace::{Bound, Namespace};
use super::programs::Programs;
use crate::arena::{self, SERVER, START};
use crate::server::Process;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, thread};

/// The TUN device of a `forward`.
const TUN: &str = "relays0";

/// The addresses of the veth pair. With these known no packet waits for ARP, which may take a second.
const HOST_MAC: &str = "02:00:00:00:00:01";
const SERVER_MAC: &str = "02:00:00:00:00:02";

/// Its MTU.
const MTU: u16 = 1500;

/// A client's namespace whose packets go through a relay. Everything ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Link {
    /// The relay, or the server where there is none.
    relay: Process,
    client: Namespace,
    /// The relay's output to stderr.
    errors: PathBuf,
    _server: Option<Process>,
    /// The command that the relay runs ends when its connection does.
    _inside: Option<UnixStream>,
    /// pasta ends with its file.
    _bound: Option<Bound>,
}

impl Link {
    /// Starts server and relay, and moves this thread into the client's namespace. It returns when
    /// the server has answered there.
    pub(crate) fn start(relay: &Relay, programs: &Programs) -> io::Result<Self> {
        let errors = temporary("err");
        let started = start(relay, programs, &errors).and_then(|mut link| {
            link.client.enter()?;
            congestion::set();
            arena::wait_for(&mut link.relay)?;
            Ok(link)
        });
        started.map_err(|why| with_last_line(why, &errors))
    }

    pub(crate) fn relay(&self) -> &Process {
        &self.relay
    }

    /// Fails if the relay has ended.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        let checked = self.relay.check();
        checked.map_err(|why| with_last_line(why, &self.errors))
    }
}

fn start(relay: &Relay, programs: &Programs, errors: &Path) -> io::Result<Link> {
    let (outside, host) = (Namespace::new()?, Namespace::new()?);
    outside.enter()?;
    join(&host)?;
    let mut server = Process::start(Command::new(env::current_exe()?).arg("serve"))?;
    host.enter()?;
    congestion::set();
    arena::ip(&format!(
        "link set lo up\n\
         link set host0 addrgenmode none\n\
         address add 198.19.0.1/24 dev host0\n\
         link set host0 up\n\
         neighbour add 198.19.0.2 lladdr {SERVER_MAC} dev host0 nud permanent\n\
         route add default via 198.19.0.2\n"
    ))?;
    arena::wait_for(&mut server)?;

    let begin = |command: &mut Command| {
        let stderr = File::create(errors)?;
        Process::start(command.stderr(stderr))
    };
    let (mut inside, mut bound) = (None, None);
    let (relay, client) = match relay.route {
        Route::Direct => {
            return Ok(Link {
                relay: server,
                client: host,
                errors: errors.into(),
                _server: None,
                _inside: None,
                _bound: None,
            });
        }
        Route::Run(revision, flags) => {
            let socket = temporary("sock");
            let _ = fs::remove_file(&socket);
            let listener = UnixListener::bind(&socket)?;
            let mut command = programs.brooklet(revision, "run")?;
            command.args(flags).arg("--").arg(env::current_exe()?);
            let mut relay = begin(command.arg("inside").arg(&socket))?;
            let accepted = accept(&listener, &mut relay);
            let _ = fs::remove_file(&socket);
            let stream = accepted?;
            let pid = getsockopt(&stream, PeerCredentials)?.pid();
            inside = Some(stream);
            (relay, Namespace::of_process(pid)?)
        }
        Route::Forward(revision, flags) => {
            let mut command = programs.brooklet(revision, "forward")?;
            command.args(["--tun", TUN]).args(flags);
            let mut relay = begin(&mut command)?;
            wait(&mut relay, "no device", || Ok(is_up().then_some(())))?;
            (relay, move_tun()?)
        }
        Route::Tun2proxy => {
            let mut command = programs.tun2proxy()?;
            command.args(["--tun", TUN, "--proxy", "none"]);
            command.args(["--max-sessions", "4096", "--verbosity", "error"]);
            let mut relay = begin(&mut command)?;
            wait(&mut relay, "no device", || Ok(if_nametoindex(TUN).ok()))?;
            // It leaves the device down. What else it sets is set soon.
            thread::sleep(Duration::from_millis(20));
            (relay, move_tun()?)
        }
        Route::Pasta(mtu) => {
            let client = Namespace::new()?;
            let file = client.bind(temporary("netns"))?;
            let mut command = Command::new("pasta");
            command
                .args(["--foreground", "--config-net", "--netns-only"])
                .args(["--runas", "0:0", "-t", "none", "-u", "none"])
                .args(["-T", "none", "-U", "none", "--mtu", &mtu.to_string()])
                .arg("--netns")
                .arg(file.path());
            bound = Some(file);
            (begin(&mut command)?, client)
        }
        Route::Slirp4netns(mtu) => {
            let client = Namespace::new()?;
            let mut command = Command::new("slirp4netns");
            command
                .args(["--configure", "--mtu", &mtu.to_string()])
                .arg("--netns-type=path")
                .arg(client.path())
                .arg("tap0");
            (begin(&mut command)?, client)
        }
    };
    Ok(Link {
        relay,
        client,
        errors: errors.into(),
        _server: Some(server),
        _inside: inside,
        _bound: bound,
    })
}

/// Makes the server's end of the veth pair, and leaves the other one in the host's namespace. The
/// server has every address that a client may ask for; it answers from its first one.
fn join(host: &Namespace) -> io::Result<()> {
    congestion::set();
    arena::ip(&format!(
        "link set lo up\n\
         link add server0 address {SERVER_MAC} type veth \
         peer name host0 address {HOST_MAC} netns {host}\n\
         link set server0 addrgenmode none\n\
         address add {SERVER}/32 dev server0\n\
         address add 198.19.0.2/24 dev server0 noprefixroute\n\
         link set server0 up\n\
         neighbour add 198.19.0.1 lladdr {HOST_MAC} dev server0 nud permanent\n\
         route add 198.19.0.0/24 dev server0 src {SERVER}\n\
         route add local 198.18.0.0/24 dev lo\n",
        host = host.path().display()
    ))
}

/// Moves the relay's device into a namespace of the client's, so that the host's
/// routes stay as they are.
fn move_tun() -> io::Result<Namespace> {
    let client = Namespace::new()?;
    arena::ip(&format!(
        "link set {TUN} netns {}\n",
        client.path().display()
    ))?;
    client.enter()?;
    arena::ip(&format!(
        "link set lo up\n\
         link set {TUN} addrgenmode none\n\
         address add 198.19.1.1/24 dev {TUN}\n\
         link set {TUN} mtu {MTU} up\n\
         route add default dev {TUN}\n"
    ))?;
    Ok(client)
}

/// Whether the relay has its device up, which is the last that it does to it.
fn is_up() -> bool {
    let interfaces = nix::ifaddrs::getifaddrs();
    interfaces.is_ok_and(|mut all| {
        all.any(|i| {
            i.interface_name == TUN && i.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP)
        })
    })
}

fn accept(listener: &UnixListener, relay: &mut Process) -> io::Result<UnixStream> {
    listener.set_nonblocking(true)?;
    wait(relay, "no command", || match listener.accept() {
        Ok((stream, _)) => Ok(Some(stream)),
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(why) => Err(why),
    })
}

/// Asks again and again, as long as the relay runs and has not had enough time.
fn wait<T>(
    relay: &mut Process,
    missing: &str,
    mut ask: impl FnMut() -> io::Result<Option<T>>,
) -> io::Result<T> {
    let start = Instant::now();
    loop {
        relay.check()?;
        if let Some(found) = ask()? {
            return Ok(found);
        }
        if start.elapsed() > START {
            return Err(io::Error::new(io::ErrorKind::TimedOut, missing));
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Is the command that a relay runs: it tells by its connection who it is, and ends with that.
pub(crate) fn inside(socket: &Path) -> io::Result<()> {
    UnixStream::connect(socket)?.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A file of this process; there is one relay at a time.
fn temporary(extension: &str) -> PathBuf {
    env::temp_dir().join(format!(
        "brooklet-relays-{}.{extension}",
        std::process::id()
    ))
}

/// With what the relay has said last.
fn with_last_line(why: io::Error, errors: &Path) -> io::Error {
    let said = fs::read_to_string(errors).unwrap_or_default();
    match said.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => io::Error::new(why.kind(), format!("{why} ({})", line.trim())),
        None => why,
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Nothing is lost with it.
        let _ = fs::remove_file(&self.errors);
    }
}

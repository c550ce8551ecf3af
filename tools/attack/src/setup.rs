//! Puts a victim at the other end of a wire.

use crate::attacks::Kind;
use crate::drive::{Plan, drive};
use crate::row::Row;
use crate::victim::{self, AcceptMode, Running, SERVER};
use crate::watch::Watch;
use crate::wire::{self, Device, PacketSocket, Wire};
use brooklet_testbed::network::Namespace;
use brooklet_testbed::{LIMIT, Process, in_namespace, ip};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const INTERFACE: &str = "t0";
/// The most packets in the queue of the interface, of the 500 that it holds.
const WINDOW: usize = 400;
/// The packets in flight on a pipe.
const PIPE: usize = 512;

/// Who is attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    /// A stack in this process.
    InProcess(AcceptMode),
    /// The services of this program in a process of their own, behind a TUN device.
    Tun(AcceptMode),
    /// The example `inetd`.
    Inetd,
    /// `brooklet forward`, with the kernel's sockets behind it.
    Forward,
    /// The kernel, behind a TUN device.
    Linux,
}

impl Victim {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let own = AcceptMode::ALL.into_iter();
        let own = own.flat_map(|accept| [Self::InProcess(accept), Self::Tun(accept)]);
        own.chain([Self::Inetd, Self::Forward, Self::Linux])
    }

    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::all().find(|victim| victim.to_string() == name)
    }

    /// How long it waits before it accepts, of its own will.
    pub(crate) fn dial(self) -> Duration {
        match self {
            Self::InProcess(AcceptMode::SlowDial) | Self::Tun(AcceptMode::SlowDial) => victim::DIAL,
            _ => Duration::ZERO,
        }
    }

    /// Whether this takes root and a TUN device.
    pub(crate) fn needs_tun(self) -> bool {
        !matches!(self, Self::InProcess(_))
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProcess(accept) => f.pad(accept.name()),
            Self::Tun(accept) => f.pad(&format!("tun/{}", accept.name())),
            Self::Inetd => f.pad("tun/inetd"),
            Self::Forward => f.pad("tun/forward"),
            Self::Linux => f.pad("linux"),
        }
    }
}

/// Runs an attack against a victim. `None` if this machine cannot.
pub(crate) fn run(kind: &Kind, victim: Victim, plan: Plan) -> io::Result<Option<Row>> {
    let mut ran = None;
    if victim.needs_tun() {
        in_namespace(|| ran = Some(attack(kind, victim, plan)));
    } else {
        ran = Some(attack(kind, victim, plan));
    }
    let Some(row) = ran.transpose()? else {
        return Ok(None);
    };
    // The kernel's figures are beside the others, and not judged.
    let broken = if victim == Victim::Linux {
        Vec::new()
    } else {
        row.broken
    };
    Ok(Some(Row {
        victim: victim.to_string(),
        broken,
        ..row
    }))
}

fn attack(kind: &Kind, victim: Victim, plan: Plan) -> io::Result<Row> {
    let attack = |wire: &mut dyn Wire, watch: &Watch| drive(kind, plan, wire, watch);
    match victim {
        Victim::InProcess(accept) => {
            let (here, there) = brooklet::pipe(PIPE);
            let watch = Watch::Stack(Box::new(Running::start(there, accept)?));
            attack(&mut Device::new(here), &watch)
        }
        Victim::Tun(accept) => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["victim", "--tun", INTERFACE, "--accept", accept.name()]);
            let watch = start(&mut command, "victim: serving")?;
            client_side();
            attack(&mut PacketSocket::new(INTERFACE, WINDOW)?, &watch)
        }
        Victim::Inetd => {
            let mut command = Command::new(built("examples/inetd")?);
            let watch = start(command.args(["--tun", INTERFACE]), "inetd: serving")?;
            client_side();
            attack(&mut PacketSocket::new(INTERFACE, WINDOW)?, &watch)
        }
        Victim::Forward => {
            // What the clients connect to is in the namespace of the program.
            ip(&format!("address add {SERVER}/32 dev lo"));
            victim::on_kernel()?;
            let mut command = Command::new(built("brooklet")?);
            command.args(["forward", "--tun", INTERFACE, "--answer-ping"]);
            let watch = start(&mut command, "forward: forwarding from")?;
            let clients = Namespace::new();
            ip(&format!("link set {INTERFACE} netns {}", clients.path()));
            clients.run(|| {
                client_side();
                attack(&mut PacketSocket::new(INTERFACE, WINDOW)?, &watch)
            })
        }
        Victim::Linux => {
            let mut device = wire::kernel(INTERFACE)?;
            without_ipv6();
            ip(&format!(
                "address add {SERVER}/24 dev {INTERFACE}
                 link set {INTERFACE} up
                 route add default dev {INTERFACE}"
            ));
            std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "0")?;
            victim::on_kernel()?;
            attack(&mut device, &Watch::Kernel)
        }
    }
}

fn start(command: &mut Command, line: &str) -> io::Result<Watch> {
    let mut process = Process::start(command);
    process.wait_for_start(line, LIMIT);
    Ok(Watch::Program(process))
}

/// Brings the interface up in the namespace of this thread. The kernel there has none of the addresses
/// that attack, and says nothing to the answers.
fn client_side() {
    without_ipv6();
    ip(&format!(
        "link set {INTERFACE} txqueuelen 500
         link set {INTERFACE} up
         address add 10.9.0.254/24 dev {INTERFACE}"
    ));
}

/// Keeps the kernel from sending packets of its own.
fn without_ipv6() {
    // A kernel without IPv6 has no such setting.
    let _ = std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
}

/// A program that cargo has built beside this one.
fn built(name: &str) -> io::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let folder = this.parent().ok_or_else(|| io::Error::other("no folder"))?;
    let path = folder.join(name);
    match path.is_file() {
        true => Ok(path),
        false => Err(io::Error::other(format!("{} is not built", path.display()))),
    }
}

/// Builds the programs that are attacked, in the profile of this program.
pub(crate) fn build_programs() -> io::Result<()> {
    let this = std::env::current_exe()?;
    let release = this.components().any(|part| part.as_os_str() == "release");
    let mut command = cargo();
    command.args([
        "build",
        "--quiet",
        "-p",
        "brooklet-cli",
        "-p",
        "brooklet-examples",
    ]);
    command.args(["--bin", "brooklet", "--example", "inetd"]);
    if release {
        command.arg("--release");
    }
    match command.status()?.success() {
        true => Ok(()),
        false => Err(io::Error::other("cargo build has failed")),
    }
}

/// cargo, in this workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

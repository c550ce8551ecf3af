//! `brooklet forward` between clients in a namespace of their own and the network of the thread.

use brooklet_testbed::network::Namespace;
use brooklet_testbed::{Finished, LIMIT, Process, succeeded, wait_until};
use nix::sys::signal::Signal;
use std::net::TcpStream;
use std::process::Command;

/// The program under test.
pub(crate) const BROOKLET: &str = env!("CARGO_BIN_EXE_brooklet");

const TUN: &str = "brooklet1";

/// A running `forward`. Its clients are in another namespace and have the addresses 10.78.0.1 to
/// 10.78.0.100, and fd78::1.
#[derive(Debug)]
pub(crate) struct Forward {
    process: Process,
    clients: Namespace,
}

impl Forward {
    /// Starts `forward` with these flags in the namespace of this thread.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::run(&mut Command::new(BROOKLET), flags)
    }

    /// Starts `forward`, and then lets the process open this many files only. A process that starts
    /// with few files has limits that suffice.
    pub(crate) fn with_files(files: usize) -> Self {
        let forward = Self::start(&[]);
        forward.limit_files(files);
        forward
    }

    /// Starts `forward` as a process that may open this many files.
    pub(crate) fn started_with_files(files: usize) -> Self {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={files}")).arg(BROOKLET);
        Self::run(&mut command, &[])
    }

    /// Sets the limit of open files, which the process itself may raise again.
    pub(crate) fn limit_files(&self, files: usize) {
        // A part of util-linux, which Debian always has.
        let mut command = Command::new("prlimit");
        let pid = self.process.pid().to_string();
        command.args(["--pid", &pid, &format!("--nofile={files}:")]);
        succeeded(Process::start(&mut command).finish(LIMIT));
    }

    fn run(command: &mut Command, flags: &[&str]) -> Self {
        let mut process = Process::start(command.args(["forward", "--tun", TUN]).args(flags));
        process.wait_for_start("forward: forwarding from", LIMIT);
        let clients = Namespace::new();
        brooklet_testbed::ip(&format!("link set {TUN} netns {}", clients.path()));
        let mut commands = format!(
            "link set lo up
             link set {TUN} addrgenmode none
             link set {TUN} up
             -6 address add fd78::1/64 dev {TUN} nodad
             -6 route add default dev {TUN}\n"
        );
        if flags.contains(&"--no-ipv6") {
            commands = format!("link set lo up\n link set {TUN} up\n");
        }
        for n in 1..=100 {
            commands += &format!("address add 10.78.0.{n}/16 dev {TUN}\n");
        }
        commands += &format!("route add default dev {TUN}");
        clients.ip(&commands);
        Self { process, clients }
    }

    pub(crate) fn clients(&self) -> &Namespace {
        &self.clients
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// The resident memory of the process, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let path = format!("/proc/{}/statm", self.process.pid());
        let statm = std::fs::read_to_string(path).expect("a process that runs");
        let pages = statm.split_whitespace().nth(1).and_then(|n| n.parse().ok());
        pages.map_or(0, |pages: usize| pages * 4096)
    }

    /// The open files of the process.
    pub(crate) fn files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.process.pid());
        std::fs::read_dir(path)
            .expect("a process that runs")
            .count()
    }

    /// Ends the process; what it printed has the counters of the stack and of the rules.
    pub(crate) fn stop(self) -> Finished {
        self.process.signal(Signal::SIGTERM);
        let ended = self.process.finish(LIMIT);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
        ended
    }
}

/// A server, once its port on the loopback is open.
pub(crate) fn serving(command: &mut Command, port: u16) -> Process {
    let server = Process::start(command);
    let open = wait_until(LIMIT, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert!(open, "nobody serves port {port}: {server:?}");
    server
}

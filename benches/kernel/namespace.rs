use brooklet_tun::{Tun, TunBuilder};
use nix::sched::{CloneFlags, unshare};
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::mpsc::{self, Receiver, Sender};
use std::{fs, io, thread};

/// Packets that wait in a TUN device for this program: more than any window holds, so that
/// nothing is lost that the link has not lost.
const QUEUE: &str = "10000";

/// A network namespace whose only network is a TUN device, and a thread that works in it.
pub(crate) struct Namespace {
    work: Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Namespace {
    /// Makes a namespace with this address in a network of 256.
    pub(crate) fn new(address: Ipv4Addr) -> io::Result<(Self, Tun)> {
        let (work, jobs) = mpsc::channel::<Job>();
        let (opened, tun) = mpsc::channel();
        thread::spawn(move || {
            let entered = enter(address);
            let ready = entered.is_ok();
            // Nobody waits any more if the program is ending.
            if opened.send(entered).is_ok() && ready {
                jobs.into_iter().for_each(|job| job());
            }
        });
        let tun = tun
            .recv()
            .map_err(|_| io::Error::other("a thread died"))??;
        Ok((Self { work }, tun))
    }

    /// Does something in the namespace: its sockets are there, wherever they are used.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Doing<T> {
        let (done, result) = mpsc::channel();
        let job = move || {
            // Whoever asked may have given up.
            let _ = done.send(job());
        };
        // A thread that is gone shows when the result is asked for.
        let _ = self.work.send(Box::new(job));
        Doing(result)
    }
}

/// What is being done in a namespace.
pub(crate) struct Doing<T>(Receiver<io::Result<T>>);

impl<T> Doing<T> {
    /// Waits for the result.
    pub(crate) fn wait(self) -> io::Result<T> {
        let result = self.0.recv();
        result.map_err(|_| io::Error::other("the thread of a namespace died"))?
    }
}

/// Puts the calling thread into a namespace of its own.
fn enter(address: Ipv4Addr) -> io::Result<Tun> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| {
        let text = format!("no network namespace ({error}): run it as root");
        io::Error::new(io::Error::from(error).kind(), text)
    })?;
    let tun = TunBuilder::new("tun0")
        .mtu(1500)
        .ipv4(address, 24)
        .offload(false) // packets are lost one by one
        .open()?;
    // What one connection has learnt must not help the next.
    fs::write("/proc/sys/net/ipv4/tcp_no_metrics_save", "1")?;
    let mut ip = Command::new("ip");
    let status = ip
        .args(["link", "set", "tun0", "txqueuelen", QUEUE])
        .status();
    match status {
        Ok(status) if status.success() => Ok(tun),
        Ok(status) => Err(io::Error::other(format!("`ip link set`: {status}"))),
        Err(error) => Err(io::Error::other(format!("no `ip` (iproute2): {error}"))),
    }
}

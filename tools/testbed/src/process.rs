//! Children that end with the test, and waits that end.

use super::{Missing, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// A child whose output is collected as it comes. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    out: Output,
    err: Output,
}

/// A process that ended, with everything it printed.
#[derive(Debug)]
pub struct Finished {
    /// The exit status.
    pub status: ExitStatus,
    /// What it printed on standard output.
    pub out: String,
    /// What it printed on standard error.
    pub err: String,
}

/// Returns a process that has ended with status 0, and fails the test for any other.
///
/// # Panics
///
/// If the status is another.
pub fn succeeded(ended: Finished) -> Finished {
    let Finished { status, out, err } = &ended;
    assert!(status.success(), "{status}; output {out:?}; errors {err:?}");
    ended
}

impl Process {
    /// Starts a process without standard input.
    pub fn start(command: &mut Command) -> Self {
        Self::spawn(command.stdin(Stdio::null()))
    }

    /// Starts a process whose standard input is `input`.
    pub fn start_with(command: &mut Command, input: &'static [u8]) -> Self {
        let mut process = Self::spawn(command.stdin(Stdio::piped()));
        let mut stdin = process.child.stdin.take().expect("piped");
        thread::spawn(move || stdin.write_all(input));
        process
    }

    fn spawn(command: &mut Command) -> Self {
        let name = format!("{command:?}");
        let spawned = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(why) => panic!("{name}: {why}"),
        };
        let out = Output::collect(child.stdout.take().expect("piped"));
        let err = Output::collect(child.stderr.take().expect("piped"));
        Self {
            child,
            name,
            out,
            err,
        }
    }

    /// Returns the number of the process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a process number"))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("a child that has not been waited for");
    }

    /// Waits until standard output has a line like this.
    pub fn wait_for(&mut self, line: &str, limit: Duration) {
        self.wait_for_line(line, limit, |l| l == line);
    }

    /// Waits until standard output has a line that begins like this.
    pub fn wait_for_start(&mut self, line: &str, limit: Duration) {
        self.wait_for_line(line, limit, |l| l.starts_with(line));
    }

    fn wait_for_line(&mut self, line: &str, limit: Duration, is_it: impl Fn(&str) -> bool) {
        if !self.out.wait(limit, |text| text.lines().any(&is_it)) {
            let status = self.child.try_wait();
            panic!(
                "{}: no line {line:?} in {limit:?}; status {status:?}, output {:?}, errors {:?}",
                self.name,
                self.out.text(),
                self.err.text(),
            );
        }
    }

    /// What standard error holds beyond its first `seen` bytes, once `enough` says so.
    pub fn errors_after(
        &self,
        seen: usize,
        limit: Duration,
        enough: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let beyond = |text: &str| text.get(seen..).unwrap_or_default().to_owned();
        let found = self.err.wait(limit, |text| enough(&beyond(text)));
        found.then(|| beyond(&self.err.text()))
    }

    /// How much standard error holds.
    pub fn errors_seen(&self) -> usize {
        self.err.text().len()
    }

    /// Waits for the end, and kills the process and fails the test when the time is over.
    pub fn finish(mut self, limit: Duration) -> Finished {
        let mut status = None;
        let ended = wait_until(limit, || {
            status = self.child.try_wait().expect("a child of ours");
            status.is_some()
        });
        if !ended {
            let _ = self.child.kill();
        }
        // The pipes end with the process, unless one of its own children holds on to them.
        self.out.wait_for_end(Duration::from_secs(2));
        self.err.wait_for_end(Duration::from_secs(2));
        let (out, err) = (self.out.text(), self.err.text());
        let Some(status) = status else {
            panic!(
                "{} has not ended in {limit:?}: output {out:?}, errors {err:?}",
                self.name
            );
        };
        Finished { status, out, err }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail on a child that has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has printed so far.
#[derive(Clone, Debug)]
struct Output(Arc<(Mutex<Printed>, Condvar)>);

#[derive(Debug, Default)]
struct Printed {
    text: String,
    ended: bool,
}

impl Output {
    fn collect(mut pipe: impl Read + Send + 'static) -> Self {
        let output = Self(Arc::default());
        let to = output.clone();
        thread::spawn(move || {
            // What was written in one piece is seen in one piece.
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut piece) {
                to.change(|printed| printed.text += &String::from_utf8_lossy(&piece[..n]));
            }
            to.change(|printed| printed.ended = true);
        });
        output
    }

    fn change(&self, change: impl FnOnce(&mut Printed)) {
        change(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.1.notify_all();
    }

    fn text(&self) -> String {
        self.0
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .text
            .clone()
    }

    fn wait(&self, limit: Duration, enough: impl Fn(&str) -> bool) -> bool {
        let printed = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (printed, _) = self
            .0
            .1
            .wait_timeout_while(printed, limit, |p| !p.ended && !enough(&p.text))
            .unwrap_or_else(PoisonError::into_inner);
        enough(&printed.text)
    }

    fn wait_for_end(&self, limit: Duration) {
        self.wait(limit, |_| false);
    }
}

/// The path of a program that this machine may not have.
pub fn program(name: &str) -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where the PATH of a user does not look.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    let package = match name {
        "ip" => "iproute2",
        "ping" => "iputils-ping",
        "nc" => "netcat-openbsd",
        "dig" => "bind9-dnsutils",
        "nginx" => "nginx-light",
        "dnsmasq" => "dnsmasq-base",
        "script" => "bsdutils",
        "nsenter" | "setpriv" | "unshare" => "util-linux",
        "turnserver" | "turnutils_natdiscovery" => "coturn",
        "qemu-system-x86_64" => "qemu-system-x86",
        same => same,
    };
    found.ok_or_else(|| Missing(format!("no program `{name}`: apt-get install {package}")))
}

//! The process of a contender, and what it uses.

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fs, io};

/// A server that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    asked: AtomicU64,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        // How it ends is said in one line.
        command.env("RUST_BACKTRACE", "0");
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let started = command.spawn();
        let started = started.map(|child| Self {
            child,
            asked: AtomicU64::new(0),
        });
        started.map_err(|why| {
            let program = command.get_program().display();
            io::Error::new(why.kind(), format!("{program}: {why}"))
        })
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Counts requests that it has answered.
    pub(crate) fn count(&self, requests: usize) {
        self.asked.fetch_add(requests as u64, Ordering::Relaxed);
    }

    /// The requests that it has answered so far, those of the warm-up too.
    pub(crate) fn requests(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!("the server has ended: {status}"))),
        }
    }

    /// The time that its threads have been on a core so far, those that have ended too.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let clock = clock_getcpuclockid(self.pid())?;
        Ok(clock_gettime(clock)?.into())
    }

    /// The most memory that it has had so far, in KiB.
    pub(crate) fn peak(&self) -> io::Result<f64> {
        self.status("VmHWM:")
    }

    /// The memory that it has now, in KiB.
    pub(crate) fn resident(&self) -> io::Result<f64> {
        self.status("VmRSS:")
    }

    fn status(&self, name: &str) -> io::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        field(&status, name).ok_or_else(|| io::Error::other(format!("status without {name}")))
    }

    /// How often its threads have gone to sleep so far. Each time but the last they woke up again.
    pub(crate) fn sleeps(&self) -> io::Result<f64> {
        let mut sum = 0.0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let status = fs::read_to_string(thread?.path().join("status"))?;
            sum += field(&status, "voluntary_ctxt_switches:").unwrap_or(f64::NAN);
        }
        Ok(sum)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail on a child that has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number behind the name at the beginning of a line.
pub(crate) fn field(status: &str, name: &str) -> Option<f64> {
    let mut rest = status.lines().filter_map(|line| line.strip_prefix(name));
    rest.next()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_that_of_its_line() {
        let status = "Name:\ta\nVmHWM:\t    7 kB\nnonvoluntary_ctxt_switches:\t5\n\
                      voluntary_ctxt_switches:\t3\n";
        assert_eq!(field(status, "VmHWM:"), Some(7.0));
        assert_eq!(field(status, "voluntary_ctxt_switches:"), Some(3.0));
        assert_eq!(field(status, "VmRSS:"), None);
    }

    #[test]
    fn a_process_is_measured_and_ends() {
        let mut command = Command::new("sh");
        let mut busy = Process::start(command.args(["-c", "while :; do :; done"])).unwrap();
        let start = busy.cpu().unwrap();
        while busy.cpu().unwrap() < start + Duration::from_millis(10) {
            busy.check().unwrap();
        }
        assert!(busy.resident().unwrap() <= busy.peak().unwrap());
        assert!(busy.sleeps().unwrap() >= 0.0);
    }
}

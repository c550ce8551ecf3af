//! The process of a contender, and what it uses.

use nix::unistd::{SysconfVar, sysconf};
use std::process::{Child, Command, Stdio};
use std::{fs, io};

/// A server that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let started = command.spawn();
        started.map(Self).map_err(|why| {
            let program = command.get_program().display();
            io::Error::new(why.kind(), format!("{program}: {why}"))
        })
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!("the server has ended: {status}"))),
        }
    }

    /// The time that its threads have been on a core so far, those that have ended too, in
    /// seconds; exact to a tick of 10 ms.
    pub(crate) fn cpu(&self) -> io::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let ticks = ticks(&stat).ok_or_else(|| io::Error::other("stat without times"))?;
        let second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100);
        Ok(ticks as f64 / second as f64)
    }

    /// The most memory that it has had so far, in MiB.
    pub(crate) fn memory(&self) -> io::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        kib.map(|kib| kib / 1024.0)
            .ok_or_else(|| io::Error::other("status without a peak"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail on a child that has ended, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// utime and stime of a `/proc/PID/stat`. The name before them may have blanks and brackets.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) R 1 7 7 0 -1 4194560 95 0 0 0 12 30 5 6 20 0 1 0 100 2 3";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a) R 1 2"), None);
    }
}

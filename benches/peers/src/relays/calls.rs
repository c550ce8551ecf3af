//! The system calls of a process, counted by `strace`.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

/// How long `strace` may take to attach, and to write its summary.
const LIMIT: Duration = Duration::from_secs(5);

/// System calls for each request.
#[derive(Debug, PartialEq)]
pub(crate) struct Calls {
    pub(crate) all: f64,
    /// By name, the most frequent first.
    pub(crate) each: Vec<(String, f64)>,
}

/// A running `strace` of all threads of a process.
#[derive(Debug)]
pub(crate) struct Strace {
    child: Child,
    summary: PathBuf,
}

impl Strace {
    /// Returns when it counts.
    pub(crate) fn attach(process: Pid) -> io::Result<Self> {
        let summary = env::temp_dir().join(format!("brooklet-relays-{}.calls", std::process::id()));
        let child = Command::new("strace")
            .args(["-f", "-c", "-U", "calls,name", "-o"])
            .arg(&summary)
            .args(["-p", &process.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|why| {
                let text = format!("`strace`: {why} (apt-get install strace)");
                io::Error::new(why.kind(), text)
            })?;
        let mut strace = Self { child, summary };
        let start = Instant::now();
        while !is_traced(process)? {
            if strace.child.try_wait()?.is_some() || start.elapsed() > LIMIT {
                return Err(io::Error::other("`strace` does not attach"));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(strace)
    }

    /// Ends it, and returns its summary.
    pub(crate) fn stop(mut self) -> io::Result<String> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT)?;
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > LIMIT {
                return Err(io::Error::other("`strace` does not end"));
            }
            thread::sleep(Duration::from_millis(2));
        }
        fs::read_to_string(&self.summary)
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // These fail where it has ended, or has written nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.summary);
    }
}

/// Whether all threads of the process are traced.
fn is_traced(process: Pid) -> io::Result<bool> {
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        if crate::server::field(&status, "TracerPid:") == Some(0.0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads a summary of the columns `calls` and `name`.
pub(crate) fn per_request(summary: &str, requests: u64) -> io::Result<Calls> {
    if requests == 0 {
        return Err(io::Error::other("no request was answered"));
    }
    let mut each: Vec<_> = summary
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let calls: u32 = words.next()?.parse().ok()?;
            let name = words.next()?;
            Some((name.to_owned(), f64::from(calls) / requests as f64))
        })
        .filter(|(name, _)| name != "total")
        .collect();
    each.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let all = each.iter().map(|(_, calls)| calls).sum();
    Ok(Calls { all, each })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_divided_by_requests() {
        let summary = "    calls syscall\n--------- ----------------\n     10 write\n     30 read\n\
                       --------- ----------------\n     40 total\n";
        let calls = per_request(summary, 10).unwrap();
        assert_eq!(calls.all, 4.0);
        assert_eq!(calls.each, [("read".into(), 3.0), ("write".into(), 1.0)]);
        assert!(per_request(summary, 0).is_err());
    }
}

//! The limit of the kernel for a process, and what the process has had.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A memory cgroup, removed when this value is dropped.
#[derive(Debug)]
pub(super) struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes a cgroup of at most `bytes` bytes. Returns `None` where the user cannot.
    pub(super) fn new(bytes: usize) -> Option<Self> {
        let name = format!("brooklet-memory-{}", std::process::id());
        // Version 1 and version 2.
        let places = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        places.into_iter().find_map(|(root, limit)| {
            let is_controller = Path::new(root).join("cgroup.procs").exists();
            let cgroup = Self(Path::new(root).join(&name));
            (is_controller && fs::create_dir(&cgroup.0).is_ok()).then_some(())?;
            let limited = fs::write(cgroup.0.join(limit), bytes.to_string());
            limited.is_ok().then_some(cgroup)
        })
    }

    /// Moves a process into the cgroup.
    pub(super) fn add(&self, process: u32) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), process.to_string())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0); // it is empty once its process has ended
    }
}

/// The most resident memory that a process has had, in bytes, where the system tells it.
pub(super) fn peak(process: u32) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

//! What the system says about a process: memory and processor time.

use std::fs;
use std::time::Duration;

/// The resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|n| n.parse().ok());
    pages.map_or(0, |pages: u64| pages * 4096)
}

/// The most resident memory of a process since [`forget_peak`], in bytes.
pub(crate) fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.map_or(0, |kib: u64| kib * 1024)
}

/// Lets the peak begin again with the present memory.
pub(crate) fn forget_peak(pid: u32) {
    // Without the permission the peak is that of the whole life.
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// The processor time of a process so far, or of one of its threads.
pub(crate) fn processor_time(pid: u32, thread: Option<u32>) -> Duration {
    let tasks = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&tasks).into_iter().flatten().flatten();
    let names = threads.filter_map(|entry| entry.file_name().into_string().ok());
    let names = names.filter(|name| thread.is_none_or(|thread| *name == thread.to_string()));
    let spent = names.filter_map(|name| {
        let schedstat = fs::read_to_string(format!("{tasks}/{name}/schedstat")).ok()?;
        schedstat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}

//! Cores that do not fall asleep.
//!
//! Two programs that take turns leave the cores idle in between, and an idle core has to be woken:
//! in a virtual machine that costs more than what is to be measured. A thread of the class
//! SCHED_IDLE on each core keeps it busy and gives way to everybody else at once.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::{fs, hint, io, thread};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// SCHED_IDLE, as `/proc` numbers it.
const IDLE: &str = "5";

/// All cores are awake as long as this is there.
pub(crate) struct Awake {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Awake {
    pub(crate) fn start() -> io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let cores = (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false));
        let threads = cores.map(|core| {
            let over = over.clone();
            thread::spawn(move || spin(core, &over))
        });
        let threads = threads.collect();
        Ok(Self { over, threads })
    }

    /// Fails if a core was not kept awake.
    pub(crate) fn stop(self) -> io::Result<()> {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let joined = thread.join();
            joined.map_err(|_| io::Error::other("a spinner panicked"))??;
        }
        Ok(())
    }
}

fn spin(core: usize, over: &AtomicBool) -> io::Result<()> {
    let mut only = CpuSet::new();
    only.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &only)?;
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle)
        .map_err(|why| io::Error::other(format!("no SCHED_IDLE: {why:?}")))?;
    // In any other class it would take half of the core from what is measured.
    let stat = fs::read_to_string("/proc/thread-self/stat")?;
    let policy = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().nth(38));
    if policy != Some(IDLE) {
        return Err(io::Error::other(format!(
            "SCHED_IDLE has become {policy:?}"
        )));
    }
    while !over.load(Ordering::Relaxed) {
        hint::spin_loop();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spinners_are_idle_and_end() {
        let awake = Awake::start().unwrap();
        assert_eq!(
            awake.threads.len(),
            thread::available_parallelism().unwrap().get()
        );
        thread::sleep(std::time::Duration::from_millis(20));
        awake.stop().unwrap();
    }
}

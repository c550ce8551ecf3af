//! What the tests share: namespaces, processes with time limits, data, raw packets.

pub(crate) mod data;
mod folder;
pub(crate) mod forward;
mod inetd;
mod namespace;
pub(crate) mod network;
pub(crate) mod packets;
mod process;

pub(crate) use folder::Folder;
pub(crate) use inetd::{Inetd, example, on_inetd};
pub(crate) use namespace::{in_namespace, ip};
pub(crate) use process::{Finished, Process, program};

use std::io::Write;
use std::time::{Duration, Instant};

/// How long anything may take that takes no time where it works.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// What a test needs and this machine does not have: the reason, and what to do about it.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

/// What was found, or `None` for a test that is to return: the reason has been printed. With
/// `CI=true` nothing may be missing.
pub(crate) fn require<T>(found: Result<T, Missing>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(Missing(why)) => {
            let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!ci, "CI=true skips nothing: {why}");
            // Not by `eprintln`, which the test harness keeps to itself.
            let _ = writeln!(std::io::stderr(), "skipped: {why}");
            None
        }
    }
}

/// Asks every few milliseconds until the answer is yes or the time is over.
pub(crate) fn wait_until(limit: Duration, mut yes: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if yes() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Makes three tests of each function: on one thread with handles that stay there, on two threads,
/// and with a device that carries long segments.
macro_rules! each_mode {
    ($($name:ident),* $(,)?) => {
        mod local {
            $(#[test] fn $name() { super::$name(&["--local"]) })*
        }
        mod threads {
            $(#[test] fn $name() { super::$name(&["--workers", "2"]) })*
        }
        mod offload {
            $(#[test] fn $name() { super::$name(&["--offload"]) })*
        }
        mod queues {
            $(#[test] fn $name() { super::$name(&["--queues", "2", "--offload"]) })*
        }
    };
}
pub(crate) use each_mode;

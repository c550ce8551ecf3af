//! Network namespaces, processes with time limits, data and raw packets, for the tests that use a real
//! TUN device.
//!
//! A test that this machine cannot run prints `skipped:` and the reason ([`require`]).

#![cfg(target_os = "linux")]

pub mod data;
mod folder;
mod namespace;
pub mod network;
pub mod packets;
mod process;

pub use folder::Folder;
pub use namespace::{in_namespace, ip};
pub use process::{Finished, Process, program, succeeded};

use std::io::Write;
use std::time::{Duration, Instant};

/// How long anything may take that takes no time where it works.
pub const LIMIT: Duration = Duration::from_secs(30);

/// What a test needs and this machine does not have: the reason, and what to do about it.
#[derive(Debug)]
pub struct Missing(pub String);

/// What was found, or `None` for a test that is to return: the reason has been printed. With
/// `CI=true` nothing may be missing.
pub fn require<T>(found: Result<T, Missing>) -> Option<T> {
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
pub fn wait_until(limit: Duration, mut yes: impl FnMut() -> bool) -> bool {
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

//! The congestion control of the kernel's connections: Linux's default, whatever the machine's is, so
//! that reports of different machines can be compared.

use super::namespace::Namespace;
use std::{fs, io, thread};

/// Linux's default.
const CUBIC: &str = "cubic";

/// What new connections of a network namespace use.
const USED: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// What namespaces other than the first may use, for the whole machine.
const ALLOWED: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";

/// Lets namespaces use [`CUBIC`], and restores what was allowed when it is dropped.
#[derive(Debug)]
pub(crate) struct Allowed {
    before: Option<String>,
}

impl Allowed {
    /// Where the machine does not have it, its own stays in use.
    pub(crate) fn new() -> Self {
        let before = fs::read_to_string(ALLOWED).ok();
        let before = before.filter(|before| {
            let missing = before.split_whitespace().all(|name| name != CUBIC);
            missing && fs::write(ALLOWED, format!("{} {CUBIC}", before.trim())).is_ok()
        });
        Self { before }
    }
}

impl Drop for Allowed {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // It was written before.
            let _ = fs::write(ALLOWED, before);
        }
    }
}

/// Sets it for the namespace of this thread, if that may be.
pub(crate) fn set() {
    let _ = fs::write(USED, CUBIC);
}

/// What is used where it is set.
pub(crate) fn used() -> io::Result<String> {
    let namespace = Namespace::new()?;
    let read = thread::spawn(move || {
        namespace.enter()?;
        set();
        fs::read_to_string(USED)
    });
    let read = read.join();
    let name = read.map_err(|_| io::Error::other("a thread panicked"))??;
    Ok(name.trim().to_owned())
}

//! The limit of open files.

use std::io;

/// The fewest files that the program starts with: those of the program itself, and of a few connections.
const LEAST: u64 = 64;

/// Checks that the process may open enough files.
///
/// # Errors
///
/// One line that says how to raise the limit.
pub(crate) fn check() -> io::Result<()> {
    match rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        Some(files @ ..LEAST) => Err(io::Error::other(format!(
            "{files} open files are too few: raise the limit (`ulimit -n 1024`)"
        ))),
        _ => Ok(()),
    }
}

//! Output whose reader may be gone. A closed pipe or terminal is no reason to end a network, and the macros of
//! the standard library would panic.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes to standard output.
pub(crate) fn print(text: impl Display) {
    let _ = write!(io::stdout().lock(), "{text}").and_then(|()| io::stdout().flush());
}

/// Writes to standard error.
pub(crate) fn eprint(text: impl Display) {
    // In one piece: others write to the same terminal.
    let _ = io::stderr().write_all(text.to_string().as_bytes());
}

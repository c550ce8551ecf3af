//! Checks the public API of the published crates.
//!
//! - The listing of each crate is the one in `tools/api/snapshots`. A change of the API is then
//!   visible in the change that makes it.
//! - Every type in the API can be named by a user, and comes from a crate that the project allows
//!   in public signatures.
//!
//! ```sh
//! cargo run -p brooklet-api                # checks
//! cargo run -p brooklet-api -- --write     # renews the snapshots
//! cargo run -p brooklet-api -- --examples  # lists the items without an example
//! ```
//!
//! The API of `brooklet-tun` depends on the system: the snapshot is that of Linux.
//!
//! The API is read from rustdoc's JSON, the format of which changes with the compiler: see
//! [`rustdoc::RUSTC`]. With another compiler the check is skipped.

mod examples;
mod names;
mod rustdoc;
mod snapshot;
mod walk;

#[cfg(test)]
mod tests;

use lexopt::prelude::*;
use rustdoc::Docs;
use std::process::ExitCode;

/// The crate that has to name every type of its API, also those of other crates.
const FACADE: &str = "brooklet";

enum Task {
    Check,
    Write,
    Examples,
}

fn main() -> ExitCode {
    match task().and_then(|task| run(&task)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("brooklet-api: {error}");
            ExitCode::FAILURE
        }
    }
}

fn task() -> Result<Task, Box<dyn std::error::Error>> {
    let mut task = Task::Check;
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("write") => task = Task::Write,
            Long("examples") => task = Task::Examples,
            Long("help") => {
                println!("usage: brooklet-api [--write | --examples]");
                std::process::exit(0);
            }
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(task)
}

/// Runs the task. Returns `false` if a check has failed.
fn run(task: &Task) -> Result<bool, Box<dyn std::error::Error>> {
    let Some(toolchain) = rustdoc::toolchain() else {
        println!(
            "skipped: the format of rustdoc's JSON is that of rustc {}",
            rustdoc::RUSTC
        );
        return Ok(true);
    };
    let docs = Docs::build(&toolchain)?;
    match task {
        Task::Examples => {
            for item in examples::without(&docs) {
                println!("{item}");
            }
            Ok(true)
        }
        Task::Write => {
            for krate in docs.names() {
                snapshot::write(krate, &docs.listing(krate)?)?;
            }
            Ok(true)
        }
        Task::Check => {
            let mut good = true;
            for krate in docs.names() {
                if let Some(diff) = snapshot::compare(krate, &docs.listing(krate)?)? {
                    eprint!("{krate}: the API is not the one in the snapshot:\n{diff}");
                    good = false;
                }
            }
            if !good {
                eprintln!("renew the snapshots: cargo run -p brooklet-api -- --write");
            }
            let findings = walk::findings(&docs, FACADE);
            for finding in &findings {
                eprintln!("{finding}");
            }
            if good && findings.is_empty() {
                println!(
                    "{} crates: the API is the one in the snapshots",
                    docs.names().count()
                );
            }
            Ok(good && findings.is_empty())
        }
    }
}

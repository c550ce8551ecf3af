//! Lists who uses `unsafe`.
//!
//! - Every package of every workspace of the repository forbids `unsafe` code.
//! - `docs/unsafe.md` names each dependency of the published crates that contains `unsafe`, with the
//!   number of times. A new one is then visible in the change that brings it in.
//!
//! ```sh
//! cargo run -p brooklet-audit               # checks
//! cargo run -p brooklet-audit -- --write    # renews docs/unsafe.md
//! ```

mod count;
mod graph;
mod page;

#[cfg(test)]
mod tests;

use graph::Graph;
use lexopt::prelude::*;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

/// The root manifests of the workspaces, from the root of the repository.
const WORKSPACES: [&str; 5] = [
    "Cargo.toml",
    "benches/peers/Cargo.toml",
    "examples/programs/Cargo.toml",
    "examples/tokio/Cargo.toml",
    "fuzz/Cargo.toml",
];

fn main() -> ExitCode {
    match write_asked().and_then(run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("brooklet-audit: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_asked() -> Result<bool, Box<dyn Error>> {
    let mut write = false;
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("write") => write = true,
            Long("help") => {
                println!("usage: brooklet-audit [--write]");
                std::process::exit(0);
            }
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(write)
}

/// Checks both rules, or renews the page. Returns `false` if a check has failed.
fn run(write: bool) -> Result<bool, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut own = 0;
    let mut good = true;
    for workspace in WORKSPACES {
        let shared = fs::read_to_string(root.join(workspace))?;
        for manifest in graph::members(&root.join(workspace))? {
            own += 1;
            if !forbids(&fs::read_to_string(&manifest)?, &shared) {
                eprintln!(
                    "{}: the package allows unsafe code; inherit the lints of the workspace \
                     (`[lints]`, `workspace = true`), or set `unsafe_code = \"forbid\"`",
                    manifest.display()
                );
                good = false;
            }
        }
    }
    println!("{own} packages of the repository, checked for the lint");

    let text = page::write(&Graph::load(&root)?)?;
    let path = root.join("docs/unsafe.md");
    if write {
        fs::write(path, text)?;
        return Ok(good);
    }
    let recorded = fs::read_to_string(path).unwrap_or_default();
    let differences = page::differences(&recorded, &text);
    if differences.is_empty() {
        println!("the dependencies with unsafe code are those in docs/unsafe.md");
        return Ok(good);
    }
    for line in differences {
        eprintln!("{line}");
    }
    eprintln!("renew docs/unsafe.md: cargo run -p brooklet-audit -- --write");
    Ok(false)
}

/// Whether a package forbids `unsafe` code, by its own lints or by those of its workspace.
fn forbids(manifest: &str, workspace: &str) -> bool {
    const FORBID: &str = "unsafe_code = \"forbid\"";
    has(manifest, "[lints.rust]", FORBID)
        || (has(manifest, "[lints]", "workspace = true")
            && has(workspace, "[workspace.lints.rust]", FORBID))
}

/// Whether `line` is in the section of a manifest below `header`.
fn has(manifest: &str, header: &str, line: &str) -> bool {
    manifest
        .lines()
        .skip_while(|other| other.trim() != header)
        .skip(1)
        .take_while(|other| !other.starts_with('['))
        .any(|other| other.trim() == line)
}

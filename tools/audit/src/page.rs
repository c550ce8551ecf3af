//! `docs/unsafe.md`.

use crate::count;
use crate::graph::{Dependency, Graph};
use std::fmt::Write;
use std::io;

const HEAD: &str = "\
# Who uses `unsafe`

Every package of this repository forbids `unsafe` code, by the lint `unsafe_code = \"forbid\"`. Dependencies
contain it. These tables name each dependency of the published crates, with all features, in whose sources the
keyword `unsafe` stands, and how often it stands there (tests in the sources included, comments and strings not).
Dependencies of tests, build scripts and procedural macros are not listed: they run where the crates are
compiled.

The page is written by `cargo run -p brooklet-audit -- --write`, and `scripts/check audit` compares it with
`Cargo.lock`, so that a new use of `unsafe` is visible in the change that brings it in.
";

/// Writes the page for a graph, of which it reads the sources.
pub(crate) fn write(graph: &Graph) -> io::Result<String> {
    let mut page = HEAD.to_owned();
    let (linux, others): (Vec<_>, Vec<_>) = graph.0.iter().partition(|one| one.on_linux);
    for (title, dependencies) in [("On Linux", linux), ("On other systems only", others)] {
        section(&mut page, title, &dependencies)?;
    }
    Ok(page)
}

fn section(page: &mut String, title: &str, dependencies: &[&Dependency]) -> io::Result<()> {
    let mut rows = String::new();
    let mut free = Vec::new();
    for one in dependencies {
        match count::in_folder(&one.sources)? {
            0 => free.push(format!("{} {}", one.name, one.version)),
            count => {
                let through: Vec<&str> = one.through.iter().map(String::as_str).collect();
                let through = through.join(", ");
                let (name, version) = (&one.name, &one.version);
                push(
                    &mut rows,
                    format_args!("| {name} | {version} | {count} | {through} |"),
                );
            }
        }
    }
    push(page, format_args!("\n## {title}\n"));
    push(
        page,
        format_args!("| crate | version | `unsafe` | needed by |"),
    );
    push(page, format_args!("|---|---|---:|---|"));
    page.push_str(&rows);
    if !free.is_empty() {
        push(
            page,
            format_args!("\nWithout `unsafe`: {}.", free.join(", ")),
        );
    }
    Ok(())
}

fn push(page: &mut String, line: std::fmt::Arguments<'_>) {
    // A `String` takes everything.
    let _ = writeln!(page, "{line}");
}

/// The lines that only one of two pages has, `-` before those of the recorded one.
pub(crate) fn differences(recorded: &str, now: &str) -> Vec<String> {
    let only = |sign: char, one: &str, other: &str| -> Vec<String> {
        let lines = one
            .lines()
            .filter(|line| !other.lines().any(|it| it == *line));
        lines.map(|line| format!("{sign} {line}")).collect()
    };
    [only('-', recorded, now), only('+', now, recorded)].concat()
}

//! The listing of a crate's public items, and the file that has it.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Traits that the compiler implements and that say nothing to a user of these crates. `Send`,
/// `Sync` and `Unpin` do.
const SILENT: [&str; 5] = [
    "core::marker::Freeze for",
    "core::marker::StructuralPartialEq for",
    "core::marker::UnsafeUnpin for",
    "core::panic::unwind_safe::RefUnwindSafe for",
    "core::panic::unwind_safe::UnwindSafe for",
];

/// The public items of a crate from rustdoc's JSON, a line each.
pub(crate) fn listing(json: &Path) -> Result<String, Box<dyn Error>> {
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .build()?;
    let mut text = String::new();
    for item in api.items() {
        let line = item.to_string();
        if !SILENT.iter().any(|silent| line.contains(silent)) {
            writeln!(text, "{line}")?;
        }
    }
    Ok(text)
}

/// Replaces paths by the names that `name` has for them.
pub(crate) fn rename<'a>(listing: &str, name: impl Fn(&str) -> Option<&'a str>) -> String {
    let in_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut text = String::with_capacity(listing.len());
    let mut rest = listing;
    while let Some(start) = rest.find(in_path) {
        let (before, from) = rest.split_at(start);
        let (path, after) = from.split_at(from.find(|c| !in_path(c)).unwrap_or(from.len()));
        text += before;
        text += name(path).unwrap_or(path);
        rest = after;
    }
    text + rest
}

/// Writes the snapshot of a crate.
pub(crate) fn write(krate: &str, listing: &str) -> Result<(), Box<dyn Error>> {
    Ok(std::fs::write(file(krate), listing)?)
}

/// Compares a listing with the snapshot of the crate. `None` if they are the same.
pub(crate) fn compare(krate: &str, listing: &str) -> Result<Option<String>, Box<dyn Error>> {
    let file = file(krate);
    let snapshot = match std::fs::read_to_string(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        result => result.map_err(|error| format!("{}: {error}", file.display()))?,
    };
    Ok((snapshot != listing).then(|| diff(&snapshot, listing)))
}

/// The lines that only one of two listings has, in order. The listings are sorted, so that no more
/// context is needed.
pub(crate) fn diff(old: &str, new: &str) -> String {
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) =
        (old.lines().collect(), new.lines().collect());
    let mut text = String::new();
    for line in old.symmetric_difference(&new) {
        let sign = if old.contains(line) { '-' } else { '+' };
        text.push_str(&format!("{sign} {line}\n"));
    }
    text
}

fn file(krate: &str) -> PathBuf {
    let package = krate.replace('_', "-");
    crate::rustdoc::root().join(format!("tools/api/snapshots/{package}.txt"))
}

//! The recorded figures.

use crate::callgrind;
use std::error::Error;
use std::fmt::{self, Write};
use std::process::Command;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts/baseline.txt");

const HEAD: &str = "\
# Instructions for one packet, or what else a path has units of. Written by
#   cargo run --release -p brooklet-benches --bin counts -- --bless
";

/// What the figures depend on beside the code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Made(String);

/// The figures of all paths.
#[derive(Debug)]
pub(crate) struct Baseline {
    pub(crate) made: Made,
    figures: Vec<(String, f64)>,
}

impl Made {
    pub(crate) fn here() -> Self {
        let said = |program: &str, arg| {
            let out = Command::new(program).arg(arg).output().ok()?;
            let text = String::from_utf8(out.stdout).ok()?;
            text.lines().next().map(str::to_owned)
        };
        let unknown = || "unknown".to_owned();
        Self(format!(
            "{}, {}, {}",
            said("rustc", "--version").unwrap_or_else(unknown),
            said("getconf", "GNU_LIBC_VERSION").unwrap_or_else(unknown),
            callgrind::version().unwrap_or_else(unknown),
        ))
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Baseline {
    pub(crate) fn new(made: Made) -> Self {
        Self {
            made,
            figures: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, name: &str, figure: f64) {
        self.figures.push((name.to_owned(), figure));
    }

    pub(crate) fn of(&self, name: &str) -> Option<f64> {
        let found = self.figures.iter().find(|(of, _)| of == name);
        found.map(|(_, figure)| *figure)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.figures.iter().map(|(name, _)| name.as_str())
    }

    /// Reads the file, of which every line is a comment, `made with ...`, or a path and its figure.
    pub(crate) fn read() -> Result<Self, Box<dyn Error>> {
        let text = std::fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}"))?;
        let mut baseline = Self::new(Made(String::new()));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(made) = line.strip_prefix("made with ") {
                baseline.made = Made(made.to_owned());
                continue;
            }
            let mut words = line.split_whitespace();
            let (Some(name), Some(figure), None) = (words.next(), words.next(), words.next())
            else {
                return Err(format!("{FILE}: not a path and its figure: {line}").into());
            };
            baseline.push(name, figure.parse()?);
        }
        Ok(baseline)
    }

    pub(crate) fn write(&self) -> Result<(), Box<dyn Error>> {
        let mut text = HEAD.to_owned();
        writeln!(text, "made with {}", self.made)?;
        for (name, figure) in &self.figures {
            writeln!(text, "{name:<30} {figure:>12.1}")?;
        }
        std::fs::write(FILE, text)?;
        Ok(())
    }
}

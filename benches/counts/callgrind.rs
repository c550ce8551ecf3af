//! This program once more, under callgrind, and what callgrind says of it.

use std::collections::HashMap;
use std::error::Error;
use std::process::Command;

/// Instructions of a path, for one of its units.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) total: f64,
    /// Those that cost most by themselves come first.
    pub(crate) functions: Vec<Function>,
}

#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// What is done in it.
    pub(crate) own: f64,
    /// The same with all that it calls.
    pub(crate) all: f64,
}

/// What valgrind calls itself; `None` if there is none.
pub(crate) fn version() -> Option<String> {
    let out = Command::new("valgrind").arg("--version").output().ok()?;
    let version = String::from_utf8(out.stdout).ok()?;
    out.status.success().then(|| version.trim().to_owned())
}

/// Runs the path `name` and counts what happens in `function`, for each of `units`.
pub(crate) fn run(name: &str, function: &str, units: usize) -> Result<Profile, Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let file = program.with_file_name(format!("counts.{name}.callgrind"));
    let out = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--toggle-collect=*{function}*"))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(&program)
        .args(["--run", name])
        // A long copy by one instruction would be counted as one for each byte.
        .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS")
        .output()?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        return Err(format!("{name} under valgrind: {}\n{said}", out.status).into());
    }
    let profile = parse(&std::fs::read_to_string(&file)?, units as f64);
    if profile.total == 0.0 {
        return Err(format!("{name}: callgrind did not find `{function}`").into());
    }
    Ok(profile)
}

/// Reads callgrind's format: a line `fn=` begins a function, the lines behind it that begin with a
/// place have its costs; a line `calls=` says that the next such line is the cost of the function
/// `cfn=` that it called. A name is written out once and a number from then on.
fn parse(text: &str, units: f64) -> Profile {
    let mut names = HashMap::new();
    let mut costs: HashMap<&str, (u64, u64)> = HashMap::new();
    let (mut current, mut callee, mut called) = ("", "", false);
    for line in text.lines() {
        if let Some(function) = line.strip_prefix("fn=") {
            current = named(&mut names, function);
        } else if let Some(function) = line.strip_prefix("cfn=") {
            callee = named(&mut names, function);
        } else if line.starts_with("calls=") {
            called = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse().ok());
            let (own, all) = costs.entry(current).or_default();
            let cost: u64 = cost.unwrap_or(0);
            if !called {
                *own += cost;
            }
            if !called || callee != current {
                *all += cost;
            }
            called = false;
        }
    }
    let mut functions: Vec<Function> = costs
        .into_iter()
        .map(|(name, (own, all))| Function {
            name: name.to_owned(),
            own: own as f64 / units,
            all: all as f64 / units,
        })
        .collect();
    functions.sort_by(|a, b| b.own.total_cmp(&a.own).then_with(|| a.name.cmp(&b.name)));
    Profile {
        total: functions.iter().map(|function| function.own).sum(),
        functions,
    }
}

/// The name in `(number) name`, or the one that the number has stood for before.
fn named<'a>(names: &mut HashMap<&'a str, &'a str>, function: &'a str) -> &'a str {
    match function.split_once(' ') {
        Some((number, name)) => {
            names.insert(number, name);
            name
        }
        None => names.get(function).copied().unwrap_or(function),
    }
}

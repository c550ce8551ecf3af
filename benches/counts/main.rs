//! How many instructions a packet costs on each path, beside what it cost before.
//!
//! ```text
//! cargo run --release -p brooklet-benches --bin counts
//! cargo run --release -p brooklet-benches --bin counts -- tcp-data
//! cargo run --release -p brooklet-benches --bin counts -- --profile tcp-data-in
//! cargo run --release -p brooklet-benches --bin counts -- --bless
//! ```
//!
//! Each path runs under valgrind's callgrind, which counts the instructions of the program and no
//! others: the figures are the same on a busy machine as on an idle one. The first form compares
//! all of them with `benches/counts/baseline.txt` and fails if one has grown by more than
//! [`LIMIT`]; arguments select paths by a part of their names. `--profile` lists the functions that
//! a path spends its instructions in, and `--bless` makes what is there now the baseline, which
//! belongs into the commit that has changed it.
//!
//! What callgrind counts depends on the compiler and the C library as well, so the baseline says
//! which ones it was made with. What it does not see are caches and the device.

mod baseline;
mod callgrind;
mod paths;

use baseline::{Baseline, Made};
use callgrind::Profile;
use paths::{ALL, Named, Path};
use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;

/// A path that costs so much more than it did, in percent, fails the run. Twice the same program
/// differ by 0.1 at most: the hash tables are seeded at random.
const LIMIT: f64 = 3.0;

/// Rounds before the counting, in which buffers and tables grow.
const WARM: usize = 50;
/// Rounds that are counted.
const COUNTED: usize = 50;

/// Functions in a profile.
const LINES: usize = 25;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["--run", name] => run(name),
        ["--profile", ref names @ ..] => skip_or(|| profile(names)),
        ["--bless"] => skip_or(bless),
        [option, ..] if option.starts_with('-') => {
            Err("see the head of benches/counts/main.rs for the arguments".into())
        }
        ref names => skip_or(|| compare(names)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("counts: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well.
type Outcome = Result<bool, Box<dyn Error>>;

/// Where nothing can be counted that could be compared, says so; which CI does not take for an
/// answer.
fn skip_or(work: impl FnOnce() -> Outcome) -> Outcome {
    if cfg!(debug_assertions) {
        return Err("only a build with --release says something".into());
    }
    let why = if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        "the baseline is of x86-64 Linux"
    } else if callgrind::version().is_none() {
        "valgrind is not installed"
    } else {
        return work();
    };
    let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    println!("{}: {why}", if ci { "FAILED" } else { "skipped" });
    Ok(!ci)
}

fn compare(names: &[&str]) -> Outcome {
    let baseline = Baseline::read()?;
    println!("instructions{:>30} {:>10}", "now", "baseline");
    let (mut grown, mut shrunk) = (Vec::new(), Vec::new());
    for path in selected(names)? {
        let now = count(path)?.total;
        let Some(before) = baseline.of(path.name) else {
            println!(
                "{:<30} {now:>12.1} {:>10}   for {}",
                path.name, "none", path.unit
            );
            grown.push(path.name);
            continue;
        };
        // Without a minus before a zero.
        let percent = ((now / before - 1.0) * 1000.0).round() / 10.0 + 0.0;
        let (name, unit) = (path.name, path.unit);
        println!("{name:<30} {now:>12.1} {before:>10.1} {percent:>+6.1} %   for {unit}");
        if percent > LIMIT {
            grown.push(name);
        } else if percent < -LIMIT {
            shrunk.push(name);
        }
    }
    const RENEW: &str = "cargo run --release -p brooklet-benches --bin counts -- --bless";
    if !shrunk.is_empty() {
        println!(
            "\nless than before: {}; to keep it so: {RENEW}",
            shrunk.join(", ")
        );
    }
    let known = |name: &str| ALL.iter().any(|path| path.name == name);
    let gone: Vec<&str> = baseline.names().filter(|name| !known(name)).collect();
    if !gone.is_empty() {
        println!(
            "\nFAILED: only in the baseline: {}; to renew it: {RENEW}",
            gone.join(", ")
        );
    }
    if grown.is_empty() {
        return Ok(gone.is_empty());
    }
    println!(
        "\nFAILED: more than {LIMIT} % above the baseline, or not in it: {}",
        grown.join(", ")
    );
    let (then, now) = (&baseline.made, Made::here());
    if *then != now {
        println!("The baseline was made otherwise: {then}\nNow it is:                       {now}");
    }
    println!(
        "To see where: --profile {}. If it has to be: {RENEW}",
        grown[0]
    );
    Ok(false)
}

fn bless() -> Outcome {
    let mut baseline = Baseline::new(Made::here());
    for path in ALL {
        let now = count(path)?.total;
        println!("{:<30} {now:>12.1}   for {}", path.name, path.unit);
        baseline.push(path.name, now);
    }
    baseline.write()?;
    Ok(true)
}

fn profile(names: &[&str]) -> Outcome {
    for path in selected(names)? {
        let Profile { total, functions } = count(path)?;
        println!("{}: {total:.1} instructions for {}", path.name, path.unit);
        println!("{:>10} {:>10}", "itself", "with callees");
        for function in functions.iter().take(LINES) {
            let callgrind::Function { name, own, all } = function;
            println!("{own:>10.1} {all:>10.1}   {name}");
        }
        println!();
    }
    Ok(true)
}

/// The paths of these names or, where there is none, with these parts of names; without any, all.
fn selected(names: &[&str]) -> Result<Vec<&'static Named>, Box<dyn Error>> {
    let wanted = |path: &&Named| {
        let of = |name: &&str| path.name == *name || is_part(name) && path.name.contains(name);
        names.is_empty() || names.iter().any(of)
    };
    let selected: Vec<&Named> = ALL.iter().filter(wanted).collect();
    if selected.is_empty() {
        let all: Vec<&str> = ALL.iter().map(|path| path.name).collect();
        return Err(format!("there is no such path; there are: {}", all.join(", ")).into());
    }
    Ok(selected)
}

fn is_part(name: &str) -> bool {
    ALL.iter().all(|path| path.name != name)
}

/// What one unit of `path` costs.
fn count(path: &Named) -> Result<Profile, Box<dyn Error>> {
    callgrind::run(path.name, "counted_path", path.units * COUNTED)
}

/// Runs one path, which is what callgrind looks at.
fn run(name: &str) -> Outcome {
    let path = ALL.iter().find(|path| path.name == name);
    let mut path = (path.ok_or("there is no such path")?.make)();
    for _ in 0..WARM {
        while path.prepare() {
            path.run();
        }
    }
    for _ in 0..COUNTED {
        while path.prepare() {
            counted_path(&mut *path);
        }
    }
    Ok(true)
}

/// Only what happens in this function is counted: callgrind knows it by its name.
#[inline(never)]
fn counted_path(path: &mut dyn Path) {
    black_box(path).run();
}

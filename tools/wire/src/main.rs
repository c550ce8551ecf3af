//! Cases on the wire: a few packets in, and an answer expected, of brooklet and of the kernel.
//!
//! ```text
//! cargo run -p brooklet-wire -- [--backend sim|tun|linux] [--only T10,T12] [-v]
//! ```
//!
//! A case (`cases/`, by subject) is a short function over a `Wire`: it sends packets that it has
//! written itself, right or wrong, and looks at what comes back. Every packet that comes is checked
//! for its lengths and checksums as well. The application at the other end (`app.rs`) does what the
//! port says; it is the same code over streams of brooklet and of the kernel.
//!
//! - `sim`: brooklet in this process, in virtual time. `cargo test` runs these.
//! - `tun`: brooklet on a TUN device in a network namespace, tested through a packet socket on the
//!   kernel's side of that device. What such a socket sends goes through as it is, wrong checksums,
//!   fragments and TTLs of 0 included, and the kernel, which has none of the addresses and does not
//!   forward, says nothing to the answers: no case is lost on the way.
//! - `linux`: the kernel's sockets behind a TUN device in a network namespace, tested by whoever
//!   holds the device. It says whether a case is right: one that the kernel fails has to be mended,
//!   or to say why it does not run there.
//!
//! Each case has a stack, and on a real device a network namespace, of its own. Those that fail on
//! a real clock run once more, alone; the run says so.
//!
//! A case that is known to fail is marked with the reason (`Known`). A mark that is not needed any
//! more fails the run, and so does a failure without one, so that the score can only rise.

mod app;
mod backend;
mod brooklet_app;
mod cases;
#[cfg(test)]
mod chaos;
mod fragments;
mod packet;
#[cfg(target_os = "linux")]
mod real;
mod run;
mod sessions;
mod sim;
#[cfg(test)]
mod tests;
mod wire;

use backend::BackendKind;
use cases::Case;
use run::{Outcome, Reports};
use std::process::ExitCode;

const USAGE: &str = "brooklet-wire [--backend sim|tun|linux] [--only ID,ID] [-v]

Puts brooklet (in virtual time, and behind a real TUN) and the Linux kernel to the same
cases, and prints how they fared. Without --backend, whatever this machine can run.

  --backend NAME  only this backend; may be repeated
  --only ID,ID    only these cases
  -v              the packets of every case";

struct Arguments {
    backends: Vec<BackendKind>,
    only: Vec<String>,
    verbose: bool,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| arguments.map_or(Ok(true), |all| work(&all))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("brooklet-wire: {error}");
            ExitCode::from(2)
        }
    }
}

fn arguments() -> Result<Option<Arguments>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut arguments = Arguments {
        backends: Vec::new(),
        only: Vec::new(),
        verbose: false,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("backend") => {
                let name = parser.value()?.string()?;
                let kind = BackendKind::ALL
                    .into_iter()
                    .find(|kind| kind.name() == name);
                arguments
                    .backends
                    .push(kind.ok_or_else(|| format!("no backend `{name}`"))?);
            }
            Long("only") => {
                let ids = parser.value()?.string()?;
                arguments.only.extend(ids.split(',').map(str::to_uppercase));
            }
            Short('v') => arguments.verbose = true,
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(None);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(arguments))
}

/// Says whether all is as it should be.
fn work(arguments: &Arguments) -> Result<bool, lexopt::Error> {
    let all = cases::all();
    for id in &arguments.only {
        if !all.iter().any(|case| case.id == id) {
            return Err(format!("no case `{id}`").into());
        }
    }
    let wanted = |case: &&&'static Case| {
        arguments.only.is_empty() || arguments.only.iter().any(|id| id == case.id)
    };
    let cases: Vec<_> = all.iter().filter(wanted).copied().collect();

    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let mut complete = true;
    let mut backends = Vec::new();
    let asked =
        |kind: &BackendKind| arguments.backends.is_empty() || arguments.backends.contains(kind);
    for kind in BackendKind::ALL.into_iter().filter(asked) {
        match kind.missing() {
            None => backends.push(kind),
            Some(why) => {
                eprintln!("{}: skipped: {why}", kind.name());
                // A backend that was named must run, and in CI everything must.
                complete &= !ci && arguments.backends.is_empty();
            }
        }
    }
    let reports = run::run(&cases, &backends);
    print(&cases, &backends, &reports, arguments.verbose);
    let faults = reports
        .values()
        .filter(|report| report.outcome.is_fault())
        .count();
    if faults > 0 {
        eprintln!("wire: {faults} not as expected");
    }
    Ok(complete && faults == 0)
}

fn print(cases: &[&'static Case], backends: &[BackendKind], reports: &Reports, verbose: bool) {
    let (counted, further): (Vec<&Case>, Vec<&Case>) =
        cases.iter().copied().partition(|case| case.counts());
    let header: String = backends
        .iter()
        .map(|kind| format!("{:8}", kind.name()))
        .collect();
    for (title, cases) in [("case", &counted), ("further case", &further)] {
        if cases.is_empty() {
            continue;
        }
        println!("id   {header}{title}");
        for case in cases {
            let marks: String = backends
                .iter()
                .map(|kind| reports.get(&(case.id, *kind)))
                .map(|report| format!("{:8}", report.map_or("-", |report| report.outcome.mark())))
                .collect();
            println!("{:5}{marks}{}", case.id, case.name);
        }
        println!();
    }
    for ((id, kind), report) in reports {
        let (name, tell) = (kind.name(), verbose || report.outcome.is_fault());
        match &report.outcome {
            Outcome::Passed => {
                if let Some(why) = &report.at_first {
                    println!("{id} on {name} passed alone; among the others: {why}");
                }
            }
            Outcome::Failed(why) => println!("{id} on {name} failed: {why}"),
            Outcome::Known(why) => println!("{id} on {name} is known to fail: {why}"),
            Outcome::Unmarked => println!("{id} on {name} passed, and is marked as failing"),
            Outcome::NotRun(why) => println!("{id} is not run on {name}: {why}"),
        }
        if tell {
            let from = if verbose {
                0
            } else {
                report.trace.len().saturating_sub(12)
            };
            if verbose {
                println!("--- {id} on {name}");
            }
            for line in &report.trace[from..] {
                println!("      {line}");
            }
        }
    }
    let scores = |cases: &[&Case]| {
        let of = |name: &str, backends: &[BackendKind]| {
            let (right, asked) = score(cases, backends, reports);
            (asked > 0).then(|| format!("{name} {right}/{asked}"))
        };
        let both = [
            of("linux", &[BackendKind::Linux]),
            of("brooklet", &[BackendKind::Sim, BackendKind::Tun]),
        ];
        both.into_iter().flatten().collect::<Vec<_>>().join(", ")
    };
    for (title, cases) in [("further", &further), ("wire", &counted)] {
        if !cases.is_empty() && !backends.is_empty() {
            println!("{title}: {}", scores(cases));
        }
    }
}

/// How many of the cases these backends got right, all of them, and how many they were asked.
fn score(cases: &[&Case], backends: &[BackendKind], reports: &Reports) -> (usize, usize) {
    let (mut right, mut asked) = (0, 0);
    for case in cases {
        let outcomes: Vec<_> = backends
            .iter()
            .filter_map(|kind| reports.get(&(case.id, *kind)))
            .map(|report| &report.outcome)
            .filter(|outcome| !matches!(outcome, Outcome::NotRun(_)))
            .collect();
        asked += usize::from(!outcomes.is_empty());
        let all = !outcomes.is_empty() && outcomes.iter().all(|outcome| outcome.is_right());
        right += usize::from(all);
    }
    (right, asked)
}

//! The comparison of programs that connect a namespace to the host's network.

mod calls;
mod congestion;
mod contender;
mod link;
mod namespace;
mod options;
mod programs;
mod report;
mod run;
mod targets;

use crate::contender::kernel;
use crate::results::Entrant;
use crate::rounds::{progress_bar, take_turns};
use crate::work::Work;
use crate::{arena, machine};
use contender::{Relay, Route};
use options::Options;
use programs::Programs;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

/// How long system calls are counted at a time: `strace` slows a program down, but not its pattern.
const COUNTED: std::time::Duration = std::time::Duration::from_millis(200);

/// The most connections that a work has at once.
const CONNECTIONS: usize = 64;

/// The `main` of the program `relays`.
pub fn relays() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let done = match &args[..] {
        // How the server is started, and the command that `brooklet run` runs.
        [serve] if serve == "serve" => kernel::serve(CONNECTIONS),
        [inside, socket] if inside == "inside" => link::inside(Path::new(socket)),
        _ => match Options::parse(&args) {
            Ok(Some(options)) => match arena::check() {
                Ok(()) => compare(&options),
                Err(why) => {
                    eprintln!("relays: skipped: {why}");
                    // Where everything is there, a skip is a fault.
                    return match env::var_os("CI") {
                        Some(_) => ExitCode::FAILURE,
                        None => ExitCode::SUCCESS,
                    };
                }
            },
            Ok(None) => {
                print!("{}", options::usage());
                Ok(())
            }
            Err(why) => {
                eprintln!("relays: {why}; `--help` lists the flags");
                return ExitCode::from(2);
            }
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("relays: {why}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Options) -> io::Result<()> {
    machine::raise_file_limit()?;
    let written = machine::written(" --bin relays")?;
    let programs = Programs::find(options)?;
    let _allowed = congestion::Allowed::new();
    let measure = |relay: &'static Relay, work: &'static dyn Work| {
        run::run(relay, &programs, work, options.span, options.cpus.ways())
    };
    let ways = options.cpus.ways();
    let tables = take_turns(
        options.rounds,
        &options.works,
        &options.contenders,
        ways.len(),
        measure,
    )?;
    let calls = count_calls(options, &programs)?;
    let tables: Vec<_> = ways.iter().copied().zip(tables).collect();
    let text = report::markdown(options, &written, &tables, &calls);
    print!("{text}");
    fs::create_dir_all(&options.into)?;
    fs::write(options.into.join("RELAYS.md"), text)
}

/// The system calls of the relays at the works that have requests.
fn count_calls(options: &Options, programs: &Programs) -> io::Result<Vec<report::Counted>> {
    let relays = options.contenders.iter().copied();
    let relays: Vec<_> = relays.filter(|r| r.route != Route::Direct).collect();
    let works = options.works.iter().copied();
    let works: Vec<_> = works.filter(|work| report::has_requests(*work)).collect();
    let mut all = Vec::new();
    if !options.calls {
        return Ok(all);
    }
    let bar = progress_bar(relays.len() * works.len())?;
    for work in works {
        for relay in &relays {
            bar.set_message(format!("{}: system calls, {}", relay.name(), work.title()));
            let calls = run::count_calls(relay, programs, work, COUNTED);
            if let Err(why) = &calls {
                bar.suspend(|| eprintln!("{}, {}: {why}", relay.name(), work.title()));
            }
            all.push((*relay, work, calls));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(all)
}

//! brooklet beside other stacks: the same works, over a real TUN, in the same run.
//!
//! ```sh
//! sudo cargo run --release --manifest-path benches/peers/Cargo.toml
//! ```
//!
//! Every contender serves the same ports to the same client, a program with sockets of the kernel
//! in a network namespace of its own. They take turns round by round, in an order that changes,
//! and the ratios are those of a round, so that what else the machine does meets all of them. The
//! tables go to the screen and into `RESULTS.md`, and a picture of them into `RESULTS.svg`.
//!
//! With `--before REVISION` the `inetd` of that revision takes part as well, in the same rounds
//! (`brooklet-before`, `brooklet-before-offload` and so on), and the ratios show what has changed
//! since. The revision is unpacked into `target/before` and built there; the path of an `inetd`
//! that is built already serves too:
//!
//! ```sh
//! git worktree add /tmp/before REVISION
//! cargo build --release --example inetd --manifest-path /tmp/before/Cargo.toml
//! sudo cargo run --release --manifest-path benches/peers/Cargo.toml -- \
//!     --before /tmp/before/target/release/examples/inetd \
//!     --contenders brooklet,brooklet-offload,brooklet-before,brooklet-before-offload --into /tmp
//! ```
//!
//! A contender is a file in `src/contender` and a line in `contender::ALL`; a work is a file in
//! `src/work` and a line in `work::ALL`. lwIP is in C: its crate needs a C compiler and libclang
//! (`apt-get install libclang1 libclang-common-14-dev`); `--no-default-features` does without it.

mod arena;
mod awake;
mod contender;
mod holder;
mod machine;
mod options;
mod plot;
mod report;
mod results;
mod server;
mod targets;
mod work;

use contender::Inetd;
use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use options::Options;
use results::{Run, Table};
use std::process::ExitCode;
use std::{fs, io};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // How a contender that is part of this program is started.
    let done = match &args[..] {
        [serve, key] if serve == "serve" => contender::serve(key),
        // And a part of the client.
        [hold, first, next] if hold == "hold" => match (first.parse(), next.parse()) {
            (Ok(first), Ok(next)) => holder::hold(first..next),
            _ => Err(io::Error::other("hold takes two numbers")),
        },
        _ => match Options::parse(&args) {
            Ok(Some(options)) => compare(&options),
            Ok(None) => {
                print!("{}", options::usage());
                Ok(())
            }
            Err(why) => {
                eprintln!("peers: {why}; `--help` lists the flags");
                return ExitCode::from(2);
            }
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("peers: {why}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Options) -> io::Result<()> {
    arena::check()?;
    // A connection is a file.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let heading = machine::describe(options)?;
    let inetd = Inetd::build(options.before.as_deref())?;
    let tables = measure(options, &inetd)?;

    let contenders = options.contenders.iter();
    let mut legend: String = contenders
        .map(|contender| format!("- **{}**: {}\n", contender.name, contender.about))
        .collect();
    if !cfg!(feature = "lwip") {
        legend += "- lwIP is not built into this program.\n";
    }
    let targets = targets::markdown(&tables);
    let works: String = tables.iter().map(report::markdown).collect();
    let text =
        format!("{heading}\n{legend}\n![The figures as bars](RESULTS.svg)\n{targets}{works}");
    print!("{text}");
    fs::create_dir_all(&options.into)?;
    fs::write(options.into.join("RESULTS.md"), text)?;
    fs::write(options.into.join("RESULTS.svg"), plot::svg(&tables)?)
}

fn measure(options: &Options, inetd: &Inetd) -> io::Result<Vec<Table>> {
    let Options {
        works, contenders, ..
    } = options;
    let all = contenders.len();
    let tables = works.iter().map(|&w| Table::new(w, contenders.clone()));
    let mut tables: Vec<_> = tables.collect();
    let rounds = works.iter().map(|w| w.most_rounds().min(options.rounds));
    let bar = ProgressBar::new((rounds.sum::<usize>() * all) as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} left: {msg}");
    bar.set_style(style.map_err(io::Error::other)?);
    for round in 0..options.rounds {
        for table in &mut tables {
            let work = table.work;
            if round >= work.most_rounds() {
                continue;
            }
            // A place for each contender, whoever went first.
            let mut runs: Vec<_> = (0..all).map(|_| None).collect();
            for turn in 0..all {
                let index = (round + turn) % all;
                let contender = contenders[index];
                bar.set_message(format!("{}: {}", contender.name, work.title()));
                let run = match work.leaves_out(contender) {
                    Some(why) => Run::LeftOut(why),
                    None => match arena::run(contender, inetd, work, options.span) {
                        Ok(figures) => Run::Figures(figures),
                        Err(why) => {
                            let what = format!("{}, {}: {why}", contender.name, work.title());
                            bar.suspend(|| eprintln!("{what}"));
                            Run::Failed(why.to_string())
                        }
                    },
                };
                runs[index] = Some(run);
                bar.inc(1);
            }
            table.push(runs.into_iter().flatten().collect());
        }
    }
    bar.finish_and_clear();
    Ok(tables)
}

//! brooklet beside other stacks: the same works, over a real TUN, in the same run.
//!
//! ```sh
//! sudo cargo run --release --manifest-path benches/peers/Cargo.toml
//! ```
//!
//! Every contender serves the same ports to the same client, a program with sockets of the kernel
//! in a network namespace of its own. They take turns round by round, in an order that changes,
//! and the ratios are those of a round, so that what else the machine does meets all of them. The
//! table goes to the screen and into `RESULTS.md`.
//!
//! A contender is a file in `src/contender` and a line in `contender::ALL`; a work is a file in
//! `src/work` and a line in `work::all`.

mod arena;
mod awake;
mod contender;
mod machine;
mod options;
mod report;
mod server;
mod work;

use indicatif::{ProgressBar, ProgressStyle};
use options::Options;
use report::Table;
use std::process::ExitCode;
use std::{fs, io};

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // How a contender that is part of this program is started.
    let done = match &args[..] {
        [serve, name] if serve == "serve" => contender::serve(name),
        _ => match Options::parse(&args) {
            Ok(Some(options)) => compare(&options),
            Ok(None) => {
                print!("{}", options::USAGE);
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
    let heading = machine::describe(options)?;
    let inetd = contender::build_inetd()?;
    let works = work::all();
    let mut tables: Vec<Table> = works.iter().map(|work| Table::new(&**work)).collect();

    let all = contender::ALL.len();
    let bar = ProgressBar::new((options.rounds * works.len() * all) as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} left: {msg}");
    bar.set_style(style.map_err(io::Error::other)?);
    for round in 0..options.rounds {
        for (work, table) in works.iter().zip(&mut tables) {
            // A row for each contender, whoever went first.
            let mut row: Vec<_> = (0..all).map(|_| None).collect();
            for turn in 0..all {
                let index = (round + turn) % all;
                let contender = &contender::ALL[index];
                bar.set_message(format!("{}: {}", contender.name, work.title()));
                let run = arena::run(contender, &inetd, &**work, options.span);
                if let Err(why) = &run {
                    let what = format!("{}, {}: {why}", contender.name, work.title());
                    bar.suspend(|| eprintln!("{what}"));
                }
                row[index] = run.ok();
                bar.inc(1);
            }
            table.push(row);
        }
    }
    bar.finish_and_clear();

    let contenders = contender::ALL.iter();
    let legend: String = contenders
        .map(|contender| format!("- **{}**: {}\n", contender.name, contender.about))
        .collect();
    let tables: String = tables.iter().map(Table::markdown).collect();
    let text = format!("{heading}\n{legend}{tables}");
    print!("{text}");
    fs::write(RESULTS, text)
}

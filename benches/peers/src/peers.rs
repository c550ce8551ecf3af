//! The comparison of stacks.

use crate::contender::{self, Contender, Inetd};
use crate::options::{self, Options};
use crate::results::{Run, Table};
use crate::rounds::take_turns;
use crate::work::Work;
use crate::{arena, holder, machine, plot, report, targets};
use std::process::ExitCode;
use std::{fs, io};

/// The `main` of the program `peers`.
pub fn peers() -> ExitCode {
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
    machine::raise_file_limit()?;
    let heading = machine::describe(options)?;
    let inetd = Inetd::build(options.before.as_deref())?;
    let tables = measure(options, &inetd)?;

    let mut legend = report::legend(&options.contenders);
    if !cfg!(feature = "lwip") {
        legend += "- lwIP is not built into this program.\n";
    }
    let targets = targets::markdown(targets::ALL, &tables);
    let works: String = tables.iter().map(report::markdown).collect();
    let text =
        format!("{heading}\n{legend}\n![The figures as bars](RESULTS.svg)\n{targets}{works}");
    print!("{text}");
    fs::create_dir_all(&options.into)?;
    fs::write(options.into.join("RESULTS.md"), text)?;
    fs::write(options.into.join("RESULTS.svg"), plot::svg(&tables)?)
}

fn measure(options: &Options, inetd: &Inetd) -> io::Result<Vec<Table>> {
    let measure =
        |contender: &'static Contender, work: &'static dyn Work| match work.leaves_out(contender) {
            Some(why) => vec![Run::LeftOut(why)],
            None => vec![Run::from(arena::run(contender, inetd, work, options.span))],
        };
    let tables = take_turns(
        options.rounds,
        &options.works,
        &options.contenders,
        1,
        measure,
    )?;
    Ok(tables.into_iter().flatten().collect())
}

//! What loss and distance cost a transfer between two stacks, in virtual time.
//!
//! ```text
//! cargo bench -p brooklet-benches --bench loss
//! cargo bench -p brooklet-benches --bench loss -- --bless
//! cargo bench -p brooklet-benches --bench loss -- --seeds 50 --csv after.csv
//! cargo bench -p brooklet-benches --bench loss -- --compare before.csv after.csv
//! ```
//!
//! The first prints the tables, the second writes them into `benches/LOSS.md`, where a test
//! compares them.
//!
//! The third runs each case with 50 seeds in place of 5 and writes a line for each case and
//! congestion control into a CSV file: the number of runs, the number that failed, the 10th
//! percentile, the median with its confidence interval (95 %) and the 90th percentile, in seconds.
//! `--seeds 51-100` takes 50 other seeds, `--only '20 %'` takes the cases with that in their names.
//! Cargo runs a bench in the folder of its package, so that a relative path begins at `benches/`.
//!
//! The fourth runs nothing: it compares the medians of two such files, the worst ratio first. The
//! files may be of the trees before and after a change, or of one tree with other seeds: that shows
//! how far medians move by chance.

use brooklet_benches::loss::{Beside, Cell, Column, Part, Report, SEEDS, Simulator, compare};
use brooklet_tcp::Congestion;
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

fn main() -> io::Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    // As the other benches do: `cargo test --benches` measures nothing, and a part of a name is
    // for those who have it.
    if !options.bench || !options.names.iter().all(|name| "loss".contains(&name[..])) {
        return Ok(());
    }
    if let Some([before, after]) = options.compare {
        let (before, after) = (Cell::read_csv(&before)?, Cell::read_csv(&after)?);
        print!("{}", compare(&before, &after));
        return Ok(());
    }
    let seeds = options.seeds.unwrap_or(SEEDS);
    let (first, last) = (seeds.start(), seeds.end());
    let note = format!("two stacks in virtual time, seeds {first} to {last}.");
    let mut simulator = Simulator::new(seeds).only(options.only.unwrap_or_default());
    let tables = simulator.tables(Report::ALL, &[Congestion::Cubic, Congestion::None]);
    let mut beside = Beside::parse(&Part::Beside.read()?);
    for (column, congestion) in [
        (Column::Brooklet, Congestion::Cubic),
        (Column::BrookletNone, Congestion::None),
    ] {
        beside.measure(column, &note, |case| simulator.runs(case, congestion));
    }
    let beside = beside.markdown();
    print!("{tables}{beside}");
    if let Some(path) = options.csv {
        Cell::write_csv(&path, &simulator.cells())?;
    }
    if options.bless {
        Part::Simulated.replace(&tables)?;
        Part::Beside.replace(&beside)?;
    }
    if (tables + &beside).contains("BROKEN") {
        return Err(io::Error::other("a connection broke: see above"));
    }
    Ok(())
}

#[derive(Default)]
struct Options {
    bench: bool,
    bless: bool,
    seeds: Option<RangeInclusive<u64>>,
    only: Option<String>,
    csv: Option<PathBuf>,
    compare: Option<[PathBuf; 2]>,
    names: Vec<String>,
}

impl Options {
    /// Flags of the other benches are ignored, as all benches may run in one command.
    fn parse(mut args: impl Iterator<Item = String>) -> io::Result<Self> {
        let mut options = Self::default();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| invalid(&format!("{arg} what?")));
            match &arg[..] {
                "--bench" => options.bench = true,
                "--bless" => options.bless = true,
                "--seeds" => {
                    let seeds = seeds(&value()?);
                    let seeds = seeds.ok_or_else(|| invalid("--seeds is N or FIRST-LAST"))?;
                    options.seeds = Some(seeds);
                }
                "--only" => options.only = Some(value()?),
                "--csv" => options.csv = Some(value()?.into()),
                "--compare" => options.compare = Some([value()?.into(), value()?.into()]),
                _ if arg.starts_with('-') => {}
                _ => options.names.push(arg),
            }
        }
        if options.bless && options.seeds.is_some() {
            return Err(invalid(
                "the tables of LOSS.md are of a fixed number of seeds",
            ));
        }
        Ok(options)
    }
}

/// A number of seeds, or the first and the last of them.
fn seeds(text: &str) -> Option<RangeInclusive<u64>> {
    let (first, last) = text.split_once('-').unwrap_or(("1", text));
    let seeds = first.parse().ok()?..=last.parse().ok()?;
    (!seeds.is_empty()).then_some(seeds)
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

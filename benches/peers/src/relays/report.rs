//! The results as Markdown.

use super::calls::Calls;
use super::congestion;
use super::contender::Relay;
use super::options::{Options, Way};
use super::targets;
use crate::machine;
use crate::report::{figures, head, legend, line, notes, three_digits, two_digits};
use crate::results::{Entrant, Table};
use crate::targets::Target;
use crate::work::{MBIT, STALL, Work};
use std::fmt::Write;
use std::io;

/// The system calls of a relay at a work.
pub(crate) type Counted = (&'static Relay, &'static dyn Work, io::Result<Calls>);

/// So many names of system calls are shown.
const NAMES: usize = 6;

/// The whole report; there are tables for each way.
pub(crate) fn markdown(
    options: &Options,
    written: &str,
    tables: &[(Way, Vec<Table<Relay>>)],
    calls: &[Counted],
) -> String {
    let mut text = heading(options, written);
    text += &legend(&options.contenders);
    for (way, tables) in tables {
        let targets = crate::targets::table(&targets(options), tables);
        // Into a string: it does not fail.
        let _ = write!(text, "\n## Targets, {}\n\n{targets}", way.title());
    }
    for (way, tables) in tables {
        let _ = write!(text, "\n## Medians, {}\n\n{}", way.title(), medians(tables));
    }
    for (way, tables) in tables {
        let since = since_before(options, tables);
        if !since.is_empty() {
            let _ = write!(text, "\n## Now ÷ before, {}\n\n{since}", way.title());
        }
    }
    if !calls.is_empty() {
        text += &system_calls(options, calls);
    }
    for (number, work) in options.works.iter().enumerate() {
        let _ = write!(text, "\n## {}\n", work.title());
        for (way, tables) in tables {
            let table = &tables[number];
            let _ = write!(
                text,
                "\n`{}`, {}, rounds: {}.\n\n{}{}",
                work.key(),
                way.title(),
                table.rounds(),
                figures(table),
                notes(table)
            );
        }
    }
    text
}

fn heading(options: &Options, written: &str) -> String {
    // Only Debian's tools know.
    let format = "${Package} ${Version}\\n";
    let packages = ["-W", "-f", format, "passt", "slirp4netns"];
    let packages = machine::said("dpkg-query", &packages).unwrap_or_default();
    let packages: Vec<_> = packages.lines().collect();
    format!(
        "# brooklet's programs beside others

{written} Packages: {packages}.

Client and server are the same for all, and share the cores with the program under test. Each has a \
network namespace of its own; the server's and the one in which the program has its sockets are joined by \
a veth pair with an MTU of 1,500 bytes and segmentation offload, and client and server use the kernel's TCP \
with {congestion_control}, over IPv4. A program's TUN device for `forward` and tun2proxy is moved into the client's namespace. In \
each round, of which there were {rounds}, the contenders took turns in an order that changes, and each was \
measured for {span} s, after a warm-up, in each of the ways: with a thread of the class SCHED_IDLE on each \
CPU that keeps it awake, and with CPUs that may halt. A figure is the median over the rounds, with the \
quartiles in brackets. A ratio is of figures of the same round. A run in which the client waits {stall} s for a \
connection or an answer has failed, and has no figures. CPU is user and system time of the program under \
test, the work of the kernel in its calls included; memory is the peak of what is resident.

",
        packages = packages.join(", "),
        congestion_control = congestion::used().unwrap_or_else(|why| why.to_string()),
        stall = STALL.as_secs(),
        span = options.span.as_secs_f64(),
        rounds = options.rounds,
    )
}

/// Those of the works and the contenders that take part.
fn targets(options: &Options) -> Vec<Target> {
    let mut targets = targets::all();
    targets.retain(|target| {
        let work = options.works.iter().any(|work| work.key() == target.work);
        let mut both = [Some(target.ours), target.theirs].into_iter().flatten();
        work && both.all(|key| options.contenders.iter().any(|relay| relay.key == key))
    });
    targets
}

/// A line for each contender, with the first figure of each work.
fn medians(tables: &[Table<Relay>]) -> String {
    let Some(first) = tables.first() else {
        return String::new();
    };
    let mut text = head("", tables.iter().map(|table| table.work.key()));
    for relay in &first.contenders {
        let cells = tables.iter().map(|table| {
            let spread = table.spread(relay.key, table.work.columns()[0]);
            match spread {
                Some(spread) => three_digits(spread.middle),
                None if table.left_out(relay.key).is_some() => "left out".into(),
                None => "failed".into(),
            }
        });
        text += &line(relay.name(), cells);
    }
    text + "\nThroughput in Mbit/s, else requests per second.\n"
}

/// What has changed since the earlier program.
fn since_before(options: &Options, tables: &[Table<Relay>]) -> String {
    let pairs = options.contenders.iter();
    let pairs = pairs.filter_map(|before| Some((before.successor()?, before)));
    let pairs: Vec<_> = pairs
        .filter(|(now, _)| options.contenders.iter().any(|relay| relay.key == now.key))
        .collect();
    if pairs.is_empty() {
        return String::new();
    }
    let mut text = head("", pairs.iter().map(|(now, _)| now.name()));
    for table in tables {
        let cells = pairs.iter().map(|(now, before)| {
            let ratio = table.ratio(now.key, before.key, table.work.columns()[0]);
            ratio.map_or("none".into(), two_digits)
        });
        text += &line(table.work.key(), cells);
    }
    text
}

/// Whether the work's figure is of requests.
pub(crate) fn has_requests(work: &dyn Work) -> bool {
    work.columns()[0] != MBIT
}

fn system_calls(options: &Options, calls: &[Counted]) -> String {
    let mut works: Vec<&'static dyn Work> = options.works.clone();
    works.retain(|work| has_requests(*work));
    let find = |relay: &Relay, work: &dyn Work| {
        let is = |(r, w, _): &&Counted| r.key == relay.key && w.key() == work.key();
        calls.iter().find(is).map(|(_, _, counted)| counted)
    };
    let mut text = "\n## System calls for each request\n\nOf the program under test, counted by \
                    `strace -c -f` in a run of its own, which slows it down; warm-up and the opening of \
                    connections included, CPUs may halt.\n\n"
        .to_owned();
    text += &head("", works.iter().map(|work| work.key()));
    let mut names = String::new();
    for relay in &options.contenders {
        if works.iter().all(|work| find(relay, *work).is_none()) {
            continue;
        }
        let cells = works.iter().map(|work| match find(relay, *work) {
            Some(Ok(calls)) => three_digits(calls.all),
            _ => "failed".into(),
        });
        text += &line(relay.name(), cells);
        for work in &works {
            match find(relay, *work) {
                Some(Ok(calls)) => {
                    let _ = writeln!(
                        names,
                        "- {}, `{}`: {}",
                        relay.name(),
                        work.key(),
                        each(calls)
                    );
                }
                Some(Err(why)) => {
                    let _ = writeln!(names, "- {}, `{}` failed: {why}", relay.name(), work.key());
                }
                None => {}
            }
        }
    }
    text + "\n" + &names
}

/// The most frequent by name.
fn each(calls: &Calls) -> String {
    let each = calls.each.iter().take(NAMES);
    let each = each.filter(|(_, calls)| *calls >= 0.005);
    let each: Vec<_> = each
        .map(|(name, calls)| format!("{name} {calls:.2}"))
        .collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relays::contender;
    use crate::results::Run;
    use crate::work;

    fn options(args: &[&str]) -> Options {
        let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
        Options::parse(&args).unwrap().unwrap()
    }

    /// A table of `up-1` with two rounds; a run without a figure has failed.
    fn table(options: &Options, rounds: [[Option<f64>; 2]; 2]) -> Table<Relay> {
        let mut table = Table::new(work::RELAYED[0], options.contenders.clone());
        for round in rounds {
            let runs = round.map(|mbit| match mbit {
                Some(mbit) => Run::Figures(vec![mbit, 1.0, 1.0]),
                None => Run::Failed("it has ended".into()),
            });
            table.push(runs.into());
        }
        table
    }

    #[test]
    fn medians_targets_and_failures_show() {
        let options = options(&["--contenders=run,pasta", "--works=up-1"]);
        let awake = table(&options, [[Some(3.0), Some(2.0)], [Some(1.0), Some(2.0)]]);
        let halting = table(&options, [[Some(1.0), None], [Some(3.0), None]]);
        let tables = [(Way::Awake, vec![awake]), (Way::Halting, vec![halting])];
        let text = markdown(&options, "Written by a test.", &tables, &[]);
        for line in [
            "## Targets, CPUs kept awake",
            "| up-1 | Mbit/s | run ÷ pasta | at least 1 | 1.00 (0.50 to 1.50) | met |",
            "| up-1 | Mbit/s | run ÷ pasta | at least 1 | the other failed | not measured |",
            "| run | 2.00 |",
            "| pasta | failed |",
            "pasta: 2 of 2 runs failed: it has ended.",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in {text}");
        }
        assert!(!text.contains("before, CPUs") && !text.contains("÷ slirp4netns"));
    }

    #[test]
    fn an_earlier_program_has_ratios() {
        let args = [
            "--contenders=run,run-before",
            "--works=up-1",
            "--before=old",
        ];
        let options = options(&args);
        let table = table(&options, [[Some(3.0), Some(2.0)], [Some(1.0), Some(2.0)]]);
        let since = since_before(&options, &[table]);
        assert!(since.contains("| up-1 | 1.00 (0.50 to 1.50) |"), "{since}");
    }

    #[test]
    fn system_calls_are_named() {
        let options = options(&["--contenders=run,direct", "--works=echo-1,up-1"]);
        let each = vec![("read".to_owned(), 3.0), ("write".to_owned(), 1.0)];
        let calls = Calls { all: 4.0, each };
        let counted = [(options.contenders[0], options.works[1], Ok(calls))];
        let text = system_calls(&options, &counted);
        assert!(text.contains("|  | echo-1 |\n"), "{text}");
        assert!(text.contains("| run | 4.00 |\n\n- run, `echo-1`: read 3.00, write 1.00\n"));
        assert!(contender::ALL.iter().any(|relay| relay.name() == "direct"));
    }
}

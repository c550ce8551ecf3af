//! What is asked for on the command line.

use super::contender::{self, Relay};
use crate::options::{chosen, seconds};
use crate::results::Entrant;
use crate::work::{self, Work};
use std::path::PathBuf;
use std::time::Duration;

/// Where the results go when nothing else is asked for.
const HERE: &str = env!("CARGO_MANIFEST_DIR");

pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) span: Duration,
    pub(crate) works: Vec<&'static dyn Work>,
    pub(crate) contenders: Vec<&'static Relay>,
    pub(crate) cpus: Cpus,
    /// Whether system calls are counted.
    pub(crate) calls: bool,
    /// The program, or a folder with a program for each subcommand, in place of a build.
    pub(crate) brooklet: Option<PathBuf>,
    /// The earlier one that takes part.
    pub(crate) before: Option<PathBuf>,
    /// The folder for the results.
    pub(crate) into: PathBuf,
}

/// In which ways each relay is measured at each work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cpus {
    One(Way),
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    /// A thread on each CPU keeps it awake.
    Awake,
    /// A CPU that has nothing to do halts, as on a user's machine.
    Halting,
}

impl Cpus {
    pub(crate) fn ways(self) -> &'static [Way] {
        match self {
            Self::One(Way::Awake) => &[Way::Awake],
            Self::One(Way::Halting) => &[Way::Halting],
            Self::Both => &[Way::Awake, Way::Halting],
        }
    }
}

impl Way {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Awake => "CPUs kept awake",
            Self::Halting => "CPUs may halt",
        }
    }
}

pub(crate) fn usage() -> String {
    let works: Vec<_> = work::RELAYED.iter().map(|work| work.key()).collect();
    let keys = |all: &[Relay]| {
        let keys: Vec<_> = all.iter().map(|relay| relay.key).collect();
        keys.join("\n             ")
    };
    format!(
        "\
Usage: relays [--rounds N] [--span S] [--works A,B] [--contenders A,B]
              [--cpus awake|halting|both] [--no-calls] [--brooklet PATH]
              [--before PATH] [--into DIR]

  --rounds N        rounds, of which the tables show the medians (default 3)
  --span S          seconds that a contender is measured at a work in a round, with
                    CPUs kept awake and as long with CPUs that may halt (default 0.25)
  --works A,B       only these works
  --contenders A,B  only these contenders
  --cpus awake|halting|both
                    whether the CPUs are kept awake (default both)
  --no-calls        do not count system calls with strace
  --brooklet PATH   the program brooklet, or a folder with the programs run and
                    forward (default: build it)
  --before PATH     let an earlier one take part, too
  --into DIR        folder for RELAYS.md
                    (default {HERE})

works:       {}
contenders:  {}
with --before:
             {}

As root, on Linux: every run has network namespaces of its own.
",
        works.join("\n             "),
        keys(contender::ALL),
        keys(contender::BEFORE),
    )
}

impl Options {
    /// `None` when the usage was asked for.
    pub(crate) fn parse(args: &[String]) -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let mut options = Self {
            rounds: 3,
            span: Duration::from_millis(250),
            works: work::RELAYED.to_vec(),
            contenders: Vec::new(),
            cpus: Cpus::Both,
            calls: true,
            brooklet: None,
            before: None,
            into: HERE.into(),
        };
        let mut contenders = None;
        let mut args = lexopt::Parser::from_args(args);
        while let Some(arg) = args.next()? {
            match arg {
                Long("rounds") => options.rounds = args.value()?.parse()?,
                Long("span") => options.span = seconds(args.value()?.parse()?)?,
                Long("works") => {
                    options.works = chosen(&args.value()?.string()?, &options.works, |w| w.key())?;
                }
                Long("contenders") => contenders = Some(args.value()?.string()?),
                Long("cpus") => {
                    options.cpus = match &*args.value()?.string()? {
                        "awake" => Cpus::One(Way::Awake),
                        "halting" => Cpus::One(Way::Halting),
                        "both" => Cpus::Both,
                        _ => return Err("--cpus is awake, halting or both".into()),
                    }
                }
                Long("no-calls") => options.calls = false,
                Long("brooklet") => options.brooklet = Some(args.value()?.into()),
                Long("before") => options.before = Some(args.value()?.into()),
                Long("into") => options.into = args.value()?.into(),
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(arg.unexpected()),
            }
        }
        if options.rounds == 0 {
            return Err("--rounds is at least 1".into());
        }
        let (brooklets, others): (Vec<_>, Vec<_>) =
            contender::ALL.iter().partition(|relay| relay.is_brooklet());
        let before = contender::BEFORE.iter();
        let before = before.filter(|_| options.before.is_some());
        options.contenders = brooklets.into_iter().chain(before).chain(others).collect();
        if let Some(keys) = contenders {
            options.contenders = chosen(&keys, &options.contenders, |relay| relay.key)?;
        }
        Ok(Some(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Option<Options>, lexopt::Error> {
        let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
        Options::parse(&args)
    }

    fn keys(options: &Options) -> Vec<&str> {
        options.contenders.iter().map(|relay| relay.key).collect()
    }

    #[test]
    fn flags_choose_works_contenders_and_ways() {
        let options = parse(&[]).unwrap().unwrap();
        assert_eq!(options.rounds, 3);
        assert_eq!(options.cpus.ways(), [Way::Awake, Way::Halting]);
        assert!(options.calls && options.brooklet.is_none());
        assert_eq!(options.contenders.len(), contender::ALL.len());

        let args = ["--works=echo-1", "--contenders", "pasta,run", "--no-calls"];
        let options = parse(&args).unwrap().unwrap();
        let works: Vec<_> = options.works.iter().map(|work| work.key()).collect();
        assert_eq!((works, options.calls), (vec!["echo-1"], false));
        assert_eq!(keys(&options), ["run", "pasta"]);

        let options = parse(&["--cpus", "halting", "--brooklet=a"])
            .unwrap()
            .unwrap();
        assert_eq!(options.cpus.ways(), [Way::Halting]);
        assert_eq!(options.brooklet, Some("a".into()));
    }

    #[test]
    fn an_earlier_program_takes_part_where_it_is_named() {
        let args = ["--contenders=run-before,run", "--before=old"];
        assert_eq!(keys(&parse(&args).unwrap().unwrap()), ["run", "run-before"]);
        assert!(parse(&["--contenders=run-before"]).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            &["--rounds", "0"][..],
            &["--span", "0"],
            &["--works", "up-200"],
            &["--contenders", "lwip"],
            &["--cpus", "asleep"],
            &["serve"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(parse(&["--help"]).unwrap().is_none());
    }
}

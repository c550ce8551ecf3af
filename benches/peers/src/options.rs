//! What is asked for on the command line.

use crate::contender::{self, Contender};
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
    pub(crate) contenders: Vec<&'static Contender>,
    /// The earlier revision of brooklet that takes part, or the path of its `inetd`.
    pub(crate) before: Option<String>,
    /// The folder for the results.
    pub(crate) into: PathBuf,
}

pub(crate) fn usage() -> String {
    let works: Vec<_> = work::ALL.iter().map(|work| work.key()).collect();
    let contenders = contender::ALL.iter().map(|contender| contender.key);
    let contenders: Vec<_> = contenders.collect();
    let before: Vec<_> = contender::BEFORE.iter().map(|c| c.key).collect();
    format!(
        "\
Usage: peers [--rounds N] [--span S] [--works A,B] [--contenders A,B]
             [--before REVISION] [--into DIR]

  --rounds N        rounds, of which the tables show the medians (default 5)
  --span S          seconds that a contender is measured at a work in a round (default 0.5)
  --works A,B       only these works
  --contenders A,B  only these contenders
  --before REVISION
                    let brooklet's inetd of this revision take part, too; a path is
                    that of an inetd that is built already (default: none)
  --into DIR        folder for RESULTS.md and RESULTS.svg
                    (default {HERE})

works:       {}
contenders:  {}
with --before:
             {}

As root, on Linux: every run has a network namespace of its own.
",
        works.join("\n             "),
        contenders.join("\n             "),
        before.join("\n             "),
    )
}

impl Options {
    /// `None` when the usage was asked for.
    pub(crate) fn parse(args: &[String]) -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let mut options = Self {
            rounds: 5,
            span: Duration::from_millis(500),
            works: work::ALL.to_vec(),
            contenders: Vec::new(),
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
                Long("before") => options.before = Some(args.value()?.string()?),
                Long("into") => options.into = args.value()?.into(),
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(arg.unexpected()),
            }
        }
        if options.rounds == 0 {
            return Err("--rounds is at least 1".into());
        }
        let (brooklets, others): (Vec<_>, Vec<_>) =
            contender::ALL.iter().partition(|c| c.is_brooklet());
        let before = contender::BEFORE.iter();
        let before = before.filter(|_| options.before.is_some());
        options.contenders = brooklets.into_iter().chain(before).chain(others).collect();
        if let Some(keys) = contenders {
            options.contenders = chosen(&keys, &options.contenders, |c| c.key)?;
        }
        Ok(Some(options))
    }
}

pub(crate) fn seconds(seconds: f64) -> Result<Duration, lexopt::Error> {
    // What is not a number is not in the range either.
    if !(0.1..=60.0).contains(&seconds) {
        return Err("--span is 0.1 to 60".into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Those of all whose keys are in the list, in the order of all.
pub(crate) fn chosen<T: Copy>(
    list: &str,
    all: &[T],
    key: impl Fn(&T) -> &'static str,
) -> Result<Vec<T>, lexopt::Error> {
    let keys: Vec<_> = list.split(',').collect();
    if let Some(unknown) = keys.iter().find(|&&k| all.iter().all(|one| key(one) != k)) {
        return Err(format!("there is no `{unknown}`").into());
    }
    let all = all.iter().copied();
    Ok(all.filter(|one| keys.contains(&key(one))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Option<Options>, lexopt::Error> {
        let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
        Options::parse(&args)
    }

    #[test]
    fn flags_have_values_that_make_sense() {
        let args = [
            "--rounds",
            "3",
            "--span=0.5",
            "--works",
            "up-1,echo-1",
            "--contenders=kernel,brooklet",
        ];
        let options = parse(&args).unwrap().unwrap();
        assert_eq!(options.rounds, 3);
        assert_eq!(options.span, Duration::from_millis(500));
        let works: Vec<_> = options.works.iter().map(|work| work.key()).collect();
        assert_eq!(works, ["up-1", "echo-1"]);
        let contenders: Vec<_> = options.contenders.iter().map(|c| c.key).collect();
        assert_eq!(contenders, ["brooklet", "kernel"]);
        assert!(parse(&["--help"]).unwrap().is_none());
        let keys = |options: Option<Options>| -> Vec<&str> {
            options.unwrap().contenders.iter().map(|c| c.key).collect()
        };
        let all = keys(parse(&[]).unwrap());
        assert!(all.iter().all(|key| !key.contains("before")), "{all:?}");
        let before = keys(parse(&["--before", "HEAD"]).unwrap());
        assert_eq!(before.len(), all.len() + 4);
        let args = ["--contenders=brooklet-before,brooklet", "--before=HEAD"];
        assert_eq!(keys(parse(&args).unwrap()), ["brooklet", "brooklet-before"]);
        for wrong in [
            &["--rounds", "0"][..],
            &["--span", "0"],
            &["--span", "nan"],
            &["--works", "nothing"],
            &["--contenders", ""],
            &["--contenders", "brooklet-before"],
            &["--fast"],
            &["serve"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}

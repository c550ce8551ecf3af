//! What is asked for on the command line.

use std::time::Duration;

pub(crate) const USAGE: &str = "\
Usage: peers [--rounds N] [--seconds S]

  --rounds N    rounds, of which the tables show the medians (default 21)
  --seconds S   how long a contender is at each work in a round (default 0.3)

As root, on Linux: every run has a network namespace of its own.
";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) span: Duration,
}

impl Options {
    /// `None` when the usage was asked for.
    pub(crate) fn parse(args: &[String]) -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let (mut rounds, mut seconds) = (21, 0.3);
        let mut args = lexopt::Parser::from_args(args);
        while let Some(arg) = args.next()? {
            match arg {
                Long("rounds") => rounds = args.value()?.parse()?,
                Long("seconds") => seconds = args.value()?.parse()?,
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(arg.unexpected()),
            }
        }
        if rounds == 0 {
            return Err("--rounds is at least 1".into());
        }
        // What is not a number is not in the range either.
        if !(0.1..=60.0).contains(&seconds) {
            return Err("--seconds is 0.1 to 60".into());
        }
        let span = Duration::from_secs_f64(seconds);
        Ok(Some(Self { rounds, span }))
    }
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
        let options = parse(&["--rounds", "3", "--seconds=0.5"]).unwrap().unwrap();
        assert_eq!(options.rounds, 3);
        assert_eq!(options.span, Duration::from_millis(500));
        assert!(parse(&["--help"]).unwrap().is_none());
        for wrong in [
            &["--rounds", "0"][..],
            &["--seconds", "0"],
            &["--seconds", "nan"],
            &["--fast"],
            &["serve"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}

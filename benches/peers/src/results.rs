//! What the runs have shown, and what follows from it.

use crate::contender::Contender;
use crate::work::{Column, Work};
use std::io;

/// Who is compared, as the tables name it.
pub(crate) trait Entrant: 'static {
    /// By this it is asked for.
    fn key(&self) -> &'static str;

    fn name(&self) -> &'static str;

    /// What it is and how it was set, in one sentence.
    fn about(&self) -> &'static str;

    /// Whether it is one of brooklet's forms, which are compared with the others.
    fn is_brooklet(&self) -> bool;
}

/// How a run of a contender has ended.
#[derive(Clone, Debug)]
pub(crate) enum Run {
    /// As many as the work has columns.
    Figures(Vec<f64>),
    Failed(String),
    LeftOut(String),
}

impl From<io::Result<Vec<f64>>> for Run {
    fn from(result: io::Result<Vec<f64>>) -> Self {
        match result {
            Ok(figures) => Self::Figures(figures),
            // A socket's limit of time shows as this.
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                Self::Failed("the client waited too long".into())
            }
            Err(why) => Self::Failed(why.to_string()),
        }
    }
}

/// The results of one work.
pub(crate) struct Table<C: Entrant = Contender> {
    pub(crate) work: &'static dyn Work,
    pub(crate) contenders: Vec<&'static C>,
    /// For each round the runs of each contender.
    rounds: Vec<Vec<Run>>,
}

impl<C: Entrant> Table<C> {
    pub(crate) fn new(work: &'static dyn Work, contenders: Vec<&'static C>) -> Self {
        Self {
            work,
            contenders,
            rounds: Vec::new(),
        }
    }

    /// Takes the runs of a round.
    pub(crate) fn push(&mut self, round: Vec<Run>) {
        self.rounds.push(round);
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// The figures of a contender, of the rounds in which it did not fail.
    pub(crate) fn spread(&self, contender: &str, column: Column) -> Option<Spread> {
        let rounds = self.rounds.iter();
        Spread::of(rounds.filter_map(|round| self.figure(round, contender, column)))
    }

    /// The figures of one contender divided by those of another in the same round.
    pub(crate) fn ratio(&self, ours: &str, theirs: &str, column: Column) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| {
            Some(self.figure(round, ours, column)? / self.figure(round, theirs, column)?)
        }))
    }

    fn figure(&self, round: &[Run], contender: &str, column: Column) -> Option<f64> {
        let index = self.index(contender)?;
        let column = self.work.columns().iter().position(|&c| c == column)?;
        match round.get(index)? {
            Run::Figures(figures) => figures.get(column).copied(),
            Run::Failed(_) | Run::LeftOut(_) => None,
        }
    }

    /// Why the contender's runs have failed.
    pub(crate) fn failures(&self, contender: &str) -> Vec<&str> {
        self.reasons(contender, |run| match run {
            Run::Failed(why) => Some(why),
            _ => None,
        })
    }

    /// Why the contender does not take part.
    pub(crate) fn left_out(&self, contender: &str) -> Option<&str> {
        let reasons = self.reasons(contender, |run| match run {
            Run::LeftOut(why) => Some(why),
            _ => None,
        });
        reasons.first().copied()
    }

    fn reasons(&self, contender: &str, reason: impl Fn(&Run) -> Option<&String>) -> Vec<&str> {
        let index = self.index(contender);
        let runs = self.rounds.iter().filter_map(|round| round.get(index?));
        runs.filter_map(|run| reason(run).map(String::as_str))
            .collect()
    }

    fn index(&self, contender: &str) -> Option<usize> {
        self.contenders.iter().position(|c| c.key() == contender)
    }
}

/// Where figures lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// A quarter of the figures is not above this.
    pub(crate) low: f64,
    pub(crate) middle: f64,
    /// A quarter of the figures is not below this.
    pub(crate) high: f64,
}

impl Spread {
    /// The middle, and the ranks a quarter and three quarters up, the outer one where they fall
    /// between two; `None` of nothing.
    fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<_> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let last = figures.len().checked_sub(1)?;
        let (a, b) = (figures[last / 2], figures[figures.len() / 2]);
        Some(Self {
            low: figures[last / 4],
            middle: f64::midpoint(a, b),
            high: figures[(3 * last).div_ceil(4)],
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::contender;
    use crate::work::{self, MBIT};

    /// Bulk of brooklet and the kernel: 1, 300 and 40 Mbit/s, and 2, 100 and a failure.
    pub(crate) fn table() -> Table {
        let all = [
            &contender::ALL[0],
            &contender::ALL[contender::ALL.len() - 1],
        ];
        let mut table = Table::new(work::ALL[0], all.into());
        let figures = |mbit| Run::Figures(vec![mbit, 0.5, 8.0]);
        table.push(vec![figures(1.0), figures(2.0)]);
        table.push(vec![figures(300.0), figures(100.0)]);
        table.push(vec![figures(40.0), Run::Failed("it has ended".into())]);
        table
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let spread = |figures: &[f64]| Spread::of(figures.iter().copied());
        let is = |low, middle, high| Some(Spread { low, middle, high });
        assert_eq!(spread(&[3.0, 9.0, 1.0]), is(1.0, 3.0, 9.0));
        assert_eq!(spread(&[4.0, 1.0]), is(1.0, 2.5, 4.0));
        let nine: Vec<_> = (0..9).map(f64::from).collect();
        assert_eq!(spread(&nine), is(2.0, 4.0, 6.0));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn a_ratio_is_that_of_a_round() {
        let table = table();
        let middle = |spread: Option<Spread>| spread.map(|spread| spread.middle);
        assert_eq!(middle(table.spread("brooklet", MBIT)), Some(40.0));
        assert_eq!(middle(table.spread("kernel", MBIT)), Some(51.0));
        assert_eq!(middle(table.ratio("brooklet", "kernel", MBIT)), Some(1.75));
        assert_eq!(middle(table.spread("lwip", MBIT)), None);
        assert_eq!(table.failures("kernel"), ["it has ended"]);
        assert_eq!(table.failures("brooklet"), [""; 0]);
    }
}

use super::{Case, Cell, Report, Run};
use brooklet_sim::SimError;
use brooklet_tcp::Congestion;
use std::ops::RangeInclusive;

/// Runs of a case for the tables of `LOSS.md`; odd, so that there is a middle one.
pub const SEEDS: RangeInclusive<u64> = 1..=5;

/// Runs cases in virtual time, and keeps the results.
#[derive(Debug)]
pub struct Simulator {
    seeds: RangeInclusive<u64>,
    only: String,
    done: Vec<(Case, Congestion, Vec<Run>)>,
}

impl Simulator {
    /// Makes a simulator that runs each case once with each of the seeds.
    pub fn new(seeds: RangeInclusive<u64>) -> Self {
        Self {
            seeds,
            only: String::new(),
            done: Vec::new(),
        }
    }

    /// Runs only cases in whose names this text is; the others have no runs.
    pub fn only(mut self, text: String) -> Self {
        self.only = text;
        self
    }

    /// Makes the tables for each congestion control: the same text whenever and wherever it is
    /// made.
    ///
    /// A run that broke is reported on the standard error as well, with its seed.
    pub fn tables(&mut self, report: Report<'_>, congestions: &[Congestion]) -> String {
        let mut text = String::new();
        for &congestion in congestions {
            let tables = report.write(|case| self.runs(case, congestion));
            text += &format!("## brooklet, `{congestion:?}`\n\n{tables}");
        }
        text
    }

    /// Runs a case, unless the results are there already: two tables may show the same case.
    pub fn runs(&mut self, case: &Case, congestion: Congestion) -> Vec<Run> {
        let mut done = self.done.iter();
        if let Some((.., runs)) = done.find(|(c, by, _)| c == case && *by == congestion) {
            return runs.clone();
        }
        if !case.to_string().contains(&self.only) {
            return Vec::new();
        }
        // Without chance all seeds give the same run.
        let count = if case.by_chance() { usize::MAX } else { 1 };
        let seeds = self.seeds.clone().take(count);
        let runs: Vec<_> = seeds.map(|seed| run(case, congestion, seed)).collect();
        self.done.push((*case, congestion, runs.clone()));
        runs
    }

    /// Summarizes all cases so far, in the order in which they ran.
    pub fn cells(&self) -> Vec<Cell> {
        let cells = self.done.iter().map(|(case, congestion, runs)| {
            Cell::new(case.to_string(), format!("{congestion:?}"), runs)
        });
        cells.collect()
    }
}

fn run(case: &Case, congestion: Congestion, seed: u64) -> Run {
    let error = match case.simulate(congestion, seed) {
        Ok(time) => return Run::Took(time),
        Err(error) => error,
    };
    let given_up = error.get_ref().and_then(|inner| inner.downcast_ref());
    match given_up {
        Some(SimError::OutOfTime) => Run::NoEnd,
        Some(SimError::Stalled) => Run::Stalled,
        _ => {
            eprintln!("{error}; {congestion:?}, seed {seed}, {case:?}");
            Run::Broken
        }
    }
}

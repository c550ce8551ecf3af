//! What brooklet is to reach beside the others.

use crate::report::{row, two_digits};
use crate::results::{Entrant, Spread, Table};
use crate::work::{
    CPU_GIB, Column, DOWN_KEPT, EACH, EVENNESS, LOST, MBIT, OPEN, PER_SECOND, UP_KEPT, WAKES,
};

const PLAIN: &str = "brooklet";
const OFFLOAD: &str = "brooklet-offload";
const NETSTACK: &str = "netstack-smoltcp";
const NETSTACK_OFFLOAD: &str = "netstack-smoltcp-offload";
const LWIP: &str = "lwip";
const KERNEL: &str = "kernel";

/// In the order of the table.
pub(crate) const ALL: &[Target] = &[
    at_least(2.5, "up-1", MBIT, OFFLOAD).over(NETSTACK_OFFLOAD),
    at_least(4.5, "up-1", MBIT, OFFLOAD).over(NETSTACK),
    at_least(0.6, "up-1", MBIT, OFFLOAD).over(KERNEL),
    at_most(0.4, "up-1", CPU_GIB, OFFLOAD).over(NETSTACK_OFFLOAD),
    at_least(3.0, "down-1", MBIT, OFFLOAD).over(NETSTACK_OFFLOAD),
    at_least(5.0, "down-1", MBIT, OFFLOAD).over(NETSTACK),
    at_least(0.6, "down-1", MBIT, OFFLOAD).over(KERNEL),
    at_most(0.3, "down-1", CPU_GIB, OFFLOAD).over(NETSTACK_OFFLOAD),
    at_least(2.5, "up-4", MBIT, OFFLOAD).over(NETSTACK_OFFLOAD),
    at_least(2.0, "down-4", MBIT, OFFLOAD).over(NETSTACK_OFFLOAD),
    at_least(5.0, "up-200", MBIT, OFFLOAD).over(NETSTACK_OFFLOAD),
    at_least(5.0, "down-200", MBIT, OFFLOAD).over(NETSTACK_OFFLOAD),
    at_least(0.2, "up-200", EVENNESS, OFFLOAD),
    at_least(0.2, "down-200", EVENNESS, OFFLOAD),
    at_least(1.3, "up-1", MBIT, PLAIN).over(NETSTACK),
    at_least(1.3, "down-1", MBIT, PLAIN).over(NETSTACK),
    at_least(2.0, "up-4", MBIT, PLAIN).over(NETSTACK),
    at_least(2.0, "down-4", MBIT, PLAIN).over(NETSTACK),
    at_most(0.7, "up-1", CPU_GIB, PLAIN).over(NETSTACK),
    at_most(0.7, "down-1", CPU_GIB, PLAIN).over(NETSTACK),
    at_most(0.7, "up-4", CPU_GIB, PLAIN).over(NETSTACK),
    at_most(0.7, "down-4", CPU_GIB, PLAIN).over(NETSTACK),
    at_least(1.5, "echo-1", PER_SECOND, PLAIN).over(NETSTACK),
    at_least(1.0, "echo-1", PER_SECOND, PLAIN).over(LWIP),
    at_least(1.1, "echo-64", PER_SECOND, PLAIN).over(NETSTACK),
    at_least(2.5, "connect", PER_SECOND, PLAIN).over(NETSTACK),
    at_least(1.0, "connect", PER_SECOND, PLAIN).over(LWIP),
    at_least(1.2, "udp-64", PER_SECOND, PLAIN).over(NETSTACK),
    at_least(1.2, "udp-1400", PER_SECOND, PLAIN).over(NETSTACK),
    at_least(1.1, "udp-64", PER_SECOND, OFFLOAD).over(NETSTACK_OFFLOAD),
    at_least(1.1, "udp-1400", PER_SECOND, OFFLOAD).over(NETSTACK_OFFLOAD),
    at_most(0.0, "udp-64", LOST, PLAIN),
    at_most(0.0, "udp-1400", LOST, PLAIN),
    at_most(0.0, "udp-64", LOST, OFFLOAD),
    at_most(0.0, "udp-1400", LOST, OFFLOAD),
    at_least(0.8, "beside-10000", UP_KEPT, PLAIN),
    at_least(0.8, "beside-10000", DOWN_KEPT, PLAIN),
    at_least(0.8, "beside-10000", UP_KEPT, OFFLOAD),
    at_least(0.8, "beside-10000", DOWN_KEPT, OFFLOAD),
    at_least(100_000.0, "idle-100000", OPEN, PLAIN),
    at_most(4096.0, "idle-100000", EACH, PLAIN),
    at_most(0.0, "idle-100000", WAKES, PLAIN),
];

/// A bound for a figure of a work, or for its ratio to another contender's.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) work: &'static str,
    pub(crate) column: Column,
    pub(crate) ours: &'static str,
    pub(crate) theirs: Option<&'static str>,
    bound: Bound,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

enum Outcome {
    Measured(Spread),
    /// All of brooklet's runs have failed.
    Failed,
    /// Somebody did not take part, or all runs of the other have failed.
    NotMeasured,
}

const MET: &str = "met";
const MISSED: &str = "**missed**";
const NOT_MEASURED: &str = "not measured";

pub(crate) const fn at_least(
    least: f64,
    work: &'static str,
    column: Column,
    ours: &'static str,
) -> Target {
    Target {
        work,
        column,
        ours,
        theirs: None,
        bound: Bound::AtLeast(least),
    }
}

pub(crate) const fn at_most(
    most: f64,
    work: &'static str,
    column: Column,
    ours: &'static str,
) -> Target {
    Target {
        work,
        column,
        ours,
        theirs: None,
        bound: Bound::AtMost(most),
    }
}

impl Target {
    pub(crate) const fn over(mut self, theirs: &'static str) -> Self {
        self.theirs = Some(theirs);
        self
    }

    fn outcome<C: Entrant>(&self, tables: &[Table<C>]) -> Outcome {
        let mut tables = tables.iter();
        let Some(table) = tables.find(|table| table.work.key() == self.work) else {
            return Outcome::NotMeasured;
        };
        let measured = match self.theirs {
            Some(theirs) => table.ratio(self.ours, theirs, self.column),
            None => table.spread(self.ours, self.column),
        };
        match (measured, table.spread(self.ours, self.column)) {
            (Some(spread), _) => Outcome::Measured(spread),
            (None, None) if !table.failures(self.ours).is_empty() => Outcome::Failed,
            (None, _) => Outcome::NotMeasured,
        }
    }

    fn verdict<C: Entrant>(&self, tables: &[Table<C>]) -> &'static str {
        let met = match (self.outcome(tables), self.bound) {
            (Outcome::NotMeasured, _) => return NOT_MEASURED,
            (Outcome::Failed, _) => false,
            (Outcome::Measured(spread), Bound::AtLeast(least)) => spread.middle >= least,
            (Outcome::Measured(spread), Bound::AtMost(most)) => spread.middle <= most,
        };
        if met { MET } else { MISSED }
    }

    /// Whether there is no ratio because all runs of the other have failed.
    fn other_failed<C: Entrant>(&self, tables: &[Table<C>]) -> bool {
        let mut tables = tables.iter();
        let table = tables.find(|table| table.work.key() == self.work);
        table.zip(self.theirs).is_some_and(|(table, theirs)| {
            let failed = !table.failures(theirs).is_empty();
            failed && table.spread(theirs, self.column).is_none()
        })
    }

    fn row<C: Entrant>(&self, tables: &[Table<C>]) -> String {
        let of = match self.theirs {
            Some(theirs) => format!("{} ÷ {theirs}", self.ours),
            None => self.ours.to_owned(),
        };
        let bound = match self.bound {
            Bound::AtLeast(least) => format!("at least {least}"),
            Bound::AtMost(most) => format!("at most {most}"),
        };
        let measured = match self.outcome(tables) {
            Outcome::Measured(spread) => two_digits(spread),
            Outcome::Failed => "failed".into(),
            Outcome::NotMeasured if self.other_failed(tables) => "the other failed".into(),
            Outcome::NotMeasured => "none".into(),
        };
        let verdict = self.verdict(tables);
        row(&[self.work, self.column.name, &of, &bound, &measured, verdict])
    }
}

/// The section of all targets of the stacks.
pub(crate) fn markdown(targets: &[Target], tables: &[Table]) -> String {
    format!(
        "\n## Targets\n\nThe engine's targets are measured by `cargo bench -p brooklet-benches`. {}",
        table(targets, tables)
    )
}

/// How many targets are met, and the table of all of them.
pub(crate) fn table<C: Entrant>(targets: &[Target], tables: &[Table<C>]) -> String {
    let rows: Vec<_> = targets.iter().map(|target| target.row(tables)).collect();
    let count = |what| {
        let verdicts = targets.iter().map(|target| target.verdict(tables));
        verdicts.filter(|&verdict| verdict == what).count()
    };
    format!(
        "{} of {} are met, {} missed, {} not measured. A ratio is the median of the rounds' ratios, \
         with the quartiles.\n\n{}{}{}",
        count(MET),
        targets.len(),
        count(MISSED),
        count(NOT_MEASURED),
        row(&["work", "figure", "of", "target", "measured", ""]),
        row(&["---", "---", "---", "---:", "---:", "---"]),
        rows.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender;
    use crate::results::Run;
    use crate::results::tests::table;
    use crate::work;

    #[test]
    fn every_target_is_of_something_that_is_measured() {
        for target in ALL {
            let work = work::ALL.iter().find(|work| work.key() == target.work);
            let work = work.unwrap_or_else(|| panic!("{target:?}"));
            assert!(work.columns().contains(&target.column), "{target:?}");
            for contender in [Some(target.ours), target.theirs].into_iter().flatten() {
                let known = contender::ALL.iter().any(|c| c.key == contender);
                assert!(known || contender == LWIP, "{target:?}");
            }
        }
    }

    #[test]
    fn a_missed_target_says_so() {
        let tables = [table()];
        let is = |target: Target| target.row(&tables);
        assert_eq!(
            is(at_least(1.7, "up-1", MBIT, PLAIN).over(KERNEL)),
            "| up-1 | Mbit/s | brooklet ÷ kernel | at least 1.7 | 1.75 (0.50 to 3.00) | met |\n"
        );
        assert!(is(at_least(1.8, "up-1", MBIT, PLAIN).over(KERNEL)).contains("**missed**"));
        assert!(is(at_most(1.7, "up-1", MBIT, PLAIN).over(KERNEL)).contains("**missed**"));
        assert!(is(at_most(40.0, "up-1", MBIT, PLAIN)).contains("| met |"));
        assert!(is(at_least(1.0, "up-1", MBIT, PLAIN).over(LWIP)).contains("| not measured |"));
        assert!(is(at_least(1.0, "up-4", MBIT, PLAIN)).contains("| not measured |"));

        let mut failed = Table::new(tables[0].work, tables[0].contenders.clone());
        failed.push(vec![
            Run::Failed("it has ended".into()),
            Run::Figures(vec![1.0, 1.0, 1.0]),
        ]);
        let row = at_most(40.0, "up-1", MBIT, PLAIN).row(&[failed]);
        assert!(row.contains("| failed | **missed** |"), "{row}");
    }
}

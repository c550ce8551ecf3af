//! What brooklet is to reach beside the others.

use crate::report::{row, two_digits};
use crate::results::{Spread, Table};
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
const ALL: &[Target] = &[
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
struct Target {
    work: &'static str,
    column: Column,
    ours: &'static str,
    theirs: Option<&'static str>,
    bound: Bound,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

const fn at_least(least: f64, work: &'static str, column: Column, ours: &'static str) -> Target {
    Target {
        work,
        column,
        ours,
        theirs: None,
        bound: Bound::AtLeast(least),
    }
}

const fn at_most(most: f64, work: &'static str, column: Column, ours: &'static str) -> Target {
    Target {
        work,
        column,
        ours,
        theirs: None,
        bound: Bound::AtMost(most),
    }
}

impl Target {
    const fn over(mut self, theirs: &'static str) -> Self {
        self.theirs = Some(theirs);
        self
    }

    /// What was measured, if it was.
    fn measured(&self, tables: &[Table]) -> Option<Spread> {
        let table = tables.iter().find(|table| table.work.key() == self.work)?;
        match self.theirs {
            Some(theirs) => table.ratio(self.ours, theirs, self.column),
            None => table.spread(self.ours, self.column),
        }
    }

    fn row(&self, tables: &[Table]) -> String {
        let measured = self.measured(tables);
        let of = match self.theirs {
            Some(theirs) => format!("{} ÷ {theirs}", self.ours),
            None => self.ours.to_owned(),
        };
        let bound = match self.bound {
            Bound::AtLeast(least) => format!("at least {least}"),
            Bound::AtMost(most) => format!("at most {most}"),
        };
        let shown = measured.map_or("none".into(), two_digits);
        let verdict = self.bound.verdict(measured);
        row(&[self.work, self.column.name, &of, &bound, &shown, verdict])
    }
}

impl Bound {
    fn verdict(self, measured: Option<Spread>) -> &'static str {
        let met = match (self, measured) {
            (_, None) => return "not measured",
            (Self::AtLeast(least), Some(spread)) => spread.middle >= least,
            (Self::AtMost(most), Some(spread)) => spread.middle <= most,
        };
        if met { "met" } else { "**missed**" }
    }
}

/// The table of all targets.
pub(crate) fn markdown(tables: &[Table]) -> String {
    let rows: Vec<_> = ALL.iter().map(|target| target.row(tables)).collect();
    let count = |what: &str| {
        let is = |target: &&Target| target.bound.verdict(target.measured(tables)) == what;
        ALL.iter().filter(is).count()
    };
    format!(
        "\n## Targets\n\n{} of {} are met, {} missed, {} not measured. A ratio is the median of the \
         rounds' ratios, with the quartiles; the engine's targets are measured by `cargo bench -p \
         brooklet-benches`.\n\n{}{}{}",
        count("met"),
        ALL.len(),
        count("**missed**"),
        count("not measured"),
        row(&["work", "figure", "of", "target", "measured", ""]),
        row(&["---", "---", "---", "---:", "---:", "---"]),
        rows.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender;
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
    }
}

use super::Cell;
use std::fmt::{self, Write};

/// A cell that became slower by more than this is worth a look.
const TOLERANCE: f64 = 1.1;

/// Compares the medians of two measurements, cell by cell, the worst ratio first.
///
/// A ratio is the time after divided by the time before: above 1 is slower. Bounds in brackets are
/// the confidence interval of the median. A cell is *slower* if the ratio is above 1.1 and the
/// intervals do not overlap, and *unclear* if the ratio is above 1.1 and they do.
pub fn compare(before: &[Cell], after: &[Cell]) -> String {
    let mut pairs: Vec<_> = after
        .iter()
        .filter_map(|after| Some(Pair::new(before.iter().find(|c| c.is(after))?, after)))
        .collect();
    pairs.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
    let mut out = String::new();
    let write = table(&mut out, &pairs)
        .and_then(|()| unmatched(&mut out, "before", before, after))
        .and_then(|()| unmatched(&mut out, "after", after, before));
    write.expect("a string takes everything");
    out
}

fn table(out: &mut String, pairs: &[Pair<'_>]) -> fmt::Result {
    let count = |verdict| {
        pairs
            .iter()
            .filter(|pair| pair.verdict() == verdict)
            .count()
    };
    let mean = pairs.iter().map(|pair| pair.ratio.ln()).sum::<f64>() / pairs.len() as f64;
    writeln!(
        out,
        "{} cells: {} slower by more than 10 %, {} unclear, {} faster by more than 10 %; \
         geometric mean of the ratios {:.3}\n",
        pairs.len(),
        count(SLOWER),
        count(UNCLEAR),
        count(FASTER),
        mean.exp(),
    )?;
    writeln!(
        out,
        "| after ÷ before | | before, s | after, s | failed before | failed after | congestion | case |"
    )?;
    writeln!(out, "|---:|---|---:|---:|---:|---:|---|---|")?;
    for pair in pairs {
        let Pair {
            before,
            after,
            ratio,
        } = pair;
        writeln!(
            out,
            "| {ratio:.3} | {} | {} | {} | {} | {} | {} | {} |",
            pair.verdict(),
            interval(before),
            interval(after),
            before.failed,
            after.failed,
            after.congestion,
            after.case,
        )?;
    }
    Ok(())
}

/// Lists the cells of one measurement that the other does not have.
fn unmatched(out: &mut String, name: &str, cells: &[Cell], others: &[Cell]) -> fmt::Result {
    let lone = cells
        .iter()
        .filter(|cell| !others.iter().any(|other| other.is(cell)));
    for cell in lone {
        writeln!(out, "only {name}: {}, {}", cell.congestion, cell.case)?;
    }
    Ok(())
}

const SLOWER: &str = "**slower**";
const UNCLEAR: &str = "unclear";
const FASTER: &str = "faster";

/// A cell in both measurements.
struct Pair<'a> {
    before: &'a Cell,
    after: &'a Cell,
    ratio: f64,
}

impl<'a> Pair<'a> {
    fn new(before: &'a Cell, after: &'a Cell) -> Self {
        let ratio = after.median / before.median;
        // Both are infinite: most runs failed, before and after.
        let ratio = if ratio.is_nan() { 1.0 } else { ratio };
        Self {
            before,
            after,
            ratio,
        }
    }

    fn verdict(&self) -> &'static str {
        let Self {
            before,
            after,
            ratio,
        } = *self;
        if ratio > TOLERANCE {
            match after.low > before.high {
                true => SLOWER,
                false => UNCLEAR,
            }
        } else if ratio < 1.0 / TOLERANCE && after.high < before.low {
            FASTER
        } else {
            ""
        }
    }
}

impl Cell {
    /// Whether both cells are about the same case and congestion control.
    fn is(&self, other: &Self) -> bool {
        self.case == other.case && self.congestion == other.congestion
    }
}

fn interval(cell: &Cell) -> String {
    let Cell {
        low, median, high, ..
    } = cell;
    format!("{median:.3} ({low:.3} to {high:.3})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(case: &str, low: f64, median: f64, high: f64) -> Cell {
        Cell {
            case: case.to_owned(),
            congestion: "Cubic".to_owned(),
            runs: 50,
            failed: 0,
            p10: low,
            low,
            median,
            high,
            p90: high,
        }
    }

    #[test]
    fn the_worst_ratio_comes_first_and_chance_is_told_apart() {
        let before = [
            cell("same", 1.0, 2.0, 3.0),
            cell("noisy", 1.0, 2.0, 3.0),
            cell("slow", 1.9, 2.0, 2.1),
            cell("fast", 1.9, 2.0, 2.1),
            cell("gone", 1.0, 1.0, 1.0),
        ];
        let after = [
            cell("same", 1.0, 2.0, 3.0),
            cell("noisy", 2.0, 2.5, 3.0),
            cell("slow", 2.2, 4.0, 5.0),
            cell("fast", 0.9, 1.0, 1.1),
            cell("new", 1.0, 1.0, 1.0),
        ];
        let text = compare(&before, &after);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "4 cells: 1 slower by more than 10 %, 1 unclear, 1 faster by more than 10 %; \
             geometric mean of the ratios 1.057"
        );
        let row = |n: usize| lines[4 + n];
        assert_eq!(
            row(0),
            "| 2.000 | **slower** | 2.000 (1.900 to 2.100) | 4.000 (2.200 to 5.000) | 0 | 0 | \
             Cubic | slow |"
        );
        assert!(row(1).starts_with("| 1.250 | unclear |"), "{}", row(1));
        assert!(row(2).starts_with("| 1.000 |  |"), "{}", row(2));
        assert!(row(3).starts_with("| 0.500 | faster |"), "{}", row(3));
        assert_eq!(
            lines[8..],
            ["only before: Cubic, gone", "only after: Cubic, new"]
        );
    }

    #[test]
    fn a_median_that_no_longer_ends_is_the_worst() {
        let before = [cell("a", 1.0, 1.0, 1.0), cell("b", 1.0, 1.0, 1.0)];
        let inf = f64::INFINITY;
        let after = [cell("a", 9.0, 9.0, 9.0), cell("b", inf, inf, inf)];
        let text = compare(&before, &after);
        assert!(text.find("| b |") < text.find("| a |"), "{text}");
        let text = compare(&after, &after);
        assert!(text.contains("| 1.000 |  | inf (inf to inf) |"), "{text}");
    }
}

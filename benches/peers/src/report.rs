//! Medians, and tables of them.

use crate::contender;
use crate::work::Work;
use std::fmt::Write;

/// The results of one work.
#[derive(Debug)]
pub(crate) struct Table {
    title: &'static str,
    columns: Vec<&'static str>,
    names: Vec<&'static str>,
    /// For each round the figures of each contender; none where the run failed.
    rounds: Vec<Vec<Option<Vec<f64>>>>,
}

impl Table {
    pub(crate) fn new(work: &dyn Work) -> Self {
        let mut columns = work.columns().to_vec();
        columns.extend([work.cpu().0, "server's memory, MiB"]);
        Self {
            title: work.title(),
            columns,
            names: contender::ALL
                .iter()
                .map(|contender| contender.name)
                .collect(),
            rounds: Vec::new(),
        }
    }

    /// Takes the figures of a round.
    pub(crate) fn push(&mut self, round: Vec<Option<Vec<f64>>>) {
        self.rounds.push(round);
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("\n## {}\n\n|", self.title);
        let mut line = |cells: &mut dyn Iterator<Item = String>| {
            for cell in cells {
                // Into a string: it does not fail.
                let _ = write!(text, " {cell} |");
            }
            text += "\n|";
        };
        let columns = || self.columns.iter().map(|&name| name.to_owned());
        line(&mut [String::new()].into_iter().chain(columns()));
        line(
            &mut ["---".into()]
                .into_iter()
                .chain(columns().map(|_| "---:".into())),
        );
        for (contender, name) in self.names.iter().enumerate() {
            let failed = self
                .rounds
                .iter()
                .filter(|round| round[contender].is_none())
                .count();
            let name = match failed {
                0 => (*name).to_owned(),
                _ => format!("{name} ({failed} of {} runs failed)", self.rounds.len()),
            };
            let cells = (0..self.columns.len()).map(|column| {
                let figures = self
                    .rounds
                    .iter()
                    .filter_map(|round| self.figure(round, contender, column));
                median(figures.collect()).map_or("none".into(), |(middle, ..)| three_digits(middle))
            });
            line(&mut [name].into_iter().chain(cells));
        }
        for (contender, name) in self.names.iter().enumerate().skip(1) {
            let cells = (0..self.columns.len()).map(|column| {
                let ratios = self.rounds.iter().filter_map(|round| {
                    Some(self.figure(round, 0, column)? / self.figure(round, contender, column)?)
                });
                median(ratios.collect()).map_or("none".into(), |(middle, low, high)| {
                    format!("{middle:.2} ({low:.2} to {high:.2})")
                })
            });
            line(
                &mut [format!("{} ÷ {name}", self.names[0])]
                    .into_iter()
                    .chain(cells),
            );
        }
        // What the next line would have begun with.
        text.pop();
        text
    }

    fn figure(&self, round: &[Option<Vec<f64>>], contender: usize, column: usize) -> Option<f64> {
        round.get(contender)?.as_ref()?.get(column).copied()
    }
}

/// The middle, and the ranks a quarter and three quarters up, the outer one where they fall between
/// two; `None` of nothing.
fn median(mut figures: Vec<f64>) -> Option<(f64, f64, f64)> {
    figures.sort_by(f64::total_cmp);
    let last = figures.len().checked_sub(1)?;
    let (low, high) = (figures[last / 4], figures[(3 * last).div_ceil(4)]);
    let (a, b) = (figures[last / 2], figures[figures.len() / 2]);
    Some((f64::midpoint(a, b), low, high))
}

fn three_digits(figure: f64) -> String {
    match figure.abs() {
        100.0.. => format!("{figure:.0}"),
        10.0..100.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 9.0, 1.0]), Some((3.0, 1.0, 9.0)));
        assert_eq!(median(vec![4.0, 1.0]), Some((2.5, 1.0, 4.0)));
        assert_eq!(
            median((0..9).map(f64::from).collect()),
            Some((4.0, 2.0, 6.0))
        );
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn a_ratio_is_that_of_a_round_and_failures_show() {
        let table = Table {
            title: "Test",
            columns: vec!["µs"],
            names: vec!["ours", "theirs"],
            rounds: vec![
                vec![Some(vec![1.0]), Some(vec![2.0])],
                vec![Some(vec![300.0]), Some(vec![100.0])],
                vec![Some(vec![40.0]), None],
            ],
        };
        assert_eq!(
            table.markdown(),
            "\n## Test\n\n\
             |  | µs |\n| --- | ---: |\n\
             | ours | 40.0 |\n| theirs (1 of 3 runs failed) | 51.0 |\n\
             | ours ÷ theirs | 1.75 (0.50 to 3.00) |\n"
        );
    }
}

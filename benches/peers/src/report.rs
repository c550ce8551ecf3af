//! The results as Markdown.

use crate::results::{Entrant, Spread, Table};
use crate::work::Column;
use std::fmt::Write;

/// A line for each contender.
pub(crate) fn legend<C: Entrant>(contenders: &[&C]) -> String {
    let lines = contenders.iter();
    lines
        .map(|contender| format!("- **{}**: {}\n", contender.name(), contender.about()))
        .collect()
}

/// The tables of one work: the figures, and the ratios by what the contenders are compared.
pub(crate) fn markdown<C: Entrant>(table: &Table<C>) -> String {
    let mut text = format!("\n## {}\n\n", table.work.title());
    // Into a string: it does not fail.
    let _ = writeln!(
        text,
        "`{}`, rounds: {}.\n",
        table.work.key(),
        table.rounds()
    );
    text += &figures(table);
    text += &notes(table);
    for column in table.work.columns().iter().filter(|column| column.compared) {
        text += &ratios(table, *column);
    }
    text
}

/// Who did not take part or failed, and why.
pub(crate) fn notes<C: Entrant>(table: &Table<C>) -> String {
    let mut text = String::new();
    for contender in &table.contenders {
        if let Some(why) = table.left_out(contender.key()) {
            let _ = writeln!(text, "\n{} is left out: {why}.", contender.name());
        }
        let failures = table.failures(contender.key());
        if let Some(why) = failures.first() {
            let (failed, rounds) = (failures.len(), table.rounds());
            let name = contender.name();
            let _ = writeln!(text, "\n{name}: {failed} of {rounds} runs failed: {why}.");
        }
    }
    text
}

pub(crate) fn figures<C: Entrant>(table: &Table<C>) -> String {
    let columns = table.work.columns();
    let mut text = head("", columns.iter().map(|column| column.name));
    for contender in &table.contenders {
        if table.left_out(contender.key()).is_some() {
            continue;
        }
        let cells = columns.iter().map(|&column| {
            let spread = table.spread(contender.key(), column);
            spread.map_or("failed".into(), |spread| figure(column, spread))
        });
        text += &line(contender.name(), cells);
    }
    text
}

/// brooklet's forms divided by the others.
fn ratios<C: Entrant>(table: &Table<C>, column: Column) -> String {
    let has_figures = |key| table.spread(key, column).is_some();
    let contenders = table.contenders.iter().copied();
    let (ours, theirs): (Vec<&C>, Vec<_>) = contenders
        .filter(|contender| has_figures(contender.key()))
        .partition(|contender| contender.is_brooklet());
    if ours.is_empty() || theirs.is_empty() {
        return String::new();
    }
    let first = format!("{} ÷", column.name);
    let mut text = format!("\n{}", head(&first, ours.iter().map(|c| c.name())));
    for other in theirs {
        let cells = ours.iter().map(|form| {
            let ratio = table.ratio(form.key(), other.key(), column);
            ratio.map_or("none".into(), two_digits)
        });
        text += &line(other.name(), cells);
    }
    text
}

pub(crate) fn head<'a>(first: &str, columns: impl Iterator<Item = &'a str>) -> String {
    let columns: Vec<_> = columns.map(str::to_owned).collect();
    let ruler = line("---", columns.iter().map(|_| "---:".to_owned()));
    line(first, columns.into_iter()) + &ruler
}

pub(crate) fn line(first: &str, rest: impl Iterator<Item = String>) -> String {
    let rest: Vec<_> = rest.collect();
    let cells = std::iter::once(first).chain(rest.iter().map(String::as_str));
    row(&cells.collect::<Vec<_>>())
}

/// A line of a table.
pub(crate) fn row(cells: &[&str]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// The median, with the quartiles where contenders are compared by it.
fn figure(column: Column, spread: Spread) -> String {
    let middle = three_digits(spread.middle);
    if !column.compared {
        return middle;
    }
    let (low, high) = (three_digits(spread.low), three_digits(spread.high));
    format!("{middle} ({low} to {high})")
}

/// For ratios.
pub(crate) fn two_digits(spread: Spread) -> String {
    let Spread { low, middle, high } = spread;
    format!("{middle:.2} ({low:.2} to {high:.2})")
}

pub(crate) fn three_digits(figure: f64) -> String {
    match figure.abs() {
        100.0.. => format!("{figure:.0}"),
        10.0..100.0 => format!("{figure:.1}"),
        1.0..10.0 => format!("{figure:.2}"),
        0.0 => "0".into(),
        _ => format!("{figure:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::table;

    #[test]
    fn quartiles_ratios_and_failures_show() {
        assert_eq!(
            markdown(&table()),
            "\n## Bulk, client to server, one connection\n\n`up-1`, rounds: 3.\n\n\
             |  | Mbit/s | CPU, s/GiB | memory, MiB |\n\
             | --- | ---: | ---: | ---: |\n\
             | brooklet | 40.0 (1.00 to 300) | 0.500 (0.500 to 0.500) | 8.00 |\n\
             | kernel, loopback | 51.0 (2.00 to 100) | 0.500 (0.500 to 0.500) | 8.00 |\n\
             \nkernel, loopback: 1 of 3 runs failed: it has ended.\n\
             \n| Mbit/s ÷ | brooklet |\n| --- | ---: |\n\
             | kernel, loopback | 1.75 (0.50 to 3.00) |\n\
             \n| CPU, s/GiB ÷ | brooklet |\n| --- | ---: |\n\
             | kernel, loopback | 1.00 (1.00 to 1.00) |\n"
        );
    }
}

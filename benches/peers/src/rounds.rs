//! Rounds in which everybody takes a turn at every work.

use crate::results::{Entrant, Run, Table};
use crate::work::Work;
use indicatif::{ProgressBar, ProgressStyle};
use std::io;

/// Measures all contenders at all works, round by round, in an order that changes.
///
/// `measure` returns one run for each of `ways` in which it measures; there is a list of tables for
/// each of them, in the order of the works.
pub(crate) fn take_turns<C: Entrant>(
    rounds: usize,
    works: &[&'static dyn Work],
    contenders: &[&'static C],
    ways: usize,
    measure: impl Fn(&'static C, &'static dyn Work) -> Vec<Run>,
) -> io::Result<Vec<Vec<Table<C>>>> {
    let all = contenders.len();
    let empty = || works.iter().map(|&w| Table::new(w, contenders.to_vec()));
    let mut tables: Vec<Vec<_>> = (0..ways).map(|_| empty().collect()).collect();
    let turns = works.iter().map(|w| w.most_rounds().min(rounds));
    let bar = progress_bar(turns.sum::<usize>() * all)?;
    for round in 0..rounds {
        for (number, work) in works.iter().enumerate() {
            if round >= work.most_rounds() {
                continue;
            }
            // For each way, a place for each contender, whoever went first.
            let mut places: Vec<Vec<_>> = vec![(0..all).map(|_| None).collect(); ways];
            for turn in 0..all {
                let index = (round + turn) % all;
                let contender = contenders[index];
                bar.set_message(format!("{}: {}", contender.name(), work.title()));
                for (run, places) in measure(contender, *work).into_iter().zip(&mut places) {
                    if let Run::Failed(why) = &run {
                        let what = format!("{}, {}: {why}", contender.name(), work.title());
                        bar.suspend(|| eprintln!("{what}"));
                    }
                    places[index] = Some(run);
                }
                bar.inc(1);
            }
            for (tables, places) in tables.iter_mut().zip(places) {
                tables[number].push(places.into_iter().flatten().collect());
            }
        }
    }
    bar.finish_and_clear();
    Ok(tables)
}

pub(crate) fn progress_bar(steps: usize) -> io::Result<ProgressBar> {
    let bar = ProgressBar::new(steps as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} left: {msg}");
    bar.set_style(style.map_err(io::Error::other)?);
    Ok(bar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender;
    use crate::work::{self, MBIT};
    use std::cell::RefCell;

    #[test]
    fn the_order_changes_and_each_way_has_its_tables() {
        let contenders = [&contender::ALL[0], &contender::ALL[1]];
        let works = [work::ALL[0]];
        let order = RefCell::new(String::new());
        let tables = take_turns(2, &works, &contenders, 2, |contender, _| {
            let first = contender.key == contenders[0].key;
            *order.borrow_mut() += if first { "a" } else { "b" };
            let figures = |mbit| Run::Figures(vec![mbit, 1.0, 1.0]);
            match first {
                true => vec![figures(1.0), figures(2.0)],
                false => vec![Run::Failed("it is off".into()), figures(4.0)],
            }
        })
        .unwrap();
        assert_eq!(order.into_inner(), "abba");
        let middle = |way: usize, key| Some(tables[way][0].spread(key, MBIT)?.middle);
        assert_eq!(middle(0, contenders[0].key), Some(1.0));
        assert_eq!(middle(0, contenders[1].key), None);
        assert_eq!(middle(1, contenders[0].key), Some(2.0));
        assert_eq!(middle(1, contenders[1].key), Some(4.0));
    }
}

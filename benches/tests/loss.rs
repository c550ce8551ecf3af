//! The tables of `LOSS.md` are those of the stack as it is, and reordering is not paid for as loss.

use brooklet_benches::loss::{Beside, Case, Column, Part, Report, SEEDS, Simulator, Transfer};
use brooklet_tcp::Congestion;
use std::time::Duration;

/// A part of the rows, so that a build without optimisation takes seconds as well.
#[test]
fn the_table_is_up_to_date() {
    let made = Simulator::new(SEEDS).tables(
        Report {
            rtts: &[],
            rates: &[20],
        },
        &[Congestion::Cubic],
    );
    let text = Part::Simulated.read().expect("benches/LOSS.md");
    // What comes behind is another congestion control, which may have the same figures.
    let section = text.split("## brooklet, ").nth(1).expect("a section");
    assert!(section.starts_with("`Cubic`"));
    let mut figures = 0;
    for table in made.split("\n\n### ").skip(1) {
        let table = table.trim_end();
        assert!(
            section.contains(table),
            "not in LOSS.md:\n{table}\n\
             If it may change: cargo bench -p brooklet-benches --bench loss -- --bless"
        );
        figures += table.matches('(').count();
    }
    assert_eq!(figures, 12, "another selection of rows");
}

/// The row that takes least.
#[test]
fn the_long_path_is_up_to_date() {
    let text = Part::Beside.read().expect("benches/LOSS.md");
    let mut made = Beside::parse(&text);
    let mut simulator = Simulator::new(SEEDS).only("default buffers loss 0 % 200 Mbit/s".into());
    made.measure(Column::Brooklet, "", |case| {
        simulator.runs(case, Congestion::Cubic)
    });
    assert_eq!(simulator.cells().len(), 1);
    let row = |text: &str| {
        let mut lines = text.lines().map(str::to_owned);
        lines.find(|line| line.starts_with("| 200 Mbit/s |"))
    };
    assert_eq!(
        row(&made.markdown()),
        row(&text),
        "If it may change: cargo bench -p brooklet-benches --bench loss -- --bless"
    );
}

/// One packet of a hundred is 2 ms late on a path of 158 Mbit/s and 66 ms.
#[test]
fn reordering_costs_less_than_a_third() {
    let mut case = Case::new(Transfer::OneWay, 8 << 20, Duration::from_millis(66), 0.0);
    case.buffer = Some(4 << 20);
    case.link.rate = Some(158_000_000);
    let in_order = case.simulate(Congestion::Cubic, 1).expect("a transfer");
    case.link.reorder = 0.01;
    case.link.reorder_delay = Duration::from_millis(2);
    for seed in 1..=3 {
        let reordered = case.simulate(Congestion::Cubic, seed).expect("a transfer");
        assert!(
            reordered < in_order.mul_f64(1.3),
            "{reordered:?} in place of {in_order:?} with seed {seed}"
        );
    }
}

/// 250 kB are echoed while a fifth of the packets is lost each way.
#[test]
fn at_heavy_loss_the_slowest_of_twenty_runs_takes_three_times_the_median_at_most() {
    for millis in [10, 20, 50, 100] {
        let rtt = Duration::from_millis(millis);
        let case = Case::new(Transfer::Echo, 250_000, rtt, 0.2);
        let runs = (1..=20).map(|seed| case.simulate(Congestion::Cubic, seed));
        let mut times: Vec<_> = runs.map(|time| time.expect("a transfer")).collect();
        times.sort_unstable();
        let (median, slowest) = (times[10], times[19]);
        assert!(
            slowest <= 3 * median,
            "{slowest:?} beside a median of {median:?} at {millis} ms"
        );
    }
}

//! The tables of `LOSS.md` are those of the stack as it is.

use brooklet_benches::loss::{Beside, Column, Part, Report, SEEDS, Simulator};
use brooklet_tcp::Congestion;

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

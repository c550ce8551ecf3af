//! The tables of `LOSS.md` are those of the stack as it is.

use brooklet_benches::loss::{Part, Report, simulated};
use brooklet_tcp::Congestion;

/// A part of the rows, so that a build without optimisation takes seconds as well.
#[test]
fn the_table_is_up_to_date() {
    let text = Part::Simulated.read().expect("benches/LOSS.md");
    let mut there = text.lines();
    let made = simulated(
        Report {
            rtts: &[],
            rates: &[20],
        },
        &[Congestion::Cubic],
    );
    for line in made.lines() {
        assert!(
            there.any(|old| old == line),
            "not in LOSS.md, or not in this place:\n{line}\n\
             If it may change: cargo bench -p brooklet-benches --bench loss -- --bless"
        );
    }
}

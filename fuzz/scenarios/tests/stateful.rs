//! The stateful scenarios over some seeds; `scripts/check fuzz` runs thousands.

mod support;

use brooklet_fuzz::{Plan, Scenario};
use std::io;
use support::in_the_tree;

/// Runs so many seeds of a scenario.
fn seeds(name: &str, seeds: u64) {
    let scenarios = Scenario::ALL
        .iter()
        .filter(|scenario| scenario.name == name);
    let plan = Plan {
        scenarios: scenarios.copied().collect(),
        seeds,
        ..Plan::default()
    };
    let outcome = plan.run(|_, _| {});
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    assert_eq!(outcome.seeds, seeds);
    // A seed stands for about 1,000 packets.
    let packets = outcome.packets / seeds;
    assert!(
        (500..3000).contains(&packets),
        "{packets} packets of a seed"
    );
}

#[test]
fn hostile_peers_break_no_promise() {
    seeds("tcp", 100);
}

#[test]
fn two_stacks_deliver_everything_over_a_bad_link() {
    seeds("pair", 25);
}

#[test]
fn the_inputs_in_the_tree_are_good() -> io::Result<()> {
    for scenario in Scenario::ALL {
        for bytes in in_the_tree(scenario.name)? {
            (scenario.run)(&bytes);
        }
    }
    Ok(())
}

#[test]
fn seeds_that_have_failed_are_good() {
    for (name, seed) in [("tcp", 48_386), ("pair", 1126)] {
        let mut all = Scenario::ALL.iter();
        let scenario = all.find(|scenario| scenario.name == name);
        scenario.expect("a scenario").run_seed(seed);
    }
}

#[test]
fn a_seed_makes_the_same_packets_each_time() {
    for scenario in Scenario::ALL {
        for seed in 0..3 {
            assert_eq!(
                scenario.run_seed(seed),
                scenario.run_seed(seed),
                "seed {seed} of {}",
                scenario.name
            );
        }
    }
}

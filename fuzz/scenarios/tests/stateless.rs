//! The targets of [`TARGETS`], over the seeds in the tree, changes of them and random bytes.

mod support;

use brooklet_fuzz::{
    Mutator, TARGETS, UdpTally, bytes_of_seed, corpus, icmp, reassembly, socks, udp, vnet,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};
use support::in_the_tree;

#[test]
fn the_seeds_in_the_tree_are_good() -> io::Result<()> {
    for target in TARGETS {
        for bytes in in_the_tree(target.seeds)? {
            (target.run)(&bytes);
        }
    }
    Ok(())
}

#[test]
fn changes_of_seeds() {
    for target in TARGETS {
        let mut mutator = Mutator::new(20_261_127);
        let seeds = corpus(target.seeds);
        for nth in 0..1000 {
            let mut bytes = seeds[nth % seeds.len()].1.clone();
            for _ in 0..=nth / 200 {
                mutator.mutate(&mut bytes);
            }
            (target.run)(&bytes);
        }
    }
}

#[test]
fn random_bytes() {
    for target in TARGETS {
        for seed in 0..1000 {
            let len = 16 << (seed % 6);
            (target.run)(&bytes_of_seed(seed, len));
        }
    }
}

#[test]
fn every_target_is_one_of_cargo_fuzz() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz_targets");
    let files: BTreeSet<PathBuf> = fs::read_dir(&folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    for target in TARGETS {
        assert!(
            files.contains(&folder.join(format!("{}.rs", target.name))),
            "{}",
            target.name
        );
    }
    Ok(())
}

/// Random steps reach all that the invariants are about.
#[test]
fn random_steps_do_something() {
    let mut all = UdpTally::default();
    for seed in 0..300 {
        let tally = udp(&bytes_of_seed(seed, 600));
        all.read += tally.read;
        all.sent += tally.sent;
        all.sessions += tally.sessions;
        all.icmp_errors += tally.icmp_errors;
        all.dropped += tally.dropped;
    }
    let least = [
        all.read,
        all.sent,
        all.sessions,
        all.icmp_errors,
        all.dropped,
    ];
    assert!(least.iter().all(|count| *count > 100), "{all:?}");

    let mut counts = [0; 5];
    for seed in 0..300 {
        let stats = reassembly(&bytes_of_seed(seed, 400));
        let of_one = [
            stats.packets,
            stats.duplicates,
            stats.conflicts,
            stats.invalid,
            stats.expired,
        ];
        for (count, of_one) in counts.iter_mut().zip(of_one) {
            *count += of_one;
        }
    }
    assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
}

/// Seeds come through where only a right input does.
#[test]
fn good_inputs_are_taken() {
    assert!(corpus("icmp").iter().all(|(_, bytes)| icmp(bytes)));
    let connected = corpus("socks")
        .iter()
        .filter(|(_, bytes)| socks(bytes))
        .count();
    assert_eq!(connected, 3);
    let segments: Vec<_> = corpus("vnet")
        .iter()
        .map(|(_, bytes)| vnet(bytes))
        .collect();
    assert_eq!(segments, [1, 1, 1, 4, 4, 4, 4, 4, 0]);
    let addresses: Vec<_> = corpus("dns")
        .iter()
        .map(|(_, bytes)| brooklet_fuzz::dns(bytes))
        .collect();
    // smoltcp keeps the first address.
    assert_eq!(addresses, [1, 1, 1, 0, 0, 1]);
}

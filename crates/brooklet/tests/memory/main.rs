//! The memory of a stack under attack: `Stats::memory` is what the allocator and the system see, within
//! 5 %, the total stays within `Builder::memory`, and all of it goes back.
//!
//! Each attack is a case. The cases run one after the other in a process whose allocator makes no
//! mapping of its own, so that every mapping is one of the stack.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod attacks;
mod meter;
mod victim;

use std::process::Command;

type Case = (&'static str, fn());

const CASES: &[Case] = &[
    ("syn_flood", attacks::syn_flood),
    (
        "syn_flood_of_an_accepting_program",
        attacks::accepted_syn_flood,
    ),
    ("requests_that_wait", attacks::waiting_requests),
    ("early_data_that_nobody_reads", attacks::early_data),
    ("out_of_order_segments_of_one_byte", attacks::out_of_order),
    ("udp_from_100_000_sources", attacks::udp_sources),
    ("udp_sessions_that_nobody_accepts", attacks::udp_backlog),
    ("fragments", attacks::fragments),
    ("slow_readers", attacks::slow_readers),
    (
        "selective_acknowledgments_of_alternate_segments",
        attacks::sack_holes,
    ),
    ("a_device_that_takes_nothing", attacks::stuck_device),
    ("time_wait", attacks::time_wait),
    ("the_least_budget_works", attacks::least_budget),
];

/// Set in the process that runs the cases.
const CHILD: &str = "BROOKLET_MEMORY_TEST";

fn main() {
    if std::env::var_os(CHILD).is_none() {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(std::env::args_os().skip(1))
            .env(CHILD, "1")
            // glibc: one heap, which grows by `brk`.
            .env("MALLOC_ARENA_MAX", "1")
            .env("MALLOC_MMAP_THRESHOLD_", "4294967296")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let is_chosen = |name: &str| filter.as_deref().is_none_or(|part| name.contains(part));
    for (name, case) in CASES.iter().filter(|(name, _)| is_chosen(name)) {
        println!("{name}");
        case();
    }
}

//! A small form of each attack and of each long run.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Command, Output};

fn attack(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brooklet-attack"));
    command.args(args).output().unwrap()
}

/// Runs the program and returns the lines that it printed.
fn lines(args: &[&str]) -> Vec<String> {
    let Output { stdout, stderr, .. } = attack(args);
    let errors = String::from_utf8_lossy(&stderr);
    // A machine without a TUN device says so.
    let errors = errors.lines().filter(|line| !line.starts_with("skipped: "));
    assert_eq!(errors.collect::<Vec<_>>(), Vec::<&str>::new(), "{args:?}");
    let lines = String::from_utf8(stdout).unwrap();
    lines.lines().map(str::to_owned).collect()
}

/// The lines of the table below its head. A machine under other load breaks bounds of time, so these are left
/// to the runs by hand.
fn rows(args: &[&str]) -> Vec<String> {
    let rows = lines(args).split_off(1);
    for row in &rows {
        let broken = row.split_once("BROKEN: ").map_or("", |(_, broken)| broken);
        let broken = broken
            .split(", ")
            .filter(|bound| !bound.is_empty() && *bound != "p99");
        assert_eq!(broken.collect::<Vec<_>>(), Vec::<&str>::new(), "{row}");
        assert!(!row.contains("FAILED"), "{row}");
    }
    rows
}

#[test]
fn honest_clients_are_served_while_a_stack_in_process_is_flooded() {
    let kinds = [
        "syn-one requests",
        "udp",
        "fragments",
        "storm",
        "icmp",
        "small",
    ];
    let only = kinds.iter().flat_map(|kind| ["--only", kind]);
    let args: Vec<_> = ["--quick", "--in-process"]
        .into_iter()
        .chain(only)
        .collect();
    assert_eq!(rows(&args).len(), 10);
}

#[test]
fn honest_clients_are_served_beside_hostile_peers() {
    let kinds = [
        "tiny-windows",
        "slow-readers",
        "sack",
        "one-byte",
        "ack-division",
        "hostile",
    ];
    let only = kinds.iter().flat_map(|kind| ["--only", kind]);
    let args: Vec<_> = ["--quick", "--in-process"]
        .into_iter()
        .chain(only)
        .collect();
    assert_eq!(rows(&args).len(), 6);
}

/// The line says `skipped` where there is no TUN device.
#[test]
fn honest_clients_are_served_over_a_tun_device() {
    assert_eq!(
        rows(&["--quick", "--only", "syn-many tun/requests"]).len(),
        1
    );
}

#[test]
fn flows_that_are_opened_and_closed_leave_nothing() {
    let lines = lines(&["flows", "2000"]);
    assert!(
        lines[0].contains("; 0 left, 0 bytes of buffers left"),
        "{lines:?}"
    );
}

#[test]
fn bytes_that_are_echoed_over_lossy_links_are_right() {
    let lines = lines(&["echo-loss", "16M"]);
    assert!(lines[0].ends_with("; 0 runs wrong"), "{lines:?}");
}

#[test]
fn a_wrong_option_is_told_and_the_status_is_2() {
    let output = attack(&["--quikc"]);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("--quikc") && errors.lines().count() == 1,
        "{errors}"
    );
}

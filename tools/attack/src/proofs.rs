//! Long runs that end with a verdict.

pub(crate) mod echo_loss;
pub(crate) mod flows;

use std::io;

/// Runs the distribution of the cost of a packet, which is a program of the benches.
pub(crate) fn cost() -> io::Result<bool> {
    let args = [
        "run",
        "--quiet",
        "--release",
        "-p",
        "brooklet-benches",
        "--bin",
        "packet_cost",
    ];
    Ok(crate::setup::cargo().args(args).status()?.success())
}

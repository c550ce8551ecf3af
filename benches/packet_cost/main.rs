//! What a packet of a hostile peer costs the TCP engine, as a distribution.
//!
//! ```text
//! cargo run --release -p brooklet-benches --bin packet_cost
//! cargo run --release -p brooklet-benches --bin packet_cost -- --packets 200000 sack
//! ```
//!
//! One connection carries each pattern. A packet of the peer goes the whole way: parsed, given to
//! the engine, flushed, read by the application, and everything that the engine sends is taken out.
//! The time is that of the thread on the processor, so that other programs do not count. It is
//! divided among the packet and the packets that went out because of it.
//!
//! `out/in` are the packets that go out for each one of the peer, `most out` is the most for one of
//! them, and `beside buffers` the most bytes that the connection holds beside its two buffers.
//!
//! Arguments select patterns by a part of their names. The program fails if the 99.9th percentile of
//! a pattern exceeds [`LIMIT`].

mod connection;
mod patterns;

use connection::Sample;
use std::process::ExitCode;
use std::time::Duration;

/// The most that one packet may cost at the 99.9th percentile.
const LIMIT: Duration = Duration::from_micros(10);

/// Packets of each pattern, unless an argument says another number.
const PACKETS: usize = 50_000;

/// Each packet counts with the least time of so many runs, which are the same to the byte: what an
/// interrupt or a neighbour on the processor costs is not what the packet costs.
const RUNS: usize = 4;

fn main() -> ExitCode {
    let mut packets = PACKETS;
    let mut names = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--packets" => match args.next().and_then(|n| n.parse().ok()) {
                Some(n) => packets = n,
                None => {
                    eprintln!("packet_cost: --packets needs a number");
                    return ExitCode::FAILURE;
                }
            },
            _ => names.push(arg),
        }
    }
    println!(
        "| pattern | packets | p50 | p99 | p99.9 | max | out/in | most out | beside buffers |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    let mut within = true;
    for (name, pattern) in patterns::ALL {
        if !names.is_empty() && !names.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let mut run = pattern(packets);
        for _ in 1..RUNS {
            let again = pattern(packets);
            let samples = run.samples.iter_mut().zip(&again.samples);
            samples.for_each(|(sample, again)| sample.least(again));
        }
        within &= row(name, &run.samples, run.heap) <= LIMIT;
    }
    match within {
        true => ExitCode::SUCCESS,
        false => {
            eprintln!("packet_cost: a packet costs more than {LIMIT:?} at the 99.9th percentile");
            ExitCode::FAILURE
        }
    }
}

/// Prints the row of one pattern. Returns the 99.9th percentile.
fn row(name: &str, samples: &[Sample], heap: u64) -> Duration {
    let mut costs: Vec<Duration> = samples.iter().map(Sample::cost).collect();
    costs.sort_unstable();
    let at = |part: f64| costs[((costs.len() - 1) as f64 * part) as usize];
    let out: usize = samples.iter().map(|sample| sample.out).sum();
    let most = samples.iter().map(|sample| sample.out).max().unwrap_or(0);
    let micros = |time: Duration| format!("{:.2} us", time.as_nanos() as f64 / 1e3);
    println!(
        "| {name} | {} | {} | {} | {} | {} | {:.2} | {most} | {:.0} KiB |",
        samples.len(),
        micros(at(0.5)),
        micros(at(0.99)),
        micros(at(0.999)),
        micros(at(1.0)),
        out as f64 / samples.len() as f64,
        heap as f64 / 1024.0,
    );
    at(0.999)
}

//! How far the runs of one transfer at heavy loss lie apart.
//!
//! ```text
//! cargo run --release -p brooklet-benches --example spread
//! cargo run --release -p brooklet-benches --example spread -- 20 10 250000 100
//! ```
//!
//! The arguments are the loss in percent, the round-trip time in milliseconds, the bytes that are
//! echoed and the number of seeds.

use brooklet_benches::loss::{Case, Transfer};
use brooklet_tcp::Congestion;
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg =
        |n: usize, default: &str| args.get(n).map_or_else(|| default.to_owned(), Clone::clone);
    let loss: f64 = arg(0, "20").parse()?;
    let rtt = Duration::from_millis(arg(1, "10").parse()?);
    let bytes = arg(2, "250000").parse()?;
    let seeds: u64 = arg(3, "20").parse()?;
    let case = Case::new(Transfer::Echo, bytes, rtt, loss / 100.0);
    let mut times = Vec::new();
    for seed in 1..=seeds {
        times.push((case.simulate(Congestion::Cubic, seed)?, seed));
    }
    times.sort_unstable();
    for (time, seed) in &times {
        println!("seed {seed:>3}: {time:>10.3?}");
    }
    let (median, _) = times[times.len() / 2];
    let (slowest, _) = times[times.len() - 1];
    println!(
        "{case}: median {median:.3?}, slowest {slowest:.3?}, {:.1} times the median",
        slowest.as_secs_f64() / median.as_secs_f64()
    );
    Ok(())
}

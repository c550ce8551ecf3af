//! Runs the stateful scenarios by seed.
//!
//! ```text
//! cargo run -p brooklet-fuzz --release -- --seeds 100000
//! cargo run -p brooklet-fuzz --release -- --only tcp --first 1234 --seeds 1
//! ```

use brooklet_fuzz::{Failure, Plan, Scenario};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

const USAGE: &str = "\
Runs the stateful fuzz scenarios of brooklet, each a seed's worth of packets, calls and time.

  --seeds N     seeds for each scenario (10000)
  --first N     the first seed (0)
  --only NAME   one scenario: tcp or pair
  --threads N   threads (the number of CPUs)
  --trace       prints the packets
";

fn main() -> ExitCode {
    let plan = match arguments(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(error) => {
            eprint!("{error}{USAGE}");
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    let mut last = start;
    let outcome = plan.run(|seeds, packets| {
        if last.elapsed() >= Duration::from_secs(10) {
            last = Instant::now();
            let seconds = start.elapsed().as_secs();
            println!("{seconds} s: {seeds} seeds, {packets} packets");
        }
    });
    let (seeds, packets) = (outcome.seeds, outcome.packets);
    let seconds = start.elapsed().as_secs_f64();
    println!("{seeds} executions, {packets} packets, {seconds:.1} s");
    for Failure {
        scenario,
        seed,
        message,
    } in &outcome.failures
    {
        println!(
            "seed {seed} of {scenario} fails: {message}\n  \
             cargo run -p brooklet-fuzz --release -- --only {scenario} --first {seed} --seeds 1"
        );
    }
    match outcome.failures.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn arguments(mut args: impl Iterator<Item = String>) -> Result<Plan, String> {
    let mut plan = Plan::default();
    while let Some(name) = args.next() {
        if name == "--help" || name == "-h" {
            return Err(String::new());
        }
        if name == "--trace" {
            brooklet_fuzz::trace();
            continue;
        }
        let value = args
            .next()
            .ok_or_else(|| format!("{name} takes a value\n"))?;
        match name.as_str() {
            "--seeds" => plan.seeds = number(&value)?,
            "--first" => plan.first = number(&value)?,
            "--threads" => plan.threads = number(&value)?,
            "--only" => {
                let scenario = Scenario::ALL.iter().find(|scenario| scenario.name == value);
                let scenario = scenario.ok_or_else(|| format!("no scenario {value}\n"))?;
                plan.scenarios = vec![*scenario];
            }
            _ => return Err(format!("no option {name}\n")),
        }
    }
    Ok(plan)
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is no number\n"))
}

//! How long a small message takes there and back.

use super::{Outcome, Work, connect};
use crate::contender::ECHO;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// Bytes of a message.
const SIZE: usize = 64;

/// Messages before the clock counts.
const WARM_UP: usize = 500;

pub(crate) struct Echo;

impl Work for Echo {
    fn title(&self) -> &'static str {
        "Echo of 64 bytes, one connection"
    }

    fn columns(&self) -> &'static [&'static str] {
        &["p50, µs", "p99, µs"]
    }

    fn cpu(&self) -> (&'static str, f64) {
        ("server's CPU, µs an echo", 1e6)
    }

    fn takes_turns(&self) -> bool {
        true
    }

    fn run(&self, span: Duration) -> io::Result<Outcome> {
        let mut stream = connect(ECHO)?;
        let mut number = 0_u64;
        let mut echo = || {
            number += 1;
            let mut message = [0; SIZE];
            message[..8].copy_from_slice(&number.to_ne_bytes());
            let mut answer = [0; SIZE];
            let start = Instant::now();
            stream.write_all(&message)?;
            stream.read_exact(&mut answer)?;
            let took = start.elapsed();
            if answer != message {
                return Err(io::Error::other("the echo is not what was said"));
            }
            Ok(took)
        };
        for _ in 0..WARM_UP {
            echo()?;
        }
        let mut times = Vec::new();
        let start = Instant::now();
        while start.elapsed() < span {
            times.push(echo()?);
        }
        times.sort_unstable();
        Ok(Outcome {
            figures: vec![percentile(&times, 50), percentile(&times, 99)],
            units: (WARM_UP + times.len()) as f64,
        })
    }
}

/// The time, in microseconds, within which so many of a hundred are.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted
        .get(rank - 1)
        .map_or(f64::NAN, |t| t.as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let times: Vec<_> = (1..=200).map(Duration::from_micros).collect();
        let near = |percent, expected: f64| {
            let found = percentile(&times, percent);
            assert!((found - expected).abs() < 1e-6, "{percent} %: {found}");
        };
        near(50, 100.0);
        near(99, 198.0);
        near(100, 200.0);
        assert!(percentile(&[], 50).is_nan());
    }
}

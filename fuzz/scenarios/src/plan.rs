//! Runs many seeds on several threads.

use crate::Run;
use crate::input::bytes_of_seed;
use std::any::Any;
use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// A stateful scenario, which bytes describe.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The name of the fuzz target.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(&[u8]) -> Run,
    /// How many bytes a seed stands for, which make about 1,000 packets.
    pub bytes: usize,
}

impl Scenario {
    /// All stateful scenarios.
    pub const ALL: &'static [Self] = &[
        Self {
            name: "tcp",
            run: crate::tcp,
            bytes: 6000,
        },
        Self {
            name: "pair",
            run: crate::pair,
            bytes: 1000,
        },
    ];

    /// Runs the scenario of a seed.
    pub fn run_seed(&self, seed: u64) -> Run {
        (self.run)(&bytes_of_seed(seed, self.bytes))
    }
}

/// Which seeds are run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
    /// The first seed.
    pub first: u64,
    /// The number of seeds of each scenario.
    pub seeds: u64,
    /// The number of threads.
    pub threads: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            scenarios: Scenario::ALL.to_vec(),
            first: 0,
            seeds: 10_000,
            threads: thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// What became of a plan.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Scenarios that were run.
    pub seeds: u64,
    /// Packets that their stacks received and sent.
    pub packets: u64,
    /// Seeds that failed; the first failure of a thread ends the thread.
    pub failures: Vec<Failure>,
}

/// A seed that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The name of the scenario.
    pub scenario: &'static str,
    /// The seed.
    pub seed: u64,
    /// The message of the panic.
    pub message: String,
}

impl Plan {
    /// Runs the seeds until all are run or one fails. Calls `progress` with the numbers of seeds
    /// and packets several times per second.
    pub fn run(&self, mut progress: impl FnMut(u64, u64)) -> Outcome {
        let (next, packets) = (AtomicU64::new(0), AtomicU64::new(0));
        let (failed, failures) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let each = self.scenarios.len() as u64;
        let total = self.seeds * each;
        let worker = || {
            while !failed.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= total {
                    return;
                }
                let scenario = self.scenarios[(number % each) as usize];
                let seed = self.first + number / each;
                match panic::catch_unwind(|| scenario.run_seed(seed)) {
                    Ok(run) => {
                        packets.fetch_add(run.packets, Ordering::Relaxed);
                    }
                    Err(panic) => {
                        failed.store(true, Ordering::Relaxed);
                        let failure = Failure {
                            scenario: scenario.name,
                            seed,
                            message: message(&*panic),
                        };
                        if let Ok(mut failures) = failures.lock() {
                            failures.push(failure);
                        }
                    }
                }
            }
        };
        let seeds = || next.load(Ordering::Relaxed).min(total);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads.max(1))
                .map(|_| scope.spawn(worker))
                .collect();
            while workers.iter().any(|worker| !worker.is_finished()) {
                thread::sleep(Duration::from_millis(20));
                progress(seeds(), packets.load(Ordering::Relaxed));
            }
        });
        Outcome {
            seeds: seeds(),
            packets: packets.load(Ordering::Relaxed),
            failures: failures.into_inner().unwrap_or_default(),
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}

//! Runs cases on backends and says how they fared.

use crate::backend::BackendKind;
use crate::cases::{Case, Known};
use crate::wire::{Done, Wire};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

/// Cases at a time: on the real devices they wait for most of their time.
const AT_A_TIME: usize = 8;

/// How a case fared on a backend.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Passed,
    Failed(String),
    /// It failed, and was known to.
    Known(&'static str),
    /// It passed, and was marked as failing.
    Unmarked,
    NotRun(&'static str),
}

impl Outcome {
    /// Whether the run fails for it.
    pub(crate) fn is_fault(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Unmarked)
    }

    /// Whether the stack did what was asked of it.
    pub(crate) fn is_right(&self) -> bool {
        matches!(self, Self::Passed | Self::Unmarked)
    }

    pub(crate) fn mark(&self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Failed(_) => "FAILED",
            Self::Known(_) => "known",
            Self::Unmarked => "PASSED",
            Self::NotRun(_) => "n/a",
        }
    }
}

/// A case on a backend: how it went, and the packets of it.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    pub(crate) trace: Vec<String>,
    /// What was wrong at first, of a case that passed when it was asked again.
    pub(crate) at_first: Option<String>,
}

impl Report {
    fn without_packets(outcome: Outcome) -> Self {
        Self {
            outcome,
            trace: Vec::new(),
            at_first: None,
        }
    }
}

pub(crate) type Reports = BTreeMap<(&'static str, BackendKind), Report>;

/// Runs the cases on the backends.
pub(crate) fn run(cases: &[&'static Case], backends: &[BackendKind]) -> Reports {
    let mut queue: Vec<_> = backends
        .iter()
        .flat_map(|kind| cases.iter().map(|case| (*case, *kind)))
        .collect();
    queue.reverse();
    let (queue, reports) = (Mutex::new(queue), Mutex::new(Reports::new()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().map_or(None, |mut queue| queue.pop());
                    let Some((case, kind)) = next else { return };
                    let report = apart(case, kind);
                    if let Ok(mut reports) = reports.lock() {
                        reports.insert((case.id, kind), report);
                    }
                }
            });
        }
    });
    let mut reports = reports.into_inner().unwrap_or_default();
    ask_again(cases, &mut reports);
    reports
}

/// On a real clock a busy machine can be to blame, so what failed there is asked once more, alone.
fn ask_again(cases: &[&'static Case], reports: &mut Reports) {
    for ((id, kind), report) in reports {
        let Outcome::Failed(why) = &report.outcome else {
            continue;
        };
        let Some(case) = cases.iter().find(|case| case.id == *id) else {
            continue;
        };
        if *kind != BackendKind::Sim {
            let at_first = Some(why.clone());
            *report = apart(case, *kind);
            report.at_first = at_first;
        }
    }
}

/// On a thread of its own, because a network namespace is a thread's.
fn apart(case: &Case, kind: BackendKind) -> Report {
    thread::scope(|scope| {
        let thread = scope.spawn(|| one(case, kind));
        let died = |_| Report::without_packets(Outcome::Failed("its thread died".into()));
        thread.join().unwrap_or_else(died)
    })
}

fn one(case: &Case, kind: BackendKind) -> Report {
    let mut expected = None;
    for known in case.known {
        match *known {
            Known::NotRun(on, why) if on == kind => {
                return Report::without_packets(Outcome::NotRun(why));
            }
            Known::Fails(on, why) if on == kind => expected = Some(why),
            _ => {}
        }
    }
    let mut wire = match kind.open(case.setup) {
        Ok(backend) => Wire::new(kind, backend),
        Err(error) => {
            let why = format!("cannot begin: {error}");
            return Report::without_packets(Outcome::Failed(why));
        }
    };
    let outcome = match (play(case, &mut wire), expected) {
        (Ok(()), None) => Outcome::Passed,
        (Ok(()), Some(_)) => Outcome::Unmarked,
        (Err(_), Some(why)) => Outcome::Known(why),
        (Err(why), None) => Outcome::Failed(why),
    };
    Report {
        outcome,
        trace: std::mem::take(&mut wire.trace),
        at_first: None,
    }
}

/// Plays a case; a panic is a failure.
pub(crate) fn play(case: &Case, wire: &mut Wire) -> Done {
    let result = catch_unwind(AssertUnwindSafe(|| (case.run)(wire)));
    result.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panic: {}", text.unwrap_or("without a word")))
    })
}

//! What a minute looked like, and what is wrong with a run.

use crate::run::Totals;
use brooklet::Stats;
use std::fmt;
use std::time::Duration;

/// The resident memory of the last third of a run may exceed that of the first by this.
const GROWTH: f64 = 1.10;

/// But by this many bytes in any case: a run of three minutes is still filling the allocator's caches.
const SLACK: f64 = (4 << 20) as f64;

/// What the columns are.
pub(crate) const HEADING: &str = "\
|    time | RSS MiB | idle | held MiB | idle | flows | fds | idle wake-ups | wake-ups/s | packets/s | connections | refused | reset | datagrams |  pings |   MiB | errors |
|--------:|--------:|-----:|---------:|-----:|------:|----:|--------------:|-----------:|----------:|------------:|--------:|------:|----------:|-------:|------:|-------:|";

/// What one minute of traffic and its rest have shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Minute {
    /// Since the beginning of the run.
    pub(crate) at: Duration,
    /// Resident memory in bytes, the mean under traffic.
    pub(crate) resident: u64,
    /// Resident memory in bytes at rest.
    pub(crate) resident_idle: u64,
    /// The most bytes that the stacks held under traffic, by their own count.
    pub(crate) held: u64,
    /// The bytes that they held at rest.
    pub(crate) held_idle: u64,
    /// Flows in the tables of the stacks at rest.
    pub(crate) flows: u64,
    /// Those of them that the traffic keeps open.
    pub(crate) kept_open: i64,
    /// Descriptors of the process at rest.
    pub(crate) descriptors: u64,
    /// Wake-ups of all drivers in the 2 s of the rest that are watched.
    pub(crate) idle_wake_ups: u64,
    /// Wake-ups of all drivers under traffic, a second.
    pub(crate) wake_ups: u64,
    /// Packets received by all stacks, a second.
    pub(crate) packets: u64,
    /// What the traffic has done since the beginning.
    pub(crate) totals: Totals,
    /// Errors since the beginning.
    pub(crate) errors: u64,
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let seconds = self.at.as_secs();
        let time = format!("{}:{:02}", seconds / 60, seconds % 60);
        let totals = &self.totals;
        write!(
            f,
            "| {time:>7} | {:>7.1} | {:>4.1} | {:>8.1} | {:>4.1} | {:>5} | {:>3} | {:>13} | {:>10} \
             | {:>9} | {:>11} | {:>7} | {:>5} | {:>9} | {:>6} | {:>5} | {:>6} |",
            mib(self.resident),
            mib(self.resident_idle),
            mib(self.held),
            mib(self.held_idle),
            self.flows,
            self.descriptors,
            self.idle_wake_ups,
            self.wake_ups,
            self.packets,
            totals.connections,
            totals.refusals,
            totals.resets,
            totals.datagrams,
            totals.pings,
            totals.bytes >> 20,
            self.errors,
        )
    }
}

/// What was there in the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct End {
    pub(crate) length: Duration,
    /// Flows in the tables of the stacks, after the last connection was closed.
    pub(crate) flows: u64,
    /// Descriptors before the stacks were made, and after they were shut down.
    pub(crate) descriptors: (u64, u64),
    pub(crate) errors: u64,
    pub(crate) totals: Totals,
    /// The counters of each stack.
    pub(crate) drops: Vec<(&'static str, Stats)>,
}

/// Says in a few lines what the run has done.
pub(crate) fn summary(minutes: &[Minute], end: &End) -> String {
    let totals = &end.totals;
    let mut lines = vec![format!(
        "{:.0} s: {} connections, {} refused or withdrawn, {} reset, {} datagrams, {} pings, {} repeats, \
         {} UDP sessions expired, {} MiB checked, {} errors",
        end.length.as_secs_f64(),
        totals.connections,
        totals.refusals,
        totals.resets,
        totals.datagrams,
        totals.pings,
        totals.repeats,
        totals.expired,
        totals.bytes >> 20,
        end.errors,
    )];
    if let Some((first, last)) = thirds(minutes) {
        let mib = f64::from(1 << 20);
        lines.push(format!(
            "resident memory: {:.1} MiB in the first third, {:.1} MiB in the last",
            first / mib,
            last / mib
        ));
    }
    let (before, after) = end.descriptors;
    lines.push(format!(
        "{} flows in the end; {before} descriptors before, {after} after",
        end.flows
    ));
    for (name, stats) in &end.drops {
        let dropped = stats.drops().filter(|(_, count)| *count > 0);
        let dropped: Vec<_> = dropped
            .map(|(why, count)| format!("{why} {count}"))
            .collect();
        lines.push(format!(
            "{name}: {} packets in, {} out, {} retransmitted; dropped: {}",
            stats.packets_in,
            stats.packets_out,
            stats.tcp.retransmits,
            if dropped.is_empty() {
                "none".into()
            } else {
                dropped.join(", ")
            }
        ));
    }
    lines.join("\n")
}

/// Says what is wrong.
pub(crate) fn judge(minutes: &[Minute], end: &End) -> Vec<String> {
    let mut wrong = Vec::new();
    if end.errors > 0 {
        wrong.push(format!("{} errors", end.errors));
    }
    let totals = &end.totals;
    for (what, count) in [
        ("connections", totals.connections),
        ("refusals", totals.refusals),
        ("resets", totals.resets),
        ("datagrams", totals.datagrams),
        ("pings", totals.pings),
        ("expired UDP sessions", totals.expired),
    ] {
        if count == 0 {
            wrong.push(format!("no {what}: the traffic did not run"));
        }
    }
    match thirds(minutes) {
        Some((first, last)) if last > (first * GROWTH).max(first + SLACK) => wrong.push(format!(
            "resident memory grew from {first:.0} to {last:.0} bytes"
        )),
        Some(_) => {}
        None => wrong.push("too short for a comparison of the memory".into()),
    }
    let expected = minutes.first().map(|minute| minute.descriptors);
    for minute in minutes {
        let at = format!("at {} s", minute.at.as_secs());
        if minute.idle_wake_ups > 0 {
            wrong.push(format!("{at}: {} wake-ups when idle", minute.idle_wake_ups));
        }
        if minute.flows != minute.kept_open.unsigned_abs() {
            let (flows, kept) = (minute.flows, minute.kept_open);
            wrong.push(format!(
                "{at}: {flows} flows, of which {kept} are kept open"
            ));
        }
        if Some(minute.descriptors) != expected {
            wrong.push(format!("{at}: {} descriptors", minute.descriptors));
        }
    }
    if end.flows > 0 {
        wrong.push(format!("{} flows in the end", end.flows));
    }
    if end.descriptors.0 != end.descriptors.1 {
        let (before, after) = end.descriptors;
        wrong.push(format!("{before} descriptors before, {after} after"));
    }
    wrong
}

/// The mean resident memory of the first and of the last third.
fn thirds(minutes: &[Minute]) -> Option<(f64, f64)> {
    let third = minutes.len() / 3;
    let mean = |minutes: &[Minute]| {
        let all: u64 = minutes.iter().map(|minute| minute.resident).sum();
        all as f64 / minutes.len() as f64
    };
    (third > 0).then(|| {
        (
            mean(&minutes[..third]),
            mean(&minutes[minutes.len() - third..]),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> (Vec<Minute>, End) {
        let totals = Totals {
            connections: 1,
            refusals: 1,
            resets: 1,
            datagrams: 1,
            pings: 1,
            expired: 1,
            ..Totals::default()
        };
        let minute = Minute {
            resident: 100 << 20,
            flows: 2,
            kept_open: 2,
            descriptors: 9,
            ..Minute::default()
        };
        let end = End {
            descriptors: (5, 5),
            totals,
            ..End::default()
        };
        (vec![minute; 6], end)
    }

    fn faults(spoil: impl FnOnce(&mut Vec<Minute>, &mut End)) -> Vec<String> {
        let (mut minutes, mut end) = good();
        spoil(&mut minutes, &mut end);
        judge(&minutes, &end)
    }

    #[test]
    fn a_run_without_a_fault_passes() {
        assert_eq!(faults(|_, _| {}), [""; 0]);
        assert_eq!(
            faults(|minutes, _| minutes[5].resident = 119 << 20),
            [""; 0]
        );
    }

    #[test]
    fn each_fault_is_named() {
        assert!(faults(|_, end| end.errors = 3)[0].contains("3 errors"));
        assert!(faults(|_, end| end.totals.pings = 0)[0].contains("no pings"));
        assert!(faults(|minutes, _| minutes[5].resident = 121 << 20)[0].contains("grew"));
        let small = |minutes: &mut Vec<Minute>, growth| {
            minutes
                .iter_mut()
                .for_each(|minute| minute.resident = 10 << 20);
            minutes[5].resident += growth;
            minutes[4].resident += growth;
        };
        assert_eq!(faults(|minutes, _| small(minutes, 4 << 20)), [""; 0]);
        assert!(faults(|minutes, _| small(minutes, 5 << 20))[0].contains("grew"));
        assert!(faults(|minutes, _| minutes.truncate(2))[0].contains("too short"));
        assert!(faults(|minutes, _| minutes[3].idle_wake_ups = 1)[0].contains("1 wake-ups"));
        assert!(faults(|minutes, _| minutes[3].flows = 3)[0].contains("3 flows"));
        assert!(faults(|minutes, _| minutes[3].descriptors = 10)[0].contains("10 descriptors"));
        assert!(faults(|_, end| end.flows = 1)[0].contains("1 flows in the end"));
        assert!(faults(|_, end| end.descriptors.1 = 6)[0].contains("6 after"));
    }
}

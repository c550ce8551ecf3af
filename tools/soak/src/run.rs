//! The run: traffic, rests, one line a minute, the verdict.

use crate::arguments::Arguments;
use crate::gate::Gate;
use crate::places::{MEMORY, Places, Running};
use crate::tally::Tally;
use crate::verdict::{self, End, Minute};
use brooklet::Stats;
use smol::Timer;
use std::fs;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The part of a minute that is a rest, or of a third of the run if that is shorter.
const REST: f64 = 1.0 / 6.0;

/// How long the traffic may take to come to rest.
const TO_REST: Duration = Duration::from_secs(120);

/// How long a stack may take until it is idle: TIME-WAIT and UDP sessions last 1 and 2 s, and a
/// connection keeps idle buffers for 1 s.
const TO_IDLE: Duration = Duration::from_secs(20);

/// Without a wake-up for this time a stack counts as idle, and then it must stay so. A driver may wake
/// for nothing within 1.1 s: the engine does not check a deadline that is as near
/// (`brooklet_tcp::Engine::poll_timeout`), and the timer keeps such an alarm.
const QUIET: Duration = Duration::from_millis(1300);

/// How long the wake-ups of an idle stack are counted.
const WINDOW: Duration = Duration::from_secs(2);

/// Runs everything. Returns whether nothing was wrong.
pub(crate) fn run(arguments: Arguments) -> bool {
    if !arguments.tun {
        return run_here(arguments);
    }
    let mut passed = None;
    brooklet_testbed::in_namespace(|| passed = Some(run_here(arguments)));
    // The machine has no TUN, which has been said.
    passed.unwrap_or_else(|| {
        run_here(Arguments {
            tun: false,
            ..arguments
        })
    })
}

fn run_here(arguments: Arguments) -> bool {
    let report = smol::block_on(soak(arguments));
    match report {
        Ok((minutes, end)) => {
            let wrong = verdict::judge(&minutes, &end);
            println!("{}", verdict::summary(&minutes, &end));
            for wrong in &wrong {
                println!("WRONG: {wrong}");
            }
            println!("{}", if wrong.is_empty() { "passed" } else { "FAILED" });
            wrong.is_empty()
        }
        Err(error) => {
            eprintln!("brooklet-soak: {error}");
            false
        }
    }
}

async fn soak(arguments: Arguments) -> io::Result<(Vec<Minute>, End)> {
    // The descriptors of the executor are there before the first count.
    Timer::after(Duration::from_millis(1)).await;
    let descriptors_before = descriptors()?;
    let (gate, tally) = (Gate::default(), Tally::default());
    let places = Places::start(arguments.tun, arguments.seed, &gate, &tally)?;
    let (mut minutes, mut end) = (Vec::new(), End::default());
    let began = Instant::now();
    let period = Duration::from_secs(60).min(arguments.length / 3);
    println!("{}", verdict::HEADING);
    loop {
        let minute = minute(&places, &gate, &tally, began, period).await?;
        println!("{minute}");
        io::stdout().flush()?;
        minutes.push(minute);
        if began.elapsed() + period / 2 > arguments.length {
            break;
        }
    }
    gate.stop();
    let ended = within(TO_REST, || gate.tasks() == 0).await;
    if !ended {
        tally.error(format!("{} tasks of the traffic go on", gate.tasks()));
    }
    let no_flow = || places.stacks.iter().all(|running| running.flows() == 0);
    within(TO_IDLE, no_flow).await;
    end.flows = places.stacks.iter().map(|running| running.flows()).sum();
    end.length = began.elapsed();
    for running in &places.stacks {
        end.drops.push((running.name, running.stack.stats()));
    }
    places.end(&tally).await;
    within(TO_IDLE, || {
        descriptors().is_ok_and(|now| now == descriptors_before)
    })
    .await;
    end.descriptors = (descriptors_before, descriptors()?);
    end.errors = tally.errors();
    end.totals = Totals::of(&tally);
    Ok((minutes, end))
}

/// One minute of traffic and its rest.
async fn minute(
    places: &Places,
    gate: &Gate,
    tally: &Tally,
    began: Instant,
    period: Duration,
) -> io::Result<Minute> {
    let start = Instant::now();
    let (polls, packets) = (polls(places), packets(places));
    let (mut resident, mut samples, mut most) = (0, 0, 0);
    gate.open();
    while start.elapsed() < period.mul_f64(1.0 - REST) {
        Timer::after(Duration::from_millis(500)).await;
        // The caches fill up at the beginning of the run.
        if began.elapsed() > period.mul_f64(REST) {
            resident += memory()?;
            samples += 1;
        }
        most = most.max(held(places, tally));
    }
    let busy = start.elapsed().as_secs_f64();
    let (wake_ups, packets) = (self::polls(places) - polls, self::packets(places) - packets);
    gate.close();
    if !within(TO_REST, || gate.busy() == 0).await {
        tally.error(format!("{} tasks do not come to rest", gate.busy()));
    }
    let idle_wake_ups = idle_wake_ups(places).await;
    let flows = places.stacks.iter().map(|running| running.flows()).sum();
    let minute = Minute {
        at: began.elapsed(),
        resident: resident / samples.max(1),
        resident_idle: memory()?,
        held: most,
        held_idle: held(places, tally),
        flows,
        kept_open: tally.kept_open.load(Relaxed),
        descriptors: descriptors()?,
        idle_wake_ups,
        wake_ups: (wake_ups as f64 / busy) as u64,
        packets: (packets as f64 / busy) as u64,
        totals: Totals::of(tally),
        errors: tally.errors(),
    };
    // Also a rest that was short is one.
    while start.elapsed() < period {
        Timer::after(Duration::from_millis(100)).await;
    }
    gate.open();
    Ok(minute)
}

/// Waits until the stacks are idle, and then counts how many times their drivers wake.
async fn idle_wake_ups(places: &Places) -> u64 {
    let begin = Instant::now();
    let kept = |places: &Places| {
        let stats = places.stacks.iter().map(|running| running.stack.stats());
        stats
            .map(|stats| stats.tcp.time_wait + stats.tcp.requests + stats.udp.sessions)
            .sum::<u64>()
    };
    while begin.elapsed() < TO_IDLE {
        let before = polls(places);
        Timer::after(QUIET).await;
        if polls(places) == before && kept(places) == 0 {
            break;
        }
    }
    wake_ups_in_a_window(places).await
}

/// Counts how many times the drivers wake in a [`WINDOW`], and says which do.
async fn wake_ups_in_a_window(places: &Places) -> u64 {
    let before: Vec<_> = places.stacks.iter().map(watched).collect();
    Timer::after(WINDOW).await;
    let mut wake_ups = 0;
    for (running, (polls, stats)) in places.stacks.iter().zip(before) {
        let (polls, now) = (running.polls() - polls, watched(running).1);
        wake_ups += polls;
        if polls > 0 {
            let (stats, now) = (stats.to_string(), now.to_string());
            let changed = now
                .lines()
                .filter(|line| !stats.lines().any(|old| old == *line));
            let changed = changed.collect::<Vec<_>>().join("; ");
            eprintln!("{} woke {polls} times when idle. {changed}", running.name);
        }
    }
    wake_ups
}

fn watched(running: &Running) -> (u64, Stats) {
    (running.polls(), running.stack.stats())
}

/// Waits until this is so, and returns whether it is.
async fn within(limit: Duration, is_so: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < limit {
        if is_so() {
            return true;
        }
        Timer::after(Duration::from_millis(20)).await;
    }
    is_so()
}

fn polls(places: &Places) -> u64 {
    places.stacks.iter().map(|running| running.polls()).sum()
}

fn packets(places: &Places) -> u64 {
    let stats = places.stacks.iter().map(|running| running.stack.stats());
    stats.map(|stats| stats.packets_in).sum()
}

/// The bytes that the stacks hold. More than its budget is an error.
fn held(places: &Places, tally: &Tally) -> u64 {
    let mut held = 0;
    for running in &places.stacks {
        let total = running.stack.stats().memory.total();
        if total > MEMORY as u64 {
            tally.error(format!("{}: {total} bytes of {MEMORY} held", running.name));
        }
        held += total;
    }
    held
}

/// The resident memory of the process in bytes.
fn memory() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes = kilobytes.and_then(|number| number.trim().parse::<u64>().ok());
    kilobytes
        .map(|kilobytes| kilobytes << 10)
        .ok_or_else(|| io::Error::other("no VmRSS in /proc/self/status"))
}

/// The number of descriptors of the process, without that of this count.
fn descriptors() -> io::Result<u64> {
    Ok((fs::read_dir("/proc/self/fd")?.count() as u64).saturating_sub(1))
}

/// What the traffic has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) connections: u64,
    pub(crate) refusals: u64,
    pub(crate) resets: u64,
    pub(crate) datagrams: u64,
    pub(crate) repeats: u64,
    pub(crate) pings: u64,
    pub(crate) expired: u64,
    pub(crate) bytes: u64,
}

impl Totals {
    fn of(tally: &Tally) -> Self {
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        Self {
            connections: load(&tally.connections),
            refusals: load(&tally.refusals),
            resets: load(&tally.resets),
            datagrams: load(&tally.datagrams),
            repeats: load(&tally.repeats),
            pings: load(&tally.pings),
            expired: load(&tally.expired),
            bytes: load(&tally.bytes),
        }
    }
}

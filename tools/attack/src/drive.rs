//! An attack with honest clients beside it, over a wire.

use crate::attacks::{Attack, Kind};
use crate::counters::Counters;
use crate::honest::{self, Honest};
use crate::packet::{Batch, parse};
use crate::row::{MAX_HELD, Row};
use crate::watch::Watch;
use crate::wire::Wire;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The attack ends after this many packets and at least `least`, or after `most`.
    pub(crate) packets: u64,
    pub(crate) least: Duration,
    pub(crate) most: Duration,
    /// Packets per second at most.
    pub(crate) rate: Option<u64>,
    /// The time between two honest clients.
    pub(crate) interval: Duration,
    /// How long memory may take to be given back. A short run does not wait for it.
    pub(crate) settle: Option<Duration>,
    /// The connections or sources of the attack.
    pub(crate) size: usize,
    /// How long the victim takes to answer a client, of its own will.
    pub(crate) dial: Duration,
}

/// The most packets of an attack at a time.
const BURST: usize = 64;
/// What answers are taken between two bursts.
const ANSWERS: usize = 256;

/// What crossed the wire.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    packets: u64,
    bytes: u64,
    packets_back: u64,
    bytes_back: u64,
    /// All that was sent, honest clients and all.
    total: u64,
}

struct Drive<'a> {
    wire: &'a mut dyn Wire,
    honest: Honest,
    attack: Box<dyn Attack>,
    honest_out: Batch,
    attack_out: Batch,
    packet: Vec<u8>,
    traffic: Traffic,
    idle: u32,
}

impl Drive<'_> {
    /// Receives what there is, and sends what is due. Up to `attack` new packets of the attack are sent.
    fn turn(&mut self, attack: usize, clients: bool) -> io::Result<()> {
        let now = Instant::now();
        let mut received = 0;
        while received < ANSWERS && self.wire.recv(&mut self.packet)? {
            received += 1;
            let Some(seen) = parse(&self.packet) else {
                continue;
            };
            if honest::is_honest(seen.to) {
                self.honest.receive(now, &seen, &mut self.honest_out);
            } else {
                self.traffic.packets_back += 1;
                self.traffic.bytes_back += self.packet.len() as u64;
                self.attack.receive(now, &seen, &mut self.attack_out);
            }
        }
        self.honest.tick(now, clients, &mut self.honest_out);
        let waiting = self.honest_out.len();
        self.wire.send(&mut self.honest_out, usize::MAX)?;
        let honest = waiting - self.honest_out.len();
        let room = self.wire.room().min(BURST);
        if attack > 0 && self.attack_out.is_empty() && room > 0 {
            self.attack
                .fill(now, room.min(attack), &mut self.attack_out);
        }
        let (packets, bytes) = (self.attack_out.len(), self.attack_out.bytes());
        self.wire.send(&mut self.attack_out, room)?;
        let sent = packets - self.attack_out.len();
        self.traffic.packets += sent as u64;
        self.traffic.bytes += (bytes - self.attack_out.bytes()) as u64;
        self.traffic.total += (honest + sent) as u64;
        self.rest(received + honest + sent == 0);
        Ok(())
    }

    /// Leaves the processor to the victim while there is nothing to do.
    fn rest(&mut self, idle: bool) {
        self.idle = if idle { self.idle + 1 } else { 0 };
        match self.idle {
            0 => {}
            1..10 => thread::yield_now(),
            _ => thread::sleep(Duration::from_micros(50)),
        }
    }

    /// Goes on without new packets of the attack until `done` or the time is over. Returns whether it is done.
    fn go_on(
        &mut self,
        limit: Duration,
        clients: bool,
        mut done: impl FnMut(&mut Self) -> bool,
    ) -> io::Result<bool> {
        let end = Instant::now() + limit;
        loop {
            self.turn(0, clients)?;
            if done(self) {
                return Ok(true);
            }
            if Instant::now() >= end {
                return Ok(false);
            }
        }
    }
}

/// Runs an attack.
pub(crate) fn drive(
    kind: &Kind,
    plan: Plan,
    wire: &mut dyn Wire,
    watch: &Watch,
) -> io::Result<Row> {
    let mut drive = Drive {
        wire,
        honest: Honest::new(Instant::now(), plan.interval),
        attack: (kind.begin)(plan.size),
        honest_out: Batch::default(),
        attack_out: Batch::default(),
        packet: Vec::new(),
        traffic: Traffic::default(),
        idle: 0,
    };
    drive.go_on(plan.least.min(Duration::from_secs(1)), true, |_| false)?;
    let before = watch.resident();
    watch.forget_peak();
    let spent = watch.processor_time();
    drive.honest.count();

    let start = Instant::now();
    let mut counted = None;
    let mut look = start;
    loop {
        let elapsed = start.elapsed();
        let sent = drive.traffic.packets;
        if elapsed >= plan.most || sent >= plan.packets && elapsed >= plan.least {
            break;
        }
        let allowed = plan.rate.map_or(u64::MAX, |rate| {
            ((elapsed.as_secs_f64() * rate as f64) as u64).saturating_sub(sent)
        });
        drive.turn(allowed.min(BURST as u64) as usize, true)?;
        if look.elapsed() > Duration::from_millis(50) {
            look = Instant::now();
            counted = counted.max(watch.counted());
            watch.check()?;
        }
    }
    let mut row = Row {
        attack: kind.name.to_owned(),
        rate: drive.traffic.packets as f64 / start.elapsed().as_secs_f64(),
        processor: watch
            .processor_time()
            .zip(spent)
            .map(|(now, before)| (now - before).as_secs_f64() * 1e6),
        before,
        counted,
        ..Row::default()
    };

    drive.go_on(Duration::from_millis(300), true, |_| false)?;
    // Longer than the patience of any client.
    drive.go_on(Duration::from_secs(12), false, |drive| {
        drive.honest.is_idle()
    })?;
    drive.attack.finish(&mut drive.attack_out);
    row.peak = watch.peak().unwrap_or(0);
    let settle = Instant::now();
    let mut look = settle;
    let mut pause = Duration::from_millis(100);
    // What is on its way arrives in any case, or the counters would not add up.
    let limit = plan.settle.unwrap_or(Duration::from_secs(1));
    drive.go_on(limit, false, |drive| {
        if look.elapsed() < pause || !drive.attack_out.is_empty() {
            return false;
        }
        look = Instant::now();
        let given_back = watch.resident().is_none_or(|now| row.is_given_back(now));
        if !given_back || settle.elapsed() < Duration::from_millis(300) {
            return false;
        }
        if plan.settle.is_none() {
            return true;
        }
        // A program is asked by a signal.
        pause = Duration::from_secs(1);
        let counters = watch.counters();
        counters.is_none_or(|counters| held(&counters) <= MAX_HELD)
    })?;
    row.settled = settle.elapsed().as_secs_f64();
    row.after = watch.resident().filter(|_| plan.settle.is_some());
    watch.check()?;
    row.packets = drive.traffic.packets;
    row.bytes = drive.traffic.bytes;
    row.packets_back = drive.traffic.packets_back;
    row.bytes_back = drive.traffic.bytes_back;
    row.service(drive.honest.service(), plan.dial);
    if let Some(counters) = watch.counters() {
        row.counters = Some(add_up(kind, &counters, &mut drive));
        row.held = Some(held(&counters));
        row.text = counters.to_string();
    }
    row.judge(kind.bounds);
    Ok(row)
}

/// Compares the counters of the stack with what was sent.
fn add_up(kind: &Kind, counters: &Counters, drive: &mut Drive<'_>) -> Result<(), String> {
    let Traffic { packets, total, .. } = drive.traffic;
    let taken = drive.wire.taken().unwrap_or(total);
    let equal = |what: &str, counted: u64, sent: u64| match counted == sent {
        true => Ok(()),
        false => Err(format!("{what}: {counted} of {sent}")),
    };
    equal("packets in", counters.figure("packets in"), taken)?;
    if kind.accounts.is_empty() || taken < total {
        return Ok(());
    }
    let datagrams = kind.accounts.iter().any(|name| name.starts_with("UDP"));
    let others = match datagrams {
        true => drive.honest.datagrams_sent() + drive.wire.knocks(),
        false => 0,
    };
    let sent = packets + others;
    equal(kind.accounts[0], counters.sum(kind.accounts), sent)
}

/// The memory that the stack says it holds, in bytes.
fn held(counters: &Counters) -> u64 {
    counters.sum(&["memory, *"])
}

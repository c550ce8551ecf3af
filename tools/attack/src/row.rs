//! One line of the table: an attack against a victim.

use crate::attacks::Bounds;
use crate::honest::Service;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The most time of a connect, beyond the delay of the client, at the 99th percentile.
const MAX_P99: Duration = Duration::from_millis(100);
/// Resident memory counts as given back within this of what it was before, in bytes.
const GIVEN_BACK: u64 = 4 << 20;
/// The most memory that the stack holds when the flows of the attack are gone, in bytes: recycled buffers, and
/// in `forward` the sessions of the honest clients, which last two minutes.
pub(crate) const MAX_HELD: u64 = 4 << 20;

/// The figures of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) attack: String,
    pub(crate) victim: String,
    pub(crate) packets: u64,
    /// Packets per second during the attack.
    pub(crate) rate: f64,
    pub(crate) bytes: u64,
    pub(crate) packets_back: u64,
    pub(crate) bytes_back: u64,
    /// The processor time of the victim, in microseconds.
    pub(crate) processor: Option<f64>,
    /// Resident memory before, at most and after, in bytes.
    pub(crate) before: Option<u64>,
    pub(crate) peak: u64,
    pub(crate) after: Option<u64>,
    /// What the stack counts as memory at most, in bytes.
    pub(crate) counted: Option<u64>,
    /// What the stack counts as memory in the end, in bytes.
    pub(crate) held: Option<u64>,
    /// How long memory took to be given back, in seconds.
    pub(crate) settled: f64,
    pub(crate) connects: u64,
    pub(crate) reset: u64,
    pub(crate) late: u64,
    /// The times of connects beyond the delay of the client: the median, the 99th percentile, and the
    /// longest, in milliseconds.
    pub(crate) times: [f64; 3],
    pub(crate) datagrams: u64,
    pub(crate) datagrams_lost: u64,
    /// Whether the counters add up, or what does not.
    pub(crate) counters: Option<Result<(), String>>,
    /// The counters of the stack at the end, as text.
    pub(crate) text: String,
    /// Bounds that are broken.
    pub(crate) broken: Vec<String>,
}

impl Row {
    /// Takes over what the honest clients got from a victim that lets each wait for `dial`.
    pub(crate) fn service(&mut self, service: &Service, dial: Duration) {
        let mut times = service.times.clone();
        times.sort_unstable();
        let at = |quantile: f64| {
            let index = (times.len() as f64 * quantile) as usize;
            let time = times.get(index.min(times.len().saturating_sub(1)));
            time.map_or(0.0, |time| time.saturating_sub(dial).as_secs_f64() * 1e3)
        };
        self.times = [at(0.5), at(0.99), at(1.0)];
        self.connects = times.len() as u64;
        self.reset = service.reset;
        self.late = service.late;
        self.datagrams = service.datagrams;
        self.datagrams_lost = service.datagrams_lost;
    }

    /// Whether this much resident memory is as little as before.
    pub(crate) fn is_given_back(&self, resident: u64) -> bool {
        self.before
            .is_none_or(|before| resident <= before + GIVEN_BACK)
    }

    /// Compares the figures with the bounds.
    pub(crate) fn judge(&mut self, bounds: Bounds) {
        let mut broken = Vec::new();
        let mut bound = |holds: bool, what: &str| {
            if !holds {
                broken.push(what.to_owned());
            }
        };
        bound(
            self.reset + self.late == 0 && self.connects > 0,
            "connects fail",
        );
        bound(self.times[1] <= MAX_P99.as_secs_f64() * 1e3, "p99");
        if let Some(before) = self.before {
            bound(self.peak.saturating_sub(before) <= bounds.memory, "memory");
        }
        if let Some(after) = self.after.filter(|_| bounds.given_back) {
            bound(self.is_given_back(after), "memory kept");
        }
        // Without the wait for it, flows may be left.
        if let Some(held) = self.held.filter(|_| self.after.is_some()) {
            bound(held <= MAX_HELD, "memory held");
        }
        if let Some(most) = bounds.answers {
            bound(self.per_byte() <= most, "bytes out");
            bound(self.per_packet() <= most, "packets out");
        }
        bound(!matches!(self.counters, Some(Err(_))), "counters");
        self.broken.append(&mut broken);
    }

    fn per_byte(&self) -> f64 {
        self.bytes_back as f64 / self.bytes.max(1) as f64
    }

    fn per_packet(&self) -> f64 {
        self.packets_back as f64 / self.packets.max(1) as f64
    }

    pub(crate) const HEAD: [&str; 17] = [
        "attack",
        "victim",
        "packets",
        "per s",
        "out/in",
        "bytes o/i",
        "us each",
        "MiB more",
        "counted",
        "held",
        "kept",
        "connects",
        "failed",
        "p50 ms",
        "p99",
        "max",
        "UDP lost",
    ];

    /// The cells below [`HEAD`](Self::HEAD), and the verdict.
    pub(crate) fn cells(&self) -> Vec<String> {
        let none = || "-".to_owned();
        let mib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
        let more = |bytes: u64| {
            self.before
                .map_or_else(none, |before| mib(bytes.saturating_sub(before)))
        };
        let [p50, p99, max] = self.times.map(|time| format!("{time:.2}"));
        vec![
            self.attack.clone(),
            self.victim.clone(),
            self.packets.to_string(),
            format!("{:.0}", self.rate),
            format!("{:.2}", self.per_packet()),
            format!("{:.2}", self.per_byte()),
            self.processor.map_or_else(none, |spent| {
                format!("{:.2}", spent / self.packets.max(1) as f64)
            }),
            more(self.peak),
            self.counted.map_or_else(none, mib),
            self.held.map_or_else(none, mib),
            self.after.map_or_else(none, more),
            self.connects.to_string(),
            (self.reset + self.late).to_string(),
            p50,
            p99,
            max,
            format!(
                "{}/{}",
                self.datagrams_lost,
                self.datagrams + self.datagrams_lost
            ),
            self.verdict(),
        ]
    }

    fn verdict(&self) -> String {
        let mut verdict = match self.broken.is_empty() {
            true => "ok".to_owned(),
            false => format!("BROKEN: {}", self.broken.join(", ")),
        };
        if let Some(Err(why)) = &self.counters {
            verdict += &format!(" ({why})");
        }
        verdict
    }
}

/// Prints a head and lines in columns.
pub(crate) fn print_line(cells: &[impl AsRef<str>]) {
    const WIDTHS: [usize; 17] = [17, 16, 9, 8, 6, 9, 7, 8, 7, 5, 5, 8, 6, 7, 7, 7, 8];
    let mut line = String::new();
    for (n, cell) in cells.iter().enumerate() {
        let cell = cell.as_ref();
        match WIDTHS.get(n) {
            Some(width) if n < 2 => line += &format!("{cell:width$} "),
            Some(width) => line += &format!("{cell:>width$} "),
            None => line += &format!(" {cell}"),
        }
    }
    println!("{}", line.trim_end());
}

use super::{Case, Transfer};
use std::fmt::{self, Write};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Chances of loss in percent, and the bytes of a transfer: enough for a steady state and not for
/// hours.
const LOSSES: [(f64, usize); 5] = [
    (0.0, 4 << 20),
    (0.1, 4 << 20),
    (1.0, 4 << 20),
    (5.0, 1 << 20),
    (20.0, 256 << 10),
];

/// The bytes of a transfer at this loss in percent.
pub fn bytes_at(percent: f64) -> usize {
    let row = LOSSES.iter().rev().find(|(least, _)| percent >= *least);
    row.map_or(LOSSES[0].1, |(_, bytes)| *bytes)
}

const BUFFERS: [(usize, &str); 2] = [(128 << 10, "128 KiB"), (1 << 20, "1 MiB")];

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Run {
    /// It took so long.
    Took(Duration),
    /// It was not done within the [limit](super::LIMIT).
    NoEnd,
    /// Nothing would ever have happened again.
    Stalled,
    /// The connection broke, or bytes were wrong.
    Broken,
}

/// Which rows of the tables to make.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Round-trip times of the two large tables, in milliseconds.
    pub rtts: &'a [u32],
    /// Rates of the bottlenecks, in Mbit/s.
    pub rates: &'a [u64],
}

impl Report<'_> {
    /// All rows.
    pub const ALL: Self = Self {
        rtts: &[1, 10, 100],
        rates: &[20, 100],
    };

    /// Makes the tables, as Markdown. `run` carries out a case a few times: the median is shown,
    /// and the slowest behind it.
    pub fn write(&self, mut run: impl FnMut(&Case) -> Vec<Run>) -> String {
        let mut out = String::new();
        let write = self
            .grid(&mut out, &mut run)
            .and_then(|()| promised(&mut out, &mut run))
            .and_then(|()| self.bottleneck(&mut out, &mut run));
        write.expect("a string takes everything");
        out
    }

    fn grid(&self, out: &mut String, run: &mut impl FnMut(&Case) -> Vec<Run>) -> fmt::Result {
        let titles = [
            (Transfer::Echo, "Echo, so much each way at once"),
            (Transfer::OneWay, "One way"),
        ];
        for (transfer, title) in titles {
            writeln!(out, "### {title}, Mbit/s\n")?;
            writeln!(
                out,
                "| RTT | buffer | packets | loss 0 | 0.1 % | 1 % | 5 % | 20 % |"
            )?;
            writeln!(out, "|---|---|---|---:|---:|---:|---:|---:|")?;
            for rtt in self.rtts {
                for (buffer, size) in BUFFERS {
                    for shuffled in [false, true] {
                        let kind = if shuffled { "shuffled" } else { "in order" };
                        write!(out, "| {rtt} ms | {size} | {kind} |")?;
                        for (percent, bytes) in LOSSES {
                            if percent == 0.0 && shuffled {
                                write!(out, " |")?;
                                continue;
                            }
                            let mut case = Case::new(transfer, bytes, *rtt * MS, percent / 100.0);
                            case.buffer = Some(buffer);
                            if shuffled {
                                case = case.shuffled();
                            }
                            write!(out, " {} |", cell(run(&case), goodput(bytes)))?;
                        }
                        writeln!(out)?;
                    }
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn bottleneck(&self, out: &mut String, run: &mut impl FnMut(&Case) -> Vec<Run>) -> fmt::Result {
        writeln!(
            out,
            "### A bottleneck with a queue of 50 packets at an RTT of 20 ms, Mbit/s\n"
        )?;
        writeln!(
            out,
            "| rate | buffer | one way | one way, loss 1 % | echo |"
        )?;
        writeln!(out, "|---|---|---:|---:|---:|")?;
        for rate in self.rates {
            // Less than a second at either rate, if all goes well.
            let bytes = *rate as usize * 80_000;
            for (buffer, size) in BUFFERS {
                write!(out, "| {rate} Mbit/s | {size} |")?;
                for (transfer, loss) in [
                    (Transfer::OneWay, 0.0),
                    (Transfer::OneWay, 0.01),
                    (Transfer::Echo, 0.0),
                ] {
                    let mut case =
                        Case::new(transfer, bytes, 20 * MS, loss).rate(*rate * 1_000_000);
                    case.buffer = Some(buffer);
                    write!(out, " {} |", cell(run(&case), goodput(bytes)))?;
                }
                writeln!(out)?;
            }
        }
        writeln!(out)
    }
}

fn promised(out: &mut String, run: &mut impl FnMut(&Case) -> Vec<Run>) -> fmt::Result {
    writeln!(out, "### Three echoes at an RTT of 10 ms, seconds\n")?;
    writeln!(
        out,
        "| buffer | 4 MiB at 1 % | 1 MiB at 5 % | 256 KiB at 20 % |"
    )?;
    writeln!(out, "|---|---:|---:|---:|")?;
    for (buffer, size) in BUFFERS {
        write!(out, "| {size} |")?;
        for (percent, bytes) in &LOSSES[2..] {
            let mut case = Case::new(Transfer::Echo, *bytes, 10 * MS, percent / 100.0);
            case.buffer = Some(buffer);
            write!(out, " {} |", cell(run(&case), |time| time.as_secs_f64()))?;
        }
        writeln!(out)?;
    }
    writeln!(out)
}

/// Megabits of the transfer per second.
pub(super) fn goodput(bytes: usize) -> impl Fn(Duration) -> f64 {
    move |time| bytes as f64 * 8.0 / time.as_secs_f64() / 1e6
}

/// The median, and the slowest behind it.
pub(super) fn cell(mut runs: Vec<Run>, show: impl Fn(Duration) -> f64) -> String {
    runs.sort();
    let show = |run: Option<&Run>| match run {
        Some(Run::Took(time)) => format!("{:.2}", show(*time)),
        Some(Run::NoEnd) => "no end".to_owned(),
        Some(Run::Stalled) => "stall".to_owned(),
        Some(Run::Broken) => "BROKEN".to_owned(),
        None => "-".to_owned(),
    };
    format!("{} ({})", show(runs.get(runs.len() / 2)), show(runs.last()))
}

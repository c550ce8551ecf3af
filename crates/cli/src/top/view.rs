//! The view as text, from the figures of two moments.

use super::sample::{Row, Sample};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// A line of the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// Whether the line stands out, as a heading does.
    pub(crate) heading: bool,
}

/// The space for the view, in characters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// Returns the lines of the view: totals, drops, and as many flows as there is room for, those with
/// the most data since the last sample first.
pub(crate) fn lines(title: &str, now: &Sample, last: &Sample, size: Size) -> Vec<Line> {
    let line = |text: String, heading| {
        let text = text.chars().take(size.columns).collect();
        Line { text, heading }
    };
    let summary = [totals(title, now, last), engines(now, last), memory(now)];
    let mut lines = vec![];
    for (index, text) in summary.into_iter().enumerate() {
        lines.push(line(text, index == 0));
    }
    let [connects, datagrams] = failures(now);
    let failures = [drops(now, last), connects, datagrams];
    lines.extend(failures.into_iter().flatten().map(|text| line(text, false)));
    lines.push(line(String::new(), false));

    let mut flows = flows(now, last);
    let room = size.rows.saturating_sub(lines.len() + 1);
    let hidden = match flows.len() <= room {
        true => 0,
        false => flows.len() - room.saturating_sub(1),
    };
    flows.truncate(flows.len() - hidden);
    let table = table(&flows);
    for (index, text) in table.into_iter().enumerate() {
        lines.push(line(text, index == 0));
    }
    if hidden > 0 {
        lines.push(line(format!("and {hidden} more"), false));
    }
    lines.truncate(size.rows);
    lines
}

/// Returns one line for a log: what the stack has done since the last sample.
pub(crate) fn log_line(now: &Sample, last: &Sample) -> String {
    let (up, down) = rates(now, last);
    let dropped = dropped(now).saturating_sub(dropped(last));
    let (connections, sessions) = (now.stack.tcp.connections, now.sessions());
    let mut text = format!(
        "TCP connections: {connections}, UDP sessions: {sessions}, up: {}, down: {}, packets \
         dropped: {dropped}",
        rate(up),
        rate(down)
    );
    if let Some(memory) = now.memory {
        let _ = write!(text, ", memory: {}", mebibytes(memory));
    }
    text
}

fn totals(title: &str, now: &Sample, last: &Sample) -> String {
    let (up, down) = rates(now, last);
    let (up, down, time) = (rate(up), rate(down), time(now.uptime));
    format!("{title}, {time}: up {up}, down {down}")
}

fn engines(now: &Sample, last: &Sample) -> String {
    let (tcp, relay) = (&now.stack.tcp, &now.relay);
    let mut text = format!("TCP connections: {}", tcp.connections);
    let retransmits = tcp.retransmits.saturating_sub(last.stack.tcp.retransmits);
    for (what, figure) in [
        ("waiting", tcp.requests),
        ("dialed", relay.connecting),
        ("TIME-WAIT", tcp.time_wait),
        ("segments retransmitted", retransmits),
    ] {
        if figure > 0 {
            let _ = write!(text, ", {what}: {figure}");
        }
    }
    if let Some(median) = tcp.round_trips.quantile(0.5) {
        let _ = write!(text, ", half of the round trips within {}", short(median));
    }
    let _ = write!(text, ". UDP sessions: {}", now.sessions());
    if relay.echo_requests > 0 {
        let _ = write!(text, ". Pings: {}", relay.echo_requests);
    }
    text
}

fn memory(now: &Sample) -> String {
    let tcp = &now.stack.tcp;
    let (used, pooled) = (mebibytes(tcp.buffers), mebibytes(tcp.pooled_buffers));
    let buffers = format!("TCP buffers: {used} in use, {pooled} pooled");
    match now.memory {
        Some(memory) => format!("Memory: {}. {buffers}", mebibytes(memory)),
        None => buffers,
    }
}

/// The reasons for which packets were dropped, those that count now first.
fn drops(now: &Sample, last: &Sample) -> Option<String> {
    let before: HashMap<_, _> = last.stack.drops().collect();
    let mut drops: Vec<_> = now
        .stack
        .drops()
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| {
            let before = before.get(&reason).copied().unwrap_or(0);
            (count.saturating_sub(before), count, reason)
        })
        .collect();
    if drops.is_empty() {
        return None;
    }
    drops.sort_unstable_by_key(|drop| Reverse((drop.0, drop.1)));
    let mut text = format!("Dropped packets: {}", dropped(now));
    for (index, (more, count, reason)) in drops.into_iter().enumerate() {
        let separator = if index == 0 { ": " } else { "; " };
        let _ = write!(text, "{separator}{reason} {count}");
        if more > 0 {
            let _ = write!(text, " (+{more})");
        }
    }
    Some(text)
}

/// What the host could not do for the clients, by reasons.
fn failures(now: &Sample) -> [Option<String>; 2] {
    let relay = &now.relay;
    let connects = [
        ("refused", relay.dials_refused),
        ("unreachable", relay.dials_unreachable),
        ("no answer", relay.dials_timed_out),
        ("out of files", relay.dials_out_of_files),
        ("other", relay.dials_failed),
    ];
    let datagrams = [
        ("not mapped", relay.datagrams_unmapped),
        ("hop limit exceeded", relay.datagrams_hop_limit_exceeded),
        ("too big", relay.datagrams_too_big),
        ("unreachable", relay.datagrams_unreachable),
        ("queue of the host full", relay.datagrams_queue_full),
        ("out of files", relay.datagrams_out_of_files),
        ("other", relay.datagrams_dropped),
    ];
    [
        reasons("Failed connects of the host", &connects),
        reasons("Datagrams not relayed", &datagrams),
    ]
}

fn reasons(what: &str, counts: &[(&str, u64)]) -> Option<String> {
    let sum: u64 = counts.iter().map(|(_, count)| count).sum();
    let counted = counts.iter().filter(|(_, count)| *count > 0);
    let counted: Vec<_> = counted
        .map(|(why, count)| format!("{why} {count}"))
        .collect();
    (sum > 0).then(|| format!("{what}: {sum}: {}", counted.join("; ")))
}

/// A flow with what it has moved since the last sample.
struct Moving<'a> {
    row: &'a Row,
    up: f64,
    down: f64,
}

fn flows<'a>(now: &'a Sample, last: &Sample) -> Vec<Moving<'a>> {
    let before: HashMap<_, _> = last.rows.iter().map(|row| (row.key(), row)).collect();
    let seconds = now.since(last);
    let mut flows: Vec<_> = now
        .rows
        .iter()
        .map(|row| {
            // A flow with fewer bytes than before is another one with the same addresses.
            let before = before.get(&row.key()).filter(|before| {
                before.bytes_in <= row.bytes_in && before.bytes_out <= row.bytes_out
            });
            let (up, down) = before.map_or((0, 0), |before| (before.bytes_in, before.bytes_out));
            Moving {
                row,
                up: (row.bytes_in - up) as f64 * 8.0 / seconds,
                down: (row.bytes_out - down) as f64 * 8.0 / seconds,
            }
        })
        .collect();
    flows.sort_by(|a, b| {
        let rate = (b.up + b.down).total_cmp(&(a.up + a.down));
        rate.then_with(|| b.row.bytes().cmp(&a.row.bytes()))
            .then_with(|| a.row.key().cmp(&b.row.key()))
    });
    flows
}

/// The heading of each column, and whether its cells stand at the right.
const COLUMNS: [(&str, bool); 13] = [
    ("", false),
    ("INSIDE", false),
    ("OUTSIDE", false),
    ("UP bit/s", true),
    ("DOWN bit/s", true),
    ("STATE", false),
    ("AGE", true),
    ("RTT", true),
    ("BYTES", true),
    ("RECV-Q", true),
    ("SEND-Q", true),
    ("RETRANS", true),
    ("QUEUE", true),
];

fn table(flows: &[Moving<'_>]) -> Vec<String> {
    let mut rows = vec![COLUMNS.map(|(name, _)| name.to_owned())];
    rows.extend(flows.iter().map(cells));
    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect();
    let text = |row: [String; COLUMNS.len()]| {
        let mut text = String::new();
        for ((cell, width), (_, right)) in row.iter().zip(&widths).zip(COLUMNS) {
            let _ = match right {
                true => write!(text, "{cell:>width$} "),
                false => write!(text, "{cell:<width$} "),
            };
        }
        text.truncate(text.trim_end().len());
        text
    };
    rows.into_iter().map(text).collect()
}

fn cells(flow: &Moving<'_>) -> [String; COLUMNS.len()] {
    let row = flow.row;
    let address = |address: Option<SocketAddr>| match address {
        Some(address) => address.to_string(),
        None => "*".to_owned(),
    };
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    [
        row.protocol.to_owned(),
        row.inside.to_string(),
        address(row.outside),
        scaled(flow.up),
        scaled(flow.down),
        row.state.clone(),
        time(row.age),
        row.srtt.map(short).unwrap_or_default(),
        scaled(row.bytes() as f64),
        scaled(row.recv_queue as f64),
        row.send_queue
            .map(|bytes| scaled(bytes as f64))
            .unwrap_or_default(),
        number(row.retransmits),
        number(row.queue),
    ]
}

/// Bits per second from the device (up) and to it (down).
fn rates(now: &Sample, last: &Sample) -> (f64, f64) {
    let seconds = now.since(last);
    let rate = |now: u64, last: u64| now.saturating_sub(last) as f64 * 8.0 / seconds;
    (
        rate(now.stack.bytes_in, last.stack.bytes_in),
        rate(now.stack.bytes_out, last.stack.bytes_out),
    )
}

fn dropped(sample: &Sample) -> u64 {
    sample.stack.drops().map(|(_, count)| count).sum()
}

/// A rate: 999 bit/s, 1.23 kbit/s.
fn rate(bits: f64) -> String {
    let (digits, prefix) = scale(bits);
    format!("{digits} {prefix}bit/s")
}

/// Three digits and a decimal prefix: 0, 999, 1.23k, 12.3M.
fn scaled(number: f64) -> String {
    let (digits, prefix) = scale(number);
    format!("{digits}{prefix}")
}

fn scale(mut number: f64) -> (String, &'static str) {
    for prefix in ["", "k", "M", "G"] {
        if number < 999.5 || prefix == "G" {
            let digits = match number {
                _ if prefix.is_empty() => 0,
                ..9.995 => 2,
                ..99.95 => 1,
                _ => 0,
            };
            return (format!("{number:.digits$}"), prefix);
        }
        number /= 1000.0;
    }
    (String::new(), "")
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A time of at least a second: 5s, 3m12s, 2h05m, 4d03h.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// A round-trip time: 0.42ms, 12.3ms, 1.20s.
fn short(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    match millis {
        ..9.995 => format!("{millis:.2}ms"),
        ..999.5 => format!("{millis:.0}ms"),
        _ => format!("{:.2}s", millis / 1000.0),
    }
}

#[cfg(test)]
mod tests;

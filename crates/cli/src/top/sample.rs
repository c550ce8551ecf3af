//! The figures of one moment.

use brooklet::{Flow, Stack, Stats};
use brooklet_relay::{Relay, RelayStats};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The figures of one moment.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Since the stack started.
    pub(crate) uptime: Duration,
    pub(crate) rows: Vec<Row>,
    pub(crate) stack: Stats,
    pub(crate) relay: RelayStats,
    /// Resident memory of the process, in bytes, where the system tells it.
    pub(crate) memory: Option<u64>,
}

impl Sample {
    /// The figures of a stack that starts now.
    pub(crate) fn zero() -> Self {
        Self {
            uptime: Duration::ZERO,
            rows: Vec::new(),
            stack: Stats::default(),
            relay: RelayStats::default(),
            memory: None,
        }
    }

    /// Takes the figures of a stack that started at `start`, and its flows if `flows` is set.
    pub(crate) fn take(stack: &Stack, relay: &Relay, start: Instant, flows: bool) -> Self {
        let rows = match flows {
            true => stack.flows().iter().filter_map(Row::new).collect(),
            false => Vec::new(),
        };
        Self {
            uptime: start.elapsed(),
            rows,
            stack: stack.stats(),
            relay: relay.stats(),
            memory: resident(),
        }
    }

    /// The seconds since another sample, and at least one: the first sample is of the very start.
    pub(crate) fn since(&self, last: &Self) -> f64 {
        self.uptime
            .saturating_sub(last.uptime)
            .as_secs_f64()
            .max(1.0)
    }

    /// The UDP sessions, whether the stack or the relay keeps them.
    pub(crate) fn sessions(&self) -> u64 {
        self.relay.udp_sessions.max(self.stack.udp.sessions)
    }
}

/// A flow.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) protocol: &'static str,
    /// The address behind the device.
    pub(crate) inside: SocketAddr,
    /// The address that the stack has for it; `None` where a UDP session has several.
    pub(crate) outside: Option<SocketAddr>,
    pub(crate) state: String,
    pub(crate) age: Duration,
    pub(crate) srtt: Option<Duration>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) recv_queue: usize,
    pub(crate) send_queue: Option<usize>,
    pub(crate) retransmits: Option<u64>,
    pub(crate) queue: Option<u64>,
}

impl Row {
    /// `None` for a kind of flow that this program does not know.
    fn new(flow: &Flow) -> Option<Self> {
        Some(match flow {
            Flow::Tcp(flow) => Self {
                protocol: "TCP",
                inside: flow.peer_addr,
                outside: Some(flow.local_addr),
                state: flow.state.to_string(),
                age: flow.age,
                srtt: flow.srtt,
                bytes_in: flow.bytes_in,
                bytes_out: flow.bytes_out,
                recv_queue: flow.recv_queue,
                send_queue: Some(flow.send_queue),
                retransmits: Some(flow.retransmits),
                queue: Some(flow.queue as u64),
            },
            Flow::Udp(flow) => Self {
                protocol: "UDP",
                inside: flow.source,
                outside: flow.destination,
                state: match flow.idle.as_secs() {
                    0 => String::new(),
                    seconds => format!("idle {seconds}s"),
                },
                age: flow.age,
                srtt: None,
                bytes_in: flow.bytes_in,
                bytes_out: flow.bytes_out,
                recv_queue: flow.recv_queue,
                send_queue: None,
                retransmits: None,
                queue: None,
            },
            _ => return None,
        })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes_in + self.bytes_out
    }

    pub(crate) fn key(&self) -> (&'static str, SocketAddr, Option<SocketAddr>) {
        (self.protocol, self.inside, self.outside)
    }
}

/// Returns the resident memory of this process, in bytes.
#[cfg(target_os = "linux")]
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(not(target_os = "linux"))]
fn resident() -> Option<u64> {
    None
}

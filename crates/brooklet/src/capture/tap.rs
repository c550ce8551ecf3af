//! The drivers' side of the captures.

use super::Outcome;
use super::blocks::{self, PACKET_OVERHEAD, Record};
use super::config::CaptureConfig;
use crate::drop_reason::DropReason;
use crate::engines::Engines;
use crate::stats::Stats;
use brooklet_cell::wakers::{SingleWaker, WakeList};
use brooklet_cell::{Flavor, Shared};
use brooklet_filter::Direction;
use brooklet_io::PacketBuf;
use brooklet_packet::reassembly::Reassembler;
use brooklet_tcp::Clock;
use std::fmt::Write;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The smallest buffer of a capture, in bytes.
const MIN_BUFFER: usize = 1 << 17;

/// The captures of a stack. Clones are handles to the same ones.
pub(crate) struct Captures<F: Flavor> {
    /// How many captures there are: all that a driver looks at while there is none.
    active: Arc<AtomicUsize>,
    state: Shared<F, State>,
    queues: NonZeroU8,
}

struct State {
    captures: Vec<Capturing>,
    next_id: u64,
    /// The stack has ended.
    ended: bool,
}

/// One capture.
struct Capturing {
    id: u64,
    config: CaptureConfig,
    /// The beginning of the capture, in the stack's time and as nanoseconds since 1970.
    start: (Instant, u64),
    /// Whole blocks for the program.
    pending: Vec<u8>,
    /// Packets lost in all, and since the last one that was kept.
    lost: u64,
    lost_since: u64,
    /// No packet is added any more.
    stopped: bool,
    reader: SingleWaker,
}

impl Capturing {
    /// Adds a packet, or counts it as lost. Returns whether it was added.
    fn push(&mut self, now: Instant, record: Record<'_>) -> bool {
        let kept = record.bytes.len().min(self.config.snap_len);
        let comment = record.comment.map_or(0, str::len);
        if self.pending.len() + PACKET_OVERHEAD + kept + comment > self.config.buffer {
            self.lost += 1;
            self.lost_since += 1;
            return false;
        }
        let (start, time) = self.start;
        let passed = now.saturating_duration_since(start).as_nanos();
        let record = Record {
            time: time.saturating_add(passed as u64), // 584 years
            bytes: &record.bytes[..kept],
            lost: std::mem::take(&mut self.lost_since),
            ..record
        };
        blocks::packet(&mut self.pending, &record);
        true
    }
}

impl<F: Flavor> Captures<F> {
    pub(crate) fn new(queues: NonZeroU8) -> Self {
        Self {
            active: Arc::default(),
            state: Shared::new(State {
                captures: Vec::new(),
                next_id: 0,
                ended: false,
            }),
            queues,
        }
    }

    /// Begins a capture at `now`, which is `since_1970`. Returns its number.
    pub(super) fn begin(
        &self,
        config: CaptureConfig,
        (now, since_1970): (Instant, Duration),
    ) -> u64 {
        let mut pending = Vec::new();
        blocks::section_header(&mut pending);
        for queue in 0..self.queues.get() {
            let name = format!("queue {queue}");
            blocks::interface(&mut pending, &name, config.snap_len);
        }
        let config = config.buffer(config.buffer.max(MIN_BUFFER));
        let id = self.state.with(|state| {
            let id = state.next_id;
            state.next_id += 1;
            state.captures.push(Capturing {
                id,
                config,
                start: (now, since_1970.as_nanos() as u64),
                pending,
                lost: 0,
                lost_since: 0,
                stopped: false,
                reader: SingleWaker::new(),
            });
            id
        });
        self.active.fetch_add(1, Ordering::Relaxed);
        id
    }

    /// Ends a capture whose handle is dropped.
    pub(super) fn remove(&self, id: u64) {
        self.active.fetch_sub(1, Ordering::Relaxed);
        // The capture, with its waker, is dropped once the cell is free.
        let _removed = self.state.with(|state| {
            let at = state.captures.iter().position(|capture| capture.id == id)?;
            Some(state.captures.swap_remove(at))
        });
    }

    /// Stops a capture: what waits in it can still be read.
    pub(super) fn stop(&self, id: u64) {
        let reader = self.state.with(|state| {
            let capture = state.get_mut(id)?;
            capture.stopped = true;
            capture.reader.take()
        });
        reader.into_iter().for_each(Waker::wake);
    }

    /// The packets that a capture has lost.
    pub(super) fn lost(&self, id: u64) -> u64 {
        self.state
            .with(|state| state.get_mut(id).map_or(0, |capture| capture.lost))
    }

    /// Takes the blocks that wait, all at once. `None` is the end.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>, id: u64) -> Poll<Option<Vec<u8>>> {
        let (poll, _replaced) = self.state.with(|state| {
            let ended = state.ended;
            let Some(capture) = state.get_mut(id) else {
                return (Poll::Ready(None), None);
            };
            if !capture.pending.is_empty() {
                return (
                    Poll::Ready(Some(std::mem::take(&mut capture.pending))),
                    None,
                );
            }
            match ended || capture.stopped {
                true => (Poll::Ready(None), None),
                false => (Poll::Pending, capture.reader.register(cx.waker())),
            }
        });
        poll
    }

    /// The stack has ended.
    fn end(&self) {
        let mut wakes = WakeList::new();
        self.state.with(|state| {
            state.ended = true;
            for capture in &mut state.captures {
                wakes.extend(capture.reader.take());
            }
        });
        wakes.wake_all();
    }
}

impl State {
    fn get_mut(&mut self, id: u64) -> Option<&mut Capturing> {
        self.captures.iter_mut().find(|capture| capture.id == id)
    }
}

impl<F: Flavor> Clone for Captures<F> {
    fn clone(&self) -> Self {
        Self {
            active: self.active.clone(),
            state: self.state.clone(),
            queues: self.queues,
        }
    }
}

type Reassembly<F> = Option<Shared<F, Reassembler>>;

/// What a driver shows of its packets to the captures.
pub(crate) struct Tap<F: Flavor> {
    captures: Captures<F>,
    queue: u8,
    clock: Clock,
    /// What became of the packet that is being received, as far as the driver knows.
    outcome: Option<Outcome>,
    /// The counters of UDP and of the raw sockets before that packet.
    before: Option<Box<Stats>>,
}

impl<F: Flavor> Tap<F> {
    pub(crate) fn new(captures: &Captures<F>, queue: u8, clock: Clock) -> Self {
        Self {
            captures: captures.clone(),
            queue,
            clock,
            outcome: None,
            before: None,
        }
    }

    #[inline]
    fn is_on(&self) -> bool {
        self.captures.active.load(Ordering::Relaxed) > 0
    }

    /// A packet has been received, and nothing has been done with it.
    #[inline]
    pub(crate) fn begin(&mut self, engines: &mut Engines<F>, reassembler: &Reassembly<F>) {
        if self.is_on() {
            self.outcome = None;
            engines.tcp.take_drop();
            self.before = Some(Box::new(counters(engines, reassembler)));
        }
    }

    /// Notes what became of the packet that is being received. The first note counts: a later one
    /// may be about the answer.
    #[inline]
    pub(crate) fn note(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
    }

    /// The packet has been dealt with.
    #[inline]
    pub(crate) fn arrived(
        &mut self,
        packet: &PacketBuf,
        engines: &mut Engines<F>,
        reassembler: &Reassembly<F>,
    ) {
        if let Some(before) = self.before.take() {
            let dropped = || dropped_by_engine(&before, engines, reassembler);
            let outcome = self.outcome.or_else(dropped);
            self.packet(Direction::Inbound, packet, outcome);
        }
    }

    /// Shows a packet to the captures.
    #[inline]
    pub(crate) fn packet(&self, direction: Direction, packet: &[u8], outcome: Option<Outcome>) {
        if self.is_on() {
            self.push(direction, packet, outcome);
        }
    }

    #[cold]
    fn push(&self, direction: Direction, packet: &[u8], outcome: Option<Outcome>) {
        let now = self.clock.now();
        let comment = outcome.map(comment);
        let record = Record {
            interface: self.queue.into(),
            time: 0,
            direction,
            bytes: packet,
            len: packet.len(),
            lost: 0,
            comment: comment.as_deref(),
        };
        let mut wakes = WakeList::new();
        self.captures.state.with(|state| {
            for capture in state.captures.iter_mut().filter(|capture| !capture.stopped) {
                if capture.push(now, record) {
                    wakes.extend(capture.reader.take());
                }
            }
        });
        wakes.wake_all();
    }

    /// The driver has ended, and so has the stack.
    pub(crate) fn end(&self) {
        self.captures.end();
    }
}

impl<F: Flavor> Drop for Tap<F> {
    fn drop(&mut self) {
        self.end();
    }
}

/// The text of a packet that did not simply pass.
fn comment(outcome: Outcome) -> String {
    let mut text = String::new();
    let written = match outcome {
        Outcome::Diverted => write!(text, "diverted by the filter"),
        Outcome::Dropped(DropReason::FilteredIn | DropReason::FilteredOut) => {
            write!(text, "dropped by the filter")
        }
        Outcome::Dropped(DropReason::RejectedIn | DropReason::RejectedOut) => {
            write!(text, "rejected by the filter")
        }
        Outcome::Dropped(reason) => write!(text, "dropped: {reason}"),
    };
    debug_assert!(written.is_ok(), "a string takes any text");
    text
}

/// The reasons for which UDP, the raw sockets and the reassembler drop a packet that arrives. No other
/// work of the stack counts them.
const AT_ARRIVAL: [DropReason; 14] = [
    DropReason::FragmentInvalid,
    DropReason::FragmentDuplicate,
    DropReason::FragmentConflict,
    DropReason::UdpFull,
    DropReason::UdpSourceFull,
    DropReason::UdpBacklogFull,
    DropReason::UdpNoListener,
    DropReason::UdpMalformed,
    DropReason::TooBig,
    DropReason::EchoIgnored,
    DropReason::RawNoSocket,
    DropReason::RawFull,
    DropReason::RawSourceFull,
    DropReason::RawClosed,
];

/// The counters of what does not tell why it drops a packet.
fn counters<F: Flavor>(engines: &Engines<F>, reassembler: &Reassembly<F>) -> Stats {
    let reassembly = reassembler.as_ref();
    Stats {
        udp: engines.udp.stats(),
        raw: engines.raw.stats(),
        reassembly: reassembly.map_or_else(Default::default, |r| {
            r.with(|reassembler| reassembler.stats())
        }),
        ..Stats::default()
    }
}

/// The reason for which an engine has dropped the packet that was received since `before`.
///
/// The drivers of a stack share the counters of all but TCP: where two drivers receive at the same
/// moment, a packet can get the reason of the other.
fn dropped_by_engine<F: Flavor>(
    before: &Stats,
    engines: &mut Engines<F>,
    reassembler: &Reassembly<F>,
) -> Option<Outcome> {
    let tcp = Stats {
        tcp: engines.tcp.take_drop(),
        ..Stats::default()
    };
    let now = counters(engines, reassembler);
    let mut all = DropReason::ALL.iter().copied();
    let mut others = AT_ARRIVAL.iter().copied();
    all.find(|&reason| tcp.dropped(reason) > 0)
        .or_else(|| others.find(|&reason| now.dropped(reason) > before.dropped(reason)))
        .map(Outcome::Dropped)
}

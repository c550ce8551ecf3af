//! Packets for one queue of the device.
//!
//! Nothing here wakes a task. Wakers leave in a [`WakeList`] or as return values; the caller wakes
//! and drops them once the cell is released.

use crate::{config::Config, outcome::Answered, stats::Stats};
use brooklet_cell::wakers::{Awaited, SingleWaker, WaitKey, WaitQueue, WakeList};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::{BufferPool, StackClosed};
use std::{
    collections::VecDeque,
    io, mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// The number of buffers in the pool, and the capacity of the largest, in bytes.
const POOL_BUFFERS: usize = 16;
const POOL_CAPACITY: usize = 2048;

/// The kind of an outbound packet, for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    EchoRequest,
    EchoReply,
    IcmpError,
    Raw,
}

pub(crate) struct Outbound {
    max_packets: usize,
    max_bytes: usize,
    packets: VecDeque<Vec<u8>>,
    bytes: usize,
    /// What the packets have allocated.
    allocated: usize,
    /// Whether there are packets, for a look without the cell.
    has_packets: Arc<AtomicBool>,
    pool: BufferPool,
    /// Tasks that wait for room. There is none while half of the queue is free.
    senders: WaitQueue,
    driver: SingleWaker,
    closed: bool,
    /// The IPv4 identification of the next packet that may be fragmented.
    identification: u16,
    pub(crate) stats: Stats,
}

/// The driver's waker and the packets of a queue that has ended.
pub(crate) struct Ended {
    pub(crate) driver: Option<Waker>,
    _packets: VecDeque<Vec<u8>>,
}

impl Outbound {
    /// A queue of `max_bytes` bytes.
    pub(crate) fn new(config: Config, max_bytes: usize, identification: u16) -> Self {
        Self {
            max_packets: config.outbound_packets.max(1),
            max_bytes,
            packets: VecDeque::new(),
            bytes: 0,
            allocated: 0,
            has_packets: Arc::default(),
            pool: BufferPool::new(POOL_BUFFERS, POOL_CAPACITY),
            senders: WaitQueue::new(),
            driver: SingleWaker::new(),
            closed: false,
            identification,
            stats: Stats::default(),
        }
    }

    /// Whether there are packets, for a look without the cell. A packet that another thread queues
    /// at this moment may be missed; [`register_driver`](Self::register_driver) finds it.
    pub(crate) fn has_packets(&self) -> Arc<AtomicBool> {
        self.has_packets.clone()
    }

    /// The bytes that the queue has allocated: its packets, its pool and its list.
    pub(crate) fn allocated(&self) -> usize {
        self.allocated + self.packets.capacity() * size_of::<Vec<u8>>() + self.pool.allocated()
    }

    fn is_full(&self) -> bool {
        let full = self.packets.len() >= self.max_packets
            || self.bytes >= self.max_bytes
            // Short packets in long buffers.
            || self.allocated >= self.max_bytes.saturating_mul(2);
        full && !self.packets.is_empty()
    }

    /// Queues the packet that `write` writes. Returns `false` if there is no room for the packet
    /// now.
    ///
    /// A sender that comes while others wait, waits too, although there may be room. Otherwise it
    /// could take each free place, and the queue would never be half empty.
    pub(crate) fn send(
        &mut self,
        kind: Kind,
        len: usize,
        write: impl FnOnce(&mut Vec<u8>, u16) -> io::Result<()>,
    ) -> io::Result<bool> {
        if self.closed {
            return Err(StackClosed.into());
        }
        if self.is_full() || !self.senders.is_empty() {
            return Ok(false);
        }
        let mut packet = self.pool.take(len);
        if let Err(error) = write(&mut packet, self.identification) {
            self.pool.recycle(packet);
            return Err(error);
        }
        self.identification = self.identification.wrapping_add(1);
        self.push(kind, packet);
        Ok(true)
    }

    /// Queues the answer that `write` writes, unless there is no room, or no answer is permitted,
    /// or `allowed` says that the rate limit is reached. Answers do not wait.
    pub(crate) fn answer(
        &mut self,
        kind: Kind,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
        allowed: impl FnOnce() -> bool,
    ) -> io::Result<Answered> {
        if self.closed {
            return Err(StackClosed.into());
        }
        if self.is_full() {
            self.stats.answers_dropped += 1;
            return Ok(Answered::QueueFull);
        }
        let mut packet = self.pool.take(POOL_CAPACITY);
        // An answer that may not be sent takes no token.
        let outcome = if !write(&mut packet) {
            self.stats.icmp_errors_forbidden += 1;
            Answered::NotPermitted
        } else if !allowed() {
            self.stats.icmp_errors_limited += 1;
            Answered::RateLimited
        } else {
            self.push(kind, packet);
            return Ok(Answered::Queued);
        };
        self.pool.recycle(packet);
        Ok(outcome)
    }

    fn push(&mut self, kind: Kind, packet: Vec<u8>) {
        *match kind {
            Kind::EchoRequest => &mut self.stats.echo_requests_out,
            Kind::EchoReply => &mut self.stats.echo_replies_out,
            Kind::IcmpError => &mut self.stats.icmp_errors_out,
            Kind::Raw => &mut self.stats.raw_packets_out,
        } += 1;
        self.bytes += packet.len();
        self.allocated += packet.capacity();
        self.packets.push_back(packet);
        self.has_packets.store(true, Ordering::Relaxed);
    }

    /// Takes the oldest packet. Moves the waiting senders into `wakes` once half of the queue is
    /// free.
    pub(crate) fn transmit(&mut self, wakes: &mut WakeList) -> Option<Vec<u8>> {
        let packet = self.packets.pop_front();
        self.bytes -= packet.as_ref().map_or(0, Vec::len);
        self.allocated -= packet.as_ref().map_or(0, Vec::capacity);
        self.has_packets
            .store(!self.packets.is_empty(), Ordering::Relaxed);
        if self.packets.len() * 2 <= self.max_packets
            && self.bytes * 2 <= self.max_bytes
            && self.allocated <= self.max_bytes
        {
            self.senders.drain_into(wakes);
        }
        packet
    }

    /// Puts a buffer into the pool.
    pub(crate) fn recycle(&mut self, buffer: Vec<u8>) {
        if !self.closed {
            self.pool.recycle(buffer);
        }
    }

    /// Registers the driver, which the next packet wakes. Returns whether packets are in the queue
    /// already, and the waker that was replaced.
    pub(crate) fn register_driver(&mut self, waker: &Waker) -> (bool, Option<Waker>) {
        (!self.packets.is_empty(), self.driver.register(waker))
    }

    pub(crate) fn take_driver(&mut self) -> Option<Waker> {
        self.driver.take()
    }

    /// Ends the queue. Moves the waiting senders into `wakes`.
    pub(crate) fn end(&mut self, wakes: &mut WakeList) -> Ended {
        self.closed = true;
        (self.bytes, self.allocated) = (0, 0);
        self.has_packets.store(false, Ordering::Relaxed);
        self.pool.clear();
        self.senders.drain_into(wakes);
        Ended {
            driver: self.driver.take(),
            _packets: mem::take(&mut self.packets),
        }
    }
}

impl Awaited for Outbound {
    type Place = ();

    fn waiting(&mut self, (): ()) -> Option<&mut WaitQueue> {
        Some(&mut self.senders)
    }
}

/// Sends and wakes the driver, or registers the task for room. `send` returns `false` if there is
/// no room.
pub(crate) fn poll_send<F: Flavor>(
    queue: &Shared<F, Outbound>,
    key: Option<&mut WaitKey>,
    cx: &mut Context<'_>,
    send: impl FnOnce(&mut Outbound) -> io::Result<bool>,
) -> Poll<io::Result<()>> {
    let mut wakes = WakeList::new();
    let (poll, _replaced) = queue.with(|queue| match send(queue) {
        Ok(true) => {
            wakes.extend(queue.take_driver());
            (Poll::Ready(Ok(())), None)
        }
        Ok(false) => (Poll::Pending, queue.register((), key, cx, &mut wakes)),
        Err(error) => (Poll::Ready(Err(error)), None),
    });
    wakes.wake_all();
    poll
}

//! Packets for the driver.
//!
//! Nothing here wakes a task. Wakers leave in a [`WakeList`] or as return values; the caller wakes
//! them once the cell is released.

use crate::config::Config;
use crate::wait::Awaited;
use brooklet_cell::wakers::{SingleWaker, WaitKey, WaitQueue, WakeList};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::{BufferPool, StackClosed};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

/// The number of buffers in the pool, and the capacity of the largest, in bytes.
const POOL_BUFFERS: usize = 16;
const POOL_CAPACITY: usize = 2048;

#[derive(Debug)]
pub(crate) struct Outbound {
    max_packets: usize,
    max_bytes: usize,
    packets: VecDeque<Vec<u8>>,
    bytes: usize,
    pool: BufferPool,
    /// Tasks that wait for room. There is none while half of the queue is free.
    senders: WaitQueue,
    driver: SingleWaker,
    closed: bool,
    /// Whether there are packets, for a look without the cell.
    has_packets: Arc<AtomicBool>,
}

impl Outbound {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            max_packets: config.outbound_packets,
            max_bytes: config.outbound_bytes,
            packets: VecDeque::new(),
            bytes: 0,
            pool: BufferPool::new(POOL_BUFFERS, POOL_CAPACITY),
            senders: WaitQueue::new(),
            driver: SingleWaker::new(),
            closed: false,
            has_packets: Arc::default(),
        }
    }

    /// Whether there are packets, for a look without the cell. A packet that another thread queues
    /// at this moment may be missed; [`register_driver`](Self::register_driver) finds it.
    pub(crate) fn has_packets(&self) -> Arc<AtomicBool> {
        self.has_packets.clone()
    }

    /// Queues the packet that `write` writes. Returns `false` if there is no room, and then does not
    /// call `write`.
    ///
    /// With `waits`, a sender that comes while others wait, waits too, although there may be room.
    pub(crate) fn send(
        &mut self,
        waits: bool,
        write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<bool> {
        if self.closed {
            return Err(StackClosed.into());
        }
        let full = self.packets.len() >= self.max_packets || self.bytes >= self.max_bytes;
        if (full && !self.packets.is_empty()) || (waits && !self.senders.is_empty()) {
            return Ok(false);
        }
        let mut packet = self.pool.take(0);
        if let Err(error) = write(&mut packet) {
            self.pool.recycle(packet);
            return Err(error);
        }
        self.bytes += packet.len();
        self.packets.push_back(packet);
        self.has_packets.store(true, Ordering::Relaxed);
        Ok(true)
    }

    /// Takes the oldest packet. Moves the waiting senders into `wakes` once half of the queue is
    /// free.
    pub(crate) fn transmit(&mut self, wakes: &mut WakeList) -> Option<Vec<u8>> {
        let packet = self.packets.pop_front();
        self.bytes -= packet.as_ref().map_or(0, Vec::len);
        self.has_packets
            .store(!self.packets.is_empty(), Ordering::Relaxed);
        if self.packets.len() * 2 <= self.max_packets && self.bytes * 2 <= self.max_bytes {
            self.senders.drain_into(wakes);
        }
        packet
    }

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

    /// Ends the queue. Moves the waiting senders and the driver into `wakes`.
    pub(crate) fn end(&mut self, wakes: &mut WakeList) -> VecDeque<Vec<u8>> {
        self.closed = true;
        self.bytes = 0;
        self.pool.clear();
        self.senders.drain_into(wakes);
        wakes.extend(self.driver.take());
        std::mem::take(&mut self.packets)
    }
}

impl Awaited for Outbound {
    fn waiting(&mut self) -> &mut WaitQueue {
        &mut self.senders
    }
}

/// Sends and wakes the driver, or registers the task for room.
pub(crate) fn poll_send<F: Flavor>(
    queue: &Shared<F, Outbound>,
    key: Option<&mut WaitKey>,
    cx: &mut Context<'_>,
    write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
) -> Poll<io::Result<()>> {
    let mut wakes = WakeList::new();
    let (poll, _replaced) = queue.with(|queue| match queue.send(true, write) {
        Ok(true) => {
            wakes.extend(queue.take_driver());
            (Poll::Ready(Ok(())), None)
        }
        Ok(false) => (Poll::Pending, queue.register(key, cx, &mut wakes)),
        Err(error) => (Poll::Ready(Err(error)), None),
    });
    wakes.wake_all();
    poll
}

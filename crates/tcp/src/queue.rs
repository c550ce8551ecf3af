//! The state that the connections of one device queue share with its driver: outbound packets and
//! deadlines.

use crate::seq::Micros;
use crate::timers::Timers;
use brooklet_cell::wakers::{SingleWaker, WakeList};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::{PacketBuf, TxQueue};
use brooklet_packet::FlowKey;
use std::task::Waker;

/// A buffer with room for this many bytes holds any segment without data.
pub(crate) const SMALL: usize = 160;

/// The outbound queue, the deadlines and the sleeping driver of one device queue.
///
/// Any task may work on a connection; the driver sleeps until a task queues a packet or a deadline.
/// The driver looks for work and goes to sleep under one hold of the cell, so it misses nothing
/// that a task queues in between.
#[derive(Debug)]
pub(crate) struct QueueShared {
    pub(crate) tx: TxQueue<FlowKey>,
    pub(crate) timers: Timers,
    driver: SingleWaker,
    /// The time at which the timer of the sleeping driver fires.
    until: Micros,
    /// The driver has work outside of this cell.
    touched: bool,
    /// The device takes no packet and will wake the driver itself, so packets do not.
    blocked: bool,
    /// The stack takes no new connections, and ends once it has none.
    closing: bool,
    /// The stack has ended.
    gone: bool,
    /// The number of packets queued, and of packets taken by the driver, since the start.
    queued: u64,
    taken: u64,
    /// Segments retransmitted, and retransmission timeouts.
    pub(crate) retransmits: u64,
    pub(crate) timeouts: u64,
    /// SACK blocks ignored because a scoreboard was full.
    pub(crate) ignored_sacks: u64,
}

impl QueueShared {
    pub(crate) fn new(packets: usize, bytes: usize) -> Self {
        Self {
            tx: TxQueue::new(packets, bytes),
            timers: Timers::default(),
            driver: SingleWaker::new(),
            until: 0,
            touched: false,
            blocked: false,
            closing: false,
            gone: false,
            queued: 0,
            taken: 0,
            retransmits: 0,
            timeouts: 0,
            ignored_sacks: 0,
        }
    }

    /// Notes that the driver is awake. Returns its waker.
    pub(crate) fn awake(&mut self) -> Option<Waker> {
        self.driver.take()
    }

    /// Takes the oldest packet, and recycles the buffer of a packet that was sent. Returns also
    /// whether connections that wait for room can be called.
    pub(crate) fn pop(&mut self, sent: Option<PacketBuf>) -> (Option<PacketBuf>, bool) {
        if let Some(sent) = sent {
            self.tx.recycle(sent);
        }
        let packet = self.tx.pop();
        match packet {
            Some(_) => self.taken += 1,
            None => self.blocked = false, // the device has taken all of them
        }
        (packet, self.tx.callable() > 0)
    }

    /// Lets the driver sleep until `until`, unless there is work, and recycles the buffer of a packet
    /// that was sent. Returns whether the driver may
    /// sleep, and a waker that was replaced.
    pub(crate) fn sleep(
        &mut self,
        sent: Option<PacketBuf>,
        waker: &Waker,
        until: Micros,
        blocked: bool,
    ) -> (bool, Option<Waker>) {
        if let Some(sent) = sent {
            self.tx.recycle(sent);
        }
        let earlier = self.timers.next() < until;
        let touched = std::mem::take(&mut self.touched);
        let packets = !blocked && !self.tx.is_empty();
        if self.gone || touched || earlier || packets || self.tx.callable() > 0 {
            return (false, None);
        }
        self.until = until;
        self.blocked = blocked;
        (true, self.driver.register(waker))
    }

    /// Adds a deadline of a connection. Returns the driver if it sleeps beyond the deadline.
    pub(crate) fn arm(&mut self, at: Micros, key: FlowKey) -> Option<Waker> {
        self.timers.push(at, key);
        match at < self.until {
            true => self.driver.take(),
            false => None,
        }
    }

    /// Gives the driver work outside of this cell. Returns the driver if it sleeps.
    pub(crate) fn touch(&mut self) -> Option<Waker> {
        self.touched = true;
        self.driver.take()
    }

    /// Notes that the stack takes no new connections. Returns the driver if it sleeps.
    pub(crate) fn close(&mut self) -> Option<Waker> {
        self.closing = true;
        self.touch()
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether there are packets for the device, or connections that wait to send some.
    pub(crate) fn has_output(&self) -> bool {
        !self.tx.is_empty() || self.tx.is_awaited()
    }

    /// Ends the queue. Returns the driver if it sleeps.
    pub(crate) fn end(&mut self) -> Option<Waker> {
        self.gone = true;
        self.driver.take()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether the packet with this [number](TxHandle::finish) waits for a device that takes
    /// nothing. The driver has taken one such packet out of the queue.
    pub(crate) fn is_blocked(&self, number: u64) -> bool {
        self.blocked && number >= self.taken && number > 0
    }

    /// Queues a packet in the place reserved for it. Returns the driver if it sleeps.
    fn push_reserved(&mut self, packet: PacketBuf) -> Option<Waker> {
        self.tx.push_reserved(packet);
        self.queued += 1;
        self.driver_for_packet()
    }

    /// Queues a packet if there is room; otherwise it is dropped and counted. Returns the driver
    /// if it sleeps.
    pub(crate) fn push(&mut self, packet: PacketBuf) -> Option<Waker> {
        self.tx.push(packet).ok()?;
        self.queued += 1;
        self.driver_for_packet()
    }

    fn driver_for_packet(&mut self) -> Option<Waker> {
        match self.blocked {
            true => None,
            false => self.driver.take(),
        }
    }
}

/// Puts the packets of one connection into the outbound queue, during one piece of work.
///
/// The handle keeps a packet until it reserves a place for the next one, so that both take one hold
/// of the cell.
pub(crate) struct TxHandle<'a, F: Flavor> {
    queue: &'a Shared<F, QueueShared>,
    key: FlowKey,
    /// The connection has waited for room, and it is its turn.
    turn: bool,
    /// The connection is registered as waiting for room.
    pub(crate) waiting: bool,
    /// Packets and bytes sent through this handle.
    pub(crate) packets: usize,
    pub(crate) bytes: usize,
    /// A packet that is built and not queued. Its place is reserved.
    built: Option<PacketBuf>,
    /// A place and a buffer for the next packet.
    reserved: Option<PacketBuf>,
    driver: Option<Waker>,
}

impl<'a, F: Flavor> TxHandle<'a, F> {
    pub(crate) fn new(
        queue: &'a Shared<F, QueueShared>,
        key: FlowKey,
        waiting: bool,
        turn: bool,
    ) -> Self {
        Self {
            queue,
            key,
            turn,
            waiting,
            packets: 0,
            bytes: 0,
            built: None,
            reserved: None,
            driver: None,
        }
    }

    /// Reserves a place for a packet of up to `len` bytes. If there is none, or other connections
    /// wait for one, registers the connection as waiting.
    ///
    /// The check and the registration are one hold of the cell. Otherwise the driver could make
    /// room between the two and call nobody.
    pub(crate) fn reserve(&mut self, len: usize) -> bool {
        if self.reserved.is_some() {
            return true;
        }
        let built = self.built.take();
        let (turn, key, waiting) = (self.turn, self.key, &mut self.waiting);
        let (reserved, driver) = self.queue.with(|queue| {
            let mut driver = built.and_then(|packet| queue.push_reserved(packet));
            // A connection that comes while others wait, waits too, although there may be room.
            // Otherwise it could take each free place, and the queue would never be half empty.
            if (turn || !queue.tx.is_awaited()) && queue.tx.reserve() {
                return (Some(queue.tx.buffer(len)), driver);
            }
            if !std::mem::replace(waiting, true) {
                queue.tx.wait(key);
            }
            // Nobody is told when a place that was reserved is returned unused.
            if queue.tx.callable() > 0 {
                driver = queue.awake().or(driver);
            }
            (None, driver)
        });
        self.reserved = reserved;
        self.driver = driver.or_else(|| self.driver.take());
        self.reserved.is_some()
    }

    /// Builds a packet with `write` in the place that was reserved, and sends it.
    #[inline]
    pub(crate) fn send(&mut self, write: impl FnOnce(&mut PacketBuf)) {
        if let Some(mut packet) = self.reserved.take() {
            write(&mut packet);
            self.packets += 1;
            self.bytes += packet.len();
            self.built = Some(packet);
        }
    }

    /// Registers the connection as waiting: it has more to send.
    pub(crate) fn wait(&mut self) {
        if !std::mem::replace(&mut self.waiting, true) {
            let key = self.key;
            let driver = self.queue.with(|queue| {
                queue.tx.wait(key);
                match queue.tx.callable() > 0 {
                    true => queue.awake(),
                    false => None,
                }
            });
            self.driver = driver.or_else(|| self.driver.take());
        }
    }

    /// Queues the packets that were built and frees the rest of the reservation. `retransmits` of
    /// the segments that were sent are retransmissions. Returns the number of the last packet, if
    /// there was one.
    pub(crate) fn finish(mut self, retransmits: u64, wakes: &mut WakeList) -> Option<u64> {
        let (built, reserved) = (self.built.take(), self.reserved.take());
        let mut number = None;
        if built.is_some() || reserved.is_some() || self.packets > 0 {
            let driver = self.queue.with(|queue| {
                let driver = built.and_then(|packet| queue.push_reserved(packet));
                if let Some(buffer) = reserved {
                    queue.tx.unreserve();
                    queue.tx.recycle(buffer);
                }
                number = (self.packets > 0).then_some(queue.queued);
                queue.retransmits += retransmits;
                driver
            });
            wakes.extend(driver);
        }
        wakes.extend(self.driver.take());
        number
    }
}

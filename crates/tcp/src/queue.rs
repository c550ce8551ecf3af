//! What the connections of one device queue share with its driver: packets out and deadlines.

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
/// Any task may work on a connection; the driver sleeps until a task leaves a packet or a deadline
/// here. The driver looks for work and goes to sleep under one hold of the cell, so that nothing
/// can be left in between unseen.
#[derive(Debug)]
pub(crate) struct QueueShared {
    pub(crate) tx: TxQueue<FlowKey>,
    pub(crate) timers: Timers,
    driver: SingleWaker,
    /// When the sleeping driver wakes by itself.
    until: Micros,
    /// Something outside of this cell asks for the driver.
    touched: bool,
    /// The driver waits for the device, so packets are nothing to wake the driver for.
    blocked: bool,
    /// The stack has ended.
    gone: bool,
    /// Packets queued and packets taken by the driver, so far.
    queued: u64,
    taken: u64,
}

impl QueueShared {
    pub(crate) fn new(packets: usize, mtu: usize) -> Self {
        Self {
            tx: TxQueue::new(packets, packets.saturating_mul(mtu)),
            timers: Timers::default(),
            driver: SingleWaker::new(),
            until: 0,
            touched: false,
            blocked: false,
            gone: false,
            queued: 0,
            taken: 0,
        }
    }

    /// The driver is awake and will look here before it sleeps. Returns its waker.
    pub(crate) fn awake(&mut self) -> Option<Waker> {
        self.driver.take()
    }

    /// Takes the oldest packet, and puts back the buffer of one that has been sent. Says also
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

    /// Lets the driver sleep until `until`, unless there is work. Says whether it may sleep, and
    /// gives back a waker that is no longer needed.
    pub(crate) fn sleep(
        &mut self,
        waker: &Waker,
        until: Micros,
        blocked: bool,
    ) -> (bool, Option<Waker>) {
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

    /// Has the connection looked at when `at` comes. Returns the driver if it would oversleep.
    pub(crate) fn arm(&mut self, at: Micros, key: FlowKey) -> Option<Waker> {
        self.timers.push(at, key);
        match at < self.until {
            true => self.driver.take(),
            false => None,
        }
    }

    /// Asks for the driver, whatever it is doing.
    pub(crate) fn touch(&mut self) -> Option<Waker> {
        self.touched = true;
        self.driver.take()
    }

    /// Says that the stack has ended. Returns the driver if it sleeps.
    pub(crate) fn end(&mut self) -> Option<Waker> {
        self.gone = true;
        self.driver.take()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether the packet with this [number](TxHandle::finish) waits for a device that takes
    /// nothing. The driver has one such packet in its hands.
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

/// One connection's way into the outbound queue, for the length of one piece of work.
///
/// A packet stays here until the next one has found a place, so that queueing one and reserving a
/// place for the next are one hold of the cell.
pub(crate) struct TxHandle<'a, F: Flavor> {
    queue: &'a Shared<F, QueueShared>,
    key: FlowKey,
    /// The connection has waited for room, and is called.
    turn: bool,
    /// The connection is noted as waiting for room.
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

    /// Reserves a place for a packet of up to `len` bytes. Where there is none, or others wait
    /// for one, the connection is noted as waiting.
    ///
    /// Looking for room and the note are one hold of the cell: the driver makes room under the same
    /// cell, and would otherwise miss the note.
    pub(crate) fn reserve(&mut self, len: usize) -> bool {
        if self.reserved.is_some() {
            return true;
        }
        let built = self.built.take();
        let (turn, key, waiting) = (self.turn, self.key, &mut self.waiting);
        let (reserved, driver) = self.queue.with(|queue| {
            let mut driver = built.and_then(|packet| queue.push_reserved(packet));
            // A connection that comes while others wait waits too, though there may be room: else
            // it could keep the queue from ever getting as empty as the others wait for.
            if (turn || !queue.tx.is_awaited()) && queue.tx.reserve() {
                return (Some(queue.tx.buffer(len)), driver);
            }
            if !std::mem::replace(waiting, true) {
                queue.tx.wait(key);
            }
            // Places that others have reserved and not used come back without notice.
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
    pub(crate) fn send(&mut self, write: impl FnOnce(&mut PacketBuf)) {
        if let Some(mut packet) = self.reserved.take() {
            write(&mut packet);
            self.packets += 1;
            self.bytes += packet.len();
            self.built = Some(packet);
        }
    }

    /// Notes that the connection has more to send when its turn comes.
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

    /// Queues the packets that were built and frees the rest of the reservation. Returns the number
    /// of the last packet, if there was one.
    pub(crate) fn finish(mut self, wakes: &mut WakeList) -> Option<u64> {
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
                driver
            });
            wakes.extend(driver);
        }
        wakes.extend(self.driver.take());
        number
    }
}

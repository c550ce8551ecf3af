use crate::guard::Guard;
use crate::seq::Micros;
use crate::timers::Timers;
use crate::wake::Wakes;
use brooklet_cell::{Flavor, Shared};
use brooklet_device::Outbound;
use brooklet_io::{PacketBuf, TxQueue};
use brooklet_packet::FlowKey;
use std::task::Waker;
use std::time::Instant;

/// What the connections of a queue hand to its driver: packets and deadlines.
///
/// A connection may be worked on by any task; the driver sleeps until one of them has left
/// something here. The driver looks and goes to sleep under one hold of the cell, so that
/// nothing can be left in between unseen.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) queue: TxQueue<FlowKey>,
    pub(crate) timers: Timers,
    driver: Option<Waker>,
    /// When the sleeping driver will wake by itself.
    until: Option<Instant>,
    /// Something outside of this cell asks for the driver.
    touched: bool,
    /// The driver waits for the device, so packets are nothing to wake it for.
    blocked: bool,
    /// The stack has ended.
    gone: bool,
}

impl Hub {
    pub(crate) fn new(packets: usize, mtu: usize) -> Self {
        Self {
            queue: TxQueue::new(packets, packets.saturating_mul(mtu)),
            timers: Timers::default(),
            driver: None,
            until: None,
            touched: false,
            blocked: false,
            gone: false,
        }
    }

    /// The driver is awake and will look here before it sleeps.
    pub(crate) fn awake(&mut self) -> Option<Waker> {
        self.driver.take()
    }

    /// Takes the oldest packet, and the buffer of one that has been sent. Says also whether
    /// connections that wait for room can be called.
    pub(crate) fn pop(&mut self, spent: Option<PacketBuf>) -> (Option<PacketBuf>, bool) {
        if let Some(spent) = spent {
            self.queue.recycle(spent);
        }
        (self.queue.pop(), self.queue.callable() > 0)
    }

    /// Lets the driver sleep until `until`, unless there is something for it to do. Says whether
    /// it may sleep, and gives back a waker that is no longer needed.
    pub(crate) fn sleep(
        &mut self,
        waker: &Waker,
        until: Option<Instant>,
        blocked: bool,
    ) -> (bool, Option<Waker>) {
        let earlier = match (self.timers.next(), until) {
            (Some(next), Some(until)) => next < until,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let touched = std::mem::take(&mut self.touched);
        let packets = !blocked && !self.queue.is_empty();
        if self.gone || touched || earlier || packets || self.queue.callable() > 0 {
            return (false, None);
        }
        self.until = until;
        self.blocked = blocked;
        match &self.driver {
            Some(driver) if driver.will_wake(waker) => (true, None),
            _ => (true, self.driver.replace(waker.clone())),
        }
    }

    /// Has the connection looked at when `at` comes. Returns the driver if it would oversleep.
    pub(crate) fn arm(&mut self, at: Instant, key: FlowKey) -> Option<Waker> {
        self.timers.push(at, key);
        if self.until.is_none_or(|until| at < until) {
            self.driver.take()
        } else {
            None
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

    /// Queues a packet, in the place reserved for it, or if there is room; otherwise it is
    /// counted as refused. Returns the driver if it sleeps.
    pub(crate) fn push(&mut self, packet: PacketBuf, reserved: bool) -> Option<Waker> {
        if reserved {
            self.queue.push_reserved(packet);
        } else if self.queue.push(packet).is_err() {
            return None;
        }
        if self.blocked {
            None
        } else {
            self.driver.take()
        }
    }
}

/// One connection's way to the outbound queue, for the length of one call.
pub(crate) struct Port<'a, F: Flavor> {
    pub(crate) hub: &'a Shared<F, Hub>,
    pub(crate) guard: &'a mut Guard,
    pub(crate) now: Micros,
    pub(crate) key: FlowKey,
    /// The connection is noted as waiting for room.
    pub(crate) waiting: &'a mut bool,
    pub(crate) wakes: &'a mut Wakes,
    /// Bytes of the packets that have been sent through it.
    pub(crate) sent: usize,
    /// The connection has waited and is called.
    pub(crate) turn: bool,
    /// There is a place in the queue for the next packet.
    pub(crate) reserved: bool,
    /// A buffer for it, taken in the same hold of the cell as its place.
    pub(crate) spare: Option<PacketBuf>,
}

impl<F: Flavor> Port<'_, F> {
    /// Notes that the connection has more to send when its turn comes.
    pub(crate) fn wait(&mut self) {
        if !std::mem::replace(self.waiting, true) {
            let driver = self.hub.with(|hub| {
                hub.queue.wait(self.key);
                if hub.queue.callable() > 0 {
                    hub.awake()
                } else {
                    None
                }
            });
            self.wakes.extend(driver);
        }
    }
}

impl<F: Flavor> Port<'_, F> {
    /// Sends a packet in the place that was reserved for it, or if there is room.
    pub(crate) fn send(&mut self, packet: PacketBuf) {
        self.sent += packet.len();
        let reserved = std::mem::take(&mut self.reserved);
        let driver = self.hub.with(|hub| hub.push(packet, reserved));
        self.wakes.extend(driver);
    }
}

impl<F: Flavor> Outbound for &mut Port<'_, F> {
    // Looking for room and noting that there is none are one hold of the cell: the driver makes
    // room under the same cell, and would otherwise miss the note.
    fn reserve(&mut self) -> bool {
        if !self.reserved {
            let (hub, key) = (self.hub, self.key);
            let waiting = &mut *self.waiting;
            let (turn, spare) = (self.turn, &mut self.spare);
            let (reserved, driver) = hub.with(|hub| {
                // Whoever comes while others wait waits too, though there may be room: else it could
                // keep the queue from ever getting as empty as those are waiting for.
                let reserved = (turn || !hub.queue.is_awaited()) && hub.queue.reserve();
                if reserved && spare.is_none() {
                    *spare = Some(hub.queue.buffer(TxQueue::<FlowKey>::SMALL));
                }
                if !reserved && !std::mem::replace(waiting, true) {
                    hub.queue.wait(key);
                }
                // Places that others have reserved and do not use come back without a word.
                let call = !reserved && hub.queue.callable() > 0;
                (reserved, if call { hub.awake() } else { None })
            });
            self.reserved = reserved;
            self.wakes.extend(driver);
        }
        self.reserved
    }

    fn buffer(&mut self, len: usize) -> PacketBuf {
        let spare = self.spare.take_if(|_| len <= TxQueue::<FlowKey>::SMALL);
        spare.unwrap_or_else(|| self.hub.with(|hub| hub.queue.buffer(len)))
    }

    fn push(&mut self, mut packet: PacketBuf) {
        self.guard.sent(self.now, &mut packet);
        self.send(packet);
    }
}

impl<F: Flavor> Drop for Port<'_, F> {
    fn drop(&mut self) {
        if self.reserved || self.spare.is_some() {
            self.hub.with(|hub| {
                if self.reserved {
                    hub.queue.unreserve();
                }
                if let Some(spare) = self.spare.take() {
                    hub.queue.recycle(spare);
                }
            });
        }
    }
}

//! Packets for one queue of the device.
//!
//! Nothing here wakes a task. Wakers and values of the application leave in a [`WakeList`] or as
//! return values; the caller wakes and drops them once the cell is released.

use crate::{config::Config, error::SendError, interface::Interface, stats::Stats, wait::Awaited};
use brooklet_cell::wakers::{SingleWaker, WaitQueue, WakeList};
use brooklet_io::{BufferPool, StackClosed};
use brooklet_packet::{WriteError, udp};
use std::{collections::VecDeque, io, mem, net::SocketAddr, task::Waker};

/// The number of buffers in the pool, and the capacity of the largest, in bytes.
const POOL_BUFFERS: usize = 64;
const POOL_CAPACITY: usize = 2048;

/// The length of an IPv6 and a UDP header, in bytes.
const HEADERS: usize = 40 + 8;

pub(crate) struct Outbound {
    interface: Interface,
    config: Config,
    packets: VecDeque<Vec<u8>>,
    pool: BufferPool,
    /// Tasks that wait for room. There is none while half of the queue is free.
    senders: WaitQueue,
    driver: SingleWaker,
    pub(crate) closed: bool,
    pub(crate) stats: Stats,
}

/// What remains of a queue that has ended.
pub(crate) struct Ended {
    pub(crate) driver: Option<Waker>,
    _packets: VecDeque<Vec<u8>>,
}

impl Outbound {
    pub(crate) fn new(interface: Interface, config: Config) -> Self {
        Self {
            interface,
            config,
            packets: VecDeque::new(),
            pool: BufferPool::new(POOL_BUFFERS, POOL_CAPACITY),
            senders: WaitQueue::new(),
            driver: SingleWaker::new(),
            closed: false,
            stats: Stats::default(),
        }
    }

    /// Writes a packet for the driver. Returns `false` if there is no room for the packet now.
    ///
    /// A sender that comes while others wait, waits too, although there may be room. Otherwise it
    /// could take each free place, and the queue would never be half empty.
    pub(crate) fn send(
        &mut self,
        payload: &[u8],
        from: SocketAddr,
        to: SocketAddr,
    ) -> io::Result<bool> {
        let Interface { mtu, ipv6 } = self.interface;
        let Config {
            hop_limit,
            outbound_packets,
            ..
        } = self.config;
        let limit = udp::max_payload(mtu, to.is_ipv6());
        let too_long = SendError::TooLong {
            len: payload.len(),
            limit,
            mtu,
        };
        if from.is_ipv6() != to.is_ipv6() {
            return Err(SendError::Families { from, to }.into());
        }
        if to.is_ipv6() && !ipv6 {
            return Err(SendError::NoIpv6 { to }.into());
        }
        if payload.len() > limit {
            return Err(too_long.into());
        }
        if self.closed {
            return Err(StackClosed.into());
        }
        if self.packets.len() >= outbound_packets || !self.senders.is_empty() {
            return Ok(false);
        }
        let mut packet = self.pool.take(payload.len() + HEADERS);
        if let Err(error) = udp::write(&mut packet, from, to, hop_limit, payload) {
            self.recycle(packet);
            return Err(match error {
                WriteError::Families => SendError::Families { from, to }.into(),
                _ => too_long.into(),
            });
        }
        self.packets.push_back(packet);
        self.stats.datagrams_out += 1;
        self.stats.bytes_out += payload.len() as u64;
        Ok(true)
    }

    /// Takes the oldest packet. Moves the waiting senders into `wakes` once half of the queue is
    /// free.
    pub(crate) fn transmit(&mut self, wakes: &mut WakeList) -> Option<Vec<u8>> {
        let packet = self.packets.pop_front();
        if self.packets.len() * 2 <= self.config.outbound_packets {
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

    /// Registers the driver, which the next [`send`](Self::send) wakes. Returns whether packets are
    /// in the queue already, and the waker that was replaced.
    pub(crate) fn register_driver(&mut self, waker: &Waker) -> (bool, Option<Waker>) {
        (!self.packets.is_empty(), self.driver.register(waker))
    }

    pub(crate) fn take_driver(&mut self) -> Option<Waker> {
        self.driver.take()
    }

    /// Ends the queue. Moves the waiting senders into `wakes`.
    pub(crate) fn end(&mut self, wakes: &mut WakeList) -> Ended {
        self.closed = true;
        self.pool.clear();
        self.senders.drain_into(wakes);
        Ended {
            driver: self.driver.take(),
            _packets: mem::take(&mut self.packets),
        }
    }
}

impl Awaited for Outbound {
    fn waiting(&mut self) -> &mut WaitQueue {
        &mut self.senders
    }
}

#[cfg(test)]
#[cfg(any(feature = "sync", feature = "local"))]
impl Outbound {
    /// Buffers in the pool.
    pub(crate) fn pooled(&self) -> usize {
        self.pool.len()
    }
}

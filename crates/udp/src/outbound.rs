//! Packets on their way to one queue of the device.
//!
//! Nothing here wakes: the wakers to wake and the values to drop are returned, for the caller to
//! deal with once the cell is released.

use crate::buffer_pool::BufferPool;
use crate::shared::Waiting;
use crate::wakers::{WakerList, Woken};
use crate::{Config, Interface, SendError, StackClosed, Stats};
use brooklet_packet::{WriteError, udp};
use std::{collections::VecDeque, io, mem, net::SocketAddr, task::Waker};

pub(crate) struct Outbound {
    interface: Interface,
    config: Config,
    packets: VecDeque<Vec<u8>>,
    buffers: BufferPool,
    /// Empty whenever half of the queue is free.
    pub(crate) senders: WakerList,
    driver: Option<Waker>,
    pub(crate) closed: bool,
    pub(crate) stats: Stats,
}

/// What the end leaves.
pub(crate) struct Ended {
    pub(crate) senders: Woken,
    pub(crate) driver: Option<Waker>,
    _packets: VecDeque<Vec<u8>>,
}

impl Outbound {
    pub(crate) fn new(interface: Interface, config: Config) -> Self {
        Self {
            interface,
            config,
            packets: VecDeque::new(),
            buffers: BufferPool::default(),
            senders: WakerList::default(),
            driver: None,
            closed: false,
            stats: Stats::default(),
        }
    }

    /// Writes a packet for the driver; `false` when there is no room for it now.
    ///
    /// A sender that comes while others wait waits too, though there may be room: else it could
    /// keep the queue from ever getting as empty as those are waiting for.
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
        // What an IPv6 and a UDP header take.
        let mut packet = self.buffers.buffer(payload.len() + 48);
        if let Err(why) = udp::write(&mut packet, from, to, hop_limit, payload) {
            self.recycle(packet);
            return Err(match why {
                WriteError::Families => SendError::Families { from, to }.into(),
                _ => too_long.into(),
            });
        }
        self.packets.push_back(packet);
        self.stats.datagrams_out += 1;
        self.stats.bytes_out += payload.len() as u64;
        Ok(true)
    }

    /// Takes the oldest packet.
    pub(crate) fn transmit(&mut self) -> (Option<Vec<u8>>, Woken) {
        let packet = self.packets.pop_front();
        let roomy = self.packets.len() * 2 <= self.config.outbound_packets;
        (
            packet,
            if roomy {
                self.senders.take()
            } else {
                Woken::default()
            },
        )
    }

    /// Keeps a buffer for later packets.
    pub(crate) fn recycle(&mut self, buffer: Vec<u8>) {
        if !self.closed {
            self.buffers.recycle(buffer);
        }
    }

    /// Notes who is to be woken by the next [`send`](Self::send). Returns whether something waits
    /// already, and the waker replaced.
    pub(crate) fn set_driver(&mut self, waker: &Waker) -> (bool, Option<Waker>) {
        let waiting = !self.packets.is_empty();
        match &self.driver {
            Some(known) if known.will_wake(waker) => (waiting, None),
            _ => (waiting, self.driver.replace(waker.clone())),
        }
    }

    pub(crate) fn take_driver(&mut self) -> Option<Waker> {
        self.driver.take()
    }

    /// Ends everything.
    pub(crate) fn end(&mut self) -> Ended {
        self.closed = true;
        self.buffers = BufferPool::default();
        Ended {
            senders: self.senders.take(),
            driver: self.driver.take(),
            _packets: mem::take(&mut self.packets),
        }
    }
}

impl Waiting for Outbound {
    fn waiting(&mut self) -> &mut WakerList {
        &mut self.senders
    }
}

#[cfg(test)]
#[cfg(any(feature = "sync", feature = "local"))]
impl Outbound {
    /// Buffers kept for later.
    pub(crate) fn buffers(&self) -> usize {
        self.buffers.len()
    }
}

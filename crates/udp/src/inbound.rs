//! Datagrams for the application, from every queue of the device.
//!
//! Nothing here wakes a task. Wakers and values of the application leave in a [`WakeList`] or as
//! return values; the caller wakes and drops them once the cell is released.

use crate::{
    config::Config,
    datagram::Datagram,
    received::Received,
    sources::{Room, Sources},
    stats::Stats,
    wait::Awaited,
};
use brooklet_cell::wakers::{WaitQueue, WakeList};
use brooklet_io::BufferPool;
use brooklet_packet::{Packet, Protocol};
use std::{collections::VecDeque, mem, net::SocketAddr};

/// The number of buffers in the pool, and the capacity of the largest, in bytes.
const POOL_BUFFERS: usize = 64;
const POOL_CAPACITY: usize = 2048;

pub(crate) struct Inbound {
    config: Config,
    datagrams: VecDeque<Datagram>,
    bytes: usize,
    sources: Sources,
    pool: BufferPool,
    readers: WaitQueue,
    handles: usize,
    pub(crate) closed: bool,
    pub(crate) stats: Stats,
}

/// Whether a read removes the datagram.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    Yes,
    No,
}

impl Inbound {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            datagrams: VecDeque::new(),
            bytes: 0,
            sources: Sources::default(),
            pool: BufferPool::new(POOL_BUFFERS, POOL_CAPACITY),
            readers: WaitQueue::new(),
            handles: 0,
            closed: false,
            stats: Stats::default(),
        }
    }

    /// Queues the datagram in `packet`, and moves the waiting readers into `wakes`.
    pub(crate) fn receive(&mut self, packet: &Packet<'_>, wakes: &mut WakeList) -> Received {
        let whole = packet.protocol() == Protocol::Udp && packet.fragment().is_none();
        if !whole || self.closed {
            self.stats.dropped_other += 1;
            return Received::Dropped;
        }
        if self.handles == 0 {
            self.stats.no_listener += 1;
            return Received::NoListener;
        }
        let bytes = packet.payload();
        let free = Room {
            packets: self.config.inbound_packets - self.datagrams.len(),
            bytes: self.config.inbound_bytes - self.bytes,
        };
        if free.packets == 0 || bytes.len() > free.bytes {
            self.stats.dropped_full += 1;
            return Received::Dropped;
        }
        let (from, to) = (packet.key().source(), packet.key().destination());
        if !self.sources.add(from, bytes.len(), free) {
            self.stats.dropped_source += 1;
            return Received::Dropped;
        }
        let mut payload = self.pool.take(bytes.len());
        payload.extend_from_slice(bytes);
        self.datagrams.push_back(Datagram { payload, from, to });
        self.bytes += bytes.len();
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += bytes.len() as u64;
        self.readers.drain_into(wakes);
        Received::Queued
    }

    /// Whether half of the queue is taken, in packets or in bytes.
    pub(crate) fn is_half_full(&self) -> bool {
        self.datagrams.len() >= self.config.inbound_packets.div_ceil(2)
            || self.bytes > self.config.inbound_bytes / 2
    }

    /// Copies the oldest datagram into `buf`, as much of it as fits.
    pub(crate) fn read_into(
        &mut self,
        buf: &mut [u8],
        take: Take,
    ) -> Option<(usize, SocketAddr, SocketAddr)> {
        let Datagram { payload, from, to } = self.datagrams.front()?;
        let len = payload.len().min(buf.len());
        buf[..len].copy_from_slice(&payload[..len]);
        let read = (len, *from, *to);
        if take == Take::Yes
            && let Some(datagram) = self.read()
            && !self.closed
        {
            self.pool.recycle(datagram.payload);
        }
        Some(read)
    }

    /// Takes the oldest datagram.
    pub(crate) fn read(&mut self) -> Option<Datagram> {
        let datagram = self.datagrams.pop_front()?;
        self.bytes -= datagram.payload.len();
        self.sources.remove(datagram.from, datagram.payload.len());
        Some(datagram)
    }

    /// Ends the queue; the datagrams in it can still be read. Moves the waiting readers into
    /// `wakes`.
    pub(crate) fn end(&mut self, wakes: &mut WakeList) {
        self.closed = true;
        self.pool.clear();
        self.readers.drain_into(wakes);
    }

    /// Counts one more handle that reads.
    pub(crate) fn add_reader(&mut self) {
        self.handles += 1;
    }

    /// Drops a handle that reads. With the last of them go the datagrams, which are returned.
    pub(crate) fn remove_reader(&mut self) -> VecDeque<Datagram> {
        self.handles -= 1;
        if self.handles > 0 {
            return VecDeque::new();
        }
        self.bytes = 0;
        self.sources.clear();
        mem::take(&mut self.datagrams)
    }
}

impl Awaited for Inbound {
    fn waiting(&mut self) -> &mut WaitQueue {
        &mut self.readers
    }
}

#[cfg(test)]
#[cfg(any(feature = "sync", feature = "local"))]
impl Inbound {
    /// Datagrams, bytes and sources in the queue.
    pub(crate) fn queued(&self) -> (usize, usize, usize) {
        (self.datagrams.len(), self.bytes, self.sources.len())
    }

    /// Buffers in the pool.
    pub(crate) fn pooled(&self) -> usize {
        self.pool.len()
    }
}

//! Datagrams on their way to the application, from every queue of the device.
//!
//! Nothing here wakes: the wakers to wake and the values to drop are returned, for the caller to
//! deal with once the cell is released.

use crate::buffer_pool::BufferPool;
use crate::shared::Waiting;
use crate::wakers::{WakerList, Woken};
use crate::{Config, Datagram, Received, Stats};
use brooklet_packet::{Packet, Protocol};
use std::{collections::VecDeque, mem, net::SocketAddr};

pub(crate) struct Inbound {
    config: Config,
    datagrams: VecDeque<Datagram>,
    bytes: usize,
    buffers: BufferPool,
    pub(crate) readers: WakerList,
    handles: usize,
    pub(crate) closed: bool,
    pub(crate) stats: Stats,
}

/// Whether reading a datagram takes it.
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
            buffers: BufferPool::default(),
            readers: WakerList::default(),
            handles: 0,
            closed: false,
            stats: Stats::default(),
        }
    }

    /// Queues the datagram in `packet` for whoever reads.
    pub(crate) fn receive(&mut self, packet: &Packet<'_>) -> (Received, Woken) {
        let refuse = |received| (received, Woken::default());
        let whole = packet.protocol() == Protocol::Udp && packet.fragment().is_none();
        if !whole || self.closed {
            self.stats.dropped_other += 1;
            return refuse(Received::Dropped);
        }
        if self.handles == 0 {
            self.stats.no_listener += 1;
            return refuse(Received::NoListener);
        }
        let bytes = packet.payload();
        let room = self.datagrams.len() < self.config.inbound_packets
            && bytes.len() <= self.config.inbound_bytes - self.bytes;
        if !room {
            self.stats.dropped_full += 1;
            return refuse(Received::Dropped);
        }
        let mut payload = self.buffers.buffer(bytes.len());
        payload.extend_from_slice(bytes);
        let key = packet.key();
        self.datagrams.push_back(Datagram {
            payload,
            from: key.source(),
            to: key.destination(),
        });
        self.bytes += bytes.len();
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += bytes.len() as u64;
        (Received::Queued, self.readers.take())
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
            self.buffers.recycle(datagram.payload);
        }
        Some(read)
    }

    /// Takes the oldest datagram.
    pub(crate) fn read(&mut self) -> Option<Datagram> {
        let datagram = self.datagrams.pop_front()?;
        self.bytes -= datagram.payload.len();
        Some(datagram)
    }

    /// Ends everything, but that what is queued can still be read. Returns who waits for more.
    pub(crate) fn end(&mut self) -> Woken {
        self.closed = true;
        self.buffers = BufferPool::default();
        self.readers.take()
    }

    pub(crate) fn add_reader(&mut self) {
        self.handles += 1;
    }

    /// A reading handle is gone. With the last of them go the datagrams nobody can read any more,
    /// returned for dropping.
    pub(crate) fn remove_reader(&mut self) -> VecDeque<Datagram> {
        self.handles -= 1;
        if self.handles > 0 {
            return VecDeque::new();
        }
        self.bytes = 0;
        mem::take(&mut self.datagrams)
    }
}

impl Waiting for Inbound {
    fn waiting(&mut self) -> &mut WakerList {
        &mut self.readers
    }
}

#[cfg(test)]
#[cfg(any(feature = "sync", feature = "local"))]
impl Inbound {
    /// Datagrams and bytes that wait for a reader.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.datagrams.len(), self.bytes)
    }

    /// Buffers kept for later.
    pub(crate) fn buffers(&self) -> usize {
        self.buffers.len()
    }
}

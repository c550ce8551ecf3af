//! Bounded queues of datagrams for the application.

use crate::ledger::Ledger;
use crate::{datagram::Datagram, flow_error::FlowError, stats::Stats};
use brooklet_cell::wakers::WaitQueue;
use brooklet_io::BufferPool;
use brooklet_packet::{SourceShares, TrafficClass};
use std::{collections::VecDeque, net::SocketAddr, num::NonZeroU16};

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    pub(crate) packets: usize,
    pub(crate) bytes: usize,
}

/// A datagram, or a batch of datagrams, that arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) hop_limit: u8,
    pub(crate) traffic_class: TrafficClass,
    pub(crate) dont_fragment: bool,
    /// The length of each datagram of a batch.
    pub(crate) gso_size: Option<NonZeroU16>,
}

impl Incoming<'_> {
    /// The length of the longest datagram.
    pub(crate) fn longest(&self) -> usize {
        let len = self.payload.len();
        self.gso_size.map_or(len, |size| len.min(size.get().into()))
    }

    /// The number of datagrams.
    pub(crate) fn count(&self) -> usize {
        match self.gso_size {
            Some(size) => self.payload.len().div_ceil(size.get().into()).max(1),
            None => 1,
        }
    }

    #[inline]
    fn datagram(&self, payload: Vec<u8>, segment_size: Option<NonZeroU16>) -> Datagram {
        Datagram {
            payload,
            from: self.from,
            to: self.to,
            hop_limit: Some(self.hop_limit),
            traffic_class: self.traffic_class,
            dont_fragment: self.dont_fragment,
            segment_size,
        }
    }
}

/// What became of an arrival.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Queued {
    /// Whether a datagram is in the queue.
    pub(crate) any: bool,
    /// Whether the arrival has filled the first half of the queue.
    pub(crate) congested: bool,
}

/// Datagrams of one receiver.
pub(crate) struct Queue {
    pub(crate) limit: Room,
    /// Whether batches stay whole.
    pub(crate) gro: bool,
    pub(crate) readers: WaitQueue,
    /// The ICMP error that the next call reports.
    pub(crate) error: Option<Box<FlowError>>,
    datagrams: VecDeque<Datagram>,
    bytes: usize,
    /// Where the queue counts what it has on the heap, without the wakers of its readers.
    ledger: Ledger,
    /// What the owner of the queue has on the heap.
    held: usize,
}

/// The first datagram of a queue makes room for this many.
const LEAST_ROOM: usize = 4;

/// A queue that has become empty keeps room for this many datagrams while memory runs short.
const KEEP: usize = 16;

impl Queue {
    pub(crate) fn new(limit: Room, gro: bool, ledger: &Ledger) -> Self {
        Self {
            limit,
            gro,
            readers: WaitQueue::new(),
            error: None,
            datagrams: VecDeque::new(),
            bytes: 0,
            ledger: ledger.clone(),
            held: 0,
        }
    }

    /// Counts memory of the owner of the queue, until the queue is dropped.
    pub(crate) fn hold(&mut self, bytes: usize) {
        self.held += bytes;
        self.ledger.add(bytes);
    }

    /// Queues what fits and what `admit` lets in, which is told the length of each datagram and the
    /// room that is free.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        incoming: &Incoming<'_>,
        pool: &mut BufferPool,
        stats: &mut Stats,
        mut admit: impl FnMut(usize, Room) -> bool,
    ) -> Queued {
        let before = self.is_half_full();
        let any = match incoming.gso_size {
            Some(size) if incoming.payload.len() > size.get().into() => {
                self.receive_batch(incoming, size, pool, stats, &mut admit)
            }
            _ => self.receive_one(incoming, incoming.payload, None, pool, stats, &mut admit),
        };
        Queued {
            any,
            congested: !before && self.is_half_full(),
        }
    }

    /// Queues one datagram, or a batch as a whole. Returns whether it is in the queue.
    // Inlined into the two callers, so that a datagram is built where it is queued.
    #[inline(always)]
    fn receive_one(
        &mut self,
        incoming: &Incoming<'_>,
        payload: &[u8],
        segment_size: Option<NonZeroU16>,
        pool: &mut BufferPool,
        stats: &mut Stats,
        admit: &mut impl FnMut(usize, Room) -> bool,
    ) -> bool {
        let free = self.free();
        let cost = payload.len() + size_of::<Datagram>();
        let has_memory = self.ledger.has_room(cost);
        if free.packets == 0 || payload.len() > free.bytes || !has_memory {
            stats.dropped_full += 1;
            return false;
        }
        if !admit(payload.len(), free) {
            stats.dropped_source += 1;
            return false;
        }
        let mut buffer = pool.take(payload.len());
        buffer.extend_from_slice(payload);
        self.bytes += payload.len();
        self.ledger.add(buffer.capacity());
        if self.datagrams.len() == self.datagrams.capacity() {
            self.grow();
        }
        self.datagrams
            .push_back(incoming.datagram(buffer, segment_size));
        stats.datagrams_in += 1;
        stats.bytes_in += payload.len() as u64;
        true
    }

    /// Queues the datagrams of a batch, as one if the reader asked for that. Returns whether any is
    /// in the queue. Apart from [`receive`](Self::receive), whose usual case is one datagram.
    #[inline(never)]
    fn receive_batch(
        &mut self,
        incoming: &Incoming<'_>,
        size: NonZeroU16,
        pool: &mut BufferPool,
        stats: &mut Stats,
        admit: &mut impl FnMut(usize, Room) -> bool,
    ) -> bool {
        if self.gro {
            return self.receive_one(incoming, incoming.payload, Some(size), pool, stats, admit);
        }
        let mut any = false;
        for payload in incoming.payload.chunks(size.get().into()) {
            any |= self.receive_one(incoming, payload, None, pool, stats, admit);
        }
        any
    }

    /// Makes room for more datagrams.
    #[cold]
    fn grow(&mut self) {
        let before = self.datagrams.capacity();
        self.datagrams.reserve(before.max(LEAST_ROOM));
        let more = self.datagrams.capacity() - before;
        self.ledger.add(more * size_of::<Datagram>());
    }

    pub(crate) fn front(&self) -> Option<&Datagram> {
        self.datagrams.front()
    }

    /// Takes the oldest datagram.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Datagram> {
        // Before the datagram is taken out, so that it is moved only once.
        let payload = &self.datagrams.front()?.payload;
        self.bytes -= payload.len();
        self.ledger.subtract(payload.capacity());
        if self.datagrams.len() == 1 && self.datagrams.capacity() > KEEP {
            return self.pop_last();
        }
        self.datagrams.pop_front()
    }

    /// The same for the last datagram of a long queue.
    #[inline(never)]
    fn pop_last(&mut self) -> Option<Datagram> {
        let last = self.datagrams.pop_front();
        if self.ledger.is_half_full() {
            self.release();
        }
        last
    }

    /// Frees the memory of a queue that is empty.
    pub(crate) fn release(&mut self) {
        if self.datagrams.is_empty() {
            self.clear();
        }
    }

    /// Takes all datagrams out.
    fn clear(&mut self) -> VecDeque<Datagram> {
        let datagrams = std::mem::take(&mut self.datagrams);
        let payload = datagrams.iter().map(|datagram| datagram.payload.capacity());
        let list = datagrams.capacity() * size_of::<Datagram>();
        self.ledger.subtract(payload.sum::<usize>() + list);
        self.bytes = 0;
        datagrams
    }

    /// The bytes of payload in the queue.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn free(&self) -> Room {
        Room {
            packets: self.limit.packets.saturating_sub(self.datagrams.len()),
            bytes: self.limit.bytes.saturating_sub(self.bytes),
        }
    }

    /// Whether half of the queue is taken, in datagrams or in bytes.
    fn is_half_full(&self) -> bool {
        self.datagrams.len() >= self.limit.packets.div_ceil(2) || self.bytes > self.limit.bytes / 2
    }
}

/// A queue that limits the share of each source.
impl Drop for Queue {
    fn drop(&mut self) {
        self.clear();
        self.ledger.subtract(self.held);
    }
}

pub(crate) struct SharedQueue {
    pub(crate) queue: Queue,
    sources: SourceShares,
}

impl SharedQueue {
    pub(crate) fn new(limit: Room, ledger: &Ledger) -> Self {
        Self {
            queue: Queue::new(limit, false, ledger),
            sources: SourceShares::new(),
        }
    }

    #[inline]
    pub(crate) fn receive(
        &mut self,
        incoming: &Incoming<'_>,
        pool: &mut BufferPool,
        stats: &mut Stats,
    ) -> Queued {
        let sources = &mut self.sources;
        self.queue.receive(incoming, pool, stats, |len, free| {
            sources.add(incoming.from.ip(), len, free.packets, free.bytes)
        })
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Datagram> {
        let datagram = self.queue.pop()?;
        self.sources
            .remove(datagram.from.ip(), datagram.payload.len());
        Some(datagram)
    }

    /// Removes all datagrams and returns them.
    pub(crate) fn clear(&mut self) -> VecDeque<Datagram> {
        self.sources.clear();
        self.queue.clear()
    }
}

#[cfg(test)]
#[cfg(any(feature = "sync", feature = "local"))]
impl SharedQueue {
    /// Datagrams, bytes and sources in the queue.
    pub(crate) fn queued(&self) -> (usize, usize, usize) {
        let Queue {
            datagrams, bytes, ..
        } = &self.queue;
        (datagrams.len(), *bytes, self.sources.len())
    }
}

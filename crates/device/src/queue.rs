use crate::PacketBuf;
use brooklet_packet::FlowKey;
use std::collections::VecDeque;

/// Spare buffers that are kept for later packets: small ones, and large ones, which have room for
/// any packet.
const SPARES: usize = 128;
const LARGE_SPARES: usize = 16;
const LARGE: usize = 65_575;

/// The packets on their way to the device, bounded in number and in bytes, and the buffers they
/// travel in.
///
/// A flow that finds the queue full is noted and called again, in the order of asking, once half
/// of the room is free: [`push`](Self::push) never takes a packet beyond the bound, and no packet
/// of a flow is lost for want of room. A packet for which there is a place is taken whatever its
/// length, so that the bytes may go over their bound by the last ones.
///
/// Plain owned data: whoever shares it puts it into a cell.
#[derive(Debug)]
pub struct TxQueue {
    packets: VecDeque<PacketBuf>,
    bytes: usize,
    spares: Vec<PacketBuf>,
    large_spares: Vec<PacketBuf>,
    waiting: VecDeque<FlowKey>,
    limit: usize,
    byte_limit: usize,
    /// Places promised to packets that are being built.
    reserved: usize,
    refused: u64,
}

/// The outbound queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

impl std::fmt::Display for QueueFull {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the outbound queue is full")
    }
}

impl std::error::Error for QueueFull {}

impl TxQueue {
    /// Bytes of the longest packet that is built in a small buffer.
    pub const SMALL: usize = 2048;

    /// Makes a queue that takes packets while it has fewer than `limit` (at least 2) and fewer
    /// than `bytes` bytes.
    pub fn new(limit: usize, bytes: usize) -> Self {
        Self {
            packets: VecDeque::new(),
            bytes: 0,
            spares: Vec::new(),
            large_spares: Vec::new(),
            waiting: VecDeque::new(),
            limit: limit.max(2),
            byte_limit: bytes.max(1),
            reserved: 0,
            refused: 0,
        }
    }

    /// Packets waiting to be sent.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Whether one more packet fits, beside those that have a place reserved.
    pub fn has_room(&self) -> bool {
        self.packets.len() + self.reserved < self.limit && self.bytes < self.byte_limit
    }

    /// Reserves a place for a packet that is about to be built, if there is one: others may fill
    /// the queue meanwhile. Give it up with [`push_reserved`](Self::push_reserved) or
    /// [`unreserve`](Self::unreserve).
    pub fn reserve(&mut self) -> bool {
        let room = self.has_room();
        self.reserved += usize::from(room);
        room
    }

    /// Gives a reserved place back.
    pub fn unreserve(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Queues `packet` in the place reserved for it.
    pub fn push_reserved(&mut self, packet: PacketBuf) {
        self.unreserve();
        self.queue(packet);
    }

    fn queue(&mut self, packet: PacketBuf) {
        self.bytes += packet.len();
        self.packets.push_back(packet);
    }

    /// An empty buffer to build a packet of `len` bytes in.
    pub fn buffer(&mut self, len: usize) -> PacketBuf {
        match len {
            0..=Self::SMALL => self.spares.pop().unwrap_or_default(),
            _ => match self.large_spares.pop() {
                Some(spare) => spare,
                None => PacketBuf::with_capacity(len.max(LARGE)),
            },
        }
    }

    /// Takes a buffer back when its packet has been sent, or was never built.
    pub fn recycle(&mut self, buffer: PacketBuf) {
        let (spares, most) = match buffer.capacity() {
            0..=Self::SMALL => (&mut self.spares, SPARES),
            LARGE.. => (&mut self.large_spares, LARGE_SPARES),
            _ => return, // neither here nor there
        };
        if spares.len() < most {
            spares.push(buffer);
        }
    }

    /// Queues `packet`.
    ///
    /// # Errors
    ///
    /// Without room the packet is refused and counted; its buffer is kept for later.
    pub fn push(&mut self, packet: PacketBuf) -> Result<(), QueueFull> {
        if self.has_room() {
            self.queue(packet);
            Ok(())
        } else {
            self.refused += 1;
            self.recycle(packet);
            Err(QueueFull)
        }
    }

    /// Takes the oldest packet.
    pub fn pop(&mut self) -> Option<PacketBuf> {
        let packet = self.packets.pop_front()?;
        self.bytes -= packet.len();
        Some(packet)
    }

    /// Notes that the flow `key` has more to send than there was room for. A flow notes itself
    /// once until it is called.
    pub fn wait(&mut self, key: FlowKey) {
        self.waiting.push_back(key);
    }

    /// Whether flows wait for room.
    pub fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many flows could be called now: none before half of the room is free.
    pub fn callable(&self) -> usize {
        if self.packets.len() * 2 <= self.limit && self.bytes * 2 <= self.byte_limit {
            self.waiting.len()
        } else {
            0
        }
    }

    /// The flow that has waited longest, once half of the room is free.
    pub fn next_waiting(&mut self) -> Option<FlowKey> {
        if self.callable() > 0 {
            self.waiting.pop_front()
        } else {
            None
        }
    }

    /// Packets refused for want of room.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> FlowKey {
        FlowKey::new(([10, 0, 0, 1], port).into(), ([10, 0, 0, 2], 80).into()).unwrap()
    }

    #[test]
    fn holds_its_bound_and_counts_what_it_refuses() {
        let mut queue = TxQueue::new(3, 6000);
        for n in 0..3 {
            queue.push(vec![n].into()).unwrap();
        }
        assert_eq!(queue.push(vec![9].into()), Err(QueueFull));
        assert_eq!((queue.len(), queue.refused()), (3, 1));
        let out: Vec<u8> = std::iter::from_fn(|| queue.pop()).map(|p| p[0]).collect();
        assert_eq!(out, [0, 1, 2]);
    }

    #[test]
    fn a_reserved_place_is_kept_whoever_else_comes() {
        let mut queue = TxQueue::new(2, 6000);
        assert!(queue.reserve());
        queue.push(vec![1].into()).unwrap();
        assert_eq!(queue.push(vec![2].into()), Err(QueueFull));
        assert!(!queue.reserve());
        queue.push_reserved(vec![3].into());
        assert_eq!(queue.len(), 2);
        queue.pop();
        assert!(queue.reserve());
        queue.unreserve();
        assert!(queue.has_room());
    }

    #[test]
    fn calls_those_who_wait_in_order_when_half_is_free() {
        let mut queue = TxQueue::new(4, 6000);
        for n in 0..4 {
            queue.push(vec![n].into()).unwrap();
        }
        queue.wait(key(1));
        queue.wait(key(2));
        assert_eq!(queue.next_waiting(), None, "still full");
        queue.pop();
        assert_eq!(queue.next_waiting(), None, "three of four");
        queue.pop();
        assert_eq!(queue.next_waiting(), Some(key(1)));
        assert_eq!(queue.next_waiting(), Some(key(2)));
        assert_eq!(queue.next_waiting(), None);
    }

    #[test]
    fn keeps_buffers_but_not_without_end() {
        let mut queue = TxQueue::new(2, 6000);
        for _ in 0..2 * SPARES {
            queue.recycle(PacketBuf::with_capacity(64));
        }
        let kept = (0..2 * SPARES)
            .filter(|_| queue.buffer(60).capacity() == 64)
            .count();
        assert_eq!(kept, SPARES);
    }

    #[test]
    fn large_packets_have_buffers_of_their_own_and_fill_it_sooner() {
        let mut queue = TxQueue::new(8, 70_000);
        for _ in 0..2 {
            assert!(queue.reserve());
            let mut packet = queue.buffer(60_000);
            packet.resize(60_000);
            queue.push_reserved(packet);
        }
        assert!(!queue.reserve(), "120,000 bytes");
        queue.wait(key(1));
        let first = queue.pop().unwrap();
        assert_eq!(queue.next_waiting(), None, "60,000 of 70,000 bytes");
        let storage = first.as_ptr();
        queue.recycle(first);
        assert_ne!(queue.buffer(60).as_ptr(), storage);
        assert_eq!(queue.buffer(3000).as_ptr(), storage);
        queue.pop();
        assert_eq!(queue.next_waiting(), Some(key(1)));
    }
}

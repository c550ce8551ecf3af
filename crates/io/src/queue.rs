use crate::{BufferPool, PacketBuf};
use std::collections::VecDeque;

/// The most recycled buffers in the pools of small and of large buffers. A queue whose bound is
/// fewer packets, or fewer bytes, has as many as fit the bound.
const SMALL_POOL: usize = 128;
const LARGE_POOL: usize = 16;
/// The list of waiting senders keeps room for this many once it is empty.
const KEPT_WAITING: usize = 1024;
/// The capacity of a large buffer: the longest IPv6 packet.
const LARGE: usize = 65_575;

/// A bounded queue of outbound packets, with a pool of buffers to build packets in.
///
/// The queue is bounded in packets and in bytes. A queue below both bounds accepts a packet of any
/// length, so that the bytes exceed their bound by less than one packet. The buffers of the packets
/// are bounded, too: they take at most four times the bound in bytes, and one large buffer beside
/// ([`allocated`](Self::allocated)).
///
/// A sender that finds the queue full registers a key of type `K`, such as its 4-tuple, by
/// [`wait`](Self::wait). [`next_waiting`](Self::next_waiting) returns the keys in the order of
/// registration once half of the queue is free, so that the sender keeps its data until there is
/// room.
///
/// The queue is plain owned data; put it into a cell to share it.
///
/// ```
/// use brooklet_io::{QueueFull, TxQueue};
///
/// let mut queue = TxQueue::new(2, 3000);
/// queue.push(vec![1; 40].into())?;
/// queue.push(vec![2; 40].into())?;
/// assert_eq!(queue.push(vec![3; 40].into()), Err(QueueFull));
/// queue.wait("sender of 3");
/// queue.pop();
/// assert_eq!(queue.next_waiting(), Some("sender of 3"));
/// # Ok::<(), QueueFull>(())
/// ```
#[derive(Debug)]
pub struct TxQueue<K> {
    packets: VecDeque<PacketBuf>,
    /// The lengths of the queued packets, summed.
    bytes: usize,
    /// What the queued packets have allocated.
    allocated: usize,
    small_pool: BufferPool,
    large_pool: BufferPool,
    /// The large buffers that exist: in the pool, in the queue, and with whoever builds or sends a
    /// packet.
    large: usize,
    large_limit: usize,
    waiting: VecDeque<K>,
    packet_limit: usize,
    byte_limit: usize,
    /// Places reserved for packets that are being built.
    reserved: usize,
    refused: u64,
}

/// The error of a push to a full outbound queue.
///
/// ```
/// use brooklet_io::{QueueFull, TxQueue};
///
/// let mut queue = TxQueue::<()>::new(2, 1); // one byte fills it
/// queue.push(vec![0; 40].into())?;
/// assert_eq!(queue.push(vec![0; 40].into()), Err(QueueFull));
/// # Ok::<(), QueueFull>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

impl std::fmt::Display for QueueFull {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the outbound queue is full")
    }
}

impl std::error::Error for QueueFull {}

impl<K> TxQueue<K> {
    /// The longest packet, in bytes, that is built in a small buffer.
    pub const SMALL: usize = 2048;

    /// Creates a queue that accepts packets while it holds fewer than `packets` packets (at
    /// least 2) and fewer than `bytes` bytes (at least 1).
    pub fn new(packets: usize, bytes: usize) -> Self {
        // Two more than fit the queue: one is being built, and one is being sent.
        let large_limit = LARGE_POOL.min(bytes / LARGE + 2);
        let small_limit = SMALL_POOL.min(packets).min(bytes / Self::SMALL + 1);
        Self {
            packets: VecDeque::new(),
            bytes: 0,
            allocated: 0,
            // A vector that grows may take twice what it needs.
            small_pool: BufferPool::new(small_limit, 2 * Self::SMALL),
            large_pool: BufferPool::with_capacities(large_limit, LARGE / 2..=2 * LARGE),
            large: 0,
            large_limit,
            waiting: VecDeque::new(),
            packet_limit: packets.max(2),
            byte_limit: bytes.max(1),
            reserved: 0,
            refused: 0,
        }
    }

    /// Returns the number of queued packets.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Returns whether the queue holds no packet.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Returns whether the queue accepts one more packet beside those with a reserved place.
    pub fn has_room(&self) -> bool {
        self.packets.len() + self.reserved < self.packet_limit
            && self.bytes < self.byte_limit
            // Short packets in long buffers.
            && self.allocated < 4 * self.byte_limit
    }

    /// Returns the bytes that the queue has allocated: its packets, its pools and its lists.
    ///
    /// ```
    /// use brooklet_io::TxQueue;
    ///
    /// let mut queue = TxQueue::<()>::new(2, 3000);
    /// assert_eq!(queue.allocated(), 0);
    /// queue.push(vec![0x45; 40].into())?;
    /// assert!(queue.allocated() >= 40);
    /// # Ok::<(), brooklet_io::QueueFull>(())
    /// ```
    pub fn allocated(&self) -> usize {
        self.allocated
            + self.small_pool.allocated()
            + self.large_pool.allocated()
            + self.packets.capacity() * size_of::<PacketBuf>()
            + self.waiting.capacity() * size_of::<K>()
    }

    /// Reserves a place for a packet that is about to be built, and returns whether there was one.
    ///
    /// Other senders cannot take the place while the packet is built. Use the place by
    /// [`push_reserved`](Self::push_reserved) or return it by [`unreserve`](Self::unreserve).
    ///
    /// ```
    /// use brooklet_io::TxQueue;
    ///
    /// let mut queue = TxQueue::<()>::new(2, 3000);
    /// assert!(queue.reserve());
    /// let mut packet = queue.buffer(40);
    /// packet.copy_from_slice(&[0x45; 40]);
    /// queue.push_reserved(packet);
    /// assert_eq!(queue.len(), 1);
    ///
    /// assert!(queue.reserve());
    /// queue.unreserve(); // there is nothing to send after all
    /// assert!(queue.has_room());
    /// ```
    pub fn reserve(&mut self) -> bool {
        let room = self.has_room();
        self.reserved += usize::from(room);
        room
    }

    /// Returns a reserved place to the queue.
    pub fn unreserve(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Queues `packet` in a reserved place.
    pub fn push_reserved(&mut self, packet: PacketBuf) {
        self.unreserve();
        self.append(packet);
    }

    fn append(&mut self, packet: PacketBuf) {
        self.bytes += packet.len();
        self.allocated += packet.allocated();
        self.packets.push_back(packet);
    }

    /// Returns an empty buffer for a packet of `len` bytes, from the pool if it has one.
    pub fn buffer(&mut self, len: usize) -> PacketBuf {
        if len <= Self::SMALL {
            return self.small_pool.take_packet().unwrap_or_default();
        }
        if let Some(buffer) = self.large_pool.take_packet()
            && buffer.capacity() >= len
        {
            return buffer;
        }
        // Beyond the number that the pool takes back, a buffer is no longer than the packet needs.
        let is_large = self.large < self.large_limit;
        self.large += usize::from(is_large);
        let len = match is_large {
            true => len.max(LARGE),
            false => len.next_multiple_of(4096),
        };
        PacketBuf::with_capacity(len)
    }

    /// Returns the buffer of a packet that was sent, or never built, to the pool.
    ///
    /// ```
    /// # use brooklet_io::TxQueue;
    /// let mut queue = TxQueue::<()>::new(2, 3000);
    /// queue.push(vec![0; 40].into()).expect("the queue is empty");
    /// while let Some(packet) = queue.pop() {
    ///     println!("send {} bytes", packet.len());
    ///     queue.recycle(packet);
    /// }
    /// assert_eq!(queue.buffer(40).capacity(), 40, "the same buffer");
    /// ```
    pub fn recycle(&mut self, buffer: PacketBuf) {
        let pool = match buffer.capacity() {
            0..=Self::SMALL => &mut self.small_pool,
            _ => &mut self.large_pool,
        };
        pool.recycle_packet(buffer);
    }

    /// Queues `packet`.
    ///
    /// ```
    /// # use brooklet_io::{QueueFull, TxQueue};
    /// let mut queue = TxQueue::<()>::new(2, 3000);
    /// queue.push(vec![1; 40].into())?;
    /// queue.push(vec![2; 40].into())?;
    /// assert_eq!(queue.push(vec![3; 40].into()), Err(QueueFull));
    /// assert_eq!(queue.refused(), 1);
    /// assert_eq!(queue.pop().as_deref(), Some(&[1; 40][..]));
    /// # Ok::<(), QueueFull>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`QueueFull`] if there is no room. The queue counts the packet as refused and keeps
    /// its buffer in the pool.
    pub fn push(&mut self, packet: PacketBuf) -> Result<(), QueueFull> {
        if self.has_room() {
            self.append(packet);
            Ok(())
        } else {
            self.refused += 1;
            self.recycle(packet);
            Err(QueueFull)
        }
    }

    /// Removes and returns the oldest packet.
    pub fn pop(&mut self) -> Option<PacketBuf> {
        let packet = self.packets.pop_front()?;
        self.bytes -= packet.len();
        self.allocated -= packet.allocated();
        Some(packet)
    }

    /// Registers the sender `key`, which waits for room. A sender registers once until
    /// [`next_waiting`](Self::next_waiting) returns its key.
    pub fn wait(&mut self, key: K) {
        self.waiting.push_back(key);
    }

    /// Removes the sender `key` from those that wait for room, wherever it stands.
    ///
    /// ```
    /// use brooklet_io::TxQueue;
    ///
    /// let mut queue = TxQueue::new(2, 3000);
    /// queue.wait("a");
    /// queue.forget(&"a");
    /// assert!(!queue.is_awaited());
    /// ```
    pub fn forget(&mut self, key: &K)
    where
        K: PartialEq,
    {
        self.waiting.retain(|other| other != key);
    }

    /// Returns whether a sender waits for room.
    pub fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns the number of waiting senders that [`next_waiting`](Self::next_waiting) would return
    /// now: none until half of the queue is free.
    pub fn callable(&self) -> usize {
        if self.packets.len() * 2 <= self.packet_limit
            && self.bytes * 2 <= self.byte_limit
            && self.allocated <= 2 * self.byte_limit
        {
            self.waiting.len()
        } else {
            0
        }
    }

    /// Removes and returns the sender that has waited longest, once half of the queue is free.
    ///
    /// ```
    /// # use brooklet_io::{QueueFull, TxQueue};
    /// let mut queue = TxQueue::new(2, 3000);
    /// queue.push(vec![1; 40].into())?;
    /// queue.push(vec![2; 40].into())?;
    /// queue.wait("a");
    /// queue.wait("b");
    /// assert_eq!((queue.callable(), queue.next_waiting()), (0, None));
    /// queue.pop();
    /// assert_eq!((queue.callable(), queue.next_waiting()), (2, Some("a")));
    /// assert!(queue.is_awaited(), "b waits");
    /// # Ok::<(), QueueFull>(())
    /// ```
    pub fn next_waiting(&mut self) -> Option<K> {
        if self.callable() == 0 {
            return None;
        }
        let first = self.waiting.pop_front();
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_WAITING {
            self.waiting = VecDeque::new(); // gives back the memory of a burst
        }
        first
    }

    /// Returns the number of packets that [`push`](Self::push) refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_packets_and_counts_them() {
        let mut queue = TxQueue::<u16>::new(3, 6000);
        for n in 0..3 {
            queue.push(vec![n].into()).unwrap();
        }
        assert_eq!(queue.push(vec![9].into()), Err(QueueFull));
        assert_eq!((queue.len(), queue.refused()), (3, 1));
        let out: Vec<u8> = std::iter::from_fn(|| queue.pop()).map(|p| p[0]).collect();
        assert_eq!(out, [0, 1, 2]);
    }

    #[test]
    fn no_other_packet_takes_a_reserved_place() {
        let mut queue = TxQueue::<u16>::new(2, 6000);
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
    fn waiting_senders_are_returned_in_order_once_half_of_the_queue_is_free() {
        let mut queue = TxQueue::<u16>::new(4, 6000);
        for n in 0..4 {
            queue.push(vec![n].into()).unwrap();
        }
        queue.wait(1);
        queue.wait(2);
        assert_eq!(queue.next_waiting(), None, "full");
        queue.pop();
        assert_eq!(queue.next_waiting(), None, "three of four places taken");
        queue.pop();
        assert_eq!(queue.next_waiting(), Some(1));
        assert_eq!(queue.next_waiting(), Some(2));
        assert_eq!(queue.next_waiting(), None);
    }

    #[test]
    fn the_buffer_pool_is_bounded() {
        let mut queue = TxQueue::<u16>::new(SMALL_POOL, 1 << 20);
        for _ in 0..2 * SMALL_POOL {
            queue.recycle(PacketBuf::with_capacity(64));
        }
        let kept = (0..2 * SMALL_POOL)
            .filter(|_| queue.buffer(60).capacity() == 64)
            .count();
        assert_eq!(kept, SMALL_POOL);
    }

    #[test]
    fn the_buffers_of_a_full_queue_are_bounded() {
        const BYTES: usize = 200_000;
        let mut queue = TxQueue::<u16>::new(1000, BYTES);
        // Short packets in long buffers, in part from the pool.
        for round in 0..3 {
            while queue.reserve() {
                let mut packet = queue.buffer(2049);
                packet.resize(2049);
                queue.push_reserved(packet);
            }
            assert!(queue.len() >= 90, "{} packets", queue.len());
            assert!(queue.allocated() <= 5 * BYTES, "{}", queue.allocated());
            queue.wait(round);
            let sent: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
            assert_eq!(queue.next_waiting(), Some(round));
            sent.into_iter().for_each(|packet| queue.recycle(packet));
        }
        assert!(queue.allocated() <= 2 * BYTES, "{}", queue.allocated());
    }

    #[test]
    fn senders_that_wait_are_not_called_while_the_buffers_leave_no_room() {
        let mut queue = TxQueue::<u16>::new(8, 1000);
        let mut storage = Vec::with_capacity(70_000);
        storage.extend_from_slice(&[0x45; 40]);
        queue.push(storage.into()).unwrap();
        assert!(!queue.has_room());
        queue.wait(1);
        assert_eq!(queue.next_waiting(), None);
        queue.pop();
        assert_eq!(queue.next_waiting(), Some(1));
    }

    #[test]
    fn large_packets_have_a_buffer_pool_of_their_own_and_fill_the_queue_by_bytes() {
        let mut queue = TxQueue::<u16>::new(8, 70_000);
        for _ in 0..2 {
            assert!(queue.reserve());
            let mut packet = queue.buffer(60_000);
            packet.resize(60_000);
            queue.push_reserved(packet);
        }
        assert!(!queue.reserve(), "120,000 bytes");
        queue.wait(1);
        let first = queue.pop().unwrap();
        assert_eq!(queue.next_waiting(), None, "60,000 of 70,000 bytes");
        let storage = first.as_ptr();
        queue.recycle(first);
        assert_ne!(queue.buffer(60).as_ptr(), storage);
        assert_eq!(queue.buffer(3000).as_ptr(), storage);
        queue.pop();
        assert_eq!(queue.next_waiting(), Some(1));
    }
}

use crate::PacketBuf;
use std::ops::RangeInclusive;

/// Buffers that are used again, so that a packet costs no allocation.
///
/// The pool is bounded in buffers and in the capacity of each, which together bound the memory of
/// an idle pool. A buffer beyond the bounds is freed. The buffer that was recycled last
/// is taken first: it is the likeliest one to be in the CPU's cache.
///
/// Buffers come and go as vectors or as [`PacketBuf`]s. A [`PacketBuf`] keeps its initialized
/// storage in the pool.
///
/// ```
/// use brooklet_io::BufferPool;
///
/// // At most 64 buffers of at most 2,048 bytes.
/// let mut pool = BufferPool::new(64, 2048);
/// let mut packet = pool.take(1500);
/// packet.extend_from_slice(b"a packet");
/// let address = packet.as_ptr();
/// pool.recycle(packet);
///
/// let packet = pool.take(1500);
/// assert!(packet.is_empty() && packet.as_ptr() == address);
///
/// pool.recycle(vec![0; 4096]); // too large for the pool
/// assert!(pool.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct BufferPool {
    buffers: Vec<Vec<u8>>,
    /// The capacities of the buffers, summed.
    bytes: usize,
    limit: usize,
    capacities: RangeInclusive<usize>,
}

impl BufferPool {
    /// Creates an empty pool for at most `limit` buffers with a capacity of at most `capacity`
    /// bytes each.
    #[must_use]
    pub const fn new(limit: usize, capacity: usize) -> Self {
        Self::with_capacities(limit, 1..=capacity)
    }

    /// Creates an empty pool for at most `limit` buffers with a capacity in the range `capacities`,
    /// in bytes. A lower bound keeps small buffers out of a pool for large packets.
    ///
    /// ```
    /// let mut large = brooklet_io::BufferPool::with_capacities(4, 65_536..=131_072);
    /// large.recycle(Vec::with_capacity(1500));
    /// assert!(large.is_empty());
    /// ```
    #[must_use]
    pub const fn with_capacities(limit: usize, capacities: RangeInclusive<usize>) -> Self {
        Self {
            buffers: Vec::new(),
            bytes: 0,
            limit,
            capacities,
        }
    }

    /// Returns an empty vector that has room for `capacity` bytes.
    ///
    /// ```
    /// let mut pool = brooklet_io::BufferPool::new(64, 2048);
    /// let buffer = pool.take(40); // the pool is empty: a new buffer
    /// assert!(buffer.is_empty() && buffer.capacity() >= 40);
    /// ```
    pub fn take(&mut self, capacity: usize) -> Vec<u8> {
        let mut buffer = self.pop().unwrap_or_default();
        buffer.clear();
        buffer.reserve_exact(capacity);
        buffer
    }

    /// Returns an empty packet, with the storage of an earlier packet if the pool has one.
    ///
    /// ```
    /// use brooklet_io::{BufferPool, PacketBuf};
    ///
    /// let mut pool = BufferPool::new(64, 2048);
    /// pool.recycle_packet(PacketBuf::with_capacity(1500));
    /// let packet = pool.take_packet().expect("the pool has one");
    /// assert!(packet.is_empty() && packet.capacity() == 1500);
    /// assert!(pool.take_packet().is_none());
    /// ```
    pub fn take_packet(&mut self) -> Option<PacketBuf> {
        self.pop().map(PacketBuf::from_storage)
    }

    #[inline]
    fn pop(&mut self) -> Option<Vec<u8>> {
        let buffer = self.buffers.pop()?;
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Puts a buffer into the pool, or frees it if the pool is full or the buffer's capacity is out
    /// of bounds.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if self.buffers.len() < self.limit && self.capacities.contains(&buffer.capacity()) {
            self.bytes += buffer.capacity();
            self.buffers.push(buffer);
        }
    }

    /// Puts the storage of a packet into the pool, as [`recycle`](Self::recycle) does.
    ///
    /// ```
    /// # use brooklet_io::{BufferPool, PacketBuf};
    /// let mut pool = BufferPool::new(64, 2048);
    /// pool.recycle_packet(PacketBuf::from(vec![0; 40]));
    /// assert_eq!(pool.len(), 1);
    /// ```
    pub fn recycle_packet(&mut self, packet: PacketBuf) {
        self.recycle(packet.into_storage());
    }

    /// Frees all buffers.
    ///
    /// ```
    /// let mut pool = brooklet_io::BufferPool::new(64, 2048);
    /// pool.recycle(vec![0; 100]);
    /// pool.clear();
    /// assert_eq!(pool.len(), 0);
    /// ```
    pub fn clear(&mut self) {
        self.buffers = Vec::new();
        self.bytes = 0;
    }

    /// Returns the bytes that the pool has allocated: its buffers and the list of them.
    ///
    /// ```
    /// let mut pool = brooklet_io::BufferPool::new(64, 2048);
    /// assert_eq!(pool.allocated(), 0);
    /// pool.recycle(Vec::with_capacity(1500));
    /// assert!(pool.allocated() >= 1500);
    /// ```
    #[must_use]
    pub fn allocated(&self) -> usize {
        self.bytes + self.buffers.capacity() * size_of::<Vec<u8>>()
    }

    /// Returns the number of buffers in the pool.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffers.len()
    }

    /// Returns whether the pool has no buffer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_bounded_in_buffers_and_in_capacity() {
        let mut pool = BufferPool::with_capacities(3, 10..=20);
        for capacity in [0, 9, 21, 1000] {
            pool.recycle(Vec::with_capacity(capacity));
        }
        assert!(pool.is_empty());
        for _ in 0..5 {
            pool.recycle(Vec::with_capacity(10));
        }
        assert_eq!(pool.len(), 3);
        pool.clear();
        assert!(pool.is_empty() && pool.take_packet().is_none());
    }

    #[test]
    fn a_vector_from_the_pool_is_empty_and_has_room() {
        let mut pool = BufferPool::new(3, 100);
        pool.recycle(vec![1; 10]);
        let buffer = pool.take(50);
        assert!(buffer.is_empty() && buffer.capacity() >= 50);
        assert!(pool.take(50).capacity() >= 50);
    }

    #[test]
    fn a_packet_from_the_pool_has_its_whole_storage_and_new_metadata() {
        let mut pool = BufferPool::new(3, 100);
        let mut packet = PacketBuf::with_capacity(80);
        packet.set_len(20);
        packet.set_meta(crate::Meta::new().checksum(crate::Checksum::Partial));
        pool.recycle_packet(packet);
        let packet = pool.take_packet().unwrap();
        assert_eq!((packet.len(), packet.capacity()), (0, 80));
        assert_eq!(packet.meta(), crate::Meta::default());
    }
}

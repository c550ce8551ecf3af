//! A ring of bytes that is indexed by sequence number.

use super::memory::Buffer;
use brooklet_cell::Flavor;

/// The bytes of one direction of a connection, indexed by sequence number.
///
/// The ring covers the sequence numbers from `start` to `start` + capacity. The bytes from
/// `start` to `end` are present without a gap. In the send direction `start` is SND.UNA, and `end`
/// is where the next SEND call appends. In the receive direction `start` is the first byte that the
/// application has not read, `end` is RCV.NXT (without SYN and FIN), and out-of-order bytes may be
/// present beyond `end`; the caller knows which.
///
/// Sequence numbers wrap at 2^32. The capacity need not be a power of two.
#[derive(Debug)]
pub(crate) struct Ring<F: Flavor> {
    buffer: Buffer<F>,
    /// The index of `start` in the buffer, below the capacity unless the capacity is 0.
    head: u32,
    start: u32,
    /// Bytes present without a gap from `start`.
    len: u32,
    /// An upper bound of how far beyond `end` out-of-order bytes were written.
    ahead: u32,
}

impl<F: Flavor> Ring<F> {
    /// An empty ring whose first byte will have the sequence number `start`.
    pub(crate) fn new(buffer: Buffer<F>, start: u32) -> Self {
        Self {
            buffer,
            head: 0,
            start,
            len: 0,
            ahead: 0,
        }
    }

    /// The sequence number of the first byte.
    pub(crate) fn start(&self) -> u32 {
        self.start
    }

    /// The sequence number after the last byte in order.
    pub(crate) fn end(&self) -> u32 {
        self.start.wrapping_add(self.len)
    }

    /// Bytes in order.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// The capacity beyond the bytes in order.
    pub(crate) fn room(&self) -> usize {
        self.capacity() - self.len()
    }

    /// Whether the buffer is smaller than its initial size, because memory ran short.
    pub(crate) fn is_scarce(&self) -> bool {
        self.buffer.is_scarce()
    }

    /// Appends `bytes` at the end, as far as there is room. Returns how many were appended.
    ///
    /// This is the SEND call (RFC 9293, 3.10.2) in the send direction, and the arrival of the
    /// segment at RCV.NXT in the receive direction.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.room());
        self.store(self.len(), &bytes[..n]);
        self.advance(n);
        n
    }

    /// Writes `bytes` at `seq` beyond the bytes in order, and leaves the length as it is. Bytes
    /// before `end` or beyond the capacity are not written: bytes in order never change. Returns
    /// how many were written.
    pub(crate) fn write_at(&mut self, seq: u32, bytes: &[u8]) -> usize {
        // Below 0: `seq` lies before `end`.
        let distance = seq.wrapping_sub(self.end()) as i32;
        let before = distance.min(0).unsigned_abs() as usize;
        let Some(bytes) = bytes.get(before..) else {
            return 0;
        };
        let offset = distance.max(0) as usize;
        let n = bytes.len().min(self.room().saturating_sub(offset));
        if n > 0 {
            self.store(self.len() + offset, &bytes[..n]);
            self.ahead = self.ahead.max((offset + n) as u32);
        }
        n
    }

    /// Takes the next `n` bytes, which [`write_at`](Self::write_at) wrote, into the bytes in order.
    pub(crate) fn advance(&mut self, n: usize) {
        debug_assert!(n <= self.room());
        let n = n.min(self.room()) as u32;
        self.len += n;
        self.ahead = self.ahead.saturating_sub(n);
    }

    /// The `n` bytes from `seq`, in two parts where the ring wraps. Bytes that are not in order
    /// are left out.
    pub(crate) fn slices(&self, seq: u32, n: usize) -> (&[u8], &[u8]) {
        let offset = seq.wrapping_sub(self.start) as usize;
        debug_assert!(offset <= self.len() && n <= self.len() - offset);
        let offset = offset.min(self.len());
        self.parts(offset, n.min(self.len() - offset))
    }

    /// The bytes in order, in two parts where the ring wraps. The first part is empty only if there
    /// are none.
    pub(crate) fn content(&self) -> (&[u8], &[u8]) {
        self.parts(0, self.len())
    }

    /// The capacity beyond the bytes in order, in two parts where the ring wraps. The first part is
    /// empty only if there is none. The caller writes into it and then [advances](Self::advance).
    /// Nothing may have been written beyond the bytes in order.
    pub(crate) fn room_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        debug_assert_eq!(self.ahead, 0, "out-of-order bytes would be overwritten");
        let (index, n) = (self.index(self.len()), self.room());
        let (before, after) = self.buffer.bytes_mut().split_at_mut(index);
        match n.checked_sub(after.len()) {
            Some(wrapped) => (after, &mut before[..wrapped]),
            None => (&mut after[..n], &mut []),
        }
    }

    /// Drops the first `n` bytes: the peer acknowledged them, or the application read them.
    pub(crate) fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.len());
        let n = n.min(self.len());
        self.start = self.start.wrapping_add(n as u32);
        self.len -= n as u32;
        // A ring without content begins again at index 0: as few pages as possible become
        // resident, and the bytes of short exchanges stay in the processor's cache.
        self.head = match self.len + self.ahead {
            0 => 0,
            _ => self.index(n) as u32,
        };
    }

    /// Copies the first bytes into `out` and leaves them in the ring. Returns how many there were.
    pub(crate) fn peek(&self, out: &mut [u8]) -> usize {
        let n = out.len().min(self.len());
        let (first, second) = self.parts(0, n);
        out[..first.len()].copy_from_slice(first);
        out[first.len()..n].copy_from_slice(second);
        n
    }

    /// Copies the first bytes into `out` and drops them. Returns how many there were.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> usize {
        let n = self.peek(out);
        self.consume(n);
        n
    }

    /// Moves the content, out-of-order bytes included, into `buffer` and drops the old buffer. A
    /// buffer that is too small for the content is dropped instead.
    pub(crate) fn grow(&mut self, mut buffer: Buffer<F>) {
        let content = (self.len + self.ahead) as usize;
        debug_assert!(content <= buffer.len());
        if content > buffer.len() {
            return;
        }
        let (first, second) = self.parts(0, content);
        let bytes = buffer.bytes_mut();
        bytes[..first.len()].copy_from_slice(first);
        bytes[first.len()..content].copy_from_slice(second);
        self.buffer = buffer;
        self.head = 0;
    }

    /// The index of the byte at `start` + `offset`. `offset` is at most the capacity.
    fn index(&self, offset: usize) -> usize {
        let index = self.head as usize + offset;
        match index.checked_sub(self.capacity()) {
            Some(wrapped) => wrapped,
            None => index,
        }
    }

    /// The `n` bytes from `start` + `offset`, which lie within the capacity.
    fn parts(&self, offset: usize, n: usize) -> (&[u8], &[u8]) {
        let (before, after) = self.buffer.bytes().split_at(self.index(offset));
        match after.get(..n) {
            Some(whole) => (whole, &[]),
            None => (after, &before[..n - after.len()]),
        }
    }

    /// Writes `bytes` at `start` + `offset`, which lie within the capacity.
    fn store(&mut self, offset: usize, bytes: &[u8]) {
        let index = self.index(offset);
        let (before, after) = self.buffer.bytes_mut().split_at_mut(index);
        match after.get_mut(..bytes.len()) {
            Some(whole) => whole.copy_from_slice(bytes),
            None => {
                let (first, second) = bytes.split_at(after.len());
                after.copy_from_slice(first);
                before[..second.len()].copy_from_slice(second);
            }
        }
    }
}

#[cfg(test)]
#[cfg(feature = "sync")]
mod tests;

//! Buffers that are used again.

/// Buffers kept for later packets.
const SPARES: usize = 64;
/// Capacity of the largest buffer that is kept, in bytes: with [`SPARES`] it bounds what an idle
/// engine holds.
const SPARE_BYTES: usize = 2048;

#[derive(Debug, Default)]
pub(crate) struct BufferPool(Vec<Vec<u8>>);

impl BufferPool {
    /// An empty buffer of at least that capacity, which it need not outgrow.
    pub(crate) fn buffer(&mut self, capacity: usize) -> Vec<u8> {
        let mut buffer = self.0.pop().unwrap_or_default();
        buffer.reserve_exact(capacity);
        buffer
    }

    /// Keeps a buffer for later, if there is a place and it is not too large.
    pub(crate) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < SPARES && buffer.capacity() <= SPARE_BYTES {
            buffer.clear();
            self.0.push(buffer);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

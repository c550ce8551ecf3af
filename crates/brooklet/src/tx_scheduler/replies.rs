use crate::drop_reason::DropReason;
use brooklet_io::BufferPool;
use std::collections::VecDeque;

/// The most replies that wait for the device, and the bytes after which no further one is taken.
const REPLIES: usize = 64;
const REPLY_BYTES: usize = 256 * 1024;

/// The number of buffers in the pool, and the capacity of the largest, in bytes.
const POOL_BUFFERS: usize = 8;
const POOL_CAPACITY: usize = 2048;

/// The packets that the driver makes itself: echo replies, ICMP errors, and the RSTs of the filter.
#[derive(Debug)]
pub(super) struct Replies {
    queue: VecDeque<Vec<u8>>,
    bytes: usize,
    /// What the replies have allocated.
    allocated: usize,
    pool: BufferPool,
}

impl Default for Replies {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            allocated: 0,
            pool: BufferPool::new(POOL_BUFFERS, POOL_CAPACITY),
        }
    }
}

impl Replies {
    /// Queues the packet that `write` writes. Returns whether `write` wrote one.
    ///
    /// # Errors
    ///
    /// [`DropReason::ReplyFull`] if there is no room. `write` is not called then.
    pub(super) fn push(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> Result<bool, DropReason> {
        if self.queue.len() >= REPLIES || self.bytes >= REPLY_BYTES {
            return Err(DropReason::ReplyFull);
        }
        let mut packet = self.pool.take(0);
        let written = write(&mut packet);
        if written {
            self.bytes += packet.len();
            self.allocated += packet.capacity();
            self.queue.push_back(packet);
        } else {
            self.pool.recycle(packet);
        }
        Ok(written)
    }

    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let packet = self.queue.pop_front()?;
        self.bytes -= packet.len();
        self.allocated -= packet.capacity();
        Some(packet)
    }

    /// The bytes of the replies and of the pool.
    pub(super) fn allocated(&self) -> usize {
        self.allocated + self.queue.capacity() * size_of::<Vec<u8>>() + self.pool.allocated()
    }

    pub(super) fn recycle(&mut self, packet: Vec<u8>) {
        self.pool.recycle(packet);
    }
}

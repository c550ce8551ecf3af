//! The pool of recycled buffers.

use super::block::{Block, Chunk, MIN_MAPPED};

/// The size classes are powers of two, from 2^MIN_CLASS bytes (2 KiB) to 1 GiB.
const MIN_CLASS: u32 = 11;
pub(super) const CLASSES: usize = 20;

/// The bytes that a buffer of `len` bytes takes: the size of its class.
pub(super) fn class_size(len: usize) -> usize {
    len.next_power_of_two().max(1 << MIN_CLASS)
}

/// The index of the class of this size.
fn class(size: usize) -> usize {
    (size.trailing_zeros() - MIN_CLASS) as usize
}

/// The blocks of recycled buffers, by size class, and the chunk that small blocks come from.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// The most recently used block of a class is the last one, and the next to be used.
    spare: [Vec<Block>; CLASSES],
    /// Bytes of the spare blocks.
    bytes: usize,
    chunk: Chunk,
}

impl Pool {
    /// Bytes of the spare blocks.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(all(test, feature = "sync"))]
    pub(super) fn resident_small(&self) -> usize {
        self.chunk.resident()
    }

    /// Takes a block of a class size. Returns `None` when the caller has to map a new one.
    pub(super) fn take(&mut self, size: usize) -> Option<Block> {
        if let Some(block) = self.pop(class(size)) {
            self.chunk.on_reuse(&block);
            return Some(block);
        }
        if size >= MIN_MAPPED {
            return None;
        }
        if !self.chunk.has(size) {
            self.drop_pieces();
        }
        Some(self.chunk.split_off(size))
    }

    /// Takes a released block into the pool. Returns the block, for the caller to drop, if the pool
    /// would hold more than `max` bytes.
    pub(super) fn put(&mut self, block: Block, max: usize) -> Option<Block> {
        let size = block.len();
        if self.chunk.on_release(&block) {
            self.drop_pieces();
            return Some(block);
        }
        if self.bytes + size > max || !self.chunk.may_retain(&block) {
            return Some(block);
        }
        self.spare[class(size)].push(block);
        self.bytes += size;
        None
    }

    /// Removes a block of the largest class that has one.
    pub(super) fn pop_largest(&mut self) -> Option<Block> {
        let class = self.spare.iter().rposition(|blocks| !blocks.is_empty())?;
        self.pop(class)
    }

    fn pop(&mut self, class: usize) -> Option<Block> {
        let block = self.spare.get_mut(class)?.pop()?;
        self.bytes -= block.len();
        Some(block)
    }

    /// Drops the spare blocks that are pieces of a chunk.
    fn drop_pieces(&mut self) {
        for blocks in &mut self.spare {
            if blocks.first().is_some_and(Block::is_piece) {
                self.bytes -= blocks.drain(..).map(|block| block.len()).sum::<usize>();
            }
        }
    }
}

//! The pool of recycled buffers.

use super::block::{Block, Chunk, MIN_MAPPED};

/// The size classes are powers of two, from 2^MIN_CLASS bytes (4 KiB, a page) to 1 GiB.
const MIN_CLASS: u32 = 12;
pub(super) const CLASSES: usize = 19;

/// So many small blocks are mappings of their own: 32 MiB of the smallest. Beyond that, small blocks
/// are split off chunks, because a process may have 65,530 mappings by default on Linux.
pub(super) const MAX_SMALL_MAPPED: usize = 8192;

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
    /// Small blocks, in use and spare, that are mappings of their own.
    small_mapped: usize,
}

/// Whether a block counts in [`Pool::small_mapped`].
fn is_small_mapped(block: &Block) -> bool {
    block.len() < MIN_MAPPED && !block.is_piece()
}

impl Pool {
    /// Bytes of the spare blocks.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Heap bytes of the lists.
    pub(super) fn heap_size(&self) -> usize {
        let entries = self.spare.iter().map(Vec::capacity).sum::<usize>();
        entries * size_of::<Block>()
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
        if self.small_mapped < MAX_SMALL_MAPPED {
            self.small_mapped += 1;
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
            self.small_mapped -= usize::from(is_small_mapped(&block));
            return Some(block);
        }
        self.spare[class(size)].push(block);
        self.bytes += size;
        None
    }

    /// Removes a block of the largest class that has one.
    pub(super) fn pop_largest(&mut self) -> Option<Block> {
        let class = self.spare.iter().rposition(|blocks| !blocks.is_empty())?;
        let block = self.pop(class)?;
        self.small_mapped -= usize::from(is_small_mapped(&block));
        Some(block)
    }

    fn pop(&mut self, class: usize) -> Option<Block> {
        let block = self.spare.get_mut(class)?.pop()?;
        self.bytes -= block.len();
        Some(block)
    }

    /// Drops the spare blocks that are pieces of a chunk.
    fn drop_pieces(&mut self) {
        for blocks in &mut self.spare {
            let bytes = &mut self.bytes;
            blocks.retain(|block| {
                *bytes -= if block.is_piece() { block.len() } else { 0 };
                !block.is_piece()
            });
        }
    }
}

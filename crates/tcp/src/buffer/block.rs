//! The memory blocks behind the buffers.
//!
//! A general allocator retains freed memory: after 10,000 connections with data, 1 GiB stayed
//! resident. It also zeroes every page of a large buffer again at each allocation. A block is
//! therefore a memory mapping of its own, which the operating system gets back when the block is
//! dropped. A mapping for each of very many small blocks would exceed the number of mappings that a
//! process may have (65,530 by default on Linux), so these are split off a larger chunk.

use bytes::BytesMut;
use memmap2::MmapMut;

/// Blocks of this size and above, in bytes, are always mappings of their own: a page is not larger
/// on any common system.
pub(super) const MIN_MAPPED: usize = 16 * 1024;

/// Whether a small block can be a mapping of its own. Pages of Apple's systems have 16 KiB; their
/// allocator gives small blocks back by itself.
const MAPS_SMALL: bool = cfg!(not(target_vendor = "apple"));

/// The size of a chunk, in bytes. It exceeds glibc's largest mmap threshold (32 MiB), so that the
/// allocator maps each chunk and unmaps it when it is freed. An untouched page is not resident.
const CHUNK: usize = 33 << 20;

/// A chunk with no more than this many bytes split off is retained while no block of it is in use.
const RETAINED: usize = 1 << 20;

/// A block of memory. A new block is zeroed; a recycled block holds its previous content.
pub(super) enum Block {
    /// An anonymous mapping.
    Mapped(MmapMut),
    /// A heap allocation, where the operating system grants no mapping.
    Heap(Box<[u8]>),
    /// A part of the chunk with this number. The last part frees the chunk.
    Piece(BytesMut, u64),
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Block").field(&self.len()).finish()
    }
}

impl Default for Block {
    /// A block of 0 bytes, without an allocation.
    fn default() -> Self {
        Self::Heap(Box::default())
    }
}

impl Block {
    pub(super) fn mapped(size: usize) -> Self {
        let maps = size >= MIN_MAPPED || MAPS_SMALL;
        match maps.then(|| MmapMut::map_anon(size)) {
            Some(Ok(mapped)) => Self::Mapped(mapped),
            _ => Self::Heap(vec![0; size].into_boxed_slice()),
        }
    }

    pub(super) fn is_piece(&self) -> bool {
        matches!(self, Self::Piece(..))
    }

    pub(super) fn len(&self) -> usize {
        self.bytes().len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(bytes) => bytes,
            Self::Heap(bytes) => bytes,
            Self::Piece(bytes, _) => bytes,
        }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Mapped(bytes) => bytes,
            Self::Heap(bytes) => bytes,
            Self::Piece(bytes, _) => bytes,
        }
    }
}

/// The chunk that small blocks are split off.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    rest: BytesMut,
    number: u64,
    /// Bytes split off.
    split_off: usize,
    /// Blocks of this chunk that are in use.
    in_use: usize,
}

impl Chunk {
    /// Whether the chunk has `size` bytes left.
    pub(super) fn has(&self, size: usize) -> bool {
        self.rest.len() >= size
    }

    #[cfg(all(test, feature = "sync"))]
    pub(super) fn resident(&self) -> usize {
        self.split_off
    }

    /// Splits a new block off. Starts a new chunk if the present one has too few bytes left.
    pub(super) fn split_off(&mut self, size: usize) -> Block {
        if !self.has(size) {
            *self = Self {
                rest: BytesMut::zeroed(CHUNK),
                number: self.number + 1,
                split_off: 0,
                in_use: 0,
            };
        }
        self.split_off += size;
        self.in_use += 1;
        Block::Piece(self.rest.split_to(size), self.number)
    }

    fn owns(&self, block: &Block) -> bool {
        matches!(block, Block::Piece(_, number) if *number == self.number)
    }

    /// Notes that a spare block is in use again.
    pub(super) fn on_reuse(&mut self, block: &Block) {
        self.in_use += usize::from(self.owns(block));
    }

    /// Notes that a block is no longer in use. Returns whether the chunk ends with that block:
    /// the block was the last one in use, and too much of the chunk is resident to retain it.
    pub(super) fn on_release(&mut self, block: &Block) -> bool {
        if !self.owns(block) {
            return false;
        }
        self.in_use -= 1;
        let ends = self.in_use == 0 && self.split_off > RETAINED;
        if ends {
            *self = Self {
                number: self.number + 1,
                ..Self::default()
            };
        }
        ends
    }

    /// Whether a released block may become a spare one. A piece of an earlier chunk may not: it
    /// would keep that whole chunk resident.
    pub(super) fn may_retain(&self, block: &Block) -> bool {
        !block.is_piece() || self.owns(block)
    }
}

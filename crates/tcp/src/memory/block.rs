//! Pieces of memory that go back to the system when they are given back.
//!
//! An allocator keeps what it is given back, and zeroes it each time it is wanted again, with every
//! page of it: after 10,000 connections with data 1 GiB stayed resident. Large buffers are
//! mappings of their own. Small ones would be too many of those, and are cut off chunks.

use bytes::BytesMut;
use memmap2::MmapMut;

/// So many bytes and more are a mapping.
pub(super) const MAPPED: usize = 16 * 1024;

/// Allocators take so much straight from the system, and give it back to it: glibc's largest
/// threshold is 32 MiB. Of a page that nobody has written to nothing is resident.
const CHUNK: usize = 33 << 20;

/// So much of a chunk is kept though nobody uses it.
const KEPT: usize = 1 << 20;

/// A piece of memory, zeroed when it is new.
pub(super) enum Block {
    Mapped(MmapMut),
    /// Where the system has no such thing, or no more of it.
    Heap(Box<[u8]>),
    /// Cut off the chunk of that number. The chunk ends with the last of its pieces.
    Piece(BytesMut, u64),
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Block").field(&self.len()).finish()
    }
}

impl Block {
    pub(super) fn mapped(size: usize) -> Self {
        match MmapMut::map_anon(size) {
            Ok(mapped) => Self::Mapped(mapped),
            Err(_) => Self::Heap(vec![0; size].into_boxed_slice()),
        }
    }

    pub(super) fn is_small(&self) -> bool {
        matches!(self, Self::Piece(..))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Mapped(bytes) => bytes.len(),
            Self::Heap(bytes) => bytes.len(),
            Self::Piece(bytes, _) => bytes.len(),
        }
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        match self {
            Self::Mapped(bytes) => bytes,
            Self::Heap(bytes) => bytes,
            Self::Piece(bytes, _) => bytes,
        }
    }
}

/// What small pieces are cut off.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    rest: BytesMut,
    number: u64,
    /// Bytes cut off it.
    used: usize,
    /// Pieces of it that are in use.
    out: usize,
}

impl Chunk {
    /// Whether a piece of `size` bytes is left.
    pub(super) fn has(&self, size: usize) -> bool {
        self.rest.len() >= size
    }

    #[cfg(test)]
    pub(super) fn resident(&self) -> usize {
        self.used
    }

    /// A piece that has not been used.
    pub(super) fn cut(&mut self, size: usize) -> Block {
        if !self.has(size) {
            *self = Self {
                rest: BytesMut::zeroed(CHUNK),
                number: self.number + 1,
                used: 0,
                out: 0,
            };
        }
        self.used += size;
        self.out += 1;
        Block::Piece(self.rest.split_to(size), self.number)
    }

    fn owns(&self, block: &Block) -> bool {
        matches!(block, Block::Piece(_, number) if *number == self.number)
    }

    /// A block that waited is used again.
    pub(super) fn leave(&mut self, block: &Block) {
        self.out += usize::from(self.owns(block));
    }

    /// A block is no longer used. Says whether the chunk has ended with it.
    pub(super) fn come_back(&mut self, block: &Block) -> bool {
        if !self.owns(block) {
            return false;
        }
        self.out -= 1;
        let ends = self.out == 0 && self.used > KEPT;
        if ends {
            *self = Self {
                number: self.number + 1,
                ..Self::default()
            };
        }
        ends
    }

    /// Whether a block may wait: what is left of an earlier chunk keeps all of it resident.
    pub(super) fn keeps(&self, block: &Block) -> bool {
        !block.is_small() || self.owns(block)
    }
}

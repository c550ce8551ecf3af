//! What the buffers of all connections may take, and those that wait for their next use.

mod block;

use self::block::{Block, Chunk};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What any connection can have of each buffer, however little is left, in bytes.
const LEAST: usize = 4096;

/// One connection gets at most this part of what is free.
const SHARE: usize = 4;

/// Buffers that wait take at most this part of everything.
const WAITING: usize = 64;

/// The smallest buffer is of so many bits, and the largest of `SMALLEST + SIZES - 1`.
const SMALLEST: u32 = 11;
const SIZES: usize = 20;

/// The memory of all connections' buffers.
///
/// Its lock is the last that anyone takes: nothing else is done while it is held.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: usize,
    store: Mutex<Store>,
}

#[derive(Debug, Default)]
struct Store {
    /// What connections can have at any time, together.
    promised: usize,
    /// What connections have beyond that.
    beyond: usize,
    /// What connections have.
    lent: usize,
    /// Connections that have buffers.
    users: usize,
    /// Buffers that wait, by size; the one used last is the next to be used.
    shelves: [Vec<Block>; SIZES],
    waiting: usize,
    /// Where small ones come from.
    chunk: Chunk,
}

/// What is held, in bytes, and by how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) lent: usize,
    pub(crate) waiting: usize,
    pub(crate) users: usize,
}

impl Memory {
    /// For buffers of `limit` bytes altogether.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            store: Mutex::default(),
        })
    }

    pub(crate) fn held(&self) -> Held {
        let store = self.store();
        Held {
            lent: store.lent,
            waiting: store.waiting,
            users: store.users,
        }
    }

    /// Whether `more` connections with buffers of at most these sizes can have what is promised to
    /// each.
    pub(crate) fn has_room(&self, more: usize, recv: usize, send: usize) -> bool {
        let store = self.store();
        let wanted = more.saturating_mul(promised(recv, send));
        store.promised + store.beyond + wanted <= self.limit
    }

    /// A connection's claim to buffers of up to these sizes, from 2 KiB to 1 GiB each.
    pub(crate) fn claim(self: &Arc<Self>, recv: usize, send: usize) -> Claim {
        let claim = Claim {
            memory: self.clone(),
            most: [recv as u32, send as u32],
            least: least_of(recv, send).map(|len| len as u32),
        };
        self.store().promised += claim.promised();
        claim
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The window scale that a receive buffer of so many bytes needs (RFC 7323, 2.3).
pub(crate) fn scale_of(recv: usize) -> u8 {
    let bits = usize::BITS - recv.leading_zeros();
    bits.saturating_sub(16).min(14) as u8
}

/// What a connection with buffers of at most these sizes can always have of each.
fn least_of(recv: usize, send: usize) -> [usize; 2] {
    // The window is told in units of its scale, and some of them must fit.
    let units = 8 << scale_of(recv);
    [LEAST.max(units).min(recv), LEAST.min(send)]
}

/// What is promised to a connection with buffers of at most these sizes, in bytes.
pub(crate) fn promised(recv: usize, send: usize) -> usize {
    bytes_of(least_of(recv, send))
}

/// What buffers for so many bytes take.
fn bytes_of(sizes: [usize; 2]) -> usize {
    sizes.map(|len| class(len).1).iter().sum()
}

/// A connection's right to buffers.
#[derive(Debug)]
pub(crate) struct Claim {
    memory: Arc<Memory>,
    /// Of the receive buffer and the send buffer, in bytes.
    most: [u32; 2],
    least: [u32; 2],
}

impl Claim {
    /// Sizes of receive buffer and send buffer if there is enough, in bytes.
    pub(crate) fn most(&self) -> (usize, usize) {
        (self.most[0] as usize, self.most[1] as usize)
    }

    fn promised(&self) -> usize {
        promised(self.most[0] as usize, self.most[1] as usize)
    }

    /// Takes buffers: as large as they may be, or smaller ones if memory runs short.
    pub(crate) fn take(&self) -> Buffers {
        let promised = self.promised();
        let mut evicted = Vec::new();
        let mut store = self.memory.store();
        // Half of everything is for what is promised to those that are still to come.
        let limit = self.memory.limit;
        let free = (limit.saturating_sub(store.promised)).min(limit / 2);
        let free = free.saturating_sub(store.beyond);
        let [least, most] = [self.least, self.most].map(|pair| pair.map(|len| len as usize));
        let sizes = (0..SIZES / 2)
            .map(|step| [0, 1].map(|n| (most[n] >> (2 * step)).max(least[n])))
            .find(|sizes| bytes_of(*sizes).saturating_sub(promised) <= free / SHARE)
            .unwrap_or(least);
        let bytes = bytes_of(sizes);
        store.beyond += bytes.saturating_sub(promised);
        store.lent += bytes;
        store.users += 1;
        let blocks = sizes.map(|len| {
            let (shelf, size) = class(len);
            match store.take(shelf) {
                None if size < block::MAPPED => Ok(store.cut(size)),
                block => block.ok_or(size),
            }
        });
        while store.lent + store.waiting > self.memory.limit
            && let Some(buffer) = store.pop_largest()
        {
            evicted.push(buffer);
        }
        drop(store);
        // The system is not asked for memory, nor given any back, under the lock.
        drop(evicted);
        let blocks = blocks.map(|block| block.unwrap_or_else(Block::mapped));
        Buffers {
            memory: self.memory.clone(),
            scarce: sizes != most,
            beyond: bytes.saturating_sub(promised),
            blocks: Some(blocks),
            sizes,
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let promised = self.promised();
        self.memory.store().promised -= promised;
    }
}

/// The shelf of a buffer of `len` bytes, and its size there.
fn class(len: usize) -> (usize, usize) {
    let size = len.next_power_of_two().max(1 << SMALLEST);
    ((size.trailing_zeros() - SMALLEST) as usize, size)
}

impl Store {
    fn pop(&mut self, shelf: usize) -> Option<Block> {
        let block = self.shelves.get_mut(shelf)?.pop()?;
        self.waiting -= block.len();
        Some(block)
    }

    fn pop_largest(&mut self) -> Option<Block> {
        let shelf = self.shelves.iter().rposition(|shelf| !shelf.is_empty())?;
        self.pop(shelf)
    }

    /// A buffer off the shelf.
    fn take(&mut self, shelf: usize) -> Option<Block> {
        let block = self.pop(shelf)?;
        self.chunk.leave(&block);
        Some(block)
    }

    /// A small buffer that is new.
    fn cut(&mut self, size: usize) -> Block {
        if !self.chunk.has(size) {
            self.clear_small();
        }
        self.chunk.cut(size)
    }

    /// Nothing of the present chunk is to wait any more.
    fn clear_small(&mut self) {
        for shelf in &mut self.shelves {
            if shelf.first().is_some_and(Block::is_small) {
                self.waiting -= shelf.drain(..).map(|block| block.len()).sum::<usize>();
            }
        }
    }

    /// Puts a buffer on its shelf, or gives it back if there are enough.
    fn put(&mut self, block: Block, most: usize) -> Option<Block> {
        let (shelf, size) = class(block.len());
        if self.chunk.come_back(&block) {
            // All of it is here: the burst is over for which it was needed.
            self.clear_small();
            return Some(block);
        }
        if self.waiting + size > most || !self.chunk.keeps(&block) {
            return Some(block);
        }
        self.shelves[shelf].push(block);
        self.waiting += size;
        None
    }
}

/// The buffers of a connection. Dropped, they wait for the next one; what is in them stays there.
#[derive(Debug)]
pub(crate) struct Buffers {
    memory: Arc<Memory>,
    /// They would be larger if there were more memory.
    pub(crate) scarce: bool,
    beyond: usize,
    blocks: Option<[Block; 2]>,
    sizes: [usize; 2],
}

impl Buffers {
    /// The receive buffer and the send buffer.
    pub(crate) fn split(&mut self) -> (&mut [u8], &mut [u8]) {
        let [recv, send] = self.sizes;
        match &mut self.blocks {
            Some([first, second]) => (&mut first.bytes()[..recv], &mut second.bytes()[..send]),
            None => (&mut [], &mut []),
        }
    }

    pub(crate) fn recv_len(&self) -> usize {
        self.sizes[0]
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        let Some(blocks) = self.blocks.take() else {
            return;
        };
        let most = self.memory.limit / WAITING;
        let mut store = self.memory.store();
        store.lent -= blocks.iter().map(Block::len).sum::<usize>();
        store.beyond -= self.beyond;
        store.users -= 1;
        let given_back = blocks.map(|block| store.put(block, most));
        drop(store);
        drop(given_back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    #[test]
    fn buffers_come_back_and_are_used_again() {
        let memory = Memory::new(64 << 20);
        let claim = memory.claim(128 * KIB, 100_000);
        let mut buffers = claim.take();
        let (recv, send) = buffers.split();
        assert_eq!((recv.len(), send.len()), (128 * KIB, 100_000));
        let places = [recv.as_ptr(), send.as_ptr()];
        drop(buffers);
        let held = Held {
            waiting: 256 * KIB,
            ..Held::default()
        };
        assert_eq!(memory.held(), held);
        let mut again = memory.claim(128 * KIB, 70_000).take();
        assert!(places.contains(&again.split().0.as_ptr()) && !again.scarce);
        assert_eq!(memory.held().waiting, 0);
    }

    #[test]
    fn nothing_goes_beyond_the_limit_and_everybody_gets_something() {
        let limit = 8 << 20;
        let memory = Memory::new(limit);
        let many = limit / promised(128 * KIB, 128 * KIB);
        assert_eq!(many, 1024);
        let claims: Vec<_> = (0..many)
            .map(|_| memory.claim(128 * KIB, 128 * KIB))
            .collect();
        // The first half comes and goes, so that large ones wait.
        drop(
            claims[..many / 2]
                .iter()
                .map(|c| c.take())
                .collect::<Vec<_>>(),
        );
        let mut all = Vec::new();
        for claim in &claims {
            let mut buffers = claim.take();
            let (recv, send) = buffers.split();
            assert!(recv.len() >= LEAST && send.len() >= LEAST);
            all.push(buffers);
            let held = memory.held();
            assert!(held.lent + held.waiting <= limit, "{held:?}");
        }
        drop(all);
        let held = memory.held();
        assert_eq!((held.lent, held.users), (0, 0));
        assert!(held.waiting <= limit / WAITING);
        drop(claims);
        let store = memory.store();
        assert_eq!((store.promised, store.beyond), (0, 0));
    }

    #[test]
    fn nothing_stays_of_a_burst_of_small_ones() {
        let memory = Memory::new(64 << 20);
        let claims: Vec<_> = (0..3000).map(|_| memory.claim(8 * KIB, 2 * KIB)).collect();
        let burst: Vec<_> = claims.iter().map(|claim| claim.take()).collect();
        assert!(memory.held().lent >= 3000 * 10 * KIB);
        let last = claims[0].take();
        drop(burst);
        assert!(memory.held().waiting > 0, "one is used again");
        drop(last);
        assert_eq!(memory.held(), Held::default());
        assert_eq!(memory.store().chunk.resident(), 0);
        // A few stay.
        for _ in 0..100 {
            drop(claims[0].take());
        }
        assert_eq!(memory.held().waiting, 10 * KIB);
        assert_eq!(memory.store().chunk.resident(), 10 * KIB);
    }

    #[test]
    fn few_connections_have_large_buffers_and_many_small_ones() {
        let memory = Memory::new(16 << 20);
        let claims: Vec<_> = (0..500)
            .map(|_| memory.claim(128 * KIB, 128 * KIB))
            .collect();
        let mut all: Vec<_> = claims.iter().map(|claim| claim.take()).collect();
        let sizes: Vec<_> = all.iter_mut().map(|b| b.split().0.len()).collect();
        assert_eq!(sizes[0], 128 * KIB);
        assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
        assert!(sizes.contains(&(32 * KIB)) && sizes.contains(&(8 * KIB)));
    }
}

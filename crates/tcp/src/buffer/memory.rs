//! The memory budget of all connections.

use super::block::Block;
use super::pool::{CLASSES, Pool, class_size};
use brooklet_cell::{Flavor, Shared};
use hashbrown::HashMap;

/// The size of each buffer that every connection is promised, in bytes.
const MIN_BUFFER: usize = 4096;

/// The smallest receive buffer holds this many units of the window scale (RFC 7323, 2.3).
const MIN_WINDOW_UNITS: usize = 8;

/// A buffer takes at most this fraction of the bytes that are free.
const BUFFER_SHARE: usize = 8;

/// Spare buffers take at most this fraction of the limit.
const SPARE_SHARE: usize = 64;

/// What a connection is promised beside its buffers, in bytes: its state and its handles, its places
/// in the tables and in the lists of deadlines, and the shortest out-of-order queue and scoreboard.
pub(crate) const PER_CONNECTION: usize = 2560;

/// The table of connections with buffers is not shrunk below this capacity.
const MAX_VACANT: usize = 1024;

/// The memory budget of all connections.
///
/// Each connection is promised a buffer of [`MIN_BUFFER`] bytes for either direction. Half of the
/// limit is kept for these promises. The rest is lent beyond the promises, to each buffer at most a
/// fraction of the bytes that are free, so that buffers become smaller step by step as memory runs
/// short.
///
/// A clone is a handle to the same budget. Its cell is the last one that anything takes.
#[derive(Clone, Debug)]
pub(crate) struct Memory<F: Flavor>(Shared<F, Store>);

#[derive(Debug, Default)]
struct Store {
    /// The most bytes, buffers and their overhead.
    limit: usize,
    /// Bytes promised to all claims.
    promised: usize,
    /// Bytes lent beyond the promises.
    beyond: usize,
    /// Bytes lent.
    lent: usize,
    /// Heap bytes that connections hold beside their buffers and their state.
    overhead: usize,
    /// The connections that exist, also those that have ended and that a handle keeps.
    claims: usize,
    /// The connections that hold a buffer, by the identifiers of their claims: bytes lent of
    /// either side. An idle connection has no entry.
    users: HashMap<u64, [usize; 2], foldhash::fast::RandomState>,
    /// The identifier of the most recent claim.
    last_claim: u64,
    pool: Pool,
}

/// The bytes that a [`Memory`] holds, and the connections that hold buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Bytes of buffers in use.
    pub(crate) lent: usize,
    /// Bytes of recycled buffers that wait for their next use.
    pub(crate) spare: usize,
    /// Connections with at least one buffer.
    pub(crate) users: usize,
    /// Heap bytes that connections hold beside their buffers and their state.
    pub(crate) overhead: usize,
    /// Connections that exist, also those that have ended and that a handle keeps.
    pub(crate) claims: usize,
    /// Heap bytes of the lists of buffers.
    pub(crate) lists: usize,
}

/// The direction of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Receive,
    Send,
}

impl<F: Flavor> Memory<F> {
    /// A budget of `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self(Shared::new(Store {
            limit,
            ..Store::default()
        }))
    }

    pub(crate) fn held(&self) -> Held {
        self.0.with(|store| Held {
            lent: store.lent,
            spare: store.pool.bytes(),
            users: store.users.len(),
            overhead: store.overhead,
            claims: store.claims,
            lists: store.users.allocation_size() + store.pool.heap_size(),
        })
    }

    /// Whether the budget has room for the promises to `more` connections of these sizes.
    pub(crate) fn has_room(&self, more: usize, recv: usize, send: usize, recv_max: usize) -> bool {
        let wanted = more.saturating_mul(promised(recv, send, recv_max));
        self.0
            .with(|store| store.claimed().saturating_add(wanted) <= store.limit)
    }

    /// The claim of a connection to buffers of the initial sizes `recv` and `send`, which may grow
    /// to `recv_max` and `send_max`. Each size is at most 1 GiB.
    pub(crate) fn claim(
        &self,
        recv: usize,
        send: usize,
        recv_max: usize,
        send_max: usize,
    ) -> Claim<F> {
        let id = self.0.with(|store| {
            store.promised += promised(recv, send, recv_max);
            store.claims += 1;
            store.last_claim += 1;
            store.last_claim
        });
        Claim {
            memory: self.clone(),
            id,
            initial: [recv, send].map(|size| size as u32),
            max: [recv_max.max(recv), send_max.max(send)].map(|size| size as u32),
            accounted: 0,
            is_over: false,
        }
    }
}

/// The window scale (RFC 7323, 2.3) with which a window of `recv_max` bytes can be advertised.
pub(crate) fn window_scale(recv_max: usize) -> u8 {
    let bits = usize::BITS - recv_max.leading_zeros();
    bits.saturating_sub(16).min(14) as u8
}

/// The smallest receive buffer that can grow to `recv_max` bytes: the window field counts in units
/// of 2^scale bytes, and a window needs several of them.
pub(crate) fn min_recv(recv_max: usize) -> usize {
    MIN_WINDOW_UNITS << window_scale(recv_max)
}

/// The bytes that a connection of these sizes is promised.
pub(crate) fn promised(recv: usize, send: usize, recv_max: usize) -> usize {
    let [recv, send] = minimum(recv, send, recv_max);
    class_size(recv) + class_size(send) + PER_CONNECTION
}

/// The sizes that a connection can have at any time.
fn minimum(recv: usize, send: usize, recv_max: usize) -> [usize; 2] {
    let units = min_recv(recv_max.max(recv));
    [MIN_BUFFER.max(units).min(recv), MIN_BUFFER.min(send)]
}

/// The right of one connection to buffers.
#[derive(Debug)]
pub(crate) struct Claim<F: Flavor> {
    memory: Memory<F>,
    id: u64,
    /// The initial sizes of the receive buffer and the send buffer, in bytes.
    initial: [u32; 2],
    /// The sizes that they may grow to.
    max: [u32; 2],
    /// The overhead that the budget knows of, in bytes.
    accounted: u32,
    /// The bytes of all connections exceeded the limit when `accounted` changed last.
    is_over: bool,
}

impl<F: Flavor> Claim<F> {
    /// The initial sizes of the receive buffer and the send buffer, in bytes.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.initial[0] as usize, self.initial[1] as usize)
    }

    /// The size that a buffer may grow to, in bytes.
    pub(crate) fn maximum(&self, side: Side) -> usize {
        self.max[side as usize] as usize
    }

    /// Takes a buffer of the initial size, or a smaller one when memory runs short.
    pub(crate) fn attach(&self, side: Side) -> Buffer<F> {
        let initial = self.initial[side as usize] as usize;
        let minimum = self.minimum(side);
        let (len, lent) = self.memory.0.with(|store| {
            let share = store.free(2) / BUFFER_SHARE;
            let len = (0..CLASSES / 2)
                .map(|step| (initial >> (2 * step)).max(minimum))
                .find(|len| class_size(*len).saturating_sub(class_size(minimum)) <= share)
                .unwrap_or(minimum);
            (len, self.lend(store, side, len))
        });
        self.buffer(side, len, lent)
    }

    /// Takes a buffer that is larger than `current` bytes: the next power of two from `wanted`, the
    /// maximum, or the largest power of two below that the budget has a share for. Returns `None`
    /// when there is none. The caller moves the content and drops the old buffer.
    ///
    /// Growth uses at most half of what is lent beyond the promises. The other half is left for
    /// the initial sizes of other connections.
    pub(crate) fn grow(&self, side: Side, current: usize, wanted: usize) -> Option<Buffer<F>> {
        let maximum = self.maximum(side);
        let wanted = wanted.min(maximum).next_power_of_two();
        if wanted.min(maximum) <= current {
            return None;
        }
        let (len, lent) = self.memory.0.with(|store| {
            let share = store.free(4) / BUFFER_SHARE;
            let size = (0..CLASSES)
                .map(|step| wanted >> step)
                .find(|size| class_size(*size) <= share)?;
            let len = size.min(maximum);
            (len > current).then(|| (len, self.lend(store, side, len)))
        })?;
        Some(self.buffer(side, len, lent))
    }

    /// Sets the heap bytes that the connection holds beside its buffers and its state: handles of
    /// buffers, out-of-order list, scoreboard. Returns whether the bytes of all connections exceed
    /// the limit, as of the last change: the connection should then hold less.
    #[inline]
    pub(crate) fn account(&mut self, bytes: usize) -> bool {
        if bytes != self.accounted as usize {
            self.correct(bytes);
        }
        self.is_over
    }

    #[inline(never)]
    fn correct(&mut self, bytes: usize) {
        let known = self.accounted as usize;
        self.accounted = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.is_over = self.memory.0.with(|store| {
            store.overhead = store.overhead - known + self.accounted as usize;
            store.claimed() > store.limit
        });
    }

    fn minimum(&self, side: Side) -> usize {
        let (recv, send) = self.sizes();
        minimum(recv, send, self.maximum(Side::Receive))[side as usize]
    }

    /// Lends `len` bytes.
    fn lend(&self, store: &mut Store, side: Side, len: usize) -> Lent {
        let size = class_size(len);
        let promised = class_size(self.minimum(side));
        store.lent += size;
        store.change_user(self.id, side, promised, |bytes| bytes + size);
        let block = store.pool.take(size);
        let mut evicted = Vec::new();
        let states = store.claims * PER_CONNECTION;
        while store.lent + store.pool.bytes() + store.overhead + states > store.limit
            && let Some(block) = store.pool.pop_largest()
        {
            evicted.push(block);
        }
        Lent { block, evicted }
    }

    /// Makes a buffer of what was lent, while the cell of the budget is free: here are the system
    /// calls for memory.
    fn buffer(&self, side: Side, len: usize, lent: Lent) -> Buffer<F> {
        let Lent { block, evicted } = lent;
        drop(evicted);
        Buffer {
            memory: self.memory.clone(),
            claim: self.id,
            block: block.unwrap_or_else(|| Block::mapped(class_size(len))),
            len: len as u32,
            promised: class_size(self.minimum(side)) as u32,
            side,
            scarce: len < self.initial[side as usize] as usize,
        }
    }
}

/// What the budget gives for a buffer.
struct Lent {
    /// A block of the pool, if the pool had one.
    block: Option<Block>,
    /// Blocks that the pool gives up in exchange.
    evicted: Vec<Block>,
}

impl<F: Flavor> Drop for Claim<F> {
    fn drop(&mut self) {
        let (recv, send) = self.sizes();
        let promised = promised(recv, send, self.maximum(Side::Receive));
        self.memory.0.with(|store| {
            store.promised -= promised;
            store.claims -= 1;
            store.overhead -= self.accounted as usize;
        });
    }
}

impl Store {
    /// Bytes promised, lent beyond the promises, or held beside the buffers.
    fn claimed(&self) -> usize {
        self.promised + self.beyond + self.overhead
    }

    /// The bytes that may still be lent beyond the promises, where at most 1 / `part` of the limit
    /// may be lent so.
    fn free(&self, part: usize) -> usize {
        let limit = self.limit;
        let free = limit.saturating_sub(self.promised).min(limit / part);
        free.saturating_sub(self.beyond + self.overhead)
    }

    /// Changes the bytes that a connection holds of one side, `promised` of which are promised.
    fn change_user(
        &mut self,
        id: u64,
        side: Side,
        promised: usize,
        change: impl FnOnce(usize) -> usize,
    ) {
        let sides = self.users.entry(id).or_default();
        let bytes = &mut sides[side as usize];
        self.beyond -= bytes.saturating_sub(promised);
        *bytes = change(*bytes);
        self.beyond += bytes.saturating_sub(promised);
        if *sides == [0, 0] {
            self.users.remove(&id);
            if self.users.capacity() > MAX_VACANT.max(8 * self.users.len()) {
                self.users.shrink_to(2 * self.users.len());
            }
        }
    }
}

/// A buffer of one direction of a connection. Dropping a buffer recycles its memory, content
/// included; a new buffer therefore holds arbitrary bytes.
#[derive(Debug)]
pub(crate) struct Buffer<F: Flavor> {
    memory: Memory<F>,
    /// The identifier of the claim.
    claim: u64,
    block: Block,
    len: u32,
    /// The bytes of this side that are promised to the connection.
    promised: u32,
    side: Side,
    scarce: bool,
}

impl<F: Flavor> Buffer<F> {
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.block.bytes()[..self.len as usize]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.block.bytes_mut()[..self.len as usize]
    }

    /// Whether the buffer is smaller than its initial size, because memory ran short.
    pub(crate) fn is_scarce(&self) -> bool {
        self.scarce
    }
}

impl<F: Flavor> Drop for Buffer<F> {
    fn drop(&mut self) {
        let block = std::mem::take(&mut self.block);
        let size = block.len();
        let promised = self.promised as usize;
        let returned = self.memory.0.with(|store| {
            store.lent -= size;
            store.change_user(self.claim, self.side, promised, |bytes| bytes - size);
            store.pool.put(block, store.limit / SPARE_SHARE)
        });
        // System calls for memory stay outside the cell.
        drop(returned);
    }
}

#[cfg(test)]
#[cfg(feature = "sync")]
mod tests;

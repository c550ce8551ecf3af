//! What the buffers of all connections may take, and those that wait for their next use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What any connection can have of each buffer, however little is left, in bytes.
const LEAST: usize = 4096;

/// One connection gets at most this part of what is free.
const SHARE: usize = 4;

/// Buffers that wait take at most this part of everything.
const WAITING: usize = 16;

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
    shelves: [Vec<Box<[u8]>>; SIZES],
    waiting: usize,
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

    /// A connection's claim to buffers of up to these sizes, from 2 KiB to 1 GiB each.
    pub(crate) fn claim(self: &Arc<Self>, recv: usize, send: usize) -> Claim {
        // The window is told in units of its scale, and some of them must fit.
        let unit = 8 << scale_of(recv);
        let claim = Claim {
            memory: self.clone(),
            most: [recv as u32, send as u32],
            least: [LEAST.max(unit).min(recv) as u32, LEAST.min(send) as u32],
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

/// What `max` connections with buffers of these sizes must be able to have.
pub(crate) fn affordable(limit: usize, recv: usize, send: usize) -> usize {
    let least = LEAST.max(8 << scale_of(recv)).min(recv) + LEAST.min(send);
    limit / least.next_power_of_two()
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
        self.least.iter().map(|&len| class(len as usize).1).sum()
    }

    /// Takes buffers: as large as they may be, or smaller ones if memory runs short, but with room
    /// for `data` bytes to be received.
    pub(crate) fn take(&self, data: usize) -> Buffers {
        let promised = self.promised();
        let mut evicted = Vec::new();
        let mut store = self.memory.store();
        let free = (self.memory.limit).saturating_sub(store.promised + store.beyond);
        let sizes = (0..SIZES / 2)
            .map(|step| {
                [0, 1].map(|n| {
                    let needed = if n == 0 { data } else { 0 };
                    let least = (self.least[n] as usize).max(needed);
                    let most = self.most[n] as usize;
                    (most >> (2 * step)).max(least).min(most)
                })
            })
            .find(|sizes| {
                let bytes: usize = sizes.iter().map(|&len| class(len).1).sum();
                bytes.saturating_sub(promised) <= free / SHARE
            })
            .unwrap_or_else(|| {
                let least = self.least.map(|least| least as usize);
                [least[0].max(data).min(self.most[0] as usize), least[1]]
            });
        let bytes: usize = sizes.iter().map(|&len| class(len).1).sum();
        store.beyond += bytes.saturating_sub(promised);
        store.lent += bytes;
        store.users += 1;
        let mut buffers = sizes.map(|len| store.take(class(len).0));
        while store.lent + store.waiting > self.memory.limit
            && let Some(buffer) = store.take_largest()
        {
            evicted.push(buffer);
        }
        drop(store);
        // Neither zeroing nor giving back is done under the lock.
        drop(evicted);
        for (buffer, len) in buffers.iter_mut().zip(sizes) {
            if buffer.is_empty() {
                *buffer = vec![0; class(len).1].into_boxed_slice();
            }
        }
        let [recv, send] = buffers;
        Buffers {
            memory: self.memory.clone(),
            scarce: sizes != self.most.map(|most| most as usize),
            beyond: bytes.saturating_sub(promised),
            recv,
            send,
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
    /// A buffer off the shelf, or an empty one.
    fn take(&mut self, shelf: usize) -> Box<[u8]> {
        let buffer = self.shelves.get_mut(shelf).and_then(Vec::pop);
        let buffer = buffer.unwrap_or_default();
        self.waiting -= buffer.len();
        buffer
    }

    fn take_largest(&mut self) -> Option<Box<[u8]>> {
        let shelf = self.shelves.iter().rposition(|shelf| !shelf.is_empty())?;
        Some(self.take(shelf))
    }
}

/// The buffers of a connection. Dropped, they wait for the next one; what is in them stays there.
#[derive(Debug)]
pub(crate) struct Buffers {
    memory: Arc<Memory>,
    /// They would be larger if there were more memory.
    pub(crate) scarce: bool,
    beyond: usize,
    recv: Box<[u8]>,
    send: Box<[u8]>,
    sizes: [usize; 2],
}

impl Buffers {
    /// The receive buffer and the send buffer.
    pub(crate) fn split(&mut self) -> (&mut [u8], &mut [u8]) {
        let [recv, send] = self.sizes;
        (&mut self.recv[..recv], &mut self.send[..send])
    }

    pub(crate) fn recv_len(&self) -> usize {
        self.sizes[0]
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        let most = self.memory.limit / WAITING;
        let mut store = self.memory.store();
        store.lent -= self.recv.len() + self.send.len();
        store.beyond -= self.beyond;
        store.users -= 1;
        for buffer in [&mut self.recv, &mut self.send] {
            let (shelf, size) = class(buffer.len());
            if store.waiting + size <= most
                && let Some(shelf) = store.shelves.get_mut(shelf)
            {
                shelf.push(std::mem::take(buffer));
                store.waiting += size;
            }
        }
        // What found no place is given back after the lock, with the rest of `self`.
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
        let mut buffers = claim.take(0);
        let (recv, send) = buffers.split();
        assert_eq!((recv.len(), send.len()), (128 * KIB, 100_000));
        let places = [recv.as_ptr(), send.as_ptr()];
        drop(buffers);
        let held = Held {
            waiting: 256 * KIB,
            ..Held::default()
        };
        assert_eq!(memory.held(), held);
        let mut again = memory.claim(128 * KIB, 70_000).take(0);
        assert!(places.contains(&again.split().0.as_ptr()) && !again.scarce);
        assert_eq!(memory.held().waiting, 0);
    }

    #[test]
    fn nothing_goes_beyond_the_limit_and_everybody_gets_something() {
        let limit = 8 << 20;
        let memory = Memory::new(limit);
        let many = affordable(limit, 128 * KIB, 128 * KIB);
        assert_eq!(many, 1024);
        let claims: Vec<_> = (0..many)
            .map(|_| memory.claim(128 * KIB, 128 * KIB))
            .collect();
        // The first half comes and goes, so that large ones wait.
        drop(
            claims[..many / 2]
                .iter()
                .map(|c| c.take(0))
                .collect::<Vec<_>>(),
        );
        let mut all = Vec::new();
        for claim in &claims {
            let mut buffers = claim.take(1460);
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
    fn few_connections_have_large_buffers_and_many_small_ones() {
        let memory = Memory::new(16 << 20);
        let claims: Vec<_> = (0..500)
            .map(|_| memory.claim(128 * KIB, 128 * KIB))
            .collect();
        let mut all: Vec<_> = claims.iter().map(|claim| claim.take(0)).collect();
        let sizes: Vec<_> = all.iter_mut().map(|b| b.split().0.len()).collect();
        assert_eq!(sizes[0], 128 * KIB);
        assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
        assert!(sizes.contains(&(32 * KIB)) && sizes.contains(&(8 * KIB)));
    }
}

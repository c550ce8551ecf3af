//! The bytes that the inbound side holds on the heap, against its share of the memory budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

/// Counts the bytes of all inbound queues and of the tables of sessions and sockets.
///
/// A clone counts in the same place. Everything that counts is under the cell of the inbound side, so
/// that a load and a store suffice where other counters need an atomic addition.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<Account>);

struct Account {
    limit: isize,
    /// Bytes that are free: one figure, because every datagram looks at it. Below 0 when tables
    /// have grown beyond the limit.
    free: AtomicIsize,
}

impl Ledger {
    pub(crate) fn new(limit: usize) -> Self {
        let limit = isize::try_from(limit).unwrap_or(isize::MAX);
        Self(Arc::new(Account {
            limit,
            free: AtomicIsize::new(limit),
        }))
    }

    #[inline]
    fn free(&self) -> isize {
        self.0.free.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> usize {
        (self.0.limit - self.free()).unsigned_abs()
    }

    pub(crate) fn limit(&self) -> usize {
        self.0.limit.unsigned_abs()
    }

    /// Whether there is room for `bytes` bytes, which are less than the address space.
    #[inline]
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        bytes as isize <= self.free()
    }

    /// Whether more than half of the limit is held, so that what is held needlessly should go.
    pub(crate) fn is_half_full(&self) -> bool {
        self.free() < self.0.limit / 2
    }

    #[inline]
    pub(crate) fn add(&self, bytes: usize) {
        let free = self.free() - bytes as isize;
        self.0.free.store(free, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn subtract(&self, bytes: usize) {
        let free = self.free() + bytes as isize;
        self.0.free.store(free, Ordering::Relaxed);
    }
}

/// A count in a [`Ledger`] that follows a figure, and ends with this value.
pub(crate) struct Entry {
    ledger: Ledger,
    bytes: usize,
}

impl Entry {
    pub(crate) fn new(ledger: &Ledger) -> Self {
        Self {
            ledger: ledger.clone(),
            bytes: 0,
        }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn set(&mut self, bytes: usize) {
        self.ledger.subtract(self.bytes);
        self.ledger.add(bytes);
        self.bytes = bytes;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.ledger.subtract(self.bytes);
    }
}

//! The bytes that the inbound side holds on the heap, against its share of the memory budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the bytes of all inbound queues and of the tables of sessions and sockets.
///
/// A clone counts in the same place. Everything that counts is under the cell of the inbound side, so
/// that a load and a store suffice where other counters need an atomic addition.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<Account>);

struct Account {
    limit: usize,
    bytes: AtomicUsize,
}

impl Ledger {
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Account {
            limit,
            bytes: AtomicUsize::new(0),
        }))
    }

    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> usize {
        self.0.limit
    }

    #[inline]
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.bytes().saturating_add(bytes) <= self.0.limit
    }

    /// Whether more than half of the limit is held, so that what is held needlessly should go.
    #[inline]
    pub(crate) fn is_half_full(&self) -> bool {
        self.bytes() > self.0.limit / 2
    }

    #[inline]
    pub(crate) fn add(&self, bytes: usize) {
        self.0.bytes.store(self.bytes() + bytes, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn subtract(&self, bytes: usize) {
        self.0.bytes.store(self.bytes() - bytes, Ordering::Relaxed);
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

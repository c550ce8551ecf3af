//! The bytes that the queues of all sockets hold on the heap, against their share of the memory
//! budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the bytes of all inbound queues. A clone counts in the same place.
#[derive(Clone, Debug)]
pub(crate) struct Ledger(Arc<Account>);

#[derive(Debug)]
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

    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Whether there is room. Two queues may take the last room at the same time.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.bytes().saturating_add(bytes) <= self.0.limit
    }
}

/// What one queue has in a [`Ledger`]. It ends with this value.
#[derive(Debug)]
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

    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.ledger.has_room(bytes)
    }

    pub(crate) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.ledger.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.ledger.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn clear(&mut self) {
        self.subtract(self.bytes);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.clear();
    }
}

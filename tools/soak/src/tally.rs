//! What the traffic has done, and what went wrong.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// The most errors that are printed one by one.
const PRINTED: u64 = 40;

/// Counters that all tasks share. Clones are the same counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<Counters>);

#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// TCP connections that did what they were to do, with every byte right.
    pub(crate) connections: AtomicU64,
    /// Connection attempts that were refused, rejected or withdrawn, as they were to be.
    pub(crate) refusals: AtomicU64,
    /// Connections that one end has reset, as it was to do.
    pub(crate) resets: AtomicU64,
    /// Datagrams that were answered with the right bytes.
    pub(crate) datagrams: AtomicU64,
    /// Datagrams and pings that were sent again since no answer came.
    pub(crate) repeats: AtomicU64,
    /// Echo requests that were answered with the right bytes.
    pub(crate) pings: AtomicU64,
    /// Bytes of streams and datagrams that were checked.
    pub(crate) bytes: AtomicU64,
    /// UDP sessions that have ended because they were idle.
    pub(crate) expired: AtomicU64,
    /// Flows of the stacks that are open on purpose.
    pub(crate) kept_open: AtomicI64,
    errors: AtomicU64,
}

impl std::ops::Deref for Tally {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        &self.0
    }
}

impl Counters {
    /// Counts an error and prints it.
    pub(crate) fn error(&self, what: impl fmt::Display) {
        let number = self.errors.fetch_add(1, Relaxed) + 1;
        if number <= PRINTED {
            eprintln!("error {number}: {what}");
        }
        if number == PRINTED {
            eprintln!("later errors are only counted");
        }
    }

    /// Returns the number of errors.
    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }
}

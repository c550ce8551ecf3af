//! What the drivers read of the table without its cell.

use crate::seq::Micros;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The next expiry of the table and the number of its connections.
///
/// The figures are written under the table's cell. Whoever makes the expiry earlier wakes a driver
/// through the cell of its queue afterwards, so that the driver reads the new one.
#[derive(Debug)]
pub(crate) struct TableSummary {
    /// In whole seconds since the stack's epoch.
    next_expiry: AtomicU32,
    connections: AtomicUsize,
    /// When the last SYN cookie was sent: the end of that second, in seconds since the epoch.
    cookies_sent_at: AtomicU32,
}

/// There is nothing to expire.
const NEVER: u32 = u32::MAX;

impl Default for TableSummary {
    fn default() -> Self {
        Self {
            next_expiry: AtomicU32::new(NEVER),
            connections: AtomicUsize::new(0),
            cookies_sent_at: AtomicU32::new(0),
        }
    }
}

impl TableSummary {
    /// Publishes both figures. Returns whether the expiry has become earlier.
    ///
    /// The expiry is rounded up to the next whole second, so that what expires one by one expires
    /// in batches.
    pub(super) fn publish(&self, next_expiry: Option<Duration>, connections: usize) -> bool {
        let next = next_expiry.map_or(NEVER, |at| {
            let seconds = at.as_secs() + u64::from(at.subsec_nanos() > 0);
            u32::try_from(seconds).unwrap_or(NEVER - 1)
        });
        self.connections.store(connections, Ordering::Relaxed);
        next < self.next_expiry.swap(next, Ordering::Relaxed)
    }

    pub(crate) fn next_expiry(&self, epoch: Instant) -> Option<Instant> {
        match self.next_expiry.load(Ordering::Relaxed) {
            NEVER => None,
            seconds => Some(epoch + Duration::from_secs(seconds.into())),
        }
    }

    /// Notes that a SYN cookie is sent, at `since_epoch`.
    pub(super) fn cookie_sent(&self, since_epoch: Duration) {
        let seconds = u32::try_from(since_epoch.as_secs() + 1).unwrap_or(u32::MAX);
        self.cookies_sent_at.store(seconds, Ordering::Relaxed);
    }

    /// When the last SYN cookie was sent, up to a second later.
    pub(crate) fn cookies_sent_at(&self) -> Option<Micros> {
        let seconds = self.cookies_sent_at.load(Ordering::Relaxed);
        (seconds > 0).then(|| Micros::from(seconds) * 1_000_000)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

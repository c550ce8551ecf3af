//! When the driver uses a device again that has failed.

use std::io;
use std::time::{Duration, Instant};

/// The back-off after the second error in a row, which doubles with each further one. After the
/// first error the driver tries again at once: a signal has interrupted the call, or the system
/// reports what happened to an earlier packet.
const FIRST_DELAY: Duration = Duration::from_millis(1);
const MAX_DELAY: Duration = Duration::from_millis(100);

/// The errors in a row after which the device counts as gone: about a minute. A number, and no time,
/// because a suspended system counts none.
const MAX_ERRORS: u32 = 600;

/// The errors in a row of a device, in one direction.
#[derive(Debug, Default)]
pub(super) struct Retry {
    errors: u32,
    delay: Duration,
    /// When the device is used again; `None` if its last call has succeeded.
    at: Option<Instant>,
}

impl Retry {
    /// The device has done what it was asked for, or has no packet, or takes none.
    #[inline]
    pub(super) fn succeeded(&mut self) {
        if self.at.is_some() {
            *self = Self::default();
        }
    }

    /// The device has failed.
    ///
    /// # Errors
    ///
    /// `error`, if the device has failed too often.
    pub(super) fn failed(&mut self, now: Instant, error: io::Error) -> io::Result<()> {
        self.errors += 1;
        if self.errors >= MAX_ERRORS {
            return Err(error);
        }
        self.at = Some(now + self.delay);
        self.delay = (self.delay * 2).clamp(FIRST_DELAY, MAX_DELAY);
        Ok(())
    }

    /// Returns whether the device is left alone at `now`.
    #[inline]
    pub(super) fn is_waiting(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| at > now)
    }

    /// Returns when the device is used again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.at
    }
}

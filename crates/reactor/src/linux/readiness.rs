//! What is known about the readiness of a descriptor, in one word.

use super::sync::{AtomicUsize, Ordering};

/// The direction that a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

const READ: usize = 1;
const WRITE: usize = 2;
const CLOSED: usize = 4;
const ERROR: usize = 8;
/// One more event. The counter wraps.
const EVENT: usize = 16;

impl Direction {
    fn flag(self) -> usize {
        match self {
            Self::Read => READ,
            Self::Write => WRITE,
        }
    }
}

/// What an event reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// The peer or the system has ended a direction.
    pub(crate) closed: bool,
    /// An error waits, in an error queue for instance.
    pub(crate) error: bool,
}

/// A snapshot of [`Readiness`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen(usize);

impl Seen {
    /// An operation may succeed.
    pub(crate) fn is_ready(self, direction: Direction) -> bool {
        self.0 & direction.flag() != 0
    }

    /// There is more than data: an end, which is not reported again, or an error.
    pub(crate) fn has_more_than_data(self) -> bool {
        self.0 & (CLOSED | ERROR) != 0
    }
}

/// Two flags for the directions that may be ready, one each for the end and an error, and the
/// number of events.
///
/// A direction that was found to have nothing is cleared only if there was no event since the
/// operation began: an event between the operation and the clearing would be lost.
#[derive(Debug)]
pub(crate) struct Readiness(AtomicUsize);

impl Readiness {
    /// Nothing is known: both directions may be ready.
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(READ | WRITE))
    }

    pub(crate) fn load(&self) -> Seen {
        Seen(self.0.load(Ordering::Acquire))
    }

    /// Adds an event, and returns what was known before.
    pub(crate) fn set(&self, event: Event) -> Seen {
        let flags = [
            (event.read, READ),
            (event.write, WRITE),
            (event.closed, CLOSED),
            (event.error, ERROR),
        ];
        let flags: usize = flags.iter().filter(|(set, _)| *set).map(|f| f.1).sum();
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            let next = now.wrapping_add(EVENT) | flags;
            match self
                .0
                .compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(before) => return Seen(before),
                Err(current) => now = current,
            }
        }
    }

    /// Notes that an operation that began at `seen` has found nothing, unless there was an event
    /// since.
    pub(crate) fn clear(&self, direction: Direction, seen: Seen) {
        let mut now = self.0.load(Ordering::Acquire);
        while now / EVENT == seen.0 / EVENT {
            let next = now & !(direction.flag() | ERROR);
            match self
                .0
                .compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return,
                Err(current) => now = current,
            }
        }
    }
}

//! The timers of a reactor.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Instant;

/// The place of a timer: its deadline, and a number for timers of the same deadline.
pub(crate) type Key = (Instant, u64);

#[derive(Debug, Default)]
pub(crate) struct Timers {
    wakers: BTreeMap<Key, Waker>,
    last: u64,
}

impl Timers {
    /// Returns the key of a new timer, and whether it is the first one to fire.
    pub(crate) fn insert(&mut self, at: Instant, waker: Waker) -> (Key, bool) {
        self.last += 1;
        let key = (at, self.last);
        self.wakers.insert(key, waker);
        (key, self.first() == Some(at))
    }

    /// Moves a timer to another time. `None` if the timer has fired.
    pub(crate) fn set(&mut self, key: Key, at: Instant) -> Option<(Key, bool)> {
        let waker = self.wakers.remove(&key)?;
        Some(self.insert(at, waker))
    }

    /// Replaces the waker of a timer, and returns the old one if it wakes another task. `Err` if
    /// the timer has fired.
    pub(crate) fn register(&mut self, key: Key, waker: &Waker) -> Result<Option<Waker>, Fired> {
        let registered = self.wakers.get_mut(&key).ok_or(Fired)?;
        match registered.will_wake(waker) {
            true => Ok(None),
            false => Ok(Some(std::mem::replace(registered, waker.clone()))),
        }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Waker> {
        self.wakers.remove(&key)
    }

    /// Returns the earliest deadline.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.wakers.first_key_value().map(|((at, _), _)| *at)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.wakers.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }

    /// Moves the wakers of the timers that are due to `wakers`, in the order of the deadlines.
    pub(crate) fn take_due(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        while let Some(entry) = self.wakers.first_entry()
            && entry.key().0 <= now
        {
            wakers.push(entry.remove());
        }
    }

    /// Ends the timers, and moves all wakers to `wakers`.
    pub(crate) fn end(&mut self, wakers: &mut Vec<Waker>) {
        wakers.extend(std::mem::take(&mut self.wakers).into_values());
    }
}

/// The timer is not registered any more.
#[derive(Debug)]
pub(crate) struct Fired;

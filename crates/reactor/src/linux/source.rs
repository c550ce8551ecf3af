//! A descriptor as the reactor and the waiting tasks share it.

use super::packets::Packets;
use super::reactor::Reactor;
use super::readiness::{Direction, Event, Readiness, Seen};
use super::sync::{AtomicBool, Mutex, Ordering, lock};
use super::waiters::{Place, Waiters, wake_all};
use rustix::event::epoll::EventFlags;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Edge-triggered, and so registered once.
const EDGE: EventFlags = EventFlags::IN
    .union(EventFlags::OUT)
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);

/// A source moves to the reactor of the thread that has waited for it this often in a row. Tasks
/// that change the thread more often leave it where it is.
const FOLLOW: u8 = 16;

#[derive(Debug)]
pub(crate) struct Source {
    readiness: Readiness,
    /// Level-triggered, so that a read can be spared: see [`Packets`].
    level: AtomicBool,
    packets: Packets,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    binding: Option<Binding>,
    reading: Waiters,
    writing: Waiters,
    level: Option<Level>,
    /// Waits in a row on a thread with another reactor.
    elsewhere: u8,
}

impl State {
    /// Registers the source.
    fn bind(
        &mut self,
        source: &Arc<Source>,
        reactor: Arc<Reactor>,
        direction: Direction,
        fd: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let flags = match &mut self.level {
            None => EDGE,
            Some(level) => {
                level.interest |= interest(direction);
                level.interest
            }
        };
        let key = reactor.insert(source, fd, flags)?;
        self.binding = Some(Binding { reactor, key });
        Ok(())
    }

    /// Makes a level-triggered source that is registered report a direction.
    fn arm(&mut self, direction: Direction, fd: BorrowedFd<'_>) -> io::Result<()> {
        if let (Some(binding), Some(level)) = (&self.binding, &mut self.level)
            && !level.interest.contains(interest(direction))
        {
            let interest = level.interest | interest(direction);
            binding.reactor.modify(binding.key, fd, interest)?;
            level.interest = interest;
        }
        Ok(())
    }

    /// Takes the source out of the reactor of another thread, if the task has waited on this one
    /// for some time: its thread need not be woken by another one.
    fn follow(&mut self, fd: BorrowedFd<'_>) {
        match &self.binding {
            Some(binding) if !binding.reactor.is_current() && Reactor::has_current() => {
                self.elsewhere += 1;
            }
            _ => self.elsewhere = 0,
        }
        if self.elsewhere == FOLLOW
            && let Some(binding) = self.binding.take()
        {
            self.elsewhere = 0;
            binding.reactor.remove(binding.key, fd);
        }
    }

    fn waiters(&mut self, direction: Direction) -> &mut Waiters {
        match direction {
            Direction::Read => &mut self.reading,
            Direction::Write => &mut self.writing,
        }
    }
}

/// The place in a reactor.
#[derive(Debug)]
struct Binding {
    reactor: Arc<Reactor>,
    key: usize,
}

/// The state of a level-triggered descriptor. Its interest follows the tasks that wait: the system
/// reports what nobody takes again and again.
struct Level {
    fd: Arc<dyn AsFd + Send + Sync>,
    interest: EventFlags,
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Level").field(&self.interest).finish()
    }
}

impl Source {
    pub(crate) fn new() -> Self {
        Self {
            readiness: Readiness::new(),
            level: AtomicBool::new(false),
            packets: Packets::default(),
            state: Mutex::default(),
        }
    }

    /// Makes the source level-triggered, if it is not registered yet.
    pub(crate) fn set_level(&self, fd: Arc<dyn AsFd + Send + Sync>) {
        let mut state = lock(&self.state);
        if state.binding.is_some() {
            return;
        }
        let interest = EventFlags::empty();
        let old = state.level.replace(Level { fd, interest });
        self.level.store(true, Ordering::Release);
        drop(state);
        drop(old);
    }

    pub(crate) fn readiness(&self) -> Seen {
        self.readiness.load()
    }

    /// Returns whether to try a read although nothing is known to be there.
    pub(crate) fn is_worth_a_try(&self, direction: Direction) -> bool {
        direction == Direction::Read
            && self.level.load(Ordering::Acquire)
            && self.packets.take_retry()
    }

    /// An operation that began at `seen` has found nothing.
    pub(crate) fn found_nothing(&self, direction: Direction, seen: Seen) {
        self.readiness.clear(direction, seen);
        if direction == Direction::Read && self.level.load(Ordering::Acquire) {
            self.packets.found_nothing();
        }
    }

    /// An operation that began at `seen` has succeeded, and if `drained` knows that the next one
    /// would find nothing.
    pub(crate) fn succeeded(&self, direction: Direction, seen: Seen, drained: bool) {
        // A level-triggered descriptor reports again what was not read.
        let spared = || {
            direction == Direction::Read
                && self.level.load(Ordering::Acquire)
                && self.packets.read_one()
        };
        if (drained || spared()) && !seen.has_more_than_data() {
            self.readiness.clear(direction, seen);
        }
    }

    /// Registers the task of `cx` until the direction may be ready.
    ///
    /// `elsewhere` runs under the lock of the source, where this thread has no reactor and the
    /// source belongs to none; then the result is `Ready`.
    pub(crate) fn poll_wait(
        self: &Arc<Self>,
        direction: Direction,
        place: Place<'_>,
        cx: &mut Context<'_>,
        fd: BorrowedFd<'_>,
        elsewhere: impl FnOnce() -> io::Result<()>,
    ) -> Poll<io::Result<()>> {
        let mut state = lock(&self.state);
        state.follow(fd);
        match &state.binding {
            None => {
                let Some(reactor) = Reactor::current() else {
                    return Poll::Ready(elsewhere());
                };
                if let Err(error) = state.bind(self, reactor, direction, fd) {
                    // No reactor wakes the tasks of the other direction any more.
                    let mut wakers = Vec::new();
                    state.reading.take(&mut wakers);
                    state.writing.take(&mut wakers);
                    drop(state);
                    wake_all(wakers);
                    return Poll::Ready(Err(error));
                }
            }
            Some(_) => state.arm(direction, fd)?,
        }
        let replaced = state.waiters(direction).register(place, cx.waker());
        drop(state);
        if let Some(replaced) = replaced
            && !replaced.will_wake(cx.waker())
        {
            wake_all([replaced]);
        }
        // After the registration: an event in between has either set the flag or taken the waker.
        match self.readiness.load().is_ready(direction) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    /// Removes the place of a future.
    pub(crate) fn forget(&self, direction: Direction, key: usize) {
        let waker = lock(&self.state).waiters(direction).remove(key);
        drop(waker);
    }

    /// Takes the source out of its reactor.
    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>) {
        let mut state = lock(&self.state);
        let (binding, level) = (state.binding.take(), state.level.take());
        drop(state);
        if let Some(binding) = binding {
            binding.reactor.remove(binding.key, fd);
        }
        drop(level);
    }

    /// The reactor reports an event. Adds the tasks to wake to `wakers`.
    pub(crate) fn handle_event(&self, flags: EventFlags, wakers: &mut Vec<Waker>) {
        let failed = flags.intersects(EventFlags::HUP | EventFlags::ERR);
        let event = Event {
            read: failed || flags.intersects(EventFlags::IN | EventFlags::RDHUP),
            write: failed || flags.intersects(EventFlags::OUT),
            closed: flags.intersects(EventFlags::HUP | EventFlags::RDHUP),
            error: flags.intersects(EventFlags::ERR),
        };
        let before = self.readiness.set(event);
        let mut state = lock(&self.state);
        let reader = event.read && state.reading.take(wakers);
        if event.write {
            state.writing.take(wakers);
        }
        let State {
            binding: Some(binding),
            level: Some(level),
            ..
        } = &mut *state
        else {
            return;
        };
        if failed {
            // Reported whatever the interest is, until the descriptor is closed.
            let _ = binding.reactor.modify(binding.key, level.fd.as_fd(), EDGE);
            self.level.store(false, Ordering::Release);
            // Not the last reference: `Io` has one until it has deregistered the source.
            state.level = None;
            return;
        }
        let mut wanted = level.interest;
        if event.read && !reader && before.is_ready(Direction::Read) {
            wanted.remove(EventFlags::IN);
        }
        if event.write {
            // A TUN has room nearly always.
            wanted.remove(EventFlags::OUT);
        }
        if wanted != level.interest {
            // If it fails, the next event tries again.
            let fd = level.fd.as_fd();
            if binding.reactor.modify(binding.key, fd, wanted).is_ok() {
                level.interest = wanted;
            }
        }
    }

    /// The reactor has ended. Adds all waiting tasks to `wakers`.
    pub(crate) fn unbind(&self, wakers: &mut Vec<Waker>) {
        let mut state = lock(&self.state);
        let binding = state.binding.take();
        if let Some(level) = &mut state.level {
            level.interest = EventFlags::empty();
        }
        self.readiness.set(Event {
            read: true,
            write: true,
            ..Event::default()
        });
        state.reading.take(wakers);
        state.writing.take(wakers);
        drop(state);
        drop(binding);
    }
}

fn interest(direction: Direction) -> EventFlags {
    match direction {
        Direction::Read => EventFlags::IN,
        Direction::Write => EventFlags::OUT,
    }
}

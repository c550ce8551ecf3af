//! The reactor of a thread: epoll, timers, and the means to interrupt its sleep.

use super::source::Source;
use super::sync::{AtomicBool, Mutex, Ordering, lock, thread_local};
use super::timers::{Fired, Key, Timers};
use super::waiters::wake_all;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// The key of the descriptor that interrupts a sleep.
const INTERRUPT: u64 = u64::MAX;

/// The most events that one call takes. More wait for the next call.
const EVENTS: usize = 256;

/// The longest sleep. The timeout of `epoll_wait` is an `i32` in milliseconds.
#[cfg(not(all(shuttle, feature = "shuttle")))]
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

thread_local! {
    static CURRENT: RefCell<Option<Arc<Reactor>>> = const { RefCell::new(None) };
    /// The calls of `block_on` on this thread, one inside the other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

#[derive(Debug)]
pub(crate) struct Reactor {
    epoll: OwnedFd,
    interrupt: OwnedFd,
    /// The thread is in `epoll_wait`, or about to call it.
    sleeping: AtomicBool,
    sources: Mutex<Slab<Arc<Source>>>,
    timers: Mutex<Timers>,
    #[cfg(test)]
    pub(super) waits: super::sync::AtomicUsize,
}

/// The buffers of [`Reactor::react`]. They are empty between the calls.
pub(crate) struct Buffers {
    events: Vec<epoll::Event>,
    wakers: Vec<Waker>,
}

impl Buffers {
    pub(crate) fn new() -> Self {
        Self {
            events: Vec::with_capacity(EVENTS),
            wakers: Vec::new(),
        }
    }
}

impl Reactor {
    fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let interrupt = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // Edge-triggered: each write is an event, and nobody reads the counter.
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &interrupt, EventData::new_u64(INTERRUPT), flags)?;
        Ok(Self {
            epoll,
            interrupt,
            sleeping: AtomicBool::new(false),
            sources: Mutex::default(),
            timers: Mutex::default(),
            #[cfg(test)]
            waits: super::sync::AtomicUsize::new(0),
        })
    }

    /// Returns the reactor of this thread, if this thread is in a `block_on`.
    pub(crate) fn current() -> Option<Arc<Self>> {
        if !Self::has_current() {
            return None;
        }
        CURRENT.try_with(|current| current.borrow().clone()).ok()?
    }

    /// Returns whether this thread is in a `block_on`.
    pub(crate) fn has_current() -> bool {
        DEPTH.try_with(|depth| depth.get() > 0).unwrap_or(false)
    }

    /// Returns whether this is the reactor of this thread.
    pub(crate) fn is_current(&self) -> bool {
        let is_this = |current: &RefCell<Option<Arc<Self>>>| match current.try_borrow() {
            Ok(current) => current.as_deref().is_some_and(|it| std::ptr::eq(it, self)),
            Err(_) => false,
        };
        CURRENT.try_with(is_this).unwrap_or(false)
    }

    pub(crate) fn insert(
        &self,
        source: &Arc<Source>,
        fd: BorrowedFd<'_>,
        flags: EventFlags,
    ) -> io::Result<usize> {
        let key = lock(&self.sources).insert(source.clone());
        let added = epoll::add(&self.epoll, fd, EventData::new_u64(key as u64), flags);
        if let Err(error) = added {
            let source = lock(&self.sources).try_remove(key);
            drop(source);
            return Err(error.into());
        }
        Ok(key)
    }

    pub(crate) fn modify(
        &self,
        key: usize,
        fd: BorrowedFd<'_>,
        flags: EventFlags,
    ) -> io::Result<()> {
        Ok(epoll::modify(
            &self.epoll,
            fd,
            EventData::new_u64(key as u64),
            flags,
        )?)
    }

    pub(crate) fn remove(&self, key: usize, fd: BorrowedFd<'_>) {
        // An error: the descriptor was closed behind our back, or the reactor has ended.
        let _ = epoll::delete(&self.epoll, fd);
        let source = lock(&self.sources).try_remove(key);
        drop(source);
    }

    pub(crate) fn insert_timer(&self, at: Instant, waker: &Waker) -> Key {
        let (key, first) = lock(&self.timers).insert(at, waker.clone());
        self.timer_changed(first);
        key
    }

    /// `None` if the timer has fired.
    pub(crate) fn set_timer(&self, key: Key, at: Instant) -> Option<Key> {
        let (key, first) = lock(&self.timers).set(key, at)?;
        self.timer_changed(first);
        Some(key)
    }

    pub(crate) fn register_timer(&self, key: Key, waker: &Waker) -> Result<(), Fired> {
        let old = lock(&self.timers).register(key, waker)?;
        drop(old);
        Ok(())
    }

    pub(crate) fn remove_timer(&self, key: Key) {
        let waker = lock(&self.timers).remove(key);
        drop(waker);
    }

    fn timer_changed(&self, first: bool) {
        if first && !self.is_current() {
            self.interrupt();
        }
    }

    /// Wakes the thread of the reactor if it sleeps and is another one.
    pub(crate) fn wake_thread(&self) {
        if !self.is_current() {
            self.interrupt();
        }
    }

    fn interrupt(&self) {
        if self.sleeping.swap(false, Ordering::SeqCst) {
            // The counter cannot overflow in the life of a process.
            let _ = rustix::io::write(&self.interrupt, &1u64.to_ne_bytes());
        }
    }

    /// Takes events and wakes their tasks. With `sleep`, waits for an event, a timer or an
    /// interruption first, unless `is_woken` says that there is work already.
    pub(crate) fn react(&self, buffers: &mut Buffers, sleep: bool, is_woken: impl Fn() -> bool) {
        let Buffers { events, wakers } = buffers;
        // Before the look at `is_woken` and at the timers: who changes them afterwards sees it.
        if sleep {
            self.sleeping.store(true, Ordering::SeqCst);
        }
        let sleep = sleep && !is_woken();
        let first = lock(&self.timers).first();
        let timeout = match (sleep, first) {
            (false, _) => Some(Duration::ZERO),
            (true, Some(at)) => Some(at.saturating_duration_since(Instant::now())),
            (true, None) => None,
        };
        #[cfg(test)]
        self.waits.fetch_add(1, Ordering::Relaxed);
        self.wait(events, timeout);
        self.sleeping.store(false, Ordering::SeqCst);
        for event in events.drain(..) {
            let (key, flags) = (event.data.u64(), event.flags);
            if key == INTERRUPT {
                continue;
            }
            let key = usize::try_from(key).unwrap_or(usize::MAX);
            let source = lock(&self.sources).get(key).cloned();
            if let Some(source) = source {
                source.handle_event(flags, wakers);
            }
        }
        if first.is_some() {
            let now = Instant::now();
            lock(&self.timers).take_due(now, wakers);
        }
        wake_all(wakers.drain(..));
    }

    #[cfg(not(all(shuttle, feature = "shuttle")))]
    fn wait(&self, events: &mut Vec<epoll::Event>, timeout: Option<Duration>) {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.min(LONGEST).as_secs().cast_signed(),
            tv_nsec: timeout.min(LONGEST).subsec_nanos().into(),
        });
        // EINTR is as good as no event. Other errors are faults of the arguments.
        let _ = epoll::wait(&self.epoll, spare_capacity(events), timeout.as_ref());
    }

    /// The threads of a model take turns on one thread of the system, which must not sleep.
    #[cfg(all(shuttle, feature = "shuttle"))]
    fn wait(&self, events: &mut Vec<epoll::Event>, timeout: Option<Duration>) {
        let end = timeout.map(|timeout| Instant::now() + timeout);
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        loop {
            let _ = epoll::wait(&self.epoll, spare_capacity(events), Some(&now));
            if !events.is_empty() || end.is_some_and(|end| end <= Instant::now()) {
                return;
            }
            shuttle::thread::yield_now();
        }
    }

    /// Wakes the tasks of all descriptors and timers, which then belong to no reactor.
    fn end(&self) {
        let sources = std::mem::take(&mut *lock(&self.sources));
        let mut wakers = Vec::new();
        for (_, source) in sources {
            source.unbind(&mut wakers);
        }
        lock(&self.timers).end(&mut wakers);
        wake_all(wakers);
    }

    #[cfg(test)]
    pub(super) fn registered(&self) -> (usize, usize) {
        (lock(&self.sources).len(), lock(&self.timers).len())
    }

    fn is_unused(&self) -> bool {
        lock(&self.sources).is_empty() && lock(&self.timers).is_empty()
    }
}

/// The thread is in a `block_on`.
#[derive(Debug)]
pub(crate) struct Entered(pub(crate) Arc<Reactor>);

impl Entered {
    /// # Errors
    ///
    /// The system has no descriptors for a reactor.
    pub(crate) fn new() -> io::Result<Self> {
        let reactor = CURRENT.with(|current| match &mut *current.borrow_mut() {
            Some(reactor) => Ok(reactor.clone()),
            none => {
                let reactor = Arc::new(Reactor::new()?);
                Ok::<_, io::Error>(none.insert(reactor).clone())
            }
        })?;
        DEPTH.with(|depth| depth.set(depth.get() + 1));
        Ok(Self(reactor))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let depth = DEPTH.with(|depth| {
            depth.set(depth.get() - 1);
            depth.get()
        });
        // An unused reactor serves the next call.
        if depth == 0 && !self.0.is_unused() {
            let reactor = CURRENT.with(|current| current.borrow_mut().take());
            self.0.end();
            drop(reactor);
        }
    }
}

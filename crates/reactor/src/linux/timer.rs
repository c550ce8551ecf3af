use super::reactor::Reactor;
use super::timers::Key;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// Where a timer waits.
#[derive(Debug, Default)]
pub(crate) enum Registration {
    #[default]
    None,
    Local(Arc<Reactor>, Key),
    Global(async_io::Timer),
}

impl Registration {
    /// Moves the timer. Its task wakes at the new time, or has been woken.
    pub(crate) fn set(&mut self, at: Instant) {
        match self {
            Self::None => {}
            Self::Local(reactor, key) => match reactor.set_timer(*key, at) {
                Some(moved) => *key = moved,
                None => *self = Self::None,
            },
            Self::Global(timer) => timer.set_at(at),
        }
    }

    /// Wakes the task of `cx` at `at`. Ready if that was now.
    pub(crate) fn poll(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Local(reactor, key) = self {
            if reactor.register_timer(*key, cx.waker()).is_ok() {
                return Poll::Pending;
            }
            *self = Self::None; // the reactor has ended
        }
        if let Self::Global(timer) = self {
            return Pin::new(timer).poll(cx).map(drop);
        }
        match Reactor::current() {
            Some(reactor) => {
                let key = reactor.insert_timer(at, cx.waker());
                *self = Self::Local(reactor, key);
                Poll::Pending
            }
            None => {
                let mut timer = async_io::Timer::at(at);
                let poll = Pin::new(&mut timer).poll(cx).map(drop);
                *self = Self::Global(timer);
                poll
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Self::Local(reactor, key) = self {
            reactor.remove_timer(*key);
        }
    }
}

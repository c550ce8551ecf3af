//! Linux: the reactor of this thread, or async-io.

mod block_on;
mod packets;
mod reactor;
mod readiness;
mod source;
mod sync;
#[cfg(test)]
mod tests;
mod timer;
mod timers;
mod waiters;

pub(crate) use block_on::block_on;
pub(crate) use readiness::Direction;
pub(crate) use timer::Registration;

use readiness::Seen;
use rustix::event::{PollFd, PollFlags, Timespec};
use source::Source;
use std::io;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use waiters::Place;

/// A descriptor of a thread's reactor or of async-io.
#[derive(Debug)]
pub(crate) struct Io<T: AsFd> {
    io: Arc<T>,
    /// Set once a task has had to wait where its thread has no reactor.
    global: OnceLock<async_io::Async<Arc<T>>>,
    source: Arc<Source>,
}

impl<T: AsFd> Io<T> {
    pub(crate) fn new(io: T) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&io, true)?;
        Self::new_nonblocking(io)
    }

    pub(crate) fn new_nonblocking(io: T) -> io::Result<Self> {
        Ok(Self {
            io: Arc::new(io),
            global: OnceLock::new(),
            source: Arc::new(Source::new()),
        })
    }

    pub(crate) fn set_packets(&mut self)
    where
        T: Send + Sync + 'static,
    {
        self.source.set_level(self.io.clone());
    }

    pub(crate) fn get_ref(&self) -> &T {
        &self.io
    }

    pub(crate) fn into_inner(self) -> io::Result<T> {
        let io = self.io.clone();
        drop(self); // with the registration
        Ok(Arc::into_inner(io).expect("no other reference leaves this type"))
    }

    /// Runs `op` unless it is known to find nothing. `None` if the task has to wait.
    fn attempt<R>(
        &self,
        direction: Direction,
        op: &mut impl FnMut(&T) -> io::Result<(R, bool)>,
    ) -> Option<io::Result<R>> {
        let seen = self.seen();
        if seen.is_some_and(|seen| !seen.is_ready(direction))
            && !self.source.is_worth_a_try(direction)
        {
            return None;
        }
        match op(&self.io) {
            Ok((value, drained)) => {
                if let Some(seen) = seen {
                    self.source.succeeded(direction, seen, drained);
                }
                Some(Ok(value))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Some(seen) = seen {
                    self.source.found_nothing(direction, seen);
                }
                None
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// Returns what is known of the readiness; async-io does not say.
    fn seen(&self) -> Option<Seen> {
        match self.global.get() {
            Some(_) => None,
            None => Some(self.source.readiness()),
        }
    }

    pub(crate) fn poll_with<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut op: impl FnMut(&T) -> io::Result<(R, bool)>,
    ) -> Poll<io::Result<R>> {
        loop {
            if let Some(result) = self.attempt(direction, &mut op) {
                return Poll::Ready(result);
            }
            ready!(self.poll_wait(direction, cx))?;
        }
    }

    pub(crate) async fn with<R>(
        &self,
        direction: Direction,
        mut op: impl FnMut(&T) -> io::Result<(R, bool)>,
    ) -> io::Result<R> {
        loop {
            if let Some(result) = self.attempt(direction, &mut op) {
                return result;
            }
            match (self.global.get(), direction) {
                (Some(global), Direction::Read) => once(global.readable()).await?,
                (Some(global), Direction::Write) => once(global.writable()).await?,
                (None, _) => Wait::new(self, direction).await?,
            }
        }
    }

    /// Waits as `poll_readable` of async-io does: an operation has found nothing, or none was run.
    pub(crate) fn poll_ready(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.global.get().is_none() {
            if self.is_ready(direction)? {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_wait(direction, cx))?;
        }
        self.poll_wait(direction, cx)
    }

    pub(crate) async fn ready(&self, direction: Direction) -> io::Result<()> {
        loop {
            match (self.global.get(), direction) {
                (Some(global), Direction::Read) => return global.readable().await,
                (Some(global), Direction::Write) => return global.writable().await,
                (None, _) => {
                    if self.is_ready(direction)? {
                        return Ok(());
                    }
                    Wait::new(self, direction).await?;
                }
            }
        }
    }

    /// Asks the system, where the descriptor may be ready: an operation that is not known here may
    /// have taken what there was.
    fn is_ready(&self, direction: Direction) -> io::Result<bool> {
        let seen = self.source.readiness();
        if !seen.is_ready(direction) {
            return Ok(false);
        }
        let flags = match direction {
            Direction::Read => PollFlags::IN | PollFlags::RDHUP,
            Direction::Write => PollFlags::OUT,
        };
        let mut fds = [PollFd::new(&*self.io, flags)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let ready = match rustix::event::poll(&mut fds, Some(&now)) {
            Ok(ready) => ready > 0,
            Err(rustix::io::Errno::INTR) => true,
            Err(error) => return Err(error.into()),
        };
        if !ready {
            self.source.found_nothing(direction, seen);
        }
        Ok(ready)
    }

    fn poll_wait(&self, direction: Direction, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match (self.global.get(), direction) {
            (Some(global), Direction::Read) => global.poll_readable(cx),
            (Some(global), Direction::Write) => global.poll_writable(cx),
            (None, _) => self.poll_source(direction, Place::Shared, cx),
        }
    }

    fn poll_source(
        &self,
        direction: Direction,
        place: Place<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.source
            .poll_wait(direction, place, cx, self.io.as_fd(), || {
                self.use_async_io()
            })
    }

    /// Runs under the lock of the source, so that one task chooses.
    fn use_async_io(&self) -> io::Result<()> {
        if self.global.get().is_none() {
            let global = async_io::Async::new_nonblocking(self.io.clone())?;
            let _ = self.global.set(global);
        }
        Ok(())
    }
}

impl<T: AsFd> Drop for Io<T> {
    fn drop(&mut self) {
        self.source.deregister(self.io.as_fd());
    }
}

/// Waits in a place of its own until the direction may be ready.
struct Wait<'a, T: AsFd> {
    io: &'a Io<T>,
    direction: Direction,
    key: Option<usize>,
}

impl<'a, T: AsFd> Wait<'a, T> {
    fn new(io: &'a Io<T>, direction: Direction) -> Self {
        Self {
            io,
            direction,
            key: None,
        }
    }
}

impl<T: AsFd> Future for Wait<'_, T> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.io.global.get().is_some() {
            return Poll::Ready(Ok(()));
        }
        let place = Place::Own(&mut this.key);
        this.io.poll_source(this.direction, place, cx)
    }
}

impl<T: AsFd> Drop for Wait<'_, T> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.io.source.forget(self.direction, key);
        }
    }
}

/// Ends at the first wake-up: async-io may otherwise wait for another one.
async fn once(ready: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let mut ready = pin!(ready);
    let mut polled = false;
    std::future::poll_fn(|cx| {
        if polled {
            return Poll::Ready(Ok(()));
        }
        polled = true;
        ready.as_mut().poll(cx)
    })
    .await
}

//! Systems other than Linux: async-io.

use crate::Pollable;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

pub(crate) use async_io::block_on;

/// The direction that a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

#[derive(Debug)]
pub(crate) struct Io<T: Pollable>(async_io::Async<T>);

impl<T: Pollable> Io<T> {
    pub(crate) fn new(io: T) -> io::Result<Self> {
        async_io::Async::new(io).map(Self)
    }

    pub(crate) fn new_nonblocking(io: T) -> io::Result<Self> {
        async_io::Async::new_nonblocking(io).map(Self)
    }

    pub(crate) fn set_packets(&mut self) {}

    pub(crate) fn get_ref(&self) -> &T {
        self.0.get_ref()
    }

    pub(crate) fn into_inner(self) -> io::Result<T> {
        self.0.into_inner()
    }

    pub(crate) fn poll_with<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut op: impl FnMut(&T) -> io::Result<(R, bool)>,
    ) -> Poll<io::Result<R>> {
        loop {
            match op(self.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.poll_ready(direction, cx))?;
                }
                result => return Poll::Ready(result.map(|(value, _)| value)),
            }
        }
    }

    pub(crate) async fn with<R>(
        &self,
        direction: Direction,
        mut op: impl FnMut(&T) -> io::Result<(R, bool)>,
    ) -> io::Result<R> {
        let op = |io: &T| op(io).map(|(value, _)| value);
        match direction {
            Direction::Read => self.0.read_with(op).await,
            Direction::Write => self.0.write_with(op).await,
        }
    }

    pub(crate) fn poll_ready(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match direction {
            Direction::Read => self.0.poll_readable(cx),
            Direction::Write => self.0.poll_writable(cx),
        }
    }

    pub(crate) async fn ready(&self, direction: Direction) -> io::Result<()> {
        match direction {
            Direction::Read => self.0.readable().await,
            Direction::Write => self.0.writable().await,
        }
    }
}

/// Where a timer waits.
#[derive(Debug, Default)]
pub(crate) struct Registration(Option<async_io::Timer>);

impl Registration {
    /// Moves the timer. Its task wakes at the new time.
    pub(crate) fn set(&mut self, at: Instant) {
        if let Some(timer) = &mut self.0 {
            timer.set_at(at);
        }
    }

    /// Wakes the task of `cx` at `at`. Ready if that was now.
    pub(crate) fn poll(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.0.get_or_insert_with(|| async_io::Timer::at(at));
        Pin::new(timer).poll(cx).map(drop)
    }
}

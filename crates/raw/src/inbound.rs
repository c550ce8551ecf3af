//! A bounded queue of items for the readers of a socket.
//!
//! Nothing here wakes a task. Wakers and values of the application leave in a [`WakeList`] or as
//! return values; the caller wakes and drops them once the cell is released.

use crate::wait::Awaited;
use brooklet_cell::wakers::{WaitKey, WaitQueue, WakeList};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::StackClosed;
use brooklet_packet::SourcePrefix;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll};

/// The most that a queue holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
    pub(crate) per_source: usize,
}

/// An item with its length and its source.
#[derive(Debug)]
pub(crate) struct Queued<T> {
    item: T,
    bytes: usize,
    source: SourcePrefix,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Push {
    Queued,
    Full,
    SourceFull,
}

#[derive(Debug)]
pub(crate) struct Inbound<T> {
    items: VecDeque<Queued<T>>,
    bytes: usize,
    /// The number of items of each source in the queue.
    sources: HashMap<SourcePrefix, usize>,
    limits: Limits,
    readers: WaitQueue,
    pub(crate) handles: usize,
    closed: bool,
}

impl<T> Inbound<T> {
    /// An empty queue with one handle.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            items: VecDeque::new(),
            bytes: 0,
            sources: HashMap::new(),
            limits,
            readers: WaitQueue::new(),
            handles: 1,
            closed: false,
        }
    }

    /// Queues the item that `make` makes, if there is room, and moves the waiting readers into
    /// `wakes`.
    pub(crate) fn push(
        &mut self,
        source: IpAddr,
        bytes: usize,
        wakes: &mut WakeList,
        make: impl FnOnce() -> T,
    ) -> Push {
        let full = self.items.len() >= self.limits.items || self.bytes + bytes > self.limits.bytes;
        if full || self.closed {
            return Push::Full;
        }
        let source = SourcePrefix::new(source);
        let of_source = self.sources.entry(source).or_default();
        if *of_source >= self.limits.per_source {
            return Push::SourceFull;
        }
        *of_source += 1;
        self.bytes += bytes;
        let item = make();
        self.items.push_back(Queued {
            item,
            bytes,
            source,
        });
        self.readers.drain_into(wakes);
        Push::Queued
    }

    /// Takes the oldest item.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let Queued {
            item,
            bytes,
            source,
        } = self.items.pop_front()?;
        self.bytes -= bytes;
        if let Some(count) = self.sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
        Some(item)
    }

    /// Ends the queue; the items in it can still be read. Moves the waiting readers into `wakes`.
    pub(crate) fn end(&mut self, wakes: &mut WakeList) {
        self.closed = true;
        self.readers.drain_into(wakes);
    }
}

impl<T> Awaited for Inbound<T> {
    fn waiting(&mut self) -> &mut WaitQueue {
        &mut self.readers
    }
}

/// Takes an item with `read`, or registers the task.
pub(crate) fn poll_read<F: Flavor, T: 'static, R>(
    queue: &Shared<F, Inbound<T>>,
    key: Option<&mut WaitKey>,
    cx: &mut Context<'_>,
    read: impl FnOnce(&mut Inbound<T>) -> Option<R>,
) -> Poll<io::Result<R>> {
    let mut wakes = WakeList::new();
    let (poll, _replaced) = queue.with(|inbound| match read(inbound) {
        Some(read) => (Poll::Ready(Ok(read)), None),
        None if inbound.closed => (Poll::Ready(Err(StackClosed.into())), None),
        None => (Poll::Pending, inbound.register(key, cx, &mut wakes)),
    });
    wakes.wake_all();
    poll
}

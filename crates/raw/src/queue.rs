//! The inbound queue of one socket.
//!
//! Nothing here wakes a task. Wakers and values of the application leave in a [`WakeList`] or as
//! return values; the caller wakes and drops them once the cell is released.

use crate::ledger::{Entry, Ledger};
use brooklet_cell::wakers::{Awaited, WaitKey, WaitQueue, WakeList};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::StackClosed;
use brooklet_packet::SourceShares;
use std::{
    collections::VecDeque,
    io, mem,
    net::IpAddr,
    task::{Context, Poll},
};

/// The bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) packets: usize,
    pub(crate) bytes: usize,
}

/// Why an item was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The queue is full.
    Full,
    /// The source holds more than its share.
    Source,
    /// The stack has ended.
    Closed,
}

/// An item with its source and its length in bytes.
struct Queued<T> {
    item: T,
    source: IpAddr,
    bytes: usize,
}

pub(crate) struct Queue<T> {
    bounds: Bounds,
    entries: VecDeque<Queued<T>>,
    bytes: usize,
    shares: SourceShares,
    readers: WaitQueue,
    handles: usize,
    closed: bool,
    held: Entry,
}

/// A queue that has become empty keeps room for this many entries.
const KEEP: usize = 16;

/// The items of a queue that nothing can read any more.
pub(crate) struct Remains<T>(
    #[expect(dead_code, reason = "kept to be dropped")] VecDeque<Queued<T>>,
);

impl<T> Queue<T> {
    /// Creates a queue with one handle that reads.
    pub(crate) fn new(bounds: Bounds, ledger: &Ledger) -> Self {
        Self {
            bounds: Bounds {
                packets: bounds.packets.max(1),
                ..bounds
            },
            entries: VecDeque::new(),
            bytes: 0,
            shares: SourceShares::new(),
            readers: WaitQueue::new(),
            handles: 1,
            closed: false,
            held: Entry::new(ledger),
        }
    }

    /// Queues the item that `make` returns, if there is room for `bytes` bytes from `source`. Moves
    /// the waiting readers into `wakes`.
    pub(crate) fn push(
        &mut self,
        source: IpAddr,
        bytes: usize,
        make: impl FnOnce() -> T,
        wakes: &mut WakeList,
    ) -> Result<(), Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        let packets = self.bounds.packets - self.entries.len();
        let free = self.bounds.bytes - self.bytes;
        let has_memory = self.held.has_room(bytes + size_of::<Queued<T>>());
        if packets == 0 || bytes > free || !has_memory {
            return Err(Refused::Full);
        }
        if !self.shares.add(source, bytes, packets, free) {
            return Err(Refused::Source);
        }
        self.bytes += bytes;
        let room = self.entries.capacity();
        self.entries.push_back(Queued {
            item: make(),
            source,
            bytes,
        });
        let more = self.entries.capacity() - room;
        self.held.add(bytes + more * size_of::<Queued<T>>());
        self.readers.drain_into(wakes);
        Ok(())
    }

    /// Takes the oldest item.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let Queued {
            item,
            source,
            bytes,
        } = self.entries.pop_front()?;
        self.bytes -= bytes;
        self.held.subtract(bytes);
        self.shares.remove(source, bytes);
        if self.entries.is_empty() && self.entries.capacity() > KEEP {
            self.entries = VecDeque::new();
            self.held.clear();
        }
        Some(item)
    }

    /// Ends the queue; the items in it can still be read. Moves the waiting readers into `wakes`.
    pub(crate) fn end(&mut self, wakes: &mut WakeList) {
        self.closed = true;
        self.readers.drain_into(wakes);
    }

    /// Counts one more handle that reads.
    pub(crate) fn add_handle(&mut self) {
        self.handles += 1;
    }

    /// Drops a handle that reads. With the last of them go the items, which are returned.
    pub(crate) fn remove_handle(&mut self) -> Option<Remains<T>> {
        self.handles -= 1;
        if self.handles > 0 {
            return None;
        }
        // Until the socket is removed from the list, packets may still arrive.
        self.closed = true;
        self.bytes = 0;
        self.held.clear();
        self.shares.clear();
        Some(Remains(mem::take(&mut self.entries)))
    }
}

impl<T> Awaited for Queue<T> {
    type Place = ();

    fn waiting(&mut self, (): ()) -> Option<&mut WaitQueue> {
        Some(&mut self.readers)
    }
}

/// Takes the oldest item, or registers the task for the next one.
pub(crate) fn poll_pop<F: Flavor, T>(
    queue: &Shared<F, Queue<T>>,
    key: Option<&mut WaitKey>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<T>> {
    let mut wakes = WakeList::new();
    let (poll, _replaced) = queue.with(|queue| match queue.pop() {
        Some(item) => (Poll::Ready(Ok(item)), None),
        None if queue.closed => (Poll::Ready(Err(StackClosed.into())), None),
        None => (Poll::Pending, queue.register((), key, cx, &mut wakes)),
    });
    wakes.wake_all();
    poll
}

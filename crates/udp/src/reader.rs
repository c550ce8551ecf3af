//! What every handle that reads datagrams does.

use crate::{
    datagram::Datagram,
    inbound::{Inbound, Place, Receiver, Take},
};
use brooklet_cell::wakers::{Awaited, WaitKey, Waiter, WakeList};
use brooklet_cell::{Flavor, Shared};
use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    task::{Context, Poll},
};

/// A handle that reads from one queue.
pub(crate) struct Reader<F: Flavor> {
    pub(crate) receiver: Receiver,
    /// The key is that of the `Stream`.
    pub(crate) waiter: Waiter<F, Inbound>,
}

impl<F: Flavor> Reader<F> {
    /// Makes a handle, and counts it.
    pub(crate) fn new(inbound: &Shared<F, Inbound>, receiver: Receiver) -> Self {
        inbound.with(|inbound| inbound.add_handle(receiver));
        Self::counted(inbound, receiver)
    }

    /// Makes a handle that the queue counts already.
    pub(crate) fn counted(inbound: &Shared<F, Inbound>, receiver: Receiver) -> Self {
        Self {
            receiver,
            waiter: Waiter::new(inbound, Place::Datagram(receiver)),
        }
    }

    pub(crate) fn inbound(&self) -> &Shared<F, Inbound> {
        &self.waiter.queue
    }

    pub(crate) async fn recv_from(
        &self,
        buf: &mut [u8],
        take: Take,
    ) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        let receiver = self.receiver;
        self.wait(|inbound| inbound.read_into(receiver, buf, take))
            .await
    }

    pub(crate) async fn recv_datagram(&self) -> io::Result<Datagram> {
        let receiver = self.receiver;
        self.wait(|inbound| inbound.read(receiver)).await
    }

    pub(crate) async fn recv_batch(
        &self,
        datagrams: &mut Vec<Datagram>,
        most: usize,
    ) -> io::Result<usize> {
        let receiver = self.receiver;
        self.wait(|inbound| inbound.read_batch(receiver, datagrams, most))
            .await
    }

    /// Reads, or fails with [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub(crate) fn try_read<R>(
        &self,
        read: impl FnOnce(&mut Inbound) -> Option<R>,
    ) -> io::Result<R> {
        let read = self
            .inbound()
            .with(|inbound| inbound.poll(self.receiver, read));
        read.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    pub(crate) fn try_recv_from(
        &self,
        buf: &mut [u8],
    ) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        self.try_read(|inbound| inbound.read_into(self.receiver, buf, Take::Yes))
    }

    pub(crate) fn try_recv_datagram(&self) -> io::Result<Datagram> {
        self.try_read(|inbound| inbound.read(self.receiver))
    }

    pub(crate) fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr, SocketAddr)>> {
        let receiver = self.receiver;
        poll_read(self.inbound(), receiver, None, cx, |inbound| {
            inbound.read_into(receiver, buf, Take::Yes)
        })
    }

    pub(crate) fn poll_recv_datagram(&self, cx: &mut Context<'_>) -> Poll<io::Result<Datagram>> {
        let receiver = self.receiver;
        poll_read(self.inbound(), receiver, None, cx, |inbound| {
            inbound.read(receiver)
        })
    }

    async fn wait<R>(&self, mut read: impl FnMut(&mut Inbound) -> Option<R>) -> io::Result<R> {
        let receiver = self.receiver;
        let waiter = &mut Waiter::new(self.inbound(), Place::Datagram(receiver));
        let Waiter { queue, key, .. } = waiter;
        poll_fn(|cx| poll_read(queue, receiver, Some(key), cx, &mut read)).await
    }
}

/// Reads, or registers the task for the next datagram.
pub(crate) fn poll_read<F: Flavor, R>(
    inbound: &Shared<F, Inbound>,
    receiver: Receiver,
    key: Option<&mut WaitKey>,
    cx: &mut Context<'_>,
    read: impl FnOnce(&mut Inbound) -> Option<R>,
) -> Poll<io::Result<R>> {
    let mut wakes = WakeList::new();
    let (poll, _replaced) = inbound.with(|inbound| match inbound.poll(receiver, read) {
        Some(read) => (Poll::Ready(read), None),
        None => {
            let place = Place::Datagram(receiver);
            (Poll::Pending, inbound.register(place, key, cx, &mut wakes))
        }
    });
    wakes.wake_all();
    poll
}

impl<F: Flavor> Clone for Reader<F> {
    fn clone(&self) -> Self {
        Self::new(self.inbound(), self.receiver)
    }
}

impl<F: Flavor> Drop for Reader<F> {
    fn drop(&mut self) {
        let (receiver, Waiter { queue, place, key }) = (self.receiver, &mut self.waiter);
        // The waker goes first: without the handle the place may be that of another receiver.
        let (_dropped, events) = queue.with(|inbound| {
            let waker = inbound.unregister(*place, key);
            let datagrams = inbound.remove_handle(receiver);
            ((waker, datagrams), inbound.sessions.take_events())
        });
        events.log();
    }
}

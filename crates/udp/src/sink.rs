//! The halves as [`Stream`] and [`Sink`].

use crate::{
    datagram::Datagram,
    outbound::Outgoing,
    read_half::UdpReadHalf,
    reader::poll_read,
    send::poll_send,
    write_half::{UdpWriteHalf, Unsent},
};
use brooklet_cell::Flavor;
use brooklet_cell::wakers::{Waiter, wake};
use brooklet_io::StackClosed;
use futures_core::Stream;
use futures_sink::Sink;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

/// Yields `(payload, from, to)`. The stream ends once the driver has ended and every datagram in
/// the queue has been read.
impl<F: Flavor> Stream for UdpReadHalf<F> {
    type Item = (Vec<u8>, SocketAddr, SocketAddr);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let receiver = self.reader.receiver;
        let Waiter { queue, key, .. } = &mut self.reader.waiter;
        let read = poll_read(queue, receiver, Some(key), cx, |inbound| {
            inbound.read(receiver)
        });
        read.map(|read| {
            read.ok()
                .map(|datagram| (datagram.payload, datagram.from, datagram.to))
        })
    }
}

/// Takes `(payload, from, to)`. A flush ends when the datagram is in the outbound queue. The sink
/// keeps a datagram that finds no room there.
///
/// An error of the kind [`InvalidInput`](io::ErrorKind::InvalidInput) is about one datagram, which
/// is dropped; the sink can still be used. Adapters that end at the first error, such as `forward`,
/// need payloads that were checked before.
impl<F: Flavor> Sink<(Vec<u8>, SocketAddr, SocketAddr)> for UdpWriteHalf<F> {
    type Error = io::Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Either all queues are closed, or none.
        if this.queues.outbound()[0].with(|queue| queue.closed) {
            return Poll::Ready(Err(StackClosed.into()));
        }
        this.poll_unsent(cx)
    }

    fn start_send(
        self: Pin<&mut Self>,
        (payload, from, to): (Vec<u8>, SocketAddr, SocketAddr),
    ) -> io::Result<()> {
        let this = self.get_mut();
        assert!(
            this.unsent.is_none(),
            "start_send is called once after each poll_ready"
        );
        let queue = this.queues.of(from, to);
        let outgoing = Outgoing::new(&payload, from, to);
        let mtu = this.queues.limit(&outgoing);
        let (sent, driver) = queue.with(|queue| match queue.send(&outgoing, mtu) {
            Ok(true) => (Ok(true), queue.take_driver()),
            sent => (sent, None),
        });
        if let Some(driver) = driver {
            wake(driver);
        }
        if !sent? {
            this.unsent = Some(Box::new(Unsent {
                datagram: Datagram::new(payload, from, to),
                waiter: Waiter::new(queue, ()),
            }));
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_unsent(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_unsent(cx)
    }
}

impl<F: Flavor> UdpWriteHalf<F> {
    /// Sends the datagram that the sink keeps.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(Unsent { datagram, waiter }) = self.unsent.as_deref_mut() else {
            return Poll::Ready(Ok(()));
        };
        let (outgoing, Waiter { queue, key, .. }) = (Outgoing::from(&*datagram), waiter);
        let mtu = self.queues.limit(&outgoing);
        let poll = poll_send(queue, Some(key), cx, |queue| queue.send(&outgoing, mtu));
        if poll.is_ready() {
            self.unsent = None;
        }
        poll
    }
}

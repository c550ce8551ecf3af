//! The halves as [`Stream`] and [`Sink`].

use crate::{
    StackClosed, UdpReadHalf, UdpWriteHalf,
    halves::{poll_read, poll_send},
    inbound::Inbound,
    outbound::Outbound,
    shared::Place,
};
use brooklet_cell::Flavor;
use futures_core::Stream;
use futures_sink::Sink;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

/// Yields `(payload, from, to)`. Ends when the driver has ended and all that was queued has been
/// read, and for no other reason.
impl<F: Flavor> Stream for UdpReadHalf<F> {
    type Item = (Vec<u8>, SocketAddr, SocketAddr);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let place = &mut self.place;
        let read = poll_read(&place.shared, Some(&mut place.seat), cx, Inbound::read);
        read.map(|read| {
            read.ok()
                .map(|datagram| (datagram.payload, datagram.from, datagram.to))
        })
    }
}

/// Takes `(payload, from, to)`. A datagram is flushed when it waits for the device; one that
/// finds no room there is held by the sink until it does.
///
/// An error of the kind [`InvalidInput`](io::ErrorKind::InvalidInput) concerns that datagram
/// alone: it is gone, and the sink goes on. Adapters that end at the first error, such as
/// `forward`, need the payloads checked before.
impl<F: Flavor> Sink<(Vec<u8>, SocketAddr, SocketAddr)> for UdpWriteHalf<F> {
    type Error = io::Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // All of them are, or none.
        if this.queues.outbound()[0].with(|queue| queue.closed) {
            return Poll::Ready(Err(StackClosed.into()));
        }
        this.poll_place(cx)
    }

    fn start_send(
        self: Pin<&mut Self>,
        (payload, from, to): (Vec<u8>, SocketAddr, SocketAddr),
    ) -> io::Result<()> {
        let this = self.get_mut();
        assert!(
            this.held.is_none(),
            "start_send is called once after each poll_ready"
        );
        let queue = this.queues.of(from, to);
        let (sent, driver) = queue.with(|queue| {
            let sent = queue.send(&payload, from, to);
            let driver = if let Ok(true) = sent {
                queue.take_driver()
            } else {
                None
            };
            (sent, driver)
        });
        if let Some(driver) = driver {
            driver.wake();
        }
        if !sent? {
            let place = Place::new(queue);
            this.held = Some(Held {
                datagram: (payload, from, to),
                place,
            });
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_place(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_place(cx)
    }
}

/// A datagram that waits for room in its queue.
pub(crate) struct Held<F: Flavor> {
    datagram: (Vec<u8>, SocketAddr, SocketAddr),
    place: Place<F, Outbound>,
}

impl<F: Flavor> UdpWriteHalf<F> {
    /// Sends what is held.
    fn poll_place(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(Held { datagram, place }) = &mut self.held else {
            return Poll::Ready(Ok(()));
        };
        let (payload, from, to) = datagram;
        let poll = poll_send(&place.shared, Some(&mut place.seat), cx, |queue| {
            queue.send(payload, *from, *to)
        });
        if poll.is_ready() {
            self.held = None;
        }
        poll
    }
}

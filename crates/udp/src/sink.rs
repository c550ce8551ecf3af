//! The halves as [`Stream`] and [`Sink`].

use crate::{
    StackClosed, UdpReadHalf, UdpWriteHalf,
    halves::{poll_read, poll_send},
    state::{Place, State},
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
        let read = poll_read(&place.shared, Some(&mut place.seat), cx, State::read);
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
        if this.place.shared.with(|state| state.closed) {
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
        let (sent, driver) = this.place.shared.with(|state| {
            let sent = state.send(&payload, from, to);
            let driver = if let Ok(true) = sent {
                state.take_driver()
            } else {
                None
            };
            (sent, driver)
        });
        if let Some(driver) = driver {
            driver.wake();
        }
        if !sent? {
            this.held = Some((payload, from, to));
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

impl<F: Flavor> UdpWriteHalf<F> {
    /// Sends what is held.
    fn poll_place(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((payload, from, to)) = &self.held else {
            return Poll::Ready(Ok(()));
        };
        let Place { shared, seat, .. } = &mut self.place;
        let poll = poll_send(shared, Some(seat), cx, |state| {
            state.send(payload, *from, *to)
        });
        if poll.is_ready() {
            self.held = None;
        }
        poll
    }
}

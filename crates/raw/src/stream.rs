//! The sockets as [`Stream`]s.

use crate::icmp::{IcmpMessage, IcmpSocket};
use crate::raw_socket::{RawPacket, RawSocket};
use brooklet_cell::Flavor;
use futures_core::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Yields messages. The stream ends once the driver has ended and every message in the queue has
/// been received.
impl<F: Flavor> Stream for IcmpSocket<F> {
    type Item = IcmpMessage<F>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_next_message(cx).map(Result::ok)
    }
}

/// Yields packets. The stream ends once the driver has ended and every packet in the queue has been
/// received.
impl<F: Flavor> Stream for RawSocket<F> {
    type Item = RawPacket;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_next_packet(cx).map(Result::ok)
    }
}

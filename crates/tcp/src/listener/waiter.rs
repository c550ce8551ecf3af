//! Futures and streams that wait on a listener.

use super::TcpListener;
use crate::request::TcpRequest;
use crate::stream::TcpStream;
use brooklet_cell::Flavor;
use brooklet_cell::wakers::WaitKey;
use std::io;
use std::net::SocketAddr;
use std::task::{Context as TaskContext, Poll};

/// A task that waits on a listener. Dropping it removes its waker from the listener.
#[derive(Debug)]
pub(super) struct Waiter<'a, F: Flavor> {
    listener: &'a TcpListener<F>,
    key: WaitKey,
}

impl<'a, F: Flavor> Waiter<'a, F> {
    pub(super) fn new(listener: &'a TcpListener<F>) -> Self {
        Self {
            listener,
            key: WaitKey::default(),
        }
    }

    pub(super) fn poll_accept(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<io::Result<(TcpStream<F>, SocketAddr)>> {
        self.listener.poll_accept_with(cx, Some(&mut self.key))
    }

    pub(super) fn poll_request(
        &mut self,
        cx: &mut TaskContext<'_>,
    ) -> Poll<io::Result<TcpRequest<F>>> {
        self.listener.poll_request_with(cx, Some(&mut self.key))
    }
}

impl<F: Flavor> Drop for Waiter<'_, F> {
    fn drop(&mut self) {
        let TcpListener { stack, id } = self.listener;
        let _waker = stack.table.with(|table| {
            let listening = table.listeners.get_mut(*id)?;
            listening.acceptors.remove(&mut self.key)
        });
    }
}

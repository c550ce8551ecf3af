//! The wait for the end of a request.

use super::TcpRequest;
use brooklet_cell::Flavor;
use brooklet_cell::wakers::WaitKey;
use std::task::{Context as TaskContext, Poll};

/// A task that waits until a request is gone. Dropping it removes its waker.
pub(super) struct Withdrawal<'a, F: Flavor> {
    request: &'a TcpRequest<F>,
    key: WaitKey,
}

impl<'a, F: Flavor> Withdrawal<'a, F> {
    pub(super) fn new(request: &'a TcpRequest<F>) -> Self {
        Self {
            request,
            key: WaitKey::default(),
        }
    }

    pub(super) fn poll(&mut self, cx: &TaskContext<'_>) -> Poll<()> {
        let TcpRequest { stack, id, .. } = self.request;
        let key = &mut self.key;
        let (poll, _old) = stack.table.with(|table| table.poll_withdrawn(*id, cx, key));
        poll
    }
}

impl<F: Flavor> Drop for Withdrawal<'_, F> {
    fn drop(&mut self) {
        let TcpRequest { stack, id, .. } = self.request;
        let key = &mut self.key;
        let _waker = stack
            .table
            .with(|table| table.unregister_withdrawn(*id, key));
    }
}

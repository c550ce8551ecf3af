//! How a connection ends, and what is left of it.

use super::Flow;
use crate::context::{Leaves, Work};
use crate::error::End;
use crate::wake::Wakes;
use brooklet_cell::Flavor;
use smoltcp::socket::tcp::State;
use std::time::Instant;

/// A connection that the application has let go, and which still delivers what was written.
#[derive(Debug)]
pub(super) struct Orphan {
    /// When progress is looked for.
    pub(super) check: Instant,
    /// What was unsent or unacknowledged at the last look.
    pub(super) queued: usize,
    /// The peer sent data that nobody will read.
    pub(super) late: bool,
}

impl Flow {
    /// Throws away what nobody will read.
    pub(crate) fn discard(&mut self) {
        let mut dropped = 0;
        while let Ok(n @ 1..) = self.socket().recv(|bytes| (bytes.len(), bytes.len())) {
            dropped += n;
        }
        self.guard.consumed(dropped);
        if let Some(orphan) = &mut self.orphan
            && dropped > 0
        {
            orphan.late = true;
        }
    }

    /// The application lets go: what was written is still delivered.
    pub(crate) fn release<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        self.handles -= 1;
        if self.handles > 0 || self.detached {
            return;
        }
        let socket = self.socket();
        let unread = socket.recv_queue() > 0 && socket.send_queue() == 0;
        if self.end.is_some() || !self.connected || unread {
            self.socket().abort();
        } else {
            let timeout = work.context.fixed.config.orphan_timeout;
            let socket = self.socket();
            socket.close();
            let queued = socket.send_queue();
            self.orphan = Some(Orphan {
                check: work.now + timeout,
                queued,
                late: false,
            });
            self.discard();
        }
        self.settle(work);
    }

    /// Ends the connection with a reset.
    pub(crate) fn abort<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        self.end.get_or_insert(End::Aborted);
        self.socket().abort();
        self.settle(work);
    }

    /// The driver is gone: nothing will move any more.
    pub(crate) fn strand(&mut self, wakes: &mut Wakes) {
        self.end.get_or_insert(End::StackClosed);
        self.detached = true;
        self.wake_tasks(wakes);
    }

    pub(super) fn leave_when_over<F: Flavor>(&mut self, state: State, work: &mut Work<'_, F>) {
        if self.detached || self.waiting {
            return;
        }
        let leaves = match state {
            // With an endpoint left there is a reset still to be sent.
            State::Closed if self.socket().local_endpoint().is_none() => Leaves::Nothing,
            State::TimeWait => {
                let (next, acked) = self.guard.last();
                Leaves::TimeWait { next, acked }
            }
            _ => return,
        };
        self.detached = true;
        work.leaves = Some(leaves);
        if self.listened && !self.connected {
            work.shaken = Some(false);
        }
    }
}

//! How a connection ends, and what is left of it.

use super::{Flow, Stage, Unsaid};
use crate::context::{Leaves, Work};
use crate::error::End;
use crate::wake::Wakes;
use brooklet_cell::Flavor;
use smoltcp::socket::tcp::State;
use std::time::{Duration, Instant};

/// A connection that the application has let go, and which still delivers what was written.
#[derive(Debug)]
pub(super) struct Orphan {
    /// When progress is looked for.
    pub(super) check: Instant,
    /// What was unsent or unacknowledged at the last look.
    pub(super) queued: usize,
    /// The peer sent data that nobody will read.
    pub(super) late: bool,
    /// When it is given up, progress or not.
    pub(super) until: Option<Instant>,
}

impl Flow {
    /// Throws away what nobody will read.
    pub(crate) fn discard(&mut self) {
        let dropped = self.stage.discard();
        self.guard.consumed(dropped);
        if let Some(orphan) = &mut self.orphan
            && dropped > 0
        {
            orphan.late = true;
        }
    }

    /// Finishes: what was written is still sent, and then a FIN.
    pub(crate) fn shut_write(&mut self) {
        self.write_shut = true;
    }

    /// Has smoltcp send the FIN once nothing else is left to be sent. Says whether it is time.
    ///
    /// Not before: in LAST-ACK smoltcp takes no window that comes without a new acknowledgement,
    /// and what did not fit into the last one would never be sent.
    pub(super) fn finish<F: Flavor>(&mut self, work: &mut Work<'_, F>) -> bool {
        if !self.write_shut || self.finished || self.unsent() > 0 {
            return false;
        }
        self.wake();
        let Stage::Awake(_) = self.stage else {
            return false; // not before the handshake is over
        };
        self.finished = true;
        if self.guard.short() {
            self.tell(true, work); // there will be no other chance
        }
        if let Stage::Awake(awake) = &mut self.stage {
            awake.socket(|socket| socket.close());
        }
        true
    }

    /// Whether the peer has acknowledged everything, and the FIN if there is one.
    pub(crate) fn all_acknowledged(&self) -> bool {
        self.all_acknowledged
    }

    /// The application lets go: what was written is still delivered.
    pub(crate) fn release<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        self.handles -= 1;
        if self.handles > 0 || self.detached {
            return;
        }
        let unread = self.stage.recv_queue() > 0 && self.stage.send_queue() == 0;
        let at_once = self.linger == Some(Duration::ZERO);
        if self.end.is_some() || !self.connected || unread || at_once {
            self.break_off();
        } else {
            let timeout = work.context.fixed.config.orphan_timeout;
            let until = self.linger.map(|linger| work.now + linger);
            self.shut_write();
            let queued = self.stage.send_queue();
            self.orphan = Some(Orphan {
                check: (work.now + timeout).min(until.unwrap_or(work.now + timeout)),
                queued,
                late: false,
                until,
            });
            self.discard();
        }
        self.settle(work);
    }

    /// Looks whether a connection that was let go still gets on.
    pub(super) fn check_orphan<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        let timeout = work.context.fixed.config.orphan_timeout;
        let queued = self.stage.send_queue();
        if let Some(orphan) = &mut self.orphan
            && orphan.check <= work.now
        {
            let late = orphan.until.is_some_and(|until| until <= work.now);
            let progress = queued > 0 && queued < orphan.queued && !late;
            orphan.queued = queued;
            orphan.check = work.now + timeout;
            if let Some(until) = orphan.until
                && !late
            {
                orphan.check = orphan.check.min(until);
            }
            if !progress {
                self.break_off();
            }
        }
    }

    /// Ends the connection with a reset.
    pub(crate) fn abort<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        self.end.get_or_insert(End::Aborted);
        self.break_off();
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
            State::Closed if self.unsaid != Some(Unsaid::Reset) && !self.stage.has_reset() => {
                Leaves::Nothing
            }
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

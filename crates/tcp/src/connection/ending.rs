//! How a connection ends, and the state that outlives the connection.

use super::{Connection, Control, Orphan, TcpState};
use crate::error::End;
use crate::seq::{Micros, NEVER};
use crate::shared::{Effects, Leaves};
use crate::time_wait::TimeWait;
use brooklet_cell::Flavor;
use brooklet_cell::wakers::WakeList;

impl<F: Flavor> Connection<F> {
    /// The application drops a handle. After the last handle the connection still delivers the
    /// data in the send buffer.
    pub(crate) fn drop_handle(&mut self, fx: &mut Effects<'_, F>) {
        self.handles -= 1;
        if self.handles > 0 || self.detached {
            return;
        }
        let unread = self.recv.len() > 0 && self.send_queue() == 0;
        // A task that panics has not written all that it wanted to: a FIN would tell the peer that it
        // has.
        let panics = std::thread::panicking();
        if self.end.is_some() || !self.handshake_done || unread || self.linger == 0 || panics {
            self.reset_connection();
        } else {
            let linger_deadline = match self.linger {
                NEVER => NEVER,
                linger => fx.now + linger,
            };
            self.shut_write();
            self.orphan = Some(Box::new(Orphan {
                last_progress: fx.now,
                linger_deadline,
                has_late_data: false,
            }));
            self.discard();
        }
        self.flush(fx);
    }

    /// When a connection that was dropped is given up: after a period without progress, in
    /// FIN-WAIT-2 as well, or at the end of its linger time.
    pub(super) fn orphan_deadline(&self, timeout: Micros) -> Micros {
        match &self.orphan {
            Some(orphan) => (orphan.last_progress + timeout).min(orphan.linger_deadline),
            None => NEVER,
        }
    }

    /// ABORT: ends the connection with a RST. Data that was not read is lost.
    pub(crate) fn abort(&mut self, fx: &mut Effects<'_, F>) {
        self.end_with(End::Aborted);
        if self.end == Some(End::Aborted) {
            self.discard();
        }
        self.flush(fx);
    }

    /// Ends the connection with a RST. Reads and writes say why.
    pub(super) fn end_with(&mut self, end: End) {
        self.end.get_or_insert(end);
        self.reset_connection();
    }

    /// The stack ends now, and can still send a RST.
    pub(crate) fn close_with_stack(&mut self, fx: &mut Effects<'_, F>) {
        self.end_with(End::StackClosed);
        self.flush(fx);
    }

    /// The driver is gone: nothing will move any more.
    pub(crate) fn on_stack_shutdown(&mut self, wakes: &mut WakeList) {
        self.end.get_or_insert(End::StackClosed);
        self.detached = true;
        self.wake_tasks(wakes);
        self.release_read_buffers();
    }

    /// A connection that is over leaves the table, as soon as it has nothing left to send.
    pub(super) fn leave_when_over(&mut self, fx: &mut Effects<'_, F>) {
        if self.detached {
            return;
        }
        let leaves = match self.state {
            TcpState::Closed if self.pending_control != Some(Control::Rst) => Leaves::Nothing,
            TcpState::TimeWait if !self.recv.owes_ack() && self.pending_control.is_none() => {
                Leaves::TimeWait(TimeWait {
                    snd_nxt: self.send.nxt(),
                    rcv_nxt: self.recv.rcv_nxt(),
                    rcv_wnd: self.recv.window.field(),
                    timestamps: self.recv.timestamps.offset_and_recent(),
                    ttl: self.ttl,
                    traffic_class: self.traffic_class,
                    totals: self.totals(),
                })
            }
            _ => return,
        };
        let is_half_open = self.is_half_open();
        self.detached = true;
        if std::mem::take(&mut self.waiting) {
            let key = self.key;
            fx.queue.with(|queue| queue.tx.forget(&key));
        }
        fx.leaves = Some(leaves);
        if is_half_open {
            fx.handshake_over = Some(false);
        }
    }
}

//! The table of a stack that is being shut down.

use super::{Connections, Table};
use crate::syn_queue::SynEntry;
use brooklet_cell::Flavor;
use brooklet_cell::wakers::WakeList;

/// What the listeners leave behind when the stack takes no new connections.
pub(crate) struct Closed<F: Flavor> {
    /// SYNs without an answer.
    pub(crate) syns: Vec<SynEntry>,
    /// Connections that `accept` answered, including those that were accepted.
    pub(crate) connections: Connections<F>,
}

impl<F: Flavor> Table<F> {
    /// Whether the stack takes no new connections.
    pub(crate) fn is_closed(&self) -> bool {
        self.closing || self.gone
    }

    /// Takes no new connections from now on. Returns what there is to refuse, unless the table was
    /// closed before.
    pub(crate) fn close(&mut self, wakes: &mut WakeList) -> Option<Closed<F>> {
        if self.is_closed() {
            return None;
        }
        self.closing = true;
        self.listeners.wake_all(wakes);
        let syns = self.syn_queue.take_all(wakes);
        let connections = self.connections_of(|origin| origin.listener().is_some());
        self.publish();
        Some(Closed { syns, connections })
    }

    /// Whether the table was closed and its last connection has left.
    pub(crate) fn is_drained(&self) -> bool {
        self.closing && self.stats.connections == 0
    }
}

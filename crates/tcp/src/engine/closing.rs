//! The graceful end of a stack: no new connections, then the end of those that there are.

use super::Engine;
use crate::connection::Connection;
use crate::connector::Connector;
use crate::queue::QueueShared;
use brooklet_cell::Flavor;
use brooklet_cell::wakers::WakeList;
use std::time::Instant;

impl<F: Flavor> Connector<F> {
    /// Stops taking new connections, as a host does whose programs close their listeners.
    ///
    /// Pending and later calls of `accept`, `connect` and `bind` fail as if the driver had ended.
    /// Clients whose SYN has no answer, or whose connection was not accepted, are refused with a
    /// RST, and so are later ones. Accepted connections and those that `connect` has begun go on.
    /// Every driver is woken, and finds [`Engine::is_closing`].
    ///
    /// ```
    /// use brooklet_cell::Threaded;
    /// use brooklet_tcp::{Clock, Config, Engine, Interface};
    ///
    /// # let clock = Clock::new(std::time::Instant::now);
    /// # let (interface, config) = (Interface::new(), Config::default());
    /// # let (mut engine, _listener, connector) =
    /// #     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    /// connector.close();
    /// assert!(connector.bind("0.0.0.0:80".parse().unwrap()).is_err());
    /// assert!(engine.awake());
    /// assert!(engine.is_closing() && engine.connections() == 0);
    /// ```
    pub fn close(&self) {
        let mut wakes = WakeList::default();
        let closed = self.stack.table.with(|table| table.close(&mut wakes));
        if let Some(closed) = closed {
            self.stack.refuse(&closed.syns);
            let now = self.stack.moment();
            for connection in &closed.connections {
                self.stack.enter(connection, now, |connection, fx| {
                    if connection.is_listened() {
                        connection.abort(fx);
                    }
                });
            }
        }
        for queue in self.stack.queues() {
            wakes.extend(queue.with(QueueShared::close));
        }
        wakes.wake_all();
    }
}

impl<F: Flavor> Engine<F> {
    /// Returns whether [`Connector::close`] was called, as of the last [`awake`](Self::awake)
    /// or [`sleep`](Self::sleep).
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Returns the number of connections of the stack, without TIME-WAIT. The last one to leave a
    /// stack that is [closing](Self::is_closing) wakes every driver.
    pub fn connections(&self) -> usize {
        self.stack.summary.connections()
    }

    /// Returns whether this queue has packets to send, or connections that wait to send some.
    pub fn has_output(&self) -> bool {
        self.queue_shared.with(|queue| queue.has_output())
    }

    /// Resets every connection of the stack: its calls fail as if the driver had ended. The engine
    /// of each connection's queue then has a RST to send.
    pub fn reset_connections(&mut self, now: Instant) {
        let now = self.moment(now);
        self.last = None;
        for connection in self.stack.table.with(|table| table.connections()) {
            self.stack
                .enter(&connection, now, Connection::close_with_stack);
        }
    }

    /// Has the drivers of all queues run again, whether they sleep or not.
    pub fn wake_drivers(&mut self) {
        self.stack.touch_drivers(&mut self.wakes);
        self.wakes.wake_all();
    }
}

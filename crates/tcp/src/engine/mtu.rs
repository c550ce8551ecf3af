//! The MTU of the link, which changes when the driver gets another device.

use super::Engine;
use brooklet_cell::Flavor;
use std::time::Instant;

impl<F: Flavor> Engine<F> {
    /// Changes the [MTU](crate::Interface#structfield.mtu) of the link, for the engines of all
    /// queues. Every connection follows: to a smaller MTU at once, to a larger one once a probe of
    /// that size is acknowledged. Segments that are queued already keep their length.
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let interface = Interface::new().ipv4(Some([10, 0, 0, 2].into()));
    /// # let (config, clock) = (Config::default(), Clock::new(Instant::now));
    /// # let (mut engine, listener, connector) =
    /// #     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    /// engine.set_mtu(Instant::now(), 1280);
    /// # drop((listener, connector));
    /// ```
    pub fn set_mtu(&mut self, now: Instant, mtu: usize) {
        self.stack.config.set_mtu(mtu);
        for connection in self.stack.table.with(|table| table.connections()) {
            let key = connection.with(|connection| connection.key());
            self.stack.follow_path_mtu(&connection, (key, now));
        }
    }
}

use brooklet_cell::Flavor;
use std::task::Waker;

/// The engines of one device queue.
pub(crate) struct Engines<F: Flavor> {
    pub(crate) tcp: brooklet_tcp::Engine<F>,
    pub(crate) udp: brooklet_udp::Engine<F>,
    pub(crate) raw: brooklet_raw::Engine<F>,
}

impl<F: Flavor> Engines<F> {
    /// Registers the driver with UDP and with the raw sockets. Returns whether one of them has a
    /// packet to send already.
    pub(crate) fn register(&self, waker: &Waker) -> bool {
        self.udp.register(waker) || self.raw.register(waker)
    }
}

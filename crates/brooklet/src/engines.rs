use brooklet_cell::Flavor;
use std::net::IpAddr;
use std::time::Instant;

/// The engines of one device queue.
pub(crate) struct Engines<F: Flavor> {
    pub(crate) tcp: brooklet_tcp::Engine<F>,
    pub(crate) udp: brooklet_udp::Engine<F>,
    pub(crate) mtu: usize,
}

impl<F: Flavor> Engines<F> {
    /// Returns the length of the longest packet that the path to `destination` takes, in bytes.
    pub(crate) fn path_mtu(&self, _now: Instant, _destination: IpAddr) -> usize {
        self.mtu
    }
}

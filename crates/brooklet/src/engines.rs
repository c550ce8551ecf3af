use brooklet_cell::Flavor;

/// The engines of one device queue.
pub(crate) struct Engines<F: Flavor> {
    pub(crate) tcp: brooklet_tcp::Engine<F>,
    pub(crate) udp: brooklet_udp::Engine<F>,
}

use crate::capture::Captures;
use crate::shutdown::Shutdown;
use crate::stats::Stats;
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::reassembly::{self, Reassembler};
use brooklet_tcp::Clock;
use std::net::Ipv6Addr;
use std::num::NonZeroU8;
use std::sync::Arc;

/// The settings of a driver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// The MTU of the stack, in bytes.
    pub(crate) mtu: usize,
    /// The IP identification of the first packet that the driver fragments, and the step to the
    /// next one: no two drivers of a stack use the same.
    pub(crate) identification: (u32, u32),
}

/// The state that the drivers of one stack share.
pub(crate) struct Common<F: Flavor> {
    /// Whether the stack speaks IPv6.
    pub(crate) ipv6: bool,
    /// The stack's own IPv6 address, if it has one.
    pub(crate) own_ipv6: Option<Ipv6Addr>,
    /// Shared because the fragments of one packet may arrive on several queues.
    pub(crate) reassembler: Option<Shared<F, Reassembler>>,
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown<F>,
    /// The counters of each driver.
    pub(crate) published: Arc<[Shared<F, Stats>]>,
    pub(crate) captures: Captures<F>,
}

impl<F: Flavor> Common<F> {
    pub(crate) fn new(
        queues: NonZeroU8,
        reassembly: Option<reassembly::Config>,
        (ipv6, own_ipv6): (bool, Option<Ipv6Addr>),
        clock: Clock,
    ) -> Self {
        let published = |_| Shared::new(Stats::default());
        Self {
            ipv6,
            own_ipv6,
            reassembler: reassembly.map(|config| Shared::new(Reassembler::new(config))),
            clock,
            shutdown: Shutdown::new(queues),
            published: (0..queues.get()).map(published).collect(),
            captures: Captures::new(queues),
        }
    }
}

impl<F: Flavor> Clone for Common<F> {
    fn clone(&self) -> Self {
        Self {
            ipv6: self.ipv6,
            own_ipv6: self.own_ipv6,
            reassembler: self.reassembler.clone(),
            clock: self.clock.clone(),
            shutdown: self.shutdown.clone(),
            published: self.published.clone(),
            captures: self.captures.clone(),
        }
    }
}

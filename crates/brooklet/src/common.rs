use crate::capture::Captures;
use crate::mtu::StackMtu;
use crate::shutdown::Shutdown;
use crate::stats::Stats;
use crate::time::StackTime;
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::reassembly::{self, Reassembler};
use brooklet_tcp::Clock;
use std::net::Ipv6Addr;
use std::num::NonZeroU8;
use std::sync::Arc;

/// The state that the drivers of one stack share.
pub(crate) struct Common<F: Flavor> {
    /// Whether the stack speaks IPv6.
    pub(crate) ipv6: bool,
    /// The stack's own IPv6 address, if it has one.
    pub(crate) own_ipv6: Option<Ipv6Addr>,
    pub(crate) mtu: StackMtu<F>,
    /// Shared because the fragments of one packet may arrive on several queues.
    pub(crate) reassembler: Option<Shared<F, Reassembler>>,
    pub(crate) time: StackTime,
    /// The clock of that time.
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
        (ipv6, own_ipv6, mtu): (bool, Option<Ipv6Addr>, StackMtu<F>),
        time: StackTime,
    ) -> Self {
        let published = |_| Shared::new(Stats::default());
        Self {
            ipv6,
            own_ipv6,
            mtu,
            reassembler: reassembly.map(|config| Shared::new(Reassembler::new(config))),
            clock: time.clock(),
            time,
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
            mtu: self.mtu.clone(),
            reassembler: self.reassembler.clone(),
            time: self.time.clone(),
            clock: self.clock.clone(),
            shutdown: self.shutdown.clone(),
            published: self.published.clone(),
            captures: self.captures.clone(),
        }
    }
}

//! The queues that the engines and the sockets of one stack share.

use crate::{
    config::Config, inbound::Inbound, interface::Interface, outbound::Outbound, stats::Stats,
};
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::FlowKey;
use foldhash::quality::FixedState;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::Arc;

/// One inbound queue, and an outbound queue for each queue of the device.
pub(crate) struct Queues<F: Flavor> {
    pub(crate) inbound: Shared<F, Inbound>,
    outbound: Arc<[Shared<F, Outbound>]>,
}

impl<F: Flavor> Queues<F> {
    pub(crate) fn new(queues: NonZeroU8, interface: Interface, config: Config) -> Self {
        let config = config.usable();
        let outbound = |_| Shared::new(Outbound::new(interface, config));
        Self {
            inbound: Shared::new(Inbound::new(config)),
            outbound: (0..queues.get()).map(outbound).collect(),
        }
    }

    pub(crate) fn outbound(&self) -> &[Shared<F, Outbound>] {
        &self.outbound
    }

    /// The queue of a datagram. All datagrams of a flow have the same queue, which keeps their
    /// order.
    pub(crate) fn of(&self, from: SocketAddr, to: SocketAddr) -> &Shared<F, Outbound> {
        let queues = self.outbound.len();
        let queue = match FlowKey::new(from, to) {
            Some(key) if queues > 1 => FixedState::default().hash_one(key) % queues as u64,
            // Without a key the address families differ, and every queue refuses the datagram.
            _ => 0,
        };
        &self.outbound[queue as usize]
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.inbound.with(|inbound| inbound.stats);
        for queue in &*self.outbound {
            let out = queue.with(|queue| queue.stats);
            stats.datagrams_out += out.datagrams_out;
            stats.bytes_out += out.bytes_out;
        }
        stats
    }
}

impl<F: Flavor> Clone for Queues<F> {
    fn clone(&self) -> Self {
        Self {
            inbound: self.inbound.clone(),
            outbound: self.outbound.clone(),
        }
    }
}

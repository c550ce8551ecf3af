//! What the engines and the sockets share.

use crate::inbound::Inbound;
use crate::outbound::Outbound;
use crate::wakers::{Seat, WakerList};
use crate::{Config, Interface, Stats};
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::FlowKey;
use foldhash::quality::FixedState;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::Arc;

/// The datagrams that came in, whatever the queue, and the packets for each queue.
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

    /// The queue of a datagram. All of one flow have the same, so that none overtakes another.
    pub(crate) fn of(&self, from: SocketAddr, to: SocketAddr) -> &Shared<F, Outbound> {
        let queues = self.outbound.len();
        let queue = match FlowKey::new(from, to) {
            Some(key) if queues > 1 => FixedState::default().hash_one(key) % queues as u64,
            // Of two families: whichever, it will be refused.
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

/// Something that tasks wait for.
pub(crate) trait Waiting {
    /// Those who do.
    fn waiting(&mut self) -> &mut WakerList;
}

/// A handle to something with a seat in its list of wakers, left when dropped: a future that is
/// cancelled keeps no task alive.
pub(crate) struct Place<F: Flavor, T: Waiting + 'static> {
    pub(crate) shared: Shared<F, T>,
    pub(crate) seat: Seat,
}

impl<F: Flavor, T: Waiting> Place<F, T> {
    pub(crate) fn new(shared: &Shared<F, T>) -> Self {
        Self {
            shared: shared.clone(),
            seat: Seat::default(),
        }
    }
}

impl<F: Flavor, T: Waiting> Drop for Place<F, T> {
    fn drop(&mut self) {
        if self.seat.is_taken() {
            drop(
                self.shared
                    .with(|shared| shared.waiting().leave(&self.seat)),
            );
        }
    }
}

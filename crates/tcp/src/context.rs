use crate::flow::Flow;
use crate::hub::Hub;
use crate::memory::Memory;
use crate::seq::Micros;
use crate::table::Table;
use crate::wake::Wakes;
use crate::{Clock, Config};
use brooklet_cell::{Flavor, Shared};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Instant;

/// What every handle and the engine share.
///
/// Cells are taken in one order: a connection's, then the hub of its queue. The table is held
/// alone.
pub(crate) struct Context<F: Flavor> {
    pub(crate) table: Shared<F, Table<F>>,
    /// One for each queue of the device, and at least one.
    hubs: Arc<[Shared<F, Hub>]>,
    pub(crate) fixed: Arc<Fixed>,
}

/// What never changes.
#[derive(Debug)]
pub(crate) struct Fixed {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    /// Where this stack's time begins.
    pub(crate) epoch: Instant,
    /// What the connections' buffers may take. Its lock is the last to be taken.
    pub(crate) memory: Arc<Memory>,
    /// Key of the hash that sequence numbers come from.
    pub(crate) secret: [u64; 2],
}

impl<F: Flavor> Clone for Context<F> {
    fn clone(&self) -> Self {
        Self {
            table: self.table.clone(),
            hubs: self.hubs.clone(),
            fixed: self.fixed.clone(),
        }
    }
}

/// What a piece of work on one connection leaves to be done once its cell is free.
pub(crate) struct Work<'a, F: Flavor> {
    pub(crate) context: &'a Context<F>,
    /// That of the connection's queue.
    pub(crate) hub: &'a Shared<F, Hub>,
    pub(crate) now: Instant,
    pub(crate) wakes: Wakes,
    /// The connection has waited for room, and it is its turn.
    pub(crate) turn: bool,
    /// The connection leaves the table.
    pub(crate) leaves: Option<Leaves>,
    /// The handshake of a connection that the listener answered is over; done, or failed.
    pub(crate) shaken: Option<bool>,
    /// Segments that came too early and found no place.
    pub(crate) dropped: u64,
}

/// What remains of a connection in the table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leaves {
    Nothing,
    TimeWait { next: u32, acked: u32 },
}

impl<F: Flavor> Context<F> {
    pub(crate) fn new(queues: NonZeroU8, fixed: Fixed) -> Self {
        let Config {
            outbound_packets,
            mtu,
            ..
        } = fixed.config;
        let hub = |_| Shared::new(Hub::new(outbound_packets, mtu));
        Self {
            table: Shared::new(Table::new(&fixed.config)),
            hubs: (0..queues.get()).map(hub).collect(),
            fixed: Arc::new(fixed),
        }
    }

    pub(crate) fn hubs(&self) -> &[Shared<F, Hub>] {
        &self.hubs
    }

    /// The hub of a queue, which is below the number of queues.
    pub(crate) fn hub(&self, queue: u8) -> &Shared<F, Hub> {
        &self.hubs[usize::from(queue)]
    }

    pub(crate) fn now(&self) -> Instant {
        self.fixed.clock.now()
    }

    /// Works on a connection, then does what that left to be done.
    pub(crate) fn enter<R>(
        &self,
        flow: &Shared<F, Flow>,
        now: Instant,
        f: impl FnOnce(&mut Flow, &mut Work<'_, F>) -> R,
    ) -> R {
        let mut work = Work {
            context: self,
            hub: self.hub(0),
            now,
            wakes: Wakes::default(),
            turn: false,
            leaves: None,
            shaken: None,
            dropped: 0,
        };
        let (result, key) = flow.with(|flow| {
            work.hub = self.hub(flow.queue());
            (f(flow, &mut work), flow.key())
        });
        let Work {
            hub,
            mut wakes,
            leaves,
            shaken,
            dropped,
            ..
        } = work;
        if shaken.is_some() || leaves.is_some() || dropped > 0 {
            let config = &self.fixed.config;
            let touch = self.table.with(|table| {
                table.stats.early_full += dropped;
                if let Some(done) = shaken {
                    table.shaken(key, flow, done, &mut wakes);
                }
                leaves.is_some_and(|leaves| table.leave(key, flow, leaves, now, config))
            });
            if touch {
                wakes.extend(hub.with(Hub::touch));
            }
        }
        wakes.wake();
        result
    }
}

impl Fixed {
    pub(crate) fn micros(&self, now: Instant) -> Micros {
        now.saturating_duration_since(self.epoch).as_micros() as Micros
    }

    pub(crate) fn instant(&self, at: Micros) -> Instant {
        self.epoch + std::time::Duration::from_micros(at)
    }
}

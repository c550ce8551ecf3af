use crate::connection::Connection;
use crate::events::Watch;
use crate::memory_stats::MemoryStats;
use crate::queue::QueueShared;
use crate::round_trips::RoundTripCounters;
use crate::seq::Micros;
use crate::shared::{Effects, StackConfig};
use crate::stats::Stats;
use crate::table::{Table, TableSummary};
use brooklet_cell::wakers::WakeList;
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::FlowKey;
use std::num::NonZeroU8;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

/// What a shared cell allocates beside its value, in bytes: the two reference counts, and the state of
/// the lock or of the borrow.
const CELL: usize = 3 * size_of::<usize>();

/// A reference to what every handle and every engine of one stack share. It is one pointer, because
/// every stream holds one.
pub(crate) struct StackShared<F: Flavor>(Arc<Stack<F>>);

/// The state of one stack.
///
/// Cells are taken in one order: a connection's, then that of its queue. The table's cell is held
/// alone; that of the buffers' memory is the last anywhere.
pub(crate) struct Stack<F: Flavor> {
    pub(crate) table: Shared<F, Table<F>>,
    /// What the drivers read of the table without its cell.
    pub(crate) summary: Arc<TableSummary>,
    /// One for each queue of the device, and at least one.
    queues: Box<[Shared<F, QueueShared>]>,
    /// What the engine of each queue has measured.
    round_trips: Box<[RoundTripCounters]>,
    pub(crate) config: Arc<StackConfig<F>>,
}

impl<F: Flavor> Clone for StackShared<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: Flavor> Deref for StackShared<F> {
    type Target = Stack<F>;

    fn deref(&self) -> &Stack<F> {
        &self.0
    }
}

impl<F: Flavor> StackShared<F> {
    pub(crate) fn new(queues: NonZeroU8, config: StackConfig<F>) -> Self {
        let config = Arc::new(config);
        let packets = config.config.outbound_packets;
        let bytes = config.outbound_bytes;
        let summary = Arc::new(TableSummary::default());
        Self(Arc::new(Stack {
            table: Shared::new(Table::new(config.clone(), summary.clone())),
            summary,
            queues: (0..queues.get())
                .map(|_| Shared::new(QueueShared::new(packets, bytes)))
                .collect(),
            round_trips: (0..queues.get()).map(|_| Default::default()).collect(),
            config,
        }))
    }
}

impl<F: Flavor> Stack<F> {
    pub(crate) fn queues(&self) -> &[Shared<F, QueueShared>] {
        &self.queues
    }

    /// The queue with the number `queue`, which is below the number of queues.
    pub(crate) fn queue(&self, queue: u8) -> &Shared<F, QueueShared> {
        &self.queues[usize::from(queue)]
    }

    /// Where the engine of the queue `queue` counts round-trip times.
    pub(crate) fn round_trips(&self, queue: u8) -> &RoundTripCounters {
        &self.round_trips[usize::from(queue)]
    }

    pub(crate) fn now(&self) -> Instant {
        self.config.clock.now()
    }

    /// The present moment in the stack's time.
    pub(crate) fn moment(&self) -> Micros {
        self.config.micros(self.now())
    }

    /// Works on a connection under its cell, then lets the [effects](Effects) take place.
    pub(crate) fn enter<R>(
        &self,
        connection: &Shared<F, Connection<F>>,
        now: Micros,
        f: impl FnOnce(&mut Connection<F>, &mut Effects<'_, F>) -> R,
    ) -> R {
        let mut fx = Effects::new(&self.config, self.queue(0), now);
        fx.cookies_sent_at = self.summary.cookies_sent_at();
        let (result, key, event) = connection.with(|connection| {
            fx.queue = self.queue(connection.queue());
            fx.now = connection.observe(fx.now);
            let watch = Watch::new(connection);
            let result = f(connection, &mut fx);
            (result, connection.key(), watch.event(connection, fx.now))
        });
        let Effects {
            queue,
            mut wakes,
            leaves,
            handshake_over,
            dropped,
            limited_ack,
            ..
        } = fx;
        if handshake_over.is_some() || leaves.is_some() || dropped.is_some() || limited_ack {
            let (expires_earlier, drained) = self.table.with(|table| {
                if let Some(dropped) = dropped {
                    table.stats.count(dropped);
                }
                table.stats.limited_acks += u64::from(limited_ack);
                if let Some(done) = handshake_over {
                    table.handshake_over(key, connection, done, &mut wakes);
                }
                let expires_earlier = leaves.is_some_and(|leaves| {
                    table.leave(key, connection, leaves, self.config.instant(now))
                });
                (expires_earlier, table.is_drained())
            });
            if drained {
                self.touch_drivers(&mut wakes); // a shutdown waits for this
            }
            if expires_earlier {
                // The driver may sleep beyond the end of this TIME-WAIT.
                wakes.extend(queue.with(QueueShared::touch));
            }
        }
        event.log(); // before what the woken tasks log
        wakes.wake_all();
        result
    }

    /// Lets a connection of the table follow the path MTU that the program has stated, and sends
    /// what is due.
    pub(crate) fn follow_path_mtu(
        &self,
        connection: &Shared<F, Connection<F>>,
        (key, now): (FlowKey, Instant),
    ) {
        let stated = || self.table.with(|table| table.path_mtu(now, key));
        let mut mtu = stated();
        loop {
            self.enter(connection, self.config.micros(now), |connection, fx| {
                connection.set_path_mtu(mtu, fx);
                connection.flush(fx);
            });
            // A later statement may have overtaken this one on the way to the connection.
            let latest = stated();
            if latest == mtu {
                return;
            }
            mtu = latest;
        }
    }

    /// Has every driver look around, whatever it is doing.
    pub(crate) fn touch_drivers(&self, wakes: &mut WakeList) {
        for queue in self.queues() {
            wakes.extend(queue.with(QueueShared::touch));
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.table.with(|table| table.stats());
        for queue in self.queues() {
            queue.with(|queue| {
                stats.outbound_full += queue.tx.refused();
                stats.retransmits += queue.retransmits;
                stats.timeouts += queue.timeouts;
                stats.scoreboard_full += queue.ignored_sacks;
            });
        }
        for round_trips in &self.round_trips {
            round_trips.add_to(&mut stats.round_trips);
        }
        let held = self.config.memory.held();
        stats.buffered = held.users as u64;
        stats.buffers = held.lent as u64;
        stats.pooled_buffers = held.spare as u64;
        stats
    }
}

impl<F: Flavor> Stack<F> {
    /// What the stack holds now.
    pub(crate) fn memory(&self) -> MemoryStats {
        let mut memory = MemoryStats::default();
        self.table.with(|table| table.add_memory(&mut memory));
        for queue in self.queues() {
            let (outbound, timers) =
                queue.with(|queue| (queue.tx.allocated(), queue.timers.heap_size()));
            memory.outbound += outbound as u64;
            memory.connections += timers as u64;
        }
        let held = self.config.memory.held();
        memory.buffers = held.lent as u64;
        memory.pooled_buffers = held.spare as u64;
        let states = held.claims * (size_of::<Connection<F>>() + CELL);
        memory.connections += (states + held.overhead + held.lists) as u64;
        memory
    }
}

#[cfg(test)]
mod tests {
    use crate::TcpStream;
    use crate::buffer::Memory;
    use crate::connection::Connection;

    /// A mutex would make the buffers' memory `Send`.
    #[cfg(feature = "local")]
    mod local {
        use super::*;
        use brooklet_cell::SingleThread;
        use static_assertions::assert_not_impl_any;

        assert_not_impl_any!(Memory<SingleThread>: Send, Sync);
        assert_not_impl_any!(Connection<SingleThread>: Send, Sync);
        assert_not_impl_any!(TcpStream<SingleThread>: Send, Sync);
    }

    #[cfg(feature = "sync")]
    mod sync {
        use super::*;
        use brooklet_cell::Threaded;
        use static_assertions::assert_impl_all;

        assert_impl_all!(Memory<Threaded>: Send, Sync);
        assert_impl_all!(Connection<Threaded>: Send);
        assert_impl_all!(TcpStream<Threaded>: Send, Sync);
    }
}

//! What the connections share, and what a piece of work on one leaves to be done.

use crate::buffer::Memory;
use crate::queue::QueueShared;
use crate::seq::Micros;
use crate::shares::Shares;
use crate::stats::Dropped;
use crate::time_wait::TimeWait;
use crate::{Clock, Config, Interface};
use brooklet_cell::wakers::WakeList;
use brooklet_cell::{Flavor, Shared};
use std::num::NonZeroU8;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What the connections share. Nothing but the MTU ever changes while the stack runs.
#[derive(Debug)]
pub(crate) struct StackConfig<F: Flavor> {
    pub(crate) config: Config,
    pub(crate) interface: Interface,
    /// The MTU of the link, in bytes, in place of that in `interface`.
    mtu: AtomicUsize,
    pub(crate) clock: Clock,
    /// Where the stack's time begins.
    pub(crate) epoch: Instant,
    /// The budget of the connections. Its cell is the last to be taken.
    pub(crate) memory: Memory<F>,
    /// The most bytes in the outbound queue of each device queue.
    pub(crate) outbound_bytes: usize,
    /// The most destinations whose path MTU the program states.
    pub(crate) path_mtus: usize,
    /// The key of the hash that initial sequence numbers come from.
    pub(crate) secret: [u64; 2],
}

impl<F: Flavor> StackConfig<F> {
    pub(crate) fn new(
        interface: Interface,
        config: Config,
        clock: Clock,
        secret: [u64; 2],
        queues: NonZeroU8,
    ) -> Self {
        let (config, interface) = (config.usable(), interface.usable());
        let shares = Shares::new(&config, queues.get(), interface.mtu);
        Self {
            epoch: clock.now(),
            memory: Memory::new(shares.connection_bytes),
            outbound_bytes: shares.outbound_bytes,
            mtu: AtomicUsize::new(interface.mtu),
            path_mtus: shares.path_mtus,
            config: Config {
                backlog: shares.backlog,
                max_time_wait: shares.max_time_wait,
                max_connections: shares.max_connections,
                ..config
            },
            interface,
            clock,
            secret,
        }
    }

    /// The MTU of the link, in bytes.
    pub(crate) fn mtu(&self) -> usize {
        self.mtu.load(Ordering::Relaxed)
    }

    /// Changes the MTU of the link. One that cannot work is replaced by the nearest that can.
    pub(crate) fn set_mtu(&self, mtu: usize) {
        let mtu = self.interface.mtu(mtu).usable().mtu;
        self.mtu.store(mtu, Ordering::Relaxed);
    }

    /// `now` in the stack's time.
    pub(crate) fn micros(&self, now: Instant) -> Micros {
        now.saturating_duration_since(self.epoch).as_micros() as Micros
    }

    /// A moment of the stack's time.
    pub(crate) fn instant(&self, at: Micros) -> Instant {
        self.epoch + Duration::from_micros(at)
    }

    pub(crate) fn handshake_timeout(&self) -> Micros {
        self.config.handshake_timeout.as_micros() as Micros
    }

    pub(crate) fn idle_buffer_timeout(&self) -> Micros {
        self.config.idle_buffer_timeout.as_micros() as Micros
    }

    pub(crate) fn orphan_timeout(&self) -> Micros {
        self.config.orphan_timeout.as_micros() as Micros
    }
}

/// What a piece of work on one connection needs, and what it leaves to be done once the cell of
/// the connection is free.
pub(crate) struct Effects<'a, F: Flavor> {
    pub(crate) stack: &'a StackConfig<F>,
    /// The device queue of the connection.
    pub(crate) queue: &'a Shared<F, QueueShared>,
    pub(crate) now: Micros,
    pub(crate) wakes: WakeList,
    /// The connection has waited for room in the outbound queue, and it is its turn.
    pub(crate) turn: bool,
    /// When the stack sent the last SYN cookie.
    pub(crate) cookies_sent_at: Option<Micros>,
    /// The connection leaves the table.
    pub(crate) leaves: Option<Leaves>,
    /// The handshake of a half-open connection is over: done, or failed.
    pub(crate) handshake_over: Option<bool>,
    /// The segment that arrived was dropped.
    pub(crate) dropped: Option<Dropped>,
    /// An ACK was not sent because of its rate limit.
    pub(crate) limited_ack: bool,
    /// The round-trip time, in microseconds, that the segment that arrived gave.
    pub(crate) rtt: Option<u32>,
}

impl<'a, F: Flavor> Effects<'a, F> {
    pub(crate) fn new(
        stack: &'a StackConfig<F>,
        queue: &'a Shared<F, QueueShared>,
        now: Micros,
    ) -> Self {
        Self {
            stack,
            queue,
            now,
            wakes: WakeList::default(),
            turn: false,
            cookies_sent_at: None,
            leaves: None,
            handshake_over: None,
            dropped: None,
            limited_ack: false,
            rtt: None,
        }
    }
}

/// What remains of a connection in the table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leaves {
    Nothing,
    TimeWait(TimeWait),
}

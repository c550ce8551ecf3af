//! The state that the engines and the sockets of one stack share.

use crate::{
    config::{Config, RawConfig},
    echo_policy::EchoPolicy,
    icmp::IcmpEntry,
    interface::Interface,
    ledger::Ledger,
    memory_stats::MemoryStats,
    outbound::{Kind, Outbound},
    outcome::Answered,
    queue::{Queue, Refused},
    raw_socket::RawPacket,
    stats::Stats,
    token_bucket::TokenBuckets,
};
use brooklet_cell::wakers::{WakeList, wake};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::Clock;
use brooklet_packet::icmp::{self, IcmpErrorKind, Unreachable};
use brooklet_packet::{FlowKey, Packet};
use foldhash::quality::{FixedState, RandomState};
use std::hash::BuildHasher;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) struct Hub<F: Flavor> {
    pub(crate) config: Config,
    interface: Interface,
    /// The MTU of the link, in bytes, in place of that in `interface`.
    mtu: Arc<AtomicUsize>,
    pub(crate) clock: Clock,
    pub(crate) sockets: Shared<F, Sockets<F>>,
    outbound: Arc<[Shared<F, Outbound>]>,
    errors: Shared<F, TokenBuckets>,
    /// What the queues of all sockets hold.
    pub(crate) ledger: Ledger,
}

/// The sockets of a stack. Their queues may be locked while this list is, and not the other way
/// round.
pub(crate) struct Sockets<F: Flavor> {
    /// The socket that takes echo requests.
    pub(crate) echo: Option<IcmpEntry<F>>,
    /// All ICMP sockets.
    pub(crate) icmp: Vec<IcmpEntry<F>>,
    pub(crate) raw: Vec<RawEntry<F>>,
    pub(crate) policy: Option<EchoPolicy>,
    pub(crate) closed: bool,
    pub(crate) stats: Stats,
}

pub(crate) struct RawEntry<F: Flavor> {
    pub(crate) config: RawConfig,
    pub(crate) queue: Shared<F, Queue<RawPacket>>,
}

impl<F: Flavor> Sockets<F> {
    pub(crate) fn len(&self) -> usize {
        self.icmp.len() + self.raw.len()
    }

    /// Counts an item that was not queued.
    pub(crate) fn count_refused(&mut self, why: Refused) {
        *match why {
            Refused::Full => &mut self.stats.dropped_full,
            Refused::Source => &mut self.stats.dropped_source,
            Refused::Closed => &mut self.stats.dropped_other,
        } += 1;
    }
}

impl<F: Flavor> Hub<F> {
    pub(crate) fn new(
        queues: NonZeroU8,
        interface: Interface,
        config: Config,
        clock: Clock,
    ) -> Self {
        // A start that differs from stack to stack, and from queue to queue of the device.
        let first = RandomState::default().hash_one(0) as u16;
        // The buffers of the packets may take twice as much, and there is a pool.
        let outbound_share = config.memory / 4 / 3 / usize::from(queues.get());
        let outbound_bytes = config.outbound_bytes.min(outbound_share);
        let outbound = |queue: u8| {
            let identification = first.wrapping_add(u16::from(queue) << 8);
            Shared::new(Outbound::new(config, outbound_bytes, identification))
        };
        Self {
            config,
            interface,
            mtu: Arc::new(AtomicUsize::new(interface.mtu)),
            clock,
            sockets: Shared::new(Sockets {
                echo: None,
                icmp: Vec::new(),
                raw: Vec::new(),
                policy: None,
                closed: false,
                stats: Stats::default(),
            }),
            outbound: (0..queues.get()).map(outbound).collect(),
            errors: Shared::new(TokenBuckets::default()),
            ledger: Ledger::new(config.memory / 4 * 3),
        }
    }

    /// The properties of the device, as of now.
    pub(crate) fn interface(&self) -> Interface {
        self.interface.mtu(self.mtu.load(Ordering::Relaxed))
    }

    /// Changes the MTU of the link.
    pub(crate) fn set_mtu(&self, mtu: usize) {
        self.mtu.store(mtu, Ordering::Relaxed);
    }

    pub(crate) fn outbound(&self) -> &[Shared<F, Outbound>] {
        &self.outbound
    }

    /// The queue of a packet. All packets of a flow have the same queue, which keeps their order.
    pub(crate) fn queue_of(&self, key: FlowKey) -> &Shared<F, Outbound> {
        let queues = self.outbound.len();
        let queue = if queues > 1 {
            FixedState::default().hash_one(key) % queues as u64
        } else {
            0
        };
        &self.outbound[queue as usize]
    }

    /// Takes a token for one ICMP error about a packet from `source`. Returns whether there was one.
    pub(crate) fn take_error_token(&self, now: std::time::Instant, source: IpAddr) -> bool {
        self.errors.with(|errors| errors.take(now, source))
    }

    /// Sends the reply to an echo request.
    pub(crate) fn send_reply(&self, request: &Packet<'_>, hop_limit: u8) -> io::Result<Answered> {
        let write = |out: &mut Vec<u8>| icmp::echo_reply_with(out, request, hop_limit);
        self.answer(Kind::EchoReply, request, write, || true)
    }

    /// Sends the ICMP error of `router` about a packet.
    pub(crate) fn send_error(
        &self,
        router: IpAddr,
        offending: &Packet<'_>,
        kind: IcmpErrorKind,
    ) -> io::Result<Answered> {
        // The clock is a function of the program, so it is read before a cell is held.
        let now = self.clock.now();
        let write = |out: &mut Vec<u8>| icmp::error_from(out, router, offending, kind);
        // As with Linux, path MTU discovery depends on no limit.
        let free = matches!(
            kind,
            IcmpErrorKind::Unreachable(Unreachable::PacketTooBig { .. })
        );
        self.answer(Kind::IcmpError, offending, write, || {
            free || self.take_error_token(now, offending.source())
        })
    }

    fn answer(
        &self,
        kind: Kind,
        offending: &Packet<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
        allowed: impl FnOnce() -> bool,
    ) -> io::Result<Answered> {
        let queue = self.queue_of(offending.key().reversed());
        let (answered, driver) = queue.with(|queue| {
            let answered = queue.answer(kind, write, allowed);
            let queued = matches!(answered, Ok(Answered::Queued));
            (answered, queued.then(|| queue.take_driver()).flatten())
        });
        if let Some(driver) = driver {
            wake(driver);
        }
        answered
    }

    pub(crate) fn memory(&self) -> MemoryStats {
        let outbound = self.outbound.iter();
        let outbound = outbound.map(|queue| queue.with(|queue| queue.allocated()));
        MemoryStats {
            inbound: self.ledger.bytes() as u64,
            outbound: outbound.sum::<usize>() as u64,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.sockets.with(|sockets| sockets.stats);
        for queue in &*self.outbound {
            stats.add_outbound(queue.with(|queue| queue.stats));
        }
        stats
    }

    /// Ends every socket and queue. Wakes the drivers other than that of `own`.
    pub(crate) fn shutdown(&self, own: &Shared<F, Outbound>) {
        // All queues end before a task is woken: a waker that panics stops nothing.
        let mut wakes = WakeList::new();
        let policy = self.sockets.with(|sockets| {
            sockets.closed = true;
            for entry in &sockets.icmp {
                entry.queue.with(|queue| queue.end(&mut wakes));
            }
            for entry in &sockets.raw {
                entry.queue.with(|queue| queue.end(&mut wakes));
            }
            std::mem::take(&mut sockets.policy)
        });
        for queue in &*self.outbound {
            let ended = queue.with(|queue| queue.end(&mut wakes));
            if !queue.same(own) {
                wakes.extend(ended.driver);
            }
        }
        wakes.wake_all();
        drop(policy);
    }
}

impl<F: Flavor> Clone for Hub<F> {
    fn clone(&self) -> Self {
        Self {
            config: self.config,
            interface: self.interface,
            mtu: self.mtu.clone(),
            clock: self.clock.clone(),
            sockets: self.sockets.clone(),
            outbound: self.outbound.clone(),
            errors: self.errors.clone(),
            ledger: self.ledger.clone(),
        }
    }
}

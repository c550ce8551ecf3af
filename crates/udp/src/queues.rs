//! The queues that the engines and the sockets of one stack share.

use crate::{
    config::Config,
    flow::UdpFlow,
    inbound::Inbound,
    interface::Interface,
    memory_stats::MemoryStats,
    outbound::{Outbound, Outgoing},
    shares::Shares,
    stats::Stats,
};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::Clock;
use brooklet_packet::{FlowKey, PathMtus};
use foldhash::quality::FixedState;
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// One inbound queue, and an outbound queue for each queue of the device.
pub(crate) struct Queues<F: Flavor> {
    pub(crate) inbound: Shared<F, Inbound>,
    common: Arc<Common<F>>,
}

struct Common<F: Flavor> {
    outbound: Box<[Shared<F, Outbound>]>,
    clock: Clock,
    /// The MTU of the link, in bytes.
    mtu: AtomicUsize,
    path_mtus: Shared<F, PathMtus>,
    /// Whether a path MTU was ever learned or set. Without one, no packet looks into the table.
    has_path_mtus: AtomicBool,
    /// Whether there was ever a listener for sessions. Without one, no driver looks for the time of
    /// a session.
    has_sessions: AtomicBool,
}

impl<F: Flavor> Queues<F> {
    pub(crate) fn new(
        queues: NonZeroU8,
        interface: Interface,
        config: Config,
        clock: Clock,
        secret: [u64; 2],
    ) -> Self {
        let config = config.usable();
        let shares = Shares::new(&config, queues.get());
        let config = Config {
            outbound_bytes: shares.outbound_bytes,
            ..config
        };
        let outbound = |queue: u8| {
            // The identifications of two queues begin far from each other.
            let first = (secret[0] as u16)
                .wrapping_add((u32::from(queue) * 0x1_0000 / u32::from(queues.get())) as u16);
            Shared::new(Outbound::new(interface, config, first))
        };
        let common = Common {
            outbound: (0..queues.get()).map(outbound).collect(),
            clock,
            mtu: AtomicUsize::new(interface.mtu),
            path_mtus: Shared::new(PathMtus::with_limit(shares.path_mtus)),
            has_path_mtus: AtomicBool::new(false),
            has_sessions: AtomicBool::new(false),
        };
        Self {
            inbound: Shared::new(Inbound::new(interface, config, shares, secret)),
            common: Arc::new(common),
        }
    }

    pub(crate) fn outbound(&self) -> &[Shared<F, Outbound>] {
        &self.common.outbound
    }

    pub(crate) fn now(&self) -> Instant {
        self.common.clock.now()
    }

    /// The queue of a datagram. All datagrams of a flow have the same queue, which keeps their
    /// order.
    pub(crate) fn of(&self, from: SocketAddr, to: SocketAddr) -> &Shared<F, Outbound> {
        let outbound = self.outbound();
        let queues = outbound.len();
        if queues == 1 {
            return &outbound[0];
        }
        let queue = match FlowKey::new(from, to) {
            Some(key) => FixedState::default().hash_one(key) % queues as u64,
            // Without a key the address families differ, and every queue refuses the datagram.
            None => 0,
        };
        &outbound[queue as usize]
    }

    /// The path MTU that limits the datagram, if one does.
    #[inline]
    pub(crate) fn limit(&self, outgoing: &Outgoing<'_>) -> usize {
        match outgoing.is_limited() {
            true => self.path_mtu(None, outgoing.to.ip()),
            false => self.mtu(),
        }
    }

    fn mtu(&self) -> usize {
        self.common.mtu.load(Ordering::Relaxed)
    }

    /// Changes the MTU of the link.
    pub(crate) fn set_mtu(&self, mtu: usize) {
        self.common.mtu.store(mtu, Ordering::Relaxed);
        for outbound in self.outbound() {
            outbound.with(|outbound| outbound.set_mtu(mtu));
        }
    }

    /// The path MTU of a destination, in bytes.
    pub(crate) fn path_mtu(&self, now: Option<Instant>, destination: IpAddr) -> usize {
        let mtu = self.mtu();
        match self.known_path_mtu(now, destination) {
            Some(known) => known.min(mtu),
            None => mtu,
        }
    }

    /// What was learned or stated for a destination.
    fn known_path_mtu(&self, now: Option<Instant>, destination: IpAddr) -> Option<usize> {
        // A path MTU that another thread sets at this moment may be seen a packet later.
        if !self.common.has_path_mtus.load(Ordering::Relaxed) {
            return None;
        }
        let now = now.unwrap_or_else(|| self.now());
        let path_mtus = &self.common.path_mtus;
        path_mtus.with(|path_mtus| path_mtus.get(now, destination))
    }

    /// What was stated for a destination.
    pub(crate) fn stated_path_mtu(&self, now: Instant, destination: IpAddr) -> Option<usize> {
        if !self.common.has_path_mtus.load(Ordering::Relaxed) {
            return None;
        }
        let path_mtus = &self.common.path_mtus;
        path_mtus.with(|path_mtus| path_mtus.stated(now, destination))
    }

    /// Sets path MTUs.
    pub(crate) fn set_path_mtu(&self, set: impl FnOnce(&mut PathMtus)) {
        self.common.path_mtus.with(set);
        self.common.has_path_mtus.store(true, Ordering::Relaxed);
    }

    /// Notes that sessions may exist from now on.
    pub(crate) fn begin_sessions(&self) {
        self.common.has_sessions.store(true, Ordering::Relaxed);
    }

    /// Whether sessions may exist. A driver that missed the first one is woken for it.
    pub(crate) fn has_sessions(&self) -> bool {
        self.common.has_sessions.load(Ordering::Relaxed)
    }

    /// Every session, in the order of the addresses. The cell is held for a part of them at a time,
    /// so that the drivers do not wait for long.
    pub(crate) fn flows(&self) -> Vec<UdpFlow> {
        let now = self.now();
        let mut flows = Vec::new();
        let mut next = Some(0);
        while let Some(first) = next {
            next = self
                .inbound
                .with(|inbound| inbound.sessions.flows(first, now, &mut flows));
        }
        flows.sort_unstable_by_key(|flow| (flow.source, flow.destination));
        flows
    }

    pub(crate) fn memory(&self) -> MemoryStats {
        let mut memory = self.inbound.with(|inbound| inbound.memory());
        let mut next = Some(0);
        while let Some(first) = next {
            let wakers = self.inbound.with(|inbound| inbound.sessions.wakers(first));
            memory.sessions += wakers.0 as u64;
            next = wakers.1;
        }
        let path_mtus = &self.common.path_mtus;
        let path_mtus = path_mtus.with(|path_mtus| path_mtus.allocated());
        let outbound = self.outbound().iter();
        let outbound = outbound.map(|queue| queue.with(|queue| queue.allocated()));
        memory.outbound = (path_mtus + outbound.sum::<usize>()) as u64;
        memory
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.inbound.with(|inbound| inbound.stats());
        for queue in self.outbound() {
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
            common: self.common.clone(),
        }
    }
}

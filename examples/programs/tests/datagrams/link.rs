//! A link that loses packets, and that has a path MTU of its own.

use brooklet::{Ecn, Offload, Packet, PacketBuf, PacketIo, Pipe};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

/// What both ends of a link share.
#[derive(Debug)]
pub(crate) struct Link {
    /// How many of a thousand packets are lost in each direction.
    per_mille: AtomicU32,
    /// Longer packets are dropped without an ICMP error.
    mtu: AtomicUsize,
    /// The packets that were lost, those that were too long, and those that arrived.
    lost: AtomicUsize,
    too_long: AtomicUsize,
    arrived: AtomicUsize,
    /// Of those that arrived, the segment batches, and those that are ECN-capable.
    batches: AtomicUsize,
    ecn_capable: AtomicUsize,
}

/// The counters of a link.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) lost: usize,
    pub(crate) too_long: usize,
    pub(crate) arrived: usize,
    pub(crate) batches: usize,
    pub(crate) ecn_capable: usize,
}

impl Link {
    pub(crate) fn new(per_mille: u32, mtu: usize) -> Arc<Self> {
        Arc::new(Self {
            per_mille: per_mille.into(),
            mtu: mtu.into(),
            lost: 0.into(),
            too_long: 0.into(),
            arrived: 0.into(),
            batches: 0.into(),
            ecn_capable: 0.into(),
        })
    }

    /// Makes an end of the link, whose losses depend on `seed`.
    pub(crate) fn end(self: &Arc<Self>, pipe: Pipe, seed: u64) -> End {
        End {
            link: Arc::clone(self),
            rng: fastrand::Rng::with_seed(seed),
            pipe,
        }
    }

    pub(crate) fn set_loss(&self, per_mille: u32) {
        self.per_mille.store(per_mille, Relaxed);
    }

    pub(crate) fn set_mtu(&self, mtu: usize) {
        self.mtu.store(mtu, Relaxed);
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            lost: self.lost.load(Relaxed),
            too_long: self.too_long.load(Relaxed),
            arrived: self.arrived.load(Relaxed),
            batches: self.batches.load(Relaxed),
            ecn_capable: self.ecn_capable.load(Relaxed),
        }
    }
}

/// One end of a [`Link`].
#[derive(Debug)]
pub(crate) struct End {
    link: Arc<Link>,
    rng: fastrand::Rng,
    pipe: Pipe,
}

impl PacketIo for End {
    fn offload(&self) -> Offload {
        self.pipe.offload()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        self.pipe.poll_recv(cx, packet)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        let link = &self.link;
        let is_batch = packet.meta().gso_size.is_some();
        if !is_batch && packet.len() > link.mtu.load(Relaxed) {
            link.too_long.fetch_add(1, Relaxed);
            return Poll::Ready(Ok(()));
        }
        if self.rng.u32(..1000) < link.per_mille.load(Relaxed) {
            link.lost.fetch_add(1, Relaxed);
            return Poll::Ready(Ok(()));
        }
        let poll = self.pipe.poll_send(cx, packet);
        if poll.is_ready() {
            let ecn = Packet::parse(packet).map(|packet| packet.headers().traffic_class().ecn());
            link.arrived.fetch_add(1, Relaxed);
            link.batches.fetch_add(is_batch.into(), Relaxed);
            link.ecn_capable
                .fetch_add(matches!(ecn, Ok(Ecn::Ect0)).into(), Relaxed);
        }
        poll
    }
}

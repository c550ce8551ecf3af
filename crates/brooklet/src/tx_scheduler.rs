use crate::udp_batch::UdpBatches;
use brooklet_cell::Flavor;
use brooklet_io::{BufferPool, Checksum, Meta, Offload, PacketBuf, PacketIo};
use brooklet_packet::{Headers, Packet, Protocol, Segmenter, fragment};
use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};

/// Answers of ICMP that may wait for the device.
const ICMP_QUEUE: usize = 64;

/// The number of buffers in the pool for ICMP answers, and the capacity of the largest, in bytes.
const POOL_BUFFERS: usize = 8;
const POOL_CAPACITY: usize = 2048;

/// Which packet goes to the device next, and in which form.
///
/// TCP, UDP and ICMP each have a bounded queue of their own and take turns, so that none can keep
/// another from being sent. What the device does not do for a packet is done here.
#[derive(Debug)]
pub(crate) struct TxScheduler {
    mtu: usize,
    offload: Offload,
    /// What the fragments of the next packet that is cut will carry, and how far it is to the one
    /// after it.
    identification: (u32, u32),
    /// The packet that the device has not taken yet.
    sending: Option<Sending>,
    /// A piece of it, and whether that waits for the device.
    piece: PacketBuf,
    piece_waits: bool,
    rows: UdpBatches,
    icmp: VecDeque<Vec<u8>>,
    icmp_pool: BufferPool,
    last: Source,
}

#[derive(Debug)]
struct Sending {
    packet: PacketBuf,
    headers: Headers,
    source: Source,
    /// It stands for several, and the device takes only single ones.
    segmenter: Option<Segmenter>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Source {
    Tcp,
    Udp,
    #[default]
    Icmp,
}

impl TxScheduler {
    pub(crate) fn new(mtu: usize, offload: Offload, identification: (u32, u32)) -> Self {
        Self {
            mtu,
            offload,
            identification,
            sending: None,
            piece: PacketBuf::default(),
            piece_waits: false,
            rows: UdpBatches::default(),
            icmp: VecDeque::new(),
            icmp_pool: BufferPool::new(POOL_BUFFERS, POOL_CAPACITY),
            last: Source::default(),
        }
    }

    /// Queues the packet that `write` makes, if it makes one, in fragments if it is longer than
    /// the MTU. `None`: there is no room.
    pub(crate) fn icmp(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<bool> {
        if self.icmp.len() >= ICMP_QUEUE {
            return None;
        }
        let mut packet = self.icmp_pool.take(0);
        let written = write(&mut packet);
        if written && packet.len() <= self.mtu {
            self.icmp.push_back(packet);
            return Some(true);
        }
        let queued = !written || self.queue_fragments(&packet);
        self.icmp_pool.recycle(packet);
        queued.then_some(written)
    }

    /// Queues all fragments of a packet, or none.
    fn queue_fragments(&mut self, packet: &[u8]) -> bool {
        let Ok(packet) = Packet::parse(packet) else {
            return false;
        };
        let before = self.icmp.len();
        self.icmp
            .extend(fragment(&packet, self.mtu, self.identification.0));
        let (next, step) = &mut self.identification;
        *next = next.wrapping_add(*step);
        if self.icmp.len() > ICMP_QUEUE {
            self.icmp.truncate(before);
        }
        self.icmp.len() > before
    }

    /// The packet to send now; it stays until it is [`done`](Self::done).
    pub(crate) fn next<F: Flavor>(
        &mut self,
        tcp: &mut brooklet_tcp::Engine<F>,
        udp: &brooklet_udp::Engine<F>,
    ) -> Option<Packet<'_>> {
        while self.sending.is_none() {
            let order = match self.last {
                Source::Tcp => [Source::Udp, Source::Icmp, Source::Tcp],
                Source::Udp => [Source::Icmp, Source::Tcp, Source::Udp],
                Source::Icmp => [Source::Tcp, Source::Udp, Source::Icmp],
            };
            let (mut packet, source) = order.into_iter().find_map(|source| {
                let packet = match source {
                    Source::Tcp => tcp.poll_transmit(),
                    Source::Udp => self
                        .rows
                        .next(udp, self.offload.uso && self.offload.checksum),
                    Source::Icmp => self.icmp.pop_front().map(PacketBuf::from),
                };
                packet.map(|packet| (packet, source))
            })?;
            // What is made here parses.
            if let Ok(headers) = Headers::parse(&packet) {
                let segmenter = prepare(&mut packet, &headers, self.offload);
                self.sending = Some(Sending {
                    packet,
                    headers,
                    source,
                    segmenter,
                });
            }
        }
        let sending = self.sending.as_ref()?;
        Some(Packet::new(&sending.packet, sending.headers))
    }

    /// Sends the packet, piece by piece where the device does not take it whole.
    pub(crate) fn poll_send<D: PacketIo>(
        &mut self,
        cx: &mut Context<'_>,
        device: &mut D,
    ) -> Poll<io::Result<()>> {
        let Some(sending) = &mut self.sending else {
            return Poll::Ready(Ok(()));
        };
        let Some(segmenter) = &mut sending.segmenter else {
            return device.poll_send(cx, &sending.packet);
        };
        loop {
            if !self.piece_waits {
                self.piece.resize(segmenter.longest());
                let Some(len) = segmenter.next(&sending.packet, self.piece.storage_mut()) else {
                    return Poll::Ready(Ok(()));
                };
                self.piece.set_len(len);
                self.piece_waits = true;
            }
            ready!(device.poll_send(cx, &self.piece))?;
            self.piece_waits = false;
        }
    }

    /// The packet has been sent or dropped: its buffer goes back.
    pub(crate) fn done<F: Flavor>(
        &mut self,
        tcp: &mut brooklet_tcp::Engine<F>,
        udp: &brooklet_udp::Engine<F>,
    ) {
        self.piece_waits = false;
        let Some(Sending { packet, source, .. }) = self.sending.take() else {
            return;
        };
        self.last = source;
        match source {
            Source::Tcp => tcp.recycle(packet),
            Source::Udp => self.rows.recycle(udp, packet),
            Source::Icmp => self.icmp_pool.recycle(packet.into_vec()),
        }
    }
}

/// Completes what the device would not. A packet that it would not cut is cut by what is returned.
fn prepare(packet: &mut PacketBuf, headers: &Headers, offload: Offload) -> Option<Segmenter> {
    let Meta {
        checksum, gso_size, ..
    } = packet.meta();
    let cuts = match headers.protocol() {
        Protocol::Tcp if headers.key().is_ipv6() => offload.tso6,
        Protocol::Tcp => offload.tso4,
        _ => offload.uso,
    };
    if let Some(size) = gso_size
        && !(cuts && offload.checksum)
    {
        return Some(Segmenter::new(headers, size));
    }
    if checksum == Checksum::Partial {
        if offload.checksum {
            headers.fill_partial_checksum(packet);
        } else {
            headers.fill_checksum(packet);
            packet.set_meta(Meta::default());
        }
    }
    None
}

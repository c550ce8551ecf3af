use crate::drop_reason::DropReason;
use crate::stats::Drops;
use crate::udp_batch::UdpBatches;
use brooklet_cell::Flavor;
use brooklet_io::{BufferPool, Checksum, Meta, Offload, PacketBuf, PacketIo};
use brooklet_packet::{Headers, Packet, Protocol, Segmenter, fragment};
use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};

/// The most ICMP packets that wait for the device.
const ICMP_QUEUE: usize = 64;

/// The number of buffers in the pool for ICMP packets, and the capacity of the largest, in bytes.
const POOL_BUFFERS: usize = 8;
const POOL_CAPACITY: usize = 2048;

/// Chooses the packet that goes to the device next, and completes it for the device.
///
/// TCP, UDP and ICMP have bounded queues and take turns, so that none can keep another from
/// sending. The scheduler does the work that the device has no offload for.
#[derive(Debug)]
pub(crate) struct TxScheduler {
    mtu: usize,
    offload: Offload,
    /// The IP identification of the next packet that is fragmented, and the step from one to the
    /// next.
    identification: (u32, u32),
    /// The packet that the device has not taken yet.
    sending: Option<Sending>,
    /// A segment of that packet, and whether the segment waits for the device.
    segment: PacketBuf,
    segment_waits: bool,
    udp_batches: UdpBatches,
    icmp: VecDeque<Vec<u8>>,
    icmp_pool: BufferPool,
    last: Source,
}

#[derive(Debug)]
struct Sending {
    packet: PacketBuf,
    headers: Headers,
    source: Source,
    /// The packet is a super-packet, and the device does not segment it.
    segmenter: Option<Segmenter>,
    /// [`TxScheduler::next`] has returned the packet.
    returned: bool,
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
            segment: PacketBuf::default(),
            segment_waits: false,
            udp_batches: UdpBatches::default(),
            icmp: VecDeque::new(),
            icmp_pool: BufferPool::new(POOL_BUFFERS, POOL_CAPACITY),
            last: Source::default(),
        }
    }

    /// Queues the ICMP packet that `write` writes, in fragments if it is longer than the MTU.
    /// Returns whether `write` wrote one.
    ///
    /// # Errors
    ///
    /// Why the packet was dropped. Without room for a packet `write` is not called.
    pub(crate) fn queue_icmp(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> Result<bool, DropReason> {
        if self.icmp.len() >= ICMP_QUEUE {
            return Err(DropReason::IcmpFull);
        }
        let mut packet = self.icmp_pool.take(0);
        let written = write(&mut packet);
        if written && packet.len() <= self.mtu {
            self.icmp.push_back(packet);
            return Ok(true);
        }
        let queued = match written {
            true => self.queue_fragments(&packet).map(|()| true),
            false => Ok(false),
        };
        self.icmp_pool.recycle(packet);
        queued
    }

    /// Queues all fragments of a packet, or none.
    fn queue_fragments(&mut self, packet: &[u8]) -> Result<(), DropReason> {
        let packet = Packet::parse(packet).map_err(|_| DropReason::OutboundMalformed)?;
        let before = self.icmp.len();
        self.icmp
            .extend(fragment(&packet, self.mtu, self.identification.0));
        let (next, step) = &mut self.identification;
        *next = next.wrapping_add(*step);
        if self.icmp.len() == before {
            return Err(DropReason::IcmpTooLong);
        }
        if self.icmp.len() > ICMP_QUEUE {
            self.icmp.truncate(before);
            return Err(DropReason::IcmpFull);
        }
        Ok(())
    }

    /// Returns the packet to send now, and whether this is the first time that it is returned. The
    /// packet stays until [`finish`](Self::finish).
    pub(crate) fn next<F: Flavor>(
        &mut self,
        tcp: &mut brooklet_tcp::Engine<F>,
        udp: &brooklet_udp::Engine<F>,
        drops: &mut Drops,
    ) -> Option<(Packet<'_>, bool)> {
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
                        .udp_batches
                        .next(udp, self.offload.uso && self.offload.checksum),
                    Source::Icmp => self.icmp.pop_front().map(PacketBuf::from),
                };
                packet.map(|packet| (packet, source))
            })?;
            match Headers::parse(&packet) {
                Ok(headers) => {
                    let segmenter = complete(&mut packet, &headers, self.offload);
                    self.sending = Some(Sending {
                        packet,
                        headers,
                        source,
                        segmenter,
                        returned: false,
                    });
                }
                Err(_) => drops.count(DropReason::OutboundMalformed),
            }
        }
        let sending = self.sending.as_mut()?;
        let is_new = !std::mem::replace(&mut sending.returned, true);
        Some((Packet::new(&sending.packet, sending.headers), is_new))
    }

    /// Sends the packet, segment by segment if the device does not segment it.
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
            if !self.segment_waits {
                self.segment.resize(segmenter.longest());
                let Some(len) = segmenter.next(&sending.packet, self.segment.storage_mut()) else {
                    return Poll::Ready(Ok(()));
                };
                self.segment.set_len(len);
                self.segment_waits = true;
            }
            ready!(device.poll_send(cx, &self.segment))?;
            self.segment_waits = false;
        }
    }

    /// Gives the buffer of the packet back to its queue: the packet was sent or dropped.
    pub(crate) fn finish<F: Flavor>(
        &mut self,
        tcp: &mut brooklet_tcp::Engine<F>,
        udp: &brooklet_udp::Engine<F>,
    ) {
        self.segment_waits = false;
        let Some(Sending { packet, source, .. }) = self.sending.take() else {
            return;
        };
        self.last = source;
        match source {
            Source::Tcp => tcp.recycle(packet),
            Source::Udp => self.udp_batches.recycle(udp, packet),
            Source::Icmp => self.icmp_pool.recycle(packet.into_vec()),
        }
    }
}

/// Completes the checksum as far as the device does not. Returns a segmenter for a super-packet
/// that the device does not segment.
fn complete(packet: &mut PacketBuf, headers: &Headers, offload: Offload) -> Option<Segmenter> {
    let Meta {
        checksum, gso_size, ..
    } = packet.meta();
    let segments = match headers.protocol() {
        Protocol::Tcp if headers.key().is_ipv6() => offload.tso6,
        Protocol::Tcp => offload.tso4,
        _ => offload.uso,
    };
    if let Some(size) = gso_size
        && !(segments && offload.checksum)
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

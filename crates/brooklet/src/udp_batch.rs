use brooklet_cell::Flavor;
use brooklet_io::{BufferPool, Checksum, Meta, PacketBuf};
use brooklet_packet::{Coalescer, Headers};
use std::time::Instant;

/// The capacity of the buffer of a segment batch: the longest packet that is coalesced.
const BATCH_CAPACITY: usize = 65_535;

/// Takes UDP packets from their queue. For a device that splits segment batches (USO), consecutive
/// packets of one flow are coalesced into a batch, of up to 64 datagrams.
///
/// No packet waits for others to come: only packets that are in the queue already are coalesced.
#[derive(Debug)]
pub(crate) struct UdpBatches {
    /// The oldest packet of the queue, which was taken out as a candidate for the last batch.
    next: Option<PacketBuf>,
    /// The buffer of the last batch. The driver has one batch at a time.
    pool: BufferPool,
}

impl Default for UdpBatches {
    fn default() -> Self {
        Self {
            next: None,
            pool: BufferPool::with_capacities(1, BATCH_CAPACITY..=2 * BATCH_CAPACITY),
        }
    }
}

impl UdpBatches {
    /// Returns the next packet, which may be a batch if `uso` says that the device splits batches.
    #[inline]
    pub(crate) fn next<F: Flavor>(
        &mut self,
        now: Instant,
        udp: &brooklet_udp::Engine<F>,
        uso: bool,
    ) -> Option<PacketBuf> {
        let first = self.next.take().or_else(|| udp.poll_transmit())?;
        // The application's own batches stay as they are.
        if !uso || first.meta().gso_size.is_some() {
            return Some(first);
        }
        Some(self.coalesce(now, udp, first))
    }

    /// Returns `first`, or a batch of it and the packets behind it.
    #[inline(never)]
    fn coalesce<F: Flavor>(
        &mut self,
        now: Instant,
        udp: &brooklet_udp::Engine<F>,
        first: PacketBuf,
    ) -> PacketBuf {
        self.next = udp.poll_transmit();
        let Some(second) = self.next.as_ref().filter(|next| next.meta() == Meta::new()) else {
            return first;
        };
        let Some(mut coalescer) = Coalescer::new(&first).filter(|one| one.takes(&first, second))
        else {
            return first;
        };
        // A datagram that has to be fragmented is fragmented alone.
        let fits = Headers::parse(&first)
            .is_ok_and(|headers| first.len() <= udp.path_mtu(now, headers.destination()));
        if !fits {
            return first;
        }
        let mut batch = self.pool.take(BATCH_CAPACITY);
        batch.extend_from_slice(&first);
        udp.recycle(first);
        while let Some(next) = &self.next
            && next.meta() == Meta::new()
            && coalescer.push(&mut batch, next)
        {
            let coalesced = std::mem::replace(&mut self.next, udp.poll_transmit());
            coalesced.into_iter().for_each(|packet| udp.recycle(packet));
        }
        let gso_size = coalescer.finish(&mut batch);
        let mut packet = PacketBuf::from(batch);
        packet.set_meta(Meta::new().checksum(Checksum::Partial).gso_size(gso_size));
        packet
    }

    /// Takes back the buffer of a packet that [`next`](Self::next) returned.
    /// The bytes of the packet that waits for the next batch, and of the recycled buffer.
    pub(crate) fn allocated(&self) -> usize {
        self.next.as_ref().map_or(0, PacketBuf::allocated) + self.pool.allocated()
    }

    pub(crate) fn recycle<F: Flavor>(&mut self, udp: &brooklet_udp::Engine<F>, packet: PacketBuf) {
        let buffer = packet.into_vec();
        if buffer.capacity() >= BATCH_CAPACITY && self.pool.is_empty() {
            self.pool.recycle(buffer);
        } else {
            udp.recycle(buffer.into());
        }
    }
}

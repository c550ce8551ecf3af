use brooklet_cell::Flavor;
use brooklet_io::{Checksum, Meta, PacketBuf};
use brooklet_packet::Coalescer;

/// Room for the longest row, and the large buffers are no shorter.
const LARGEST: usize = 65_535;

/// Takes UDP packets from their queue, and those of one flow that follow each other there as one,
/// for a device that takes rows.
///
/// Nothing waits for others to come: what is joined was queued already.
#[derive(Debug, Default)]
pub(crate) struct UdpBatches {
    /// The oldest packet in the queue, taken out to be looked at, but not yet sent.
    ahead: Option<Vec<u8>>,
    /// The buffer of the last row.
    spare: Vec<u8>,
}

impl UdpBatches {
    /// The next packet, which may be a row.
    pub(crate) fn next<F: Flavor>(
        &mut self,
        udp: &brooklet_udp::Engine<F>,
        row: bool,
    ) -> Option<PacketBuf> {
        let first = self.ahead.take().or_else(|| udp.poll_transmit())?;
        if !row {
            return Some(first.into());
        }
        self.ahead = udp.poll_transmit();
        let Some(second) = &self.ahead else {
            return Some(first.into());
        };
        let Some(mut coalescer) = Coalescer::new(&first).filter(|one| one.takes(&first, second))
        else {
            return Some(first.into());
        };
        let mut whole = std::mem::take(&mut self.spare);
        whole.clear();
        whole.reserve_exact(LARGEST);
        whole.extend_from_slice(&first);
        udp.recycle(first);
        while let Some(next) = &self.ahead
            && coalescer.push(&mut whole, next)
        {
            let taken = std::mem::replace(&mut self.ahead, udp.poll_transmit());
            taken.into_iter().for_each(|packet| udp.recycle(packet));
        }
        let gso_size = coalescer.finish(&mut whole);
        let mut packet = PacketBuf::from(whole);
        packet.set_meta(Meta::new().checksum(Checksum::Partial).gso_size(gso_size));
        Some(packet)
    }

    /// Takes a buffer back.
    pub(crate) fn recycle<F: Flavor>(&mut self, udp: &brooklet_udp::Engine<F>, packet: PacketBuf) {
        let buffer = packet.into_vec();
        if buffer.capacity() >= LARGEST {
            self.spare = buffer;
        } else {
            udp.recycle(buffer);
        }
    }
}

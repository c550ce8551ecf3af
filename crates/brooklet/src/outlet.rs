use brooklet_cell::Flavor;
use brooklet_device::PacketBuf;
use brooklet_packet::{Packet, cut};
use std::collections::VecDeque;

/// Answers of ICMP that may wait for the device.
const ICMP_QUEUE: usize = 64;

/// Buffers of ICMP answers that are kept.
const SPARES: usize = 8;

/// Capacity of the largest that is kept, in bytes.
const SPARE_BYTES: usize = 2048;

/// Which packet goes to the device next.
///
/// TCP, UDP and ICMP each have a bounded queue of their own and take turns, so that none can keep
/// another from being sent.
#[derive(Debug)]
pub(crate) struct Outlet {
    mtu: usize,
    /// What the fragments of the next packet that is cut will carry.
    identification: u32,
    /// The packet that the device has not taken yet, and whose it is.
    sending: Option<(PacketBuf, Source)>,
    icmp: VecDeque<Vec<u8>>,
    spares: Vec<Vec<u8>>,
    last: Source,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Source {
    Tcp,
    Udp,
    #[default]
    Icmp,
}

impl Outlet {
    pub(crate) fn new(mtu: usize, identification: u32) -> Self {
        Self {
            mtu,
            identification,
            sending: None,
            icmp: VecDeque::new(),
            spares: Vec::new(),
            last: Source::default(),
        }
    }

    /// Queues the packet that `write` makes, if it makes one, in fragments if it is longer than
    /// the MTU. `None`: there is no room.
    pub(crate) fn icmp(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<bool> {
        if self.icmp.len() >= ICMP_QUEUE {
            return None;
        }
        let mut packet = self.spares.pop().unwrap_or_default();
        let written = write(&mut packet);
        if written && packet.len() <= self.mtu {
            self.icmp.push_back(packet);
            return Some(true);
        }
        let queued = !written || self.queue_fragments(&packet);
        self.spare(packet);
        queued.then_some(written)
    }

    /// Queues all fragments of a packet, or none.
    fn queue_fragments(&mut self, packet: &[u8]) -> bool {
        let Ok(packet) = Packet::parse(packet) else {
            return false;
        };
        let before = self.icmp.len();
        self.icmp
            .extend(cut(&packet, self.mtu, self.identification));
        self.identification = self.identification.wrapping_add(1);
        if self.icmp.len() > ICMP_QUEUE {
            self.icmp.truncate(before);
        }
        self.icmp.len() > before
    }

    fn spare(&mut self, packet: Vec<u8>) {
        if self.spares.len() < SPARES && packet.capacity() <= SPARE_BYTES {
            self.spares.push(packet);
        }
    }

    /// The packet to send now; it stays until it is [`done`](Self::done).
    pub(crate) fn next<F: Flavor>(
        &mut self,
        tcp: &mut brooklet_tcp::Engine<F>,
        udp: &brooklet_udp::Engine<F>,
    ) -> Option<&PacketBuf> {
        if self.sending.is_none() {
            let order = match self.last {
                Source::Tcp => [Source::Udp, Source::Icmp, Source::Tcp],
                Source::Udp => [Source::Icmp, Source::Tcp, Source::Udp],
                Source::Icmp => [Source::Tcp, Source::Udp, Source::Icmp],
            };
            self.sending = order.into_iter().find_map(|source| {
                let packet = match source {
                    Source::Tcp => tcp.poll_transmit(),
                    Source::Udp => udp.poll_transmit().map(PacketBuf::from),
                    Source::Icmp => self.icmp.pop_front().map(PacketBuf::from),
                };
                packet.map(|packet| (packet, source))
            });
        }
        self.sending.as_ref().map(|(packet, _)| packet)
    }

    /// The packet has been sent or dropped: its buffer goes back.
    pub(crate) fn done<F: Flavor>(
        &mut self,
        tcp: &mut brooklet_tcp::Engine<F>,
        udp: &brooklet_udp::Engine<F>,
    ) {
        let Some((packet, source)) = self.sending.take() else {
            return;
        };
        self.last = source;
        match source {
            Source::Tcp => tcp.recycle(packet),
            Source::Udp => udp.recycle(packet.into_vec()),
            Source::Icmp => self.spare(packet.into_vec()),
        }
    }
}

use brooklet_cell::Flavor;
use brooklet_device::PacketBuf;
use std::collections::VecDeque;

/// Answers of ICMP that may wait for the device.
const ICMP_QUEUE: usize = 64;

/// Buffers of ICMP answers that are kept.
const SPARES: usize = 8;

/// Which packet goes to the device next.
///
/// TCP, UDP and ICMP each have a bounded queue of their own and take turns, so that none can keep
/// another from being sent.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
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
    /// Queues the packet that `write` makes, if it makes one. `None`: there is no room.
    pub(crate) fn icmp(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<bool> {
        if self.icmp.len() >= ICMP_QUEUE {
            return None;
        }
        let mut packet = self.spares.pop().unwrap_or_default();
        let written = write(&mut packet);
        if written {
            self.icmp.push_back(packet);
        } else {
            self.spare(packet);
        }
        Some(written)
    }

    fn spare(&mut self, packet: Vec<u8>) {
        if self.spares.len() < SPARES {
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

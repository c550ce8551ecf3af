mod pieces;
mod replies;

use self::pieces::{Path, Pieces, complete};
use self::replies::Replies;
use crate::drop_reason::DropReason;
use crate::engines::Engines;
use crate::stats::Drops;
use crate::udp_batch::UdpBatches;
use brooklet_cell::Flavor;
use brooklet_io::{Meta, Offload, PacketBuf, PacketIo};
use brooklet_packet::{Headers, Packet};
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// Chooses the packet that goes to the device next, and completes it for the device.
///
/// TCP, UDP, the ICMP and raw sockets and the driver's own replies have bounded queues and take
/// turns, so that none can keep another from sending. The scheduler does the work that the device has no offload for, and it
/// fragments packets that are longer than the MTU of their path.
#[derive(Debug)]
pub(crate) struct TxScheduler {
    offload: Offload,
    /// The IP identification of the next packet that is fragmented, and the step from one to the
    /// next.
    identification: (u32, u32),
    /// The packet that the device has not taken yet.
    sending: Option<Sending>,
    /// A piece of that packet, and whether the piece waits for the device.
    piece: PacketBuf,
    piece_waits: bool,
    /// The device has taken pieces of that packet.
    pieces_sent: bool,
    udp_batches: UdpBatches,
    replies: Replies,
    last: Source,
}

#[derive(Debug)]
struct Sending {
    packet: PacketBuf,
    headers: Headers,
    source: Source,
    pieces: Pieces,
    /// [`TxScheduler::next`] has returned the packet.
    returned: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Source {
    Tcp,
    Udp,
    Raw,
    #[default]
    Driver,
}

impl Source {
    /// The order in which the sources have their turn after this one.
    fn order(self) -> [Self; 4] {
        match self {
            Self::Tcp => [Self::Udp, Self::Raw, Self::Driver, Self::Tcp],
            Self::Udp => [Self::Raw, Self::Driver, Self::Tcp, Self::Udp],
            Self::Raw => [Self::Driver, Self::Tcp, Self::Udp, Self::Raw],
            Self::Driver => [Self::Tcp, Self::Udp, Self::Raw, Self::Driver],
        }
    }
}

impl TxScheduler {
    pub(crate) fn new(offload: Offload, identification: (u32, u32)) -> Self {
        Self {
            offload,
            identification,
            sending: None,
            piece: PacketBuf::default(),
            piece_waits: false,
            pieces_sent: false,
            udp_batches: UdpBatches::default(),
            replies: Replies::default(),
            last: Source::default(),
        }
    }

    /// The bytes of the packets that are being sent, of the replies and of the pools.
    pub(crate) fn allocated(&self) -> usize {
        let sending = self.sending.as_ref();
        sending.map_or(0, |sending| sending.packet.allocated())
            + self.piece.allocated()
            + self.udp_batches.allocated()
            + self.replies.allocated()
    }

    /// Queues the reply of the driver that `write` writes. Returns whether `write` wrote one.
    ///
    /// # Errors
    ///
    /// Why the reply was dropped. Without room for a packet `write` is not called.
    pub(crate) fn queue_reply(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> Result<bool, DropReason> {
        self.replies.push(write)
    }

    /// Returns the packet to send now, and whether this is the first time that it is returned. The
    /// packet stays until [`finish`](Self::finish). `mtu` is that of the stack.
    pub(crate) fn next<F: Flavor>(
        &mut self,
        (now, mtu): (Instant, usize),
        engines: &mut Engines<F>,
        drops: &mut Drops,
    ) -> Option<(Packet<'_>, bool)> {
        while self.sending.is_none() {
            let (mut packet, source) = self.take(now, engines)?;
            let Ok(headers) = Headers::parse(&packet) else {
                drops.count(DropReason::OutboundMalformed);
                self.recycle(engines, packet, source);
                continue;
            };
            match self.complete((now, mtu), engines, (&mut packet, &headers), source) {
                Ok(pieces) => {
                    self.sending = Some(Sending {
                        packet,
                        headers,
                        source,
                        pieces,
                        returned: false,
                    });
                }
                Err(reason) => {
                    drops.count(reason);
                    self.recycle(engines, packet, source);
                }
            }
        }
        let sending = self.sending.as_mut()?;
        let is_new = !std::mem::replace(&mut sending.returned, true);
        Some((Packet::new(&sending.packet, sending.headers), is_new))
    }

    /// Takes a packet from the queue whose turn it is.
    fn take<F: Flavor>(
        &mut self,
        now: Instant,
        engines: &mut Engines<F>,
    ) -> Option<(PacketBuf, Source)> {
        for source in self.last.order() {
            let packet = match source {
                Source::Tcp => engines.tcp.poll_transmit(),
                Source::Udp => {
                    let uso = self.offload.uso && self.offload.checksum;
                    self.udp_batches.next(now, &engines.udp, uso)
                }
                Source::Raw => engines.raw.poll_transmit().map(PacketBuf::from),
                Source::Driver => self.replies.pop().map(PacketBuf::from),
            };
            if let Some(packet) = packet {
                return Some((packet, source));
            }
        }
        None
    }

    fn complete<F: Flavor>(
        &mut self,
        (now, mtu): (Instant, usize),
        engines: &Engines<F>,
        (packet, headers): (&mut PacketBuf, &Headers),
        source: Source,
    ) -> Result<Pieces, DropReason> {
        let path = match source {
            // TCP knows the MTU of each path. Only that of the link may have changed since.
            Source::Tcp => Path::Tcp { mtu },
            _ => Path::Other {
                mtu: engines.udp.path_mtu(now, headers.destination()),
                id: self.identification.0,
            },
        };
        let pieces = complete(packet, headers, self.offload, path);
        if let Ok(Pieces::Fragments(_)) = pieces {
            let (next, step) = &mut self.identification;
            *next = next.wrapping_add(*step);
        }
        pieces
    }

    /// Returns the packet that [`next`](Self::next) returned last, and what the device does for it.
    pub(crate) fn current(&self) -> Option<(Packet<'_>, Meta)> {
        let sending = self.sending.as_ref()?;
        let packet = Packet::new(&sending.packet, sending.headers);
        Some((packet, sending.packet.meta()))
    }

    /// Returns whether the packet is of an ICMP or a raw socket, or an ICMP error of the program.
    pub(crate) fn current_is_raw(&self) -> bool {
        self.current_source() == Some(Source::Raw)
    }

    /// Returns whether the packet is one of the driver's own replies.
    pub(crate) fn current_is_reply(&self) -> bool {
        self.current_source() == Some(Source::Driver)
    }

    fn current_source(&self) -> Option<Source> {
        self.sending.as_ref().map(|sending| sending.source)
    }

    /// Sends the packet, piece by piece if it is split.
    pub(crate) fn poll_send<D: PacketIo>(
        &mut self,
        cx: &mut Context<'_>,
        device: &mut D,
        tap: impl Fn(&[u8]),
    ) -> Poll<io::Result<()>> {
        let Some(sending) = &mut self.sending else {
            return Poll::Ready(Ok(()));
        };
        if let Pieces::Whole = sending.pieces {
            ready!(device.poll_send(cx, &sending.packet))?;
            tap(&sending.packet);
            return Poll::Ready(Ok(()));
        }
        loop {
            if !self.piece_waits {
                self.piece_waits = sending.pieces.next(&sending.packet, &mut self.piece);
                if !self.piece_waits {
                    return Poll::Ready(Ok(()));
                }
            }
            ready!(device.poll_send(cx, &self.piece))?;
            tap(&self.piece);
            self.piece_waits = false;
            self.pieces_sent = true;
        }
    }

    /// Completes the packets for another device from now on.
    ///
    /// The packet that the old device has not taken is completed again for the new one. If pieces of
    /// it were sent, the others follow as they are, unless one is longer than `mtu`.
    pub(crate) fn set_device<F: Flavor>(
        &mut self,
        offload: Offload,
        (now, mtu): (Instant, usize),
        engines: &mut Engines<F>,
        drops: &mut Drops,
    ) {
        self.offload = offload;
        let Some(mut sending) = self.sending.take() else {
            return;
        };
        let completed = if !self.pieces_sent {
            let packet = (&mut sending.packet, &sending.headers);
            self.piece_waits = false;
            self.complete((now, mtu), engines, packet, sending.source)
                .map(|pieces| sending.pieces = pieces)
        } else if sending.pieces.longest() > Some(mtu) {
            Err(DropReason::TooLong)
        } else {
            Ok(())
        };
        self.sending = Some(sending);
        if let Err(reason) = completed {
            drops.count(reason);
            self.finish(engines);
        }
    }

    /// Gives the buffer of the packet back to its queue: the packet was sent or dropped.
    pub(crate) fn finish<F: Flavor>(&mut self, engines: &mut Engines<F>) {
        (self.piece_waits, self.pieces_sent) = (false, false);
        let Some(Sending { packet, source, .. }) = self.sending.take() else {
            return;
        };
        self.recycle(engines, packet, source);
    }

    fn recycle<F: Flavor>(&mut self, engines: &mut Engines<F>, packet: PacketBuf, source: Source) {
        self.last = source;
        match source {
            Source::Tcp => engines.tcp.recycle(packet),
            Source::Udp => self.udp_batches.recycle(&engines.udp, packet),
            Source::Raw => engines.raw.recycle(packet.into_vec()),
            Source::Driver => self.replies.recycle(packet.into_vec()),
        }
    }
}

//! What goes out: smoltcp's packets as the wire is to see them, and those that it has no reason to
//! make.

use super::rewrite::{SEQ, WINDOW, patch, stamp};
use super::{Guard, Open};
use crate::segment::{self, Segment};
use crate::seq::{Micros, after, later, seq};
use brooklet_io::{Checksum, Meta, PacketBuf};
use smoltcp::wire::{TcpControl, TcpPacket};
use std::num::NonZeroU16;

impl Guard {
    /// Looks at a packet that smoltcp made, writes the time into it, and advertises a little less
    /// than smoltcp does.
    ///
    /// smoltcp rounds its window down to the unit of the window scale. While data comes in and
    /// nothing is read, the edge of what it takes moves back and forth by up to a unit, and it
    /// drops what a peer has sent by leave of the further edge. One unit less is always inside.
    pub(crate) fn sent(&mut self, now: Micros, packet: &mut PacketBuf) {
        let behind_ip = segment::behind_ip(packet);
        let Some(bytes) = packet.get_mut(behind_ip..) else {
            return;
        };
        let Ok(tcp) = TcpPacket::new_checked(&*bytes) else {
            return;
        };
        if self.cut {
            let meta = self.unready(tcp.payload().len());
            packet.set_meta(meta);
        }
        let packet = &mut packet[behind_ip..];
        let tcp = TcpPacket::new_unchecked(&*packet);
        if tcp.rst() {
            return;
        }
        let start = seq(tcp.seq_number());
        let end = start.wrapping_add(tcp.segment_len() as u32);
        if after(end, self.send.nxt()) {
            self.send.sent(now, start, end, tcp.fin(), tcp.payload());
        } else if end != start {
            self.send.sent_again(now);
        }
        let header_len = tcp.header_len();
        let (acked, window) = (seq(tcp.ack_number()), tcp.window_len());
        self.opened = true;
        if end == start && start != self.send.empty() {
            patch(packet, SEQ, &self.send.empty().to_be_bytes());
        }
        if header_len > 20 {
            stamp(packet, self.stamps.pair(now));
        }
        let room = u32::from(window) << self.inner_shift;
        let told = match self.shift {
            0 => window,
            shift => ((room >> shift).min(u16::MAX.into()) as u16).saturating_sub(1),
        };
        let told = self.worthwhile(acked, told);
        if told != window {
            patch(packet, WINDOW, &told.to_be_bytes());
        }
        let edge = acked.wrapping_add(room);
        self.advertise(acked, told, self.shift, Some(edge));
    }

    /// What is missing of a packet that smoltcp made with `len` bytes of data.
    fn unready(&self, len: usize) -> Meta {
        let mss = self.send.mss();
        let gso_size = match len > mss as usize {
            true => NonZeroU16::new(mss as u16), // from an option of 16 bits
            false => None,
        };
        Meta {
            checksum: Checksum::Partial,
            gso_size,
        }
    }

    /// An acknowledgement and a window have been sent.
    pub(super) fn advertise(&mut self, acked: u32, told: u16, shift: u8, edge: Option<u32>) {
        self.acked = acked;
        self.told = told;
        let furthest = acked.wrapping_add(u32::from(told) << shift);
        self.window = Some(match self.window {
            Some(open) => Open {
                edge: edge.unwrap_or(open.edge),
                told: later(open.told, furthest),
            },
            None => Open {
                edge: edge.unwrap_or(furthest),
                told: furthest,
            },
        });
    }

    /// The window beyond `next` as the peer was told last. It may have been told of a larger one
    /// before, when the buffer was.
    pub(super) fn told_beyond(&self, next: u32) -> u32 {
        let edge = self.acked.wrapping_add(u32::from(self.told) << self.shift);
        match after(edge, next) {
            true => edge.wrapping_sub(next),
            false => 0,
        }
    }

    /// The window to be told with `acked` in the place of `window`: one that opens by a crumb stays
    /// where it is.
    fn worthwhile(&self, acked: u32, window: u16) -> u16 {
        let Some(open) = self.window else {
            return window;
        };
        let edge = acked.wrapping_add(u32::from(window) << self.shift);
        // A byte that probed the window may have been taken.
        let told = later(open.told, acked);
        match after(edge, told) && edge.wrapping_sub(told) < self.crumb {
            true => (told.wrapping_sub(acked) >> self.shift) as u16,
            false => window,
        }
    }

    /// An acknowledgement of all that has come, for which smoltcp has no reason.
    pub(crate) fn answer(&mut self, now: Micros, received: usize, ttl: u8) -> Segment<'static> {
        let mut ack = self.acked;
        let mut window = self.told;
        if let (Some(next), true) = (self.next(received), self.opened)
            && after(next, ack)
        {
            // The right edge stays where it is.
            let room = self.told_beyond(next);
            ack = next;
            window = (room >> self.shift).min(u32::from(self.told)) as u16;
            self.advertise(ack, window, self.shift, None);
        }
        let twice = self.twice.take();
        Segment {
            seq: self.send.empty(),
            ack: Some(ack),
            window,
            sack: match self.sack {
                true => self.held.report(twice),
                false => [None; 3],
            },
            timestamp: self.stamps.wanted(now),
            ttl,
            ..Segment::default()
        }
    }

    /// A question whether the peer is still there (RFC 9293, 3.8.4).
    pub(crate) fn question(&mut self, now: Micros, received: usize, ttl: u8) -> Segment<'static> {
        Segment {
            seq: self.send.nxt().wrapping_sub(1),
            ..self.answer(now, received, ttl)
        }
    }

    /// The next segment to be sent again.
    pub(crate) fn resend(&mut self, now: Micros, ttl: u8) -> Option<Segment<'_>> {
        let timestamp = self.stamps.wanted(now);
        let (ack, window) = (self.acked, self.told);
        let (seq, payload, fin) = self.send.resend(now)?;
        Some(Segment {
            control: if fin {
                TcpControl::Fin
            } else {
                TcpControl::Psh
            },
            seq,
            ack: Some(ack),
            window,
            timestamp,
            ttl,
            payload,
            ..Segment::default()
        })
    }
}

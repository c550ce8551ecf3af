//! The handshake: with the peer, and the one that a new socket is shown.

use super::{Guard, Open};
use crate::memory::scale_of;
use crate::segment::Segment;
use crate::send::{Ack, Terms};
use crate::seq::Micros;
use crate::syn::Syn;
use smoltcp::wire::TcpControl;

impl Guard {
    /// The connection begins with `syn` of the peer; `mss` is the most data that a segment to it
    /// may carry.
    pub(crate) fn begin(&mut self, now: Micros, syn: &Syn, mss: u32) {
        self.start = Some(syn.isn.wrapping_add(1));
        self.stamps.begin(now, syn.timestamp);
        self.sack = syn.sack;
        self.scaled = syn.scale.is_some();
        self.peer_shift = syn.scale.unwrap_or(0);
        self.shift = if self.scaled { scale_of(self.recv) } else { 0 };
        if !self.scaled {
            self.shown_shift = 0;
        }
        self.send.agree(Terms {
            mss: mss.saturating_sub(self.stamps_len()).max(1),
            sack: syn.sack,
            window: syn.window.into(),
        });
    }

    /// What timestamps take of each segment.
    pub(super) fn stamps_len(&self) -> u32 {
        if self.stamps.on { 12 } else { 0 }
    }

    /// Our SYN, with the number `iss`, or once the peer's has come our SYN-ACK; for the first time
    /// or again.
    pub(crate) fn syn(&mut self, now: Micros, iss: u32, mss: u16, ttl: u8) -> Segment<'static> {
        if self.begun {
            self.send.sent_again(now);
        } else {
            self.begun = true;
            self.send.begin(iss);
            self.send.sent(now, iss, iss.wrapping_add(1), false, &[]);
        }
        // It is never scaled (RFC 7323, 2.2). What comes later is, and is told with one unit less.
        let most = if self.shift == 0 { 65_535 } else { 65_534 };
        let window = self.recv.min(most) as u16;
        let syn = Segment {
            control: TcpControl::Syn,
            seq: self.send.una(),
            window,
            mss: Some(mss),
            ttl,
            ..Segment::default()
        };
        let Some(start) = self.start else {
            return Segment {
                scale: Some(scale_of(self.recv)),
                sack_permitted: true,
                timestamp: Some(self.stamps.pair(now)),
                ..syn
            };
        };
        self.promise(start, window);
        Segment {
            ack: Some(start),
            scale: self.scaled.then_some(self.shift),
            sack_permitted: self.sack,
            timestamp: self.stamps.wanted(now),
            ..syn
        }
    }

    /// Whether our SYN has been sent.
    pub(crate) fn begun(&self) -> bool {
        self.begun
    }

    /// The window of our SYN, for what the peer sends from `start` on.
    fn promise(&mut self, start: u32, window: u16) {
        let furthest = start.wrapping_add(window.into());
        self.acked = start;
        self.told = window >> self.shift;
        self.window = Some(Open {
            edge: furthest,
            told: furthest,
        });
    }

    /// The SYN-ACK to our SYN has been taken in.
    pub(crate) fn greeted(&mut self, now: Micros, syn: &Syn) {
        let ack = Ack {
            seq: syn.isn,
            ack: self.send.nxt(),
            window: syn.window.into(),
            sack: &[],
            rtt: None,
            data: false,
        };
        self.send.on_ack(now, ack);
        let window = self.recv.min(65_534) as u16;
        self.promise(syn.isn.wrapping_add(1), window);
    }

    /// The acknowledgement of the peer's SYN-ACK, which ends the handshake.
    pub(crate) fn greeting(&mut self, now: Micros, ttl: u8) -> Segment<'static> {
        let window = match self.shift {
            0 => self.recv.min(65_535),
            shift => (self.recv >> shift).min(65_535) - 1,
        };
        self.opened = true;
        self.advertise(self.acked, window as u16, self.shift, None);
        Segment {
            seq: self.send.empty(),
            ack: Some(self.acked),
            window: window as u16,
            timestamp: self.stamps.wanted(now),
            ttl,
            ..Segment::default()
        }
    }

    /// A reset, where there is no socket to send it.
    pub(crate) fn abort(&mut self, ttl: u8) -> Segment<'static> {
        Segment {
            control: TcpControl::Rst,
            seq: self.send.nxt(),
            ack: self.start.map(|_| self.acked),
            ttl,
            ..Segment::default()
        }
    }

    /// What a new socket with a receive buffer of `recv` bytes is shown, so that it believes to
    /// have seen everything up to here: the SYN, the acknowledgement of its answer, and an old
    /// byte, which it answers with the window that it has. Our own SYN must have the number that is
    /// returned first.
    ///
    /// Nothing is under way and nothing waits to be read.
    pub(crate) fn introduce(&mut self, recv: usize) -> Option<(u32, [Segment<'static>; 3])> {
        let next = self.next(0)?;
        let una = self.send.una();
        self.inner_shift = if self.scaled { scale_of(recv) } else { 0 };
        self.crumb = crumb(recv);
        let units = self.units(0);
        self.shown = u32::from(units) << self.shown_shift;
        let told = (recv >> self.inner_shift).min(u16::MAX.into()) << self.inner_shift;
        if let Some(open) = &mut self.window {
            open.edge = next.wrapping_add(told as u32);
        }
        let timestamp = self.stamps.on.then_some((0, 0));
        let syn = Segment {
            control: TcpControl::Syn,
            seq: next.wrapping_sub(1),
            mss: Some(self.shown_mss()),
            scale: self.scaled.then_some(self.shown_shift),
            sack_permitted: self.sack,
            timestamp,
            ..Segment::default()
        };
        let ack = Segment {
            seq: next,
            ack: Some(una),
            window: units,
            timestamp,
            ..Segment::default()
        };
        let old = self.old_byte(0)?;
        Some((una.wrapping_sub(1), [syn, ack, old]))
    }

    /// The maximum segment size that smoltcp is shown; it takes the place of the timestamps off.
    fn shown_mss(&self) -> u16 {
        let mss = match (self.cut, self.send.mss()) {
            // A whole number of segments.
            (true, mss) => super::LONGEST.max(mss) / mss * mss,
            (false, mss) => mss,
        };
        (mss + self.stamps_len()).min(u16::MAX.into()) as u16
    }

    /// Whether all that came is read and acknowledged, and nothing came too early.
    pub(crate) fn at_rest(&self) -> bool {
        self.send.flight() == 0 && self.held.is_empty() && self.next(0) == Some(self.acked)
    }

    /// The socket is gone, and the next one takes what the peer has been told that it may send.
    pub(crate) fn rest(&mut self) {
        if let Some(open) = &mut self.window {
            open.edge = open.told;
        }
        self.held = super::Held::default();
        self.send.rest();
    }
}

/// By less than this a window does not open (RFC 9293, 3.8.6.2.2).
pub(super) fn crumb(recv: usize) -> u32 {
    (recv / 2).min(super::SEGMENT) as u32
}

//! What is sent next, and why: control, retransmissions, new data and the FIN, window updates and
//! ACKs, in this order.

use super::{Connection, Control, TcpState};
use crate::queue::{SMALL, TxHandle};
use crate::segment::Segment;
use crate::seq::{Micros, NEVER, after};
use crate::shared::Effects;
use brooklet_cell::Flavor;
use brooklet_io::{Checksum, Meta};
use smoltcp::wire::TcpControl;
use std::num::NonZeroU16;

/// Packets that a connection may send before others have their turn.
const QUOTA: usize = 64;

/// The same in bytes, for packets of many segments.
const QUOTA_BYTES: usize = 128 * 1024;

/// The longest IP packet, and the longest headers of IP and TCP with timestamps.
const MAX_PACKET: usize = 65_535;
const MAX_HEADERS: usize = 40 + 20 + 12;

/// Data that goes out in one packet: [start, start + len).
#[derive(Clone, Copy)]
struct DataPacket {
    start: u32,
    len: usize,
    fin: bool,
    push: bool,
    /// The size of the segments that the packet consists of. A larger one than the MSS probes the
    /// path MTU.
    segment_size: u32,
}

impl<F: Flavor> Connection<F> {
    /// Sends until there is nothing left to send, the outbound queue is full or others should
    /// have their turn.
    pub(super) fn output(&mut self, fx: &mut Effects<'_, F>) {
        if self.detached {
            return;
        }
        if self.send.has_retransmission()
            && !self.state.is_synchronized()
            && !self.is_over()
            && !self.is_in_flood(fx)
        {
            self.pending_control.get_or_insert(Control::Syn);
        }
        let acks = self.pending_control.is_none() && self.ack_is_due();
        let sends = self.pending_control.is_some() || self.has_text();
        if !sends && !acks {
            return;
        }
        let now = fx.now;
        let deferred = self.ack_deferred && self.state == TcpState::Established;
        if !sends && (deferred || self.delays_ack(now)) {
            return; // the application has its turn first (RFC 9293, 3.8.6.3)
        }
        let mut tx = TxHandle::new(fx.queue, self.key, self.waiting, fx.turn);
        let (retransmits, nxt) = (self.send.retransmits(), self.send.nxt());
        self.output_to(&mut tx, now);
        let retransmits = self.send.retransmits() - retransmits;
        self.waiting = tx.waiting;
        if after(self.send.nxt(), nxt) {
            self.delayed_ack.on_data_sent(now);
        }
        if tx.packets > 0 && self.send.flight() > 0 && self.unanswered_since == NEVER {
            self.unanswered_since = now;
        }
        if let Some(number) = tx.finish(retransmits, &mut fx.wakes) {
            self.last_packet = number;
        }
    }

    fn output_to(&mut self, tx: &mut TxHandle<'_, F>, now: Micros) {
        if !self.send_pending_control(tx, now) {
            return;
        }
        if self.state.is_synchronized() && self.state != TcpState::TimeWait {
            if self.send.has_retransmission() && !self.send_retransmissions(tx, now) {
                return;
            }
            if !self.send_new_data(tx, now) {
                return;
            }
        }
        if self.ack_is_due() && tx.reserve(SMALL) {
            let ack = self.ack_segment(now);
            let key = self.key.reversed();
            tx.send(|packet| ack.write(key, (&[], &[]), true, packet));
        }
    }

    /// Whether there is text to send, as far as can be told without looking at windows.
    fn has_text(&self) -> bool {
        self.send.has_retransmission() || self.unsent() > 0 || self.owes_fin()
    }

    /// Whether the FIN is still to be sent for the first time.
    fn owes_fin(&self) -> bool {
        self.state.sends_fin() && !self.fin_sent
    }

    /// Whether an ACK is to be sent: for what has arrived, or for a window that has opened.
    fn ack_is_due(&self) -> bool {
        let synchronized = self.state.is_synchronized();
        synchronized
            && (self.recv.owes_ack() || self.state.receives() && self.recv.should_update_window())
    }

    /// Says `false` if there was no room for the control segment.
    fn send_pending_control(&mut self, tx: &mut TxHandle<'_, F>, now: Micros) -> bool {
        let Some(control) = self.pending_control else {
            return true;
        };
        if !tx.reserve(SMALL) {
            return false;
        }
        self.pending_control = None;
        let segment = match control {
            Control::Syn => self.syn_segment(now),
            Control::Ack => self.ack_segment(now),
            Control::Rst => self.rst_segment(),
        };
        let key = self.key.reversed();
        tx.send(|packet| segment.write(key, (&[], &[]), true, packet));
        true
    }

    /// Retransmits lost segments, as far as the congestion window permits. Returns `false` if the
    /// outbound queue had no room for all of them.
    fn send_retransmissions(&mut self, tx: &mut TxHandle<'_, F>, now: Micros) -> bool {
        let most = self.max_text();
        let mut header = None;
        while self.send.has_retransmission() {
            if !self.may_send(tx, most) {
                return false;
            }
            let Some((start, end, fin)) = self.send.next_retransmission(now, most as u32) else {
                return true;
            };
            self.pmtu.on_retransmission(now, start, end);
            let text = DataPacket {
                start,
                len: end.wrapping_sub(start) as usize,
                fin,
                push: true,
                segment_size: self.send.mss(),
            };
            self.send_text(text, &mut header, (tx, now));
        }
        true
    }

    /// Sends new data and the FIN behind it. Returns `false` if there was no room for all of it.
    fn send_new_data(&mut self, tx: &mut TxHandle<'_, F>, now: Micros) -> bool {
        let most = self.max_text();
        let unsent = self.unsent();
        // Silly window avoidance decides once for all that is sent now: what the window leaves
        // behind full segments goes out with them (RFC 9293, 3.8.6.2.1).
        let limit = self.send.una().wrapping_add(self.send.allowance(unsent));
        let mut header = None;
        loop {
            if !self.owes_fin() && !after(limit, self.send.nxt()) {
                return true;
            }
            let Some(text) = self.next_text(now, limit, most) else {
                return true;
            };
            if !self.may_send(tx, text.len) {
                return false;
            }
            let end = text
                .start
                .wrapping_add(text.len as u32 + u32::from(text.fin));
            if text.segment_size > self.send.mss() {
                self.pmtu.probe_sent(text.start, end);
            }
            self.send.sent(now, end, text.fin);
            self.fin_sent |= text.fin;
            self.send_text(text, &mut header, (tx, now));
        }
    }

    /// The next piece of new data before `limit`, at most `most` bytes.
    fn next_text(&mut self, now: Micros, limit: u32, most: usize) -> Option<DataPacket> {
        let mss = self.send.mss() as usize;
        let unsent = self.unsent();
        let start = self.send.nxt();
        let usable = match after(limit, start) {
            true => limit.wrapping_sub(start) as usize,
            false => 0,
        };
        let mut segment_size = mss;
        let mut len = unsent.min(usable).min(most);
        if let Some(probe) = self.pmtu.probe_size(now, self.key.is_ipv6()) {
            let size = probe.saturating_sub(self.recv.timestamps.option_len()) as usize;
            if size > mss && size <= unsent.min(usable) {
                (len, segment_size) = (size, size);
            }
        }
        let last = len == unsent;
        let fin = last && self.owes_fin();
        if len == 0 && !fin {
            return None;
        }
        if self.nagle && !fin && segment_size == mss && (self.send.flight() > 0 || len > mss) {
            // Nagle's algorithm (RFC 9293, 3.7.4): less than a full segment waits while data is
            // in flight.
            len -= len % mss;
            if len == 0 {
                return None;
            }
        }
        if len < mss && !fin && self.send.holds_short_segment() {
            return None;
        }
        Some(DataPacket {
            start,
            len,
            fin,
            push: len == unsent,
            segment_size: segment_size as u32,
        })
    }

    /// The most data that one packet may carry: long packets are segmented outside.
    fn max_text(&self) -> usize {
        let mss = self.send.mss() as usize;
        match self.offload {
            true => ((MAX_PACKET - MAX_HEADERS) / mss).max(1) * mss,
            false => mss,
        }
    }

    /// Reserves a place for a packet with `len` bytes of data. Says `false` if there is none, or if
    /// others have their turn.
    fn may_send(&self, tx: &mut TxHandle<'_, F>, len: usize) -> bool {
        if tx.packets >= QUOTA || tx.bytes >= QUOTA_BYTES {
            tx.wait();
            return false;
        }
        tx.reserve(len + MAX_HEADERS)
    }

    /// Sends a packet with data or a FIN, in the place reserved for it.
    fn send_text(
        &mut self,
        text: DataPacket,
        header: &mut Option<Segment>,
        (tx, now): (&mut TxHandle<'_, F>, Micros),
    ) {
        let header = header.get_or_insert_with(|| self.data_header(now));
        let control = match text.fin {
            true => TcpControl::Fin,
            false => TcpControl::None,
        };
        let segment = Segment {
            control,
            push: text.push && text.len > 0,
            seq: text.start,
            ..*header
        };
        let data = match &self.send_ring {
            Some(ring) if text.len > 0 => ring.slices(text.start, text.len),
            _ => (&[][..], &[][..]),
        };
        let key = self.key.reversed();
        let offload = self.offload;
        tx.send(|packet| {
            segment.write(key, data, !offload, packet);
            if offload {
                packet.set_meta(unfinished(text));
            }
        });
    }

    /// What all data packets of one turn have in common. At least one is sent.
    fn data_header(&mut self, now: Micros) -> Segment {
        let window = self.recv.advertise();
        self.next_segment(now, window)
    }

    /// The acknowledgment that every segment carries: RCV.NXT, without SACK blocks.
    fn next_segment(&self, now: Micros, window: u16) -> Segment {
        Segment {
            ack: Some(self.recv.rcv_nxt()),
            window,
            timestamp: self.recv.timestamps.option(now),
            ttl: self.ttl,
            traffic_class: self.traffic_class,
            ..Segment::default()
        }
    }

    /// A bare ACK with the window as it is now.
    pub(super) fn ack_segment(&mut self, now: Micros) -> Segment {
        let window = self.recv.advertise();
        self.bare_ack(now, window)
    }

    pub(super) fn bare_ack(&mut self, now: Micros, window: u16) -> Segment {
        Segment {
            seq: self.send.empty(),
            sack: self.recv.take_sack_blocks(),
            ..self.next_segment(now, window)
        }
    }

    /// A keepalive probe or a zero-window probe: an old sequence number asks for an ACK
    /// (RFC 9293, 3.8.4).
    pub(super) fn probe_segment(&mut self, now: Micros) -> Segment {
        let window = self.recv.repeat_window();
        Segment {
            seq: self.send.una().wrapping_sub(1),
            ..self.bare_ack(now, window)
        }
    }

    fn rst_segment(&self) -> Segment {
        Segment {
            control: TcpControl::Rst,
            seq: self.send.nxt(),
            ack: self.recv.has_irs().then(|| self.recv.rcv_nxt()),
            ttl: self.ttl,
            traffic_class: self.traffic_class,
            ..Segment::default()
        }
    }

    /// Sends a segment without data at once if there is room; otherwise it is dropped and counted.
    /// Says whether it was sent.
    pub(super) fn send_control(&mut self, segment: &Segment, fx: &mut Effects<'_, F>) -> bool {
        let key = self.key.reversed();
        let (sent, driver) = fx.queue.with(|queue| {
            let has_room = queue.tx.has_room();
            let mut packet = queue.tx.buffer(SMALL);
            segment.write(key, (&[], &[]), true, &mut packet);
            (has_room, queue.push(packet))
        });
        fx.wakes.extend(driver);
        sent
    }
}

/// Returns the metadata of a packet with data: its checksum and its segmentation are left to others.
fn unfinished(text: DataPacket) -> Meta {
    let is_long = text.len > text.segment_size as usize;
    let gso_size = match is_long {
        true => NonZeroU16::new(text.segment_size as u16), // from an option of 16 bits
        false => None,
    };
    Meta::new().checksum(Checksum::Partial).gso_size(gso_size)
}

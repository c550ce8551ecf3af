//! SEGMENT ARRIVES (RFC 9293, 3.10.7).

use super::{Connection, TcpState};
use crate::error::End;
use crate::receive::Text;
use crate::segment::Options;
use crate::send::Ack;
use crate::seq::{Micros, NEVER, after};
use crate::shared::Effects;
use crate::stats::Dropped;
use crate::syn::Syn;
use brooklet_cell::Flavor;
use brooklet_packet::{Headers, Packet, TcpFlags, TcpHeader};
use smoltcp::wire::TcpPacket;

/// A segment that has arrived, parsed once. Its checksums are right.
pub(super) struct Arrival<'a> {
    packet: &'a [u8],
    headers: &'a Headers,
    pub(super) seq: u32,
    pub(super) ack: u32,
    /// SEG.WND, in bytes.
    window: u32,
    pub(super) flags: TcpFlags,
    options: Options,
    data: &'a [u8],
}

impl<'a> Arrival<'a> {
    fn new(packet: &'a [u8], headers: &'a Headers, tcp: TcpHeader, shift: u8) -> Self {
        let segment = TcpPacket::new_unchecked(&packet[headers.transport_range()]);
        Self {
            packet,
            headers,
            seq: tcp.seq,
            ack: tcp.ack,
            window: u32::from(tcp.window) << shift,
            flags: tcp.flags,
            options: Options::parse(segment.options()),
            data: &packet[headers.payload_range()],
        }
    }

    /// What the segment says as a SYN. The window of a SYN is not scaled.
    pub(super) fn syn(&self) -> Syn {
        let header = TcpHeader {
            seq: self.seq,
            ack: self.ack,
            window: self.window as u16, // no scale is known before the SYN
            flags: self.flags,
        };
        Syn::parse(self.packet, self.headers, header)
    }

    /// Goes on behind the SYN, whose window was taken for one that is scaled by `shift`.
    pub(super) fn remove_syn(&mut self, shift: u8) {
        self.flags = TcpFlags::from_bits(self.flags.bits() & !SYN);
        self.seq = self.seq.wrapping_add(1);
        self.window >>= shift;
    }

    /// SEG.LEN without a SYN.
    fn len(&self) -> u32 {
        self.data.len() as u32 + u32::from(self.flags.fin())
    }

    pub(super) fn packet(&self) -> Packet<'a> {
        Packet::new(self.packet, *self.headers)
    }
}

/// Control bits (RFC 9293, 3.1).
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// A TCP header without options, in bytes.
const MIN_HEADER: usize = 20;

/// ACKs that are limited to one per [`CHALLENGE_ACK_INTERVAL`], each kind for itself: an
/// off-path attacker must not use up the ACKs for the peer.
#[derive(Clone, Copy)]
enum Limited {
    /// The answer to what may be the peer's own answer.
    Duplicate,
    /// A challenge ACK (RFC 5961, 7).
    Challenge,
}

/// As in Linux (`tcp_invalid_ratelimit`).
const CHALLENGE_ACK_INTERVAL: Micros = 500_000;

impl<F: Flavor> Connection<F> {
    /// Takes in a segment of the peer. The caller [flushes](Self::flush) the connection when the
    /// batch ends, or at once if the connection [is over](Self::is_over).
    pub(crate) fn segment_arrives(
        &mut self,
        packet: &[u8],
        headers: &Headers,
        fx: &mut Effects<'_, F>,
    ) {
        let Some(tcp) = headers.tcp() else { return };
        if self.detached || self.is_over() {
            fx.dropped = Some(Dropped::Closed);
            return;
        }
        let mut segment = Arrival::new(packet, headers, tcp, self.snd_wscale.unwrap_or(0));
        match self.state {
            TcpState::SynSent => self.arrives_in_syn_sent(&segment, fx),
            _ => self.arrives_in_other_states(&mut segment, fx),
        }
        fx.rtt = self.send.take_rtt_sample();
    }

    /// Header prediction: takes in a segment that only carries the next data, to a connection that
    /// the current batch has touched already. Says `false`, and does nothing, if the segment is
    /// another one, which then takes the long way.
    pub(crate) fn takes_predicted(
        &mut self,
        now: Micros,
        packet: &[u8],
        headers: &Headers,
        tcp: TcpHeader,
    ) -> bool {
        let shift = self.snd_wscale.unwrap_or(0);
        let predicted = self.touched
            && self.state == TcpState::Established
            && tcp.flags.bits() & !PSH == ACK
            && tcp.seq == self.recv.rcv_nxt()
            && self
                .send
                .is_acknowledged(tcp.ack, u32::from(tcp.window) << shift)
            && !self.read_shut
            && self.orphan.is_none();
        if !predicted {
            return false;
        }
        let data = headers.payload_range();
        let owed_ack = self.recv.owes_ack();
        let options = &packet[headers.transport_range().start + MIN_HEADER..data.start];
        let Some(timestamp) = Options::only_timestamp(options) else {
            return false;
        };
        if timestamp.is_some_and(|(tsval, _)| self.recv.timestamps.is_old(now, tsval))
            || !self.recv.append_predicted(&packet[data])
        {
            return false;
        }
        if let Some((tsval, _)) = timestamp
            && !after(tcp.seq, self.recv.window.last_ack())
        {
            self.recv.timestamps.update_recent(now, tsval);
        }
        self.latest = self.latest.max(now);
        if !owed_ack {
            self.delayed_ack.on_data(self.latest);
        }
        self.send.confirm_window(tcp.seq);
        self.idle_since = self.latest;
        self.unanswered_since = NEVER; // nothing is in flight
        true
    }

    /// Whether nothing that arrives can change the connection any more.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, TcpState::Closed | TcpState::TimeWait)
    }

    /// SYN-RECEIVED and the synchronized states (RFC 9293, 3.10.7.4).
    ///
    /// The order is that of the RFC, except that a RST and a SYN come first: RFC 5961 judges them
    /// by rules of their own, which take the place of the check of the sequence number.
    fn arrives_in_other_states(&mut self, segment: &mut Arrival<'_>, fx: &mut Effects<'_, F>) {
        if segment.flags.rst() {
            return self.check_rst(segment, fx);
        }
        if self.state == TcpState::SynReceived && !self.arrives_in_syn_received(segment, fx) {
            return;
        }
        if segment.flags.syn() {
            fx.dropped = Some(Dropped::UnexpectedSyn);
            return self.send_limited_ack(Limited::Challenge, fx); // RFC 5961, 4.2
        }
        if !segment.flags.ack() {
            fx.dropped = Some(Dropped::NoAck);
            return;
        }
        if !self.check_timestamp(segment, fx)
            || !self.check_sequence(segment, fx)
            || !self.check_ack(segment, fx)
        {
            return;
        }
        self.process_ack(segment, fx);
        if self.is_over() {
            // A peer that repeats its FIN has not seen our ACK of it.
            if segment.len() > 0 {
                self.send_ack(fx);
            }
            return;
        }
        if segment.len() > 0 {
            self.process_text(segment, fx);
        } else if after(self.recv.rcv_nxt(), segment.seq) {
            // A keepalive or a zero-window probe asks for an ACK with an old sequence number.
            self.send_limited_ack(Limited::Duplicate, fx);
        }
    }

    /// Second, check the RST bit (RFC 5961, 3.2): SEG.SEQ alone decides, whatever else the segment
    /// carries and however small the window is.
    fn check_rst(&mut self, segment: &Arrival<'_>, fx: &mut Effects<'_, F>) {
        let next = self.recv.rcv_nxt();
        let right_edge = self.recv.window.right_edge();
        if segment.seq == next {
            return self.on_rst(End::Reset);
        }
        fx.dropped = Some(Dropped::BadRst);
        if after(segment.seq, next) && after(right_edge, segment.seq) {
            self.send_limited_ack(Limited::Challenge, fx);
        }
    }

    /// The peer has reset the connection. What arrived before can still be read.
    pub(super) fn on_rst(&mut self, end: End) {
        self.enter_closed();
        self.pending_control = None;
        self.end.get_or_insert(end);
    }

    /// PAWS (RFC 7323, 5.3, R1), which comes before the check of the sequence number.
    fn check_timestamp(&mut self, segment: &Arrival<'_>, fx: &mut Effects<'_, F>) -> bool {
        let timestamps = &self.recv.timestamps;
        let tsval = segment.options.timestamp.map(|(tsval, _)| tsval);
        let is_old = tsval.is_some_and(|tsval| timestamps.is_old(fx.now, tsval));
        if is_old {
            fx.dropped = Some(Dropped::OldTimestamp);
            self.send_limited_ack(Limited::Challenge, fx);
        }
        !is_old
    }

    /// First, check the sequence number (RFC 9293, 3.4).
    fn check_sequence(&mut self, segment: &Arrival<'_>, fx: &mut Effects<'_, F>) -> bool {
        let (first, last) = self.recv.acceptable();
        if after(first, segment.seq) || after(segment.seq, last) {
            fx.dropped = Some(Dropped::OutsideWindow);
            match segment.len() {
                0 => self.send_limited_ack(Limited::Challenge, fx),
                _ => self.send_ack(fx),
            }
            return false;
        }
        true
    }

    /// Fifth, check the ACK field (RFC 5961, 5.2).
    fn check_ack(&mut self, segment: &Arrival<'_>, fx: &mut Effects<'_, F>) -> bool {
        let oldest = self.send.una().wrapping_sub(self.send.largest_window());
        if after(segment.ack, self.send.nxt()) || after(oldest, segment.ack) {
            fx.dropped = Some(Dropped::BadAck);
            self.send_limited_ack(Limited::Challenge, fx);
            return false;
        }
        true
    }

    /// Takes in what an acceptable segment acknowledges, and its window.
    fn process_ack(&mut self, segment: &Arrival<'_>, fx: &mut Effects<'_, F>) {
        let now = fx.now;
        // A segment outside of the window must not set TS.Recent (RFC 7323, 5.3, R2 and R3): the
        // originals of a spurious retransmission would look old.
        let end = segment.seq.wrapping_add(segment.len().max(1));
        if let Some((tsval, _)) = segment.options.timestamp
            && after(end, self.recv.rcv_nxt())
            && !after(segment.seq, self.recv.window.last_ack())
        {
            self.recv.timestamps.update_recent(now, tsval);
        }
        self.idle_since = now;
        // A segment of a one-way transfer to this end acknowledges nothing new.
        let changes_nothing = self.send.is_acknowledged(segment.ack, segment.window)
            && segment.options.sack().is_empty()
            && self.state != TcpState::SynReceived;
        if changes_nothing {
            self.send.confirm_window(segment.seq);
            self.unanswered_since = NEVER;
            return;
        }
        let tsecr = segment.options.timestamp.map(|(_, tsecr)| tsecr);
        let timestamps = &self.recv.timestamps;
        let ack = Ack {
            seq: segment.seq,
            ack: segment.ack,
            window: segment.window,
            sack: segment.options.sack(),
            tsecr_sent_at: tsecr.and_then(|tsecr| timestamps.sent_at(now, tsecr)),
            rtt: tsecr.and_then(|tsecr| timestamps.rtt(now, tsecr)),
            data: segment.len() > 0,
        };
        let advanced = self.send.process_ack(now, ack);
        if !ack.sack.is_empty() {
            let ignored = self.send.take_ignored_sacks();
            if ignored > 0 {
                fx.queue
                    .with(|queue| queue.ignored_sacks += u64::from(ignored));
            }
        }
        if advanced {
            self.on_progress(fx);
        } else if self.send.closed() || self.send.flight() == 0 {
            self.unanswered_since = NEVER; // the peer does what it can
        }
    }

    /// The peer has acknowledged something new.
    fn on_progress(&mut self, fx: &Effects<'_, F>) {
        let now = fx.now;
        self.unanswered_since = match self.send.flight() {
            0 => NEVER,
            _ => now,
        };
        if let Some(orphan) = &mut self.orphan {
            orphan.last_progress = now;
        }
        if self.state == TcpState::SynReceived {
            self.on_syn_acked();
        }
        if self.pmtu.on_ack(now, self.send.una()) {
            let mss = self.segment_size();
            self.send.set_mss(mss);
        }
        if let Some(ring) = &mut self.send_ring
            && after(self.send.una(), ring.start())
        {
            // Our FIN has a number, and no byte.
            let acked = self.send.una().wrapping_sub(ring.start()) as usize;
            ring.consume(acked.min(ring.len()));
        }
        if self.fin_sent && self.send.flight() == 0 {
            self.state = self.state.on_fin_acked();
            if self.state == TcpState::Closed {
                self.enter_closed();
            }
        }
    }

    /// Seventh, process the segment text, and eighth, check the FIN bit.
    fn process_text(&mut self, segment: &Arrival<'_>, fx: &mut Effects<'_, F>) {
        let fin = segment.flags.fin();
        let end = segment.seq.wrapping_add(segment.len());
        if self.state.has_fin() && after(end, self.recv.rcv_nxt()) {
            // Behind the peer's FIN there is nothing.
            fx.dropped = Some(Dropped::OutsideWindow);
            return self.send_limited_ack(Limited::Duplicate, fx);
        }
        let had_gap = !self.recv.has_no_gap();
        let owed_ack = self.recv.owes_ack();
        let text = self
            .recv
            .segment_text(segment.seq, segment.data, fin, &self.claim);
        match text {
            Text::InOrder { fin } => {
                if fin {
                    self.peer_closed = true;
                    self.state = self.state.on_fin();
                }
                if !owed_ack {
                    self.delayed_ack.on_data(fx.now);
                }
                // RFC 5681, 4.2: an ACK at once for a segment that fills a gap.
                if had_gap {
                    self.ack_deferred = false;
                    self.delayed_ack.quick_acks();
                }
            }
            Text::Truncated | Text::OutOfOrder => self.send_ack(fx),
            Text::Duplicate | Text::Outside | Text::Full => {
                fx.dropped = Some(match text {
                    Text::Duplicate => Dropped::Duplicate,
                    Text::Outside => Dropped::OutsideWindow,
                    _ => Dropped::OutOfOrderFull,
                });
                self.delayed_ack.quick_acks();
                self.send_ack(fx);
            }
        }
        if self.orphan.is_some() || self.read_shut {
            self.discard();
        }
    }

    /// Sends an ACK at once, whatever the outbound queue holds: the peer counts these. Where there
    /// is no room, what is owed stays owed.
    pub(super) fn send_ack(&mut self, fx: &mut Effects<'_, F>) {
        let saved = self.recv.window;
        let window = self.recv.repeat_window();
        let ack = self.bare_ack(fx.now, window);
        if !self.send_control(&ack, fx) {
            self.recv.window = saved;
        }
    }

    fn send_limited_ack(&mut self, kind: Limited, fx: &mut Effects<'_, F>) {
        let last = &mut self.limited_ack_at[kind as usize];
        if *last == NEVER || fx.now >= *last + CHALLENGE_ACK_INTERVAL {
            *last = fx.now;
            self.send_ack(fx);
        } else {
            fx.limited_ack = true;
        }
    }
}

//! The handshake (RFC 9293, 3.5): SYN-SENT and SYN-RECEIVED.

use super::arrival::Arrival;
use super::{Connection, Control, TcpState};
use crate::error::End;
use crate::segment::Segment;
use crate::send::{Ack, NegotiatedOptions};
use crate::seq::{Micros, NEVER};
use crate::shared::Effects;
use crate::stats::Dropped;
use crate::syn::Syn;
use brooklet_cell::Flavor;
use smoltcp::wire::TcpControl;

impl<F: Flavor> Connection<F> {
    /// Takes in the facts of the peer's SYN or SYN-ACK.
    pub(super) fn on_syn(&mut self, now: Micros, syn: &Syn) {
        self.recv.negotiate(now, syn);
        self.snd_wscale = syn.window_scale;
        let peer_mss = syn.effective_mss(self.key.is_ipv6());
        self.pmtu.set_peer_mss(peer_mss);
        self.send.negotiate(NegotiatedOptions {
            mss: self.segment_size(),
            sack: syn.sack_permitted,
            window: syn.window.into(),
        });
    }

    /// The data bytes of a full segment: what the path and the peer take, less the timestamps.
    pub(super) fn segment_size(&self) -> u32 {
        let mss = self.pmtu.mss(self.key.is_ipv6());
        let options = self.recv.timestamps.option_len();
        mss.saturating_sub(options).max(1)
    }

    /// SEGMENT ARRIVES in SYN-SENT (RFC 9293, 3.10.7.3).
    pub(super) fn arrives_in_syn_sent(&mut self, segment: &Arrival<'_>, fx: &mut Effects<'_, F>) {
        // First, check the ACK bit. Before the SYN has been sent nothing can acknowledge it.
        let acceptable = segment.flags.ack() && self.syn_sent && segment.ack == self.send.nxt();
        if segment.flags.ack() && !acceptable {
            if segment.flags.rst() {
                fx.dropped = Some(Dropped::BadRst);
                return;
            }
            fx.dropped = Some(Dropped::BadAck);
            self.refuse_segment(segment, fx);
            if self.syn_sent && self.send.retransmits() == 0 {
                // A challenge ACK (RFC 5961) of a connection that the peer still has. The reset
                // ends that one, and a new SYN at once saves the retransmission timeout, as in
                // Linux.
                self.pending_control = Some(Control::Syn);
            }
            return;
        }
        // Second, check the RST bit.
        if segment.flags.rst() {
            match acceptable {
                true => self.on_rst(End::Refused),
                false => fx.dropped = Some(Dropped::BadRst),
            }
            return;
        }
        // Fourth, check the SYN bit.
        if !segment.flags.syn() {
            fx.dropped = Some(Dropped::NoAck);
            return;
        }
        self.idle_since = fx.now;
        let syn = segment.syn();
        self.on_syn(fx.now, &syn);
        if acceptable {
            self.on_syn_ack(fx.now, &syn);
            self.state = self.state.on_syn_acked();
            self.pending_control = Some(Control::Ack);
        } else {
            // Both sides have sent a SYN (simultaneous open).
            self.state = TcpState::SynReceived;
            self.pending_control = Some(Control::Syn);
        }
    }

    /// Our SYN is acknowledged by the peer's SYN-ACK, whose window is not scaled.
    fn on_syn_ack(&mut self, now: Micros, syn: &Syn) {
        let tsecr = syn.timestamp.map(|(_, tsecr)| tsecr);
        let ack = Ack {
            seq: syn.isn,
            ack: self.send.nxt(),
            window: syn.window.into(),
            sack: &[],
            tsecr_sent_at: tsecr.and_then(|tsecr| self.recv.timestamps.sent_at(now, tsecr)),
            rtt: tsecr.and_then(|tsecr| self.recv.timestamps.rtt(now, tsecr)),
            data: false,
        };
        self.send.process_ack(now, ack);
        self.unanswered_since = NEVER;
        let rcv_nxt = self.recv.rcv_nxt();
        self.recv.window.of_syn(Some(rcv_nxt));
    }

    /// Checks a segment that arrives in SYN-RECEIVED and is no RST (RFC 9293, 3.10.7.4, and 3.5 for
    /// the simultaneous open). Says whether it goes on to the checks of the synchronized states.
    pub(super) fn arrives_in_syn_received(
        &mut self,
        segment: &mut Arrival<'_>,
        fx: &mut Effects<'_, F>,
    ) -> bool {
        let acceptable = segment.flags.ack() && self.syn_sent && segment.ack == self.send.nxt();
        if segment.flags.syn() && self.recv.is_irs(segment.seq) {
            if !acceptable {
                // The peer repeats its SYN: our SYN-ACK was lost. The next one echoes the timestamp
                // of this SYN (RFC 7323, 4.3), so that it gives a round-trip time.
                if let Some((tsval, _)) = segment.syn().timestamp {
                    self.recv.timestamps.update_recent(fx.now, tsval);
                }
                fx.dropped = Some(Dropped::RepeatedSyn);
                self.pending_control = Some(Control::Syn);
                return false;
            }
            // The SYN-ACK of a simultaneous open: its window is not scaled.
            segment.remove_syn(self.snd_wscale.unwrap_or(0));
            return true;
        }
        if segment.flags.syn() {
            return true; // challenged
        }
        if !acceptable {
            if segment.flags.ack() {
                fx.dropped = Some(Dropped::BadAck);
                self.refuse_segment(segment, fx);
            } else {
                fx.dropped = Some(Dropped::NoAck);
            }
            return false;
        }
        true
    }

    /// Answers a segment that cannot belong to this connection with a RST (RFC 9293, 3.10.7.1).
    fn refuse_segment(&self, segment: &Arrival<'_>, fx: &mut Effects<'_, F>) {
        let mut reply = Vec::new();
        if brooklet_packet::tcp::reset(&mut reply, &segment.packet()) {
            let driver = fx.queue.with(|queue| queue.push(reply.into()));
            fx.wakes.extend(driver);
        }
    }

    /// The peer has acknowledged our SYN.
    pub(super) fn on_syn_acked(&mut self) {
        self.state = self.state.on_syn_acked();
        if self.write_shut {
            self.state = self.state.on_close();
        }
        // A SYN that came twice in one batch asks for nothing any more.
        self.pending_control = None;
    }

    /// The SYN-ACK with the number `iss` was sent before there was a connection.
    pub(super) fn syn_ack_was_sent(&mut self, now: Micros, iss: u32) {
        self.iss = iss;
        self.send.start(iss);
        self.send.sent(now, iss.wrapping_add(1), false);
        self.recv.window.of_syn(Some(self.recv.rcv_nxt()));
        self.syn_sent = true;
        self.pending_control = None;
    }

    /// Ends a half-open connection without a RST: the SYN may have come from a spoofed source, and
    /// a client that completes the handshake later gets a RST then.
    pub(super) fn forget_half_open(&mut self, end: End) {
        self.pending_control = None;
        self.enter_closed();
        self.end.get_or_insert(end);
    }

    /// Gives the place of a half-open connection to a newer one. Nothing is sent.
    pub(crate) fn evict(&mut self, fx: &mut Effects<'_, F>) {
        if self.is_half_open() {
            self.forget_half_open(End::Aborted);
            self.flush(fx);
        }
    }

    /// Whether the SYN-ACK is not sent again of its own accord: SYN cookies were sent since the
    /// connection began, and a flood must not be answered with more than it sends. A client whose
    /// SYN-ACK was lost repeats its SYN.
    pub(super) fn is_in_flood(&self, fx: &Effects<'_, F>) -> bool {
        self.is_half_open() && fx.cookies_sent_at.is_some_and(|at| at >= self.opened_at)
    }

    /// Our SYN or SYN-ACK, for the first time or again.
    pub(super) fn syn_segment(&mut self, now: Micros) -> Segment {
        if self.syn_sent {
            self.send.retransmitted_syn(now);
        } else {
            self.syn_sent = true;
            self.send.sent(now, self.iss.wrapping_add(1), false);
        }
        let answers = self.recv.has_irs();
        let ack = answers.then(|| self.recv.rcv_nxt());
        let scales = !answers || self.snd_wscale.is_some();
        Segment {
            control: TcpControl::Syn,
            seq: self.iss,
            ack,
            window: self.recv.window.of_syn(ack),
            mss: Some(self.pmtu.local_mss(self.key.is_ipv6()) as u16),
            window_scale: scales.then(|| self.recv.window.shift()),
            sack_permitted: !answers || self.recv.sack_permitted,
            timestamp: match answers {
                true => self.recv.timestamps.option(now),
                false => Some((self.recv.timestamps.tsval(now), 0)),
            },
            ttl: self.ttl,
            traffic_class: self.traffic_class,
            ..Segment::default()
        }
    }
}

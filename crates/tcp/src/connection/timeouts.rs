//! The timers of a connection (RFC 9293, 3.10.8): one deadline for all of them.

use super::{Connection, TcpState};
use crate::error::End;
use crate::seq::{Micros, NEVER};
use crate::shared::Effects;
use brooklet_cell::Flavor;

/// How often a SYN-ACK is sent again by itself, so that a SYN in another host's name brings that host
/// no more than three packets. Linux sends five again (`net.ipv4.tcp_synack_retries`).
const SYN_ACK_RETRIES: u8 = 2;

impl<F: Flavor> Connection<F> {
    /// Finds the next deadline, and puts it among the timers if none stands there that is as
    /// early.
    pub(super) fn arm(&mut self, fx: &mut Effects<'_, F>) {
        self.deadline = self.next_deadline(fx);
        if self.deadline < self.armed {
            self.armed = self.deadline;
            let (at, key) = (self.armed, self.key);
            let driver = fx.queue.with(|queue| queue.arm(at, key));
            fx.wakes.extend(driver);
        }
    }

    fn next_deadline(&mut self, fx: &Effects<'_, F>) -> Micros {
        // A connection that is over only waits for room for its RST, and is called for that.
        if self.is_over() {
            return NEVER;
        }
        self.handshake_deadline
            .min(self.user_deadline())
            .min(self.keepalive_deadline())
            .min(self.orphan_deadline(fx.stack.orphan_timeout()))
            .min(self.idle_deadline)
            .min(self.delayed_ack_deadline(fx.now))
            .min(self.retransmission_deadline(fx.now))
    }

    fn retransmission_deadline(&mut self, now: Micros) -> Micros {
        if self.waiting {
            return NEVER; // called when there is room
        }
        if self.state == TcpState::SynReceived && self.send.backoff() >= SYN_ACK_RETRIES {
            return NEVER; // a client that repeats its SYN is still answered
        }
        let unsent = self.unsent();
        self.send.deadline(now, unsent).unwrap_or(NEVER)
    }

    /// When a peer that leaves something unanswered counts as gone (RFC 9293, 3.8.3; RFC 5482).
    fn user_deadline(&self) -> Micros {
        match (self.unanswered_since, self.user_timeout) {
            (NEVER, _) | (_, NEVER) => NEVER,
            (since, timeout) => since + timeout,
        }
    }

    /// When the next keepalive probe is due (RFC 9293, 3.8.4).
    fn keepalive_deadline(&self) -> Micros {
        if self.keepalive == NEVER
            || !self.handshake_done
            || self.end.is_some()
            || self.send.flight() > 0
        {
            return NEVER; // data in flight is a probe already
        }
        self.idle_since + self.keepalive
    }

    /// Whether the timer entry `at` is one that is needed.
    pub(crate) fn wants(&self, at: Micros) -> bool {
        self.armed == at && self.deadline <= at && !self.detached
    }

    /// The timer entry `at` has been taken out: says which one is to be put in.
    pub(crate) fn rearm(&mut self, at: Micros) -> Option<Micros> {
        if self.armed != at {
            return None; // there is another one for this connection
        }
        self.armed = match self.detached {
            true => NEVER,
            false => self.deadline,
        };
        (self.armed != NEVER).then_some(self.armed)
    }

    /// The deadline `at` has come.
    pub(crate) fn on_deadline(&mut self, at: Micros, fx: &mut Effects<'_, F>) {
        if self.armed != at || self.detached {
            return; // an earlier one has taken its place
        }
        self.armed = NEVER;
        if !self.is_over() {
            self.check_timers(fx);
        }
        self.flush(fx);
        debug_assert!(
            self.detached || self.deadline > fx.now,
            "a deadline that has passed stays: {self:?}"
        );
    }

    fn check_timers(&mut self, fx: &mut Effects<'_, F>) {
        let now = fx.now;
        // What our own device has not taken yet cannot have been answered.
        let last_packet = self.last_packet;
        let blocked = fx.queue.with(|queue| queue.is_blocked(last_packet));
        if blocked && self.unanswered_since != NEVER {
            self.unanswered_since = now;
        }
        if self.handshake_deadline <= now || self.user_deadline() <= now {
            if self.is_half_open() {
                return self.forget_half_open(End::TimedOut);
            }
            return self.end_with(End::TimedOut);
        }
        if self.orphan_deadline(fx.stack.orphan_timeout()) <= now {
            return self.reset_connection();
        }
        if blocked {
            self.send.restart_timer(now);
        }
        // The reordering timer runs on: it is about segments that were sent before one that has
        // arrived.
        if self.retransmission_deadline(now) <= now {
            self.on_retransmission_deadline(fx);
        }
        if self.delayed_ack_deadline(now) <= now {
            self.delayed_ack.quick_acks(); // the ACK follows, and the next ones do not wait
        }
        if self.keepalive_deadline() <= now {
            self.idle_since = now;
            self.send_probe(fx);
        }
    }

    /// The retransmission timer, the probe timer or the reordering timer has expired.
    fn on_retransmission_deadline(&mut self, fx: &mut Effects<'_, F>) {
        let unsent = self.unsent();
        let (in_flight, backoff) = (self.send.flight() > 0, self.send.backoff());
        let probes = self.send.on_deadline(fx.now, unsent);
        if in_flight && self.send.backoff() > backoff {
            fx.queue.with(|queue| queue.timeouts += 1);
        }
        if probes {
            self.send_probe(fx);
        }
        if self.state == TcpState::SynSent || self.state == TcpState::SynReceived {
            return;
        }
        let (timeouts, len) = self.send.timeouts();
        let segment = (self.send.una(), len, self.recv.timestamps.option_len());
        let ipv6 = self.key.is_ipv6();
        if self.pmtu.on_timeout(fx.now, timeouts, segment, ipv6) {
            let mss = self.segment_size();
            self.send.set_mss(mss);
        }
    }

    /// Asks the peer for its ACK and its window.
    fn send_probe(&mut self, fx: &mut Effects<'_, F>) {
        if self.unanswered_since == NEVER {
            self.unanswered_since = fx.now;
        }
        let saved = self.recv.window;
        let probe = self.probe_segment(fx.now);
        if !self.send_control(&probe, fx) {
            self.recv.window = saved; // an ACK that is owed stays owed
        }
    }
}

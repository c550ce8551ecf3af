//! Delayed ACKs (RFC 9293, 3.8.6.3; RFC 5681, 4.2) in an interactive connection.

use super::{Connection, TcpState};
use crate::receive::LONG_SEGMENT;
use crate::seq::{Micros, NEVER};
use brooklet_cell::Flavor;
use std::time::Duration;

/// So many times in a row the application answers data within the delay before an ACK waits for an
/// answer. Until then every ACK goes out at once, so that the peer's slow start is not slowed, and
/// an application that does not answer costs the delay once. As in Linux (`TCP_MAX_QUICKACKS`).
const QUICK_ACKS: u8 = 16;

/// After so long without data the connection counts as a new one: the peer may be in slow start
/// again (RFC 5681, 4.1).
const IDLE: Micros = 1_000_000;

/// Whether ACKs may wait for the application's data, and how it has answered so far.
#[derive(Debug)]
pub(super) struct DelayedAck {
    /// When the first data arrived that the last ACK before it did not cover: the low 32 bits of a
    /// moment.
    received_at: u32,
    /// The longest delay of an ACK, in milliseconds; 0 delays none.
    delay: u16,
    /// How many times in a row the application has answered in time, up to [`QUICK_ACKS`].
    answers: u8,
    /// The application has sent nothing since `received_at`.
    unanswered: bool,
}

impl DelayedAck {
    /// With a usable `delay`.
    pub(super) fn new(delay: Option<Duration>) -> Self {
        Self {
            received_at: 0,
            delay: delay.map_or(0, |delay| delay.as_millis() as u16), // at most 500 ms
            answers: 0,
            unanswered: false,
        }
    }

    /// Data has arrived at `now`, and everything before it was acknowledged.
    pub(super) fn on_data(&mut self, now: Micros) {
        if self.delay == 0 {
            return;
        }
        if self.waited(now) > IDLE {
            self.quick_acks();
        }
        self.received_at = now as u32;
        self.unanswered = true;
    }

    /// New data is sent at `now`.
    pub(super) fn on_data_sent(&mut self, now: Micros) {
        // Only the first segment after data is an answer to it.
        if std::mem::take(&mut self.unanswered) {
            self.answers = match self.is_over(now) {
                false => (self.answers + 1).min(QUICK_ACKS),
                true => 0,
            };
        }
    }

    /// The next ACKs go out at once: the peer has lost something, or nobody answers it.
    pub(super) fn quick_acks(&mut self) {
        self.answers = 0;
    }

    fn is_interactive(&self) -> bool {
        self.delay > 0 && self.answers >= QUICK_ACKS
    }

    /// Whether the delay has passed.
    fn is_over(&self, now: Micros) -> bool {
        self.waited(now) >= self.delay()
    }

    fn delay(&self) -> Micros {
        Micros::from(self.delay) * 1000
    }

    /// The time since `received_at`. A pause of more than an hour may look like a short one, which
    /// delays one ACK.
    fn waited(&self, now: Micros) -> Micros {
        (now as u32).wrapping_sub(self.received_at).into()
    }
}

impl<F: Flavor> Connection<F> {
    /// The longest delay of an ACK.
    pub(crate) fn delayed_ack(&self) -> Option<Duration> {
        let delay = self.delayed_ack.delay;
        (delay > 0).then(|| Duration::from_millis(delay.into()))
    }

    /// Sets the longest delay of an ACK to a usable one.
    pub(crate) fn set_delayed_ack(&mut self, delay: Option<Duration>) {
        self.delayed_ack = DelayedAck::new(delay);
    }

    /// Whether the ACK that is owed may wait for data of the application. A second full-sized
    /// segment, a FIN and a window update are acknowledged at once. So is what fills a gap:
    /// [`DelayedAck::quick_acks`].
    fn may_delay_ack(&self) -> bool {
        self.delayed_ack.is_interactive()
            && self.state == TcpState::Established
            && self.recv.owes_ack()
            && self.recv.unacknowledged() <= self.send.mss().min(LONG_SEGMENT)
            && !self.recv.should_update_window()
    }

    /// Whether the ACK that is due waits at `now` for data of the application.
    pub(super) fn delays_ack(&self, now: Micros) -> bool {
        self.may_delay_ack() && !self.delayed_ack.is_over(now)
    }

    /// When an ACK that waits goes out without data, or [`NEVER`]. While the ACK is deferred to the
    /// end of the batch, or waits for room, somebody else calls.
    pub(super) fn delayed_ack_deadline(&self, now: Micros) -> Micros {
        if !self.may_delay_ack() || self.ack_deferred || self.waiting {
            return NEVER;
        }
        let ack = &self.delayed_ack;
        now + ack.delay().saturating_sub(ack.waited(now))
    }
}

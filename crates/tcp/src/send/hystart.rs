//! HyStart++ (RFC 9406).

use crate::seq::{Micros, after};

/// Ends slow start when round trips become longer: a queue has begun to fill (RFC 9406).
#[derive(Clone, Copy, Debug)]
pub(super) struct HyStart {
    /// The round ends when this is acknowledged.
    window_end: u32,
    /// The minimum of the last round and of this one, in microseconds.
    last_min_rtt: u32,
    current_min_rtt: u32,
    samples: u8,
    /// Rounds of conservative slow start, from 1 on; 0 outside of it.
    css_rounds: u8,
    in_round: bool,
}

/// No round-trip time has been measured in the round.
const NO_RTT: u32 = u32::MAX;

/// RFC 9406, 4.3.
const MIN_RTT_THRESH: u32 = 4_000;
const MAX_RTT_THRESH: u32 = 16_000;
const N_RTT_SAMPLE: u8 = 8;
const CSS_ROUNDS: u8 = 5;
/// Of how much slow start would grow, conservative slow start grows by this part.
pub(super) const CSS_GROWTH_DIVISOR: u32 = 4;

impl Default for HyStart {
    fn default() -> Self {
        Self {
            window_end: 0,
            last_min_rtt: NO_RTT,
            current_min_rtt: NO_RTT,
            samples: 0,
            css_rounds: 0,
            in_round: false,
        }
    }
}

impl HyStart {
    /// Says whether growth is to be slow: conservative slow start.
    pub(super) fn on_ack(&mut self, ack: u32, nxt: u32, rtt: Option<Micros>) -> bool {
        if !self.in_round || !after(self.window_end, ack) {
            self.in_round = true;
            self.window_end = nxt;
            if self.current_min_rtt != NO_RTT {
                self.last_min_rtt = self.current_min_rtt;
            }
            self.current_min_rtt = NO_RTT;
            self.samples = 0;
            if self.css_rounds > 0 {
                self.css_rounds = self.css_rounds.saturating_add(1);
            }
        }
        if let Some(rtt) = rtt {
            let rtt = rtt.min(u64::from(NO_RTT) - 1) as u32;
            self.current_min_rtt = self.current_min_rtt.min(rtt);
            self.samples = self.samples.saturating_add(1);
        }
        let (last, current) = (self.last_min_rtt, self.current_min_rtt);
        if last != NO_RTT && current != NO_RTT && self.samples >= N_RTT_SAMPLE {
            let thresh = (last / 8).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH);
            if current >= last.saturating_add(thresh) {
                self.css_rounds = self.css_rounds.max(1);
            } else if self.css_rounds > 1 && current < last {
                self.css_rounds = 0; // the rise was noise
            }
        }
        self.css_rounds > 0
    }

    pub(super) fn is_over(&self) -> bool {
        self.css_rounds > CSS_ROUNDS
    }
}

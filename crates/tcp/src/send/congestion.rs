//! How much may be under way: slow start (RFC 5681, 6928) with an early end (RFC 9406), and CUBIC
//! (RFC 9438).

use crate::options::Congestion;
use crate::seq::{Micros, after};

/// RFC 9438, 4.1 and 4.6.
const C: f64 = 0.4;
const BETA: f64 = 0.7;
/// Segments to begin with (RFC 6928).
const INITIAL: u32 = 10;
/// No window in TCP is larger.
const MOST: u32 = 1 << 30;

/// A congestion window, in bytes.
#[derive(Debug)]
pub(super) struct Window {
    kind: Congestion,
    mss: u32,
    cwnd: u32,
    ssthresh: u32,
    cubic: Cubic,
    hystart: HyStart,
}

/// In segments and seconds, as RFC 9438 has it.
#[derive(Debug, Default)]
struct Cubic {
    w_max: f64,
    epoch: Option<Epoch>,
    /// The part of a byte by which the window has grown.
    rest: f64,
}

#[derive(Clone, Copy, Debug)]
struct Epoch {
    began: Micros,
    /// Seconds until the window is back at `w_max`.
    k: f64,
    /// The window that Reno would have by now.
    w_est: f64,
    /// The window when the epoch began.
    from: f64,
}

/// Ends slow start when round trips become longer: a queue has begun to fill (RFC 9406).
#[derive(Debug, Default)]
struct HyStart {
    /// The round ends when this is acknowledged.
    round: Option<u32>,
    last: Option<Micros>,
    current: Option<Micros>,
    samples: u32,
    /// Rounds since growth was slowed down.
    slow: Option<u32>,
}

/// RFC 9406, 4.3.
const SHORTEST_RISE: Micros = 4_000;
const LONGEST_RISE: Micros = 16_000;
const SAMPLES: u32 = 8;
const SLOW_ROUNDS: u32 = 5;
const SLOW_GROWTH: u32 = 4;

impl Window {
    pub(super) fn new(kind: Congestion, mss: u32) -> Self {
        Self {
            kind,
            mss,
            cwnd: initial(mss),
            ssthresh: MOST,
            cubic: Cubic::default(),
            hystart: HyStart::default(),
        }
    }

    pub(super) fn bytes(&self) -> u32 {
        self.cwnd
    }

    pub(super) fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    /// Segments are to be of this size from now on.
    pub(super) fn set_mss(&mut self, mss: u32) {
        self.mss = mss;
    }

    /// `bytes` have arrived, of `flight` that were under way; a round trip took `rtt`, and `next`
    /// is the number after the last one sent.
    pub(super) fn on_ack(
        &mut self,
        now: Micros,
        (bytes, ack): (u32, u32),
        flight: u32,
        (rtt, next): (Option<Micros>, u32),
    ) {
        if self.cwnd < self.ssthresh {
            // A window that is not used says nothing about the path.
            if flight.saturating_mul(2) < self.cwnd {
                return;
            }
            let slow = self.kind == Congestion::Cubic && self.hystart.on_ack(ack, next, rtt);
            let growth = match slow {
                true => bytes.min(self.mss) / SLOW_GROWTH,
                false => bytes,
            };
            self.cwnd = (self.cwnd + growth).min(MOST);
            if self.hystart.over() {
                self.ssthresh = self.cwnd;
            }
        } else if flight + self.cwnd / 8 + self.mss >= self.cwnd {
            let grown = self.grown(now, bytes, rtt.unwrap_or(0));
            self.cwnd = grown.clamp(self.cwnd, MOST);
        }
    }

    /// RFC 9438, 4.2 to 4.4.
    fn grown(&mut self, now: Micros, bytes: u32, rtt: Micros) -> u32 {
        let mss = f64::from(self.mss);
        let cwnd = f64::from(self.cwnd) / mss;
        let acked = f64::from(bytes) / mss;
        let cubic = &mut self.cubic;
        let w_max = cubic.w_max.max(cwnd);
        let epoch = cubic.epoch.get_or_insert_with(|| {
            cubic.w_max = w_max;
            Epoch {
                began: now,
                k: ((w_max - cwnd) / C).cbrt(),
                w_est: cwnd,
                from: cwnd,
            }
        });
        let seconds = |micros: Micros| micros as f64 / 1e6;
        let w_cubic = |t: f64| C * (t - epoch.k).powi(3) + cubic.w_max;
        let t = seconds(now.saturating_sub(epoch.began));
        // As much as Reno, halfway to that of an equal share (RFC 9438, 4.3).
        let alpha = match epoch.w_est < cubic.w_max.max(epoch.from / BETA) {
            true => 3.0 * (1.0 - BETA) / (1.0 + BETA),
            false => 1.0,
        };
        let w_est = epoch.w_est + alpha * acked / cwnd;
        let target = w_cubic(t + seconds(rtt)).clamp(cwnd, 1.5 * cwnd);
        let grown = if w_cubic(t) < w_est {
            w_est.max(cwnd)
        } else {
            cwnd + (target - cwnd) / cwnd * acked
        };
        epoch.w_est = w_est;
        let bytes = grown * mss + cubic.rest;
        cubic.rest = bytes.fract();
        bytes as u32
    }

    /// Something was lost, for the first time in this round trip (RFC 9438, 4.6).
    pub(super) fn on_loss(&mut self) {
        if self.kind == Congestion::None {
            return;
        }
        let cwnd = f64::from(self.cwnd) / f64::from(self.mss);
        // Whoever comes later gets room sooner (RFC 9438, 4.7).
        self.cubic.w_max = match cwnd < self.cubic.w_max {
            true => cwnd * (1.0 + BETA) / 2.0,
            false => cwnd,
        };
        self.cubic.epoch = None;
        self.ssthresh = ((f64::from(self.cwnd) * BETA) as u32).max(2 * self.mss);
        self.cwnd = self.ssthresh;
    }

    /// Nothing has come back for a whole timeout: begin anew (RFC 5681, 3.1). A further one for
    /// the same segment, `again`, says nothing about how much the path takes.
    pub(super) fn on_timeout(&mut self, again: bool) {
        if !again {
            self.on_loss();
        }
        self.hystart = HyStart::default();
        self.cwnd = match self.kind {
            Congestion::Cubic => self.mss,
            Congestion::None => initial(self.mss).min(self.cwnd),
        };
    }

    /// The SYN, or the answer to it, had to be sent again: begin with care (RFC 5681, 3.1).
    pub(super) fn on_lost_syn(&mut self) {
        if self.kind == Congestion::Cubic {
            self.cwnd = self.mss;
        }
    }

    /// Nothing was sent for a whole timeout: what was known of the path is old (RFC 5681, 4.1).
    pub(super) fn on_idle(&mut self) {
        if self.kind == Congestion::Cubic {
            self.cwnd = self.cwnd.min(initial(self.mss));
            self.cubic.epoch = None;
        }
    }
}

/// RFC 6928, 2.
fn initial(mss: u32) -> u32 {
    (INITIAL * mss).min((2 * mss).max(14_600))
}

impl HyStart {
    /// Says whether growth is to be slow.
    fn on_ack(&mut self, ack: u32, next: u32, rtt: Option<Micros>) -> bool {
        if self.round.is_none_or(|round| !after(round, ack)) {
            self.round = Some(next);
            self.last = self.current.take().or(self.last);
            self.samples = 0;
            if let Some(rounds) = &mut self.slow {
                *rounds += 1;
            }
        }
        if let Some(rtt) = rtt {
            self.current = Some(self.current.map_or(rtt, |current| current.min(rtt)));
            self.samples += 1;
        }
        if let (Some(last), Some(current)) = (self.last, self.current)
            && self.samples >= SAMPLES
        {
            let rise = (last / 8).clamp(SHORTEST_RISE, LONGEST_RISE);
            if current >= last + rise {
                self.slow.get_or_insert(0);
            } else if self.slow.is_some_and(|rounds| rounds > 0) && current < last {
                self.slow = None; // it was noise
            }
        }
        self.slow.is_some()
    }

    fn over(&self) -> bool {
        self.slow.is_some_and(|rounds| rounds >= SLOW_ROUNDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;
    const RTT: Micros = 10_000;

    /// One round trip in which the window is used up.
    fn round(window: &mut Window, now: Micros, rtt: Micros, seq: &mut u32) {
        let flight = window.bytes();
        let end = seq.wrapping_add(flight);
        let mut sent = 0;
        while sent < flight {
            let bytes = MSS.min(flight - sent);
            sent += bytes;
            *seq = seq.wrapping_add(bytes);
            window.on_ack(now, (bytes, *seq), flight, (Some(rtt), end));
        }
    }

    #[test]
    fn it_begins_with_ten_segments_and_doubles() {
        let mut window = Window::new(Congestion::Cubic, MSS);
        assert_eq!(window.bytes(), 10 * MSS);
        let mut seq = 0;
        round(&mut window, RTT, RTT, &mut seq);
        assert_eq!(window.bytes(), 20 * MSS);
        assert_eq!(Window::new(Congestion::Cubic, 9000).bytes(), 18_000);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut window = Window::new(Congestion::Cubic, MSS);
        window.on_ack(1, (MSS, 1), MSS, (Some(RTT), 1));
        assert_eq!(window.bytes(), 10 * MSS);
    }

    #[test]
    fn cubic_comes_back_to_where_it_was_in_the_time_that_the_rfc_says() {
        let mut window = Window::new(Congestion::Cubic, MSS);
        window.cwnd = 1000 * MSS;
        window.on_loss();
        assert_eq!(window.bytes(), 700 * MSS);
        // K = cbrt(300 / 0.4) = 9.09 s, at 100 ms a round.
        let (mut seq, mut back) = (0, None);
        for n in 0..150u64 {
            round(&mut window, n * 100_000, 100_000, &mut seq);
            if back.is_none() && window.bytes() >= 1000 * MSS {
                back = Some(n);
            }
        }
        assert!((87..=95).contains(&back.unwrap()), "{back:?}");
        assert!(window.bytes() > 1050 * MSS, "and then further");
    }

    #[test]
    fn a_growing_round_trip_ends_slow_start_and_none_goes_on() {
        for (kind, ends) in [(Congestion::Cubic, true), (Congestion::None, false)] {
            let mut window = Window::new(kind, MSS);
            let mut seq = 0;
            for n in 0..12u64 {
                round(&mut window, n * RTT, RTT + n * 5_000, &mut seq);
            }
            assert_eq!(window.ssthresh() < MOST, ends, "{kind:?}");
        }
    }

    #[test]
    fn a_segment_that_times_out_again_says_nothing_new() {
        let mut window = Window::new(Congestion::Cubic, MSS);
        window.cwnd = 100 * MSS;
        window.on_timeout(false);
        assert_eq!((window.bytes(), window.ssthresh()), (MSS, 70 * MSS));
        window.on_timeout(true);
        assert_eq!((window.bytes(), window.ssthresh()), (MSS, 70 * MSS));
    }

    #[test]
    fn without_congestion_control_a_loss_changes_nothing() {
        let mut window = Window::new(Congestion::None, MSS);
        window.on_loss();
        assert_eq!(window.bytes(), 10 * MSS);
    }
}

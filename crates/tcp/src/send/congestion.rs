//! Congestion control: slow start (RFC 5681, 6928) with HyStart++ (RFC 9406), and CUBIC (RFC 9438).

use super::hystart::{CSS_GROWTH_DIVISOR, HyStart};
use crate::options::Congestion;
use crate::seq::Micros;

/// RFC 9438, 4.1 and 4.6.
const C: f64 = 0.4;
const BETA: f64 = 0.7;
/// Segments to begin with (RFC 6928).
const INITIAL_WINDOW: u32 = 10;
/// No window in TCP is larger.
const MAX_WINDOW: u32 = 1 << 30;

/// The congestion window and how it grows, in bytes.
#[derive(Debug)]
pub(super) struct Window {
    /// CUBIC's present epoch: none before the first loss.
    epoch: Option<Box<Epoch>>,
    cwnd: u32,
    ssthresh: u32,
    /// The window before the last reduction (RFC 9438, 4.1.2); 0 before the first.
    w_max: u32,
    hystart: HyStart,
    /// An MSS comes from an option of 16 bits (RFC 9293, 3.7.1).
    mss: u16,
    kind: Congestion,
}

/// A congestion avoidance stage of CUBIC, in segments and seconds as in RFC 9438.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    began: Micros,
    w_max: f64,
    /// Seconds until the window is back at `w_max`.
    k: f64,
    /// The window that Reno would have by now.
    w_est: f64,
    /// The window when the epoch began.
    cwnd_epoch: f64,
    /// The part of a byte by which the window has grown.
    fraction: f64,
}

/// What a congestion response changes (RFC 9438, 4.9).
#[derive(Debug)]
pub(super) struct Prior {
    epoch: Option<Box<Epoch>>,
    cwnd: u32,
    ssthresh: u32,
    w_max: u32,
    hystart: HyStart,
}

impl Prior {
    pub(super) fn heap_size(&self) -> usize {
        self.epoch.as_ref().map_or(0, |_| size_of::<Epoch>())
    }
}

impl Window {
    pub(super) fn new(kind: Congestion, mss: u32) -> Self {
        Self {
            epoch: None,
            cwnd: initial_window(mss),
            ssthresh: MAX_WINDOW,
            w_max: 0,
            hystart: HyStart::default(),
            mss: mss.clamp(1, u16::MAX.into()) as u16,
            kind,
        }
    }

    pub(super) fn kind(&self) -> Congestion {
        self.kind
    }

    pub(super) fn mss(&self) -> u32 {
        self.mss.into()
    }

    pub(super) fn cwnd(&self) -> u32 {
        self.cwnd
    }

    pub(super) fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    /// Segments are of this size from now on. A window of one segment stays one.
    pub(super) fn set_mss(&mut self, mss: u32) {
        let one = self.cwnd <= self.mss.into();
        self.mss = mss.clamp(1, u16::MAX.into()) as u16;
        if one {
            self.cwnd = self.mss.into();
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_size(&self) -> usize {
        self.epoch.as_ref().map_or(0, |_| size_of::<Epoch>())
    }

    /// Gives the heap memory back. The next acknowledgment begins a new epoch.
    pub(super) fn release(&mut self) {
        self.epoch = None;
    }

    /// `bytes` have arrived, of `flight` that were in flight; a round trip took `rtt`, and `nxt`
    /// is SND.NXT.
    pub(super) fn on_ack(
        &mut self,
        now: Micros,
        (bytes, ack): (u32, u32),
        flight: u32,
        (rtt, nxt): (Option<Micros>, u32),
    ) {
        if self.cwnd < self.ssthresh {
            // A window that is not used says nothing about the path (RFC 7661).
            if flight.saturating_mul(2) < self.cwnd {
                return;
            }
            let slow = self.kind == Congestion::Cubic && self.hystart.on_ack(ack, nxt, rtt);
            let growth = match slow {
                true => bytes.min(self.mss()) / CSS_GROWTH_DIVISOR,
                false => bytes,
            };
            self.cwnd = (self.cwnd + growth).min(MAX_WINDOW);
            if self.hystart.is_over() {
                self.ssthresh = self.cwnd;
            }
        } else if flight + self.cwnd / 8 + self.mss() >= self.cwnd {
            let grown = self.grown(now, bytes, rtt.unwrap_or(0));
            self.cwnd = grown.clamp(self.cwnd, MAX_WINDOW);
        }
    }

    /// RFC 9438, 4.2 to 4.4.
    fn grown(&mut self, now: Micros, bytes: u32, rtt: Micros) -> u32 {
        let mss = f64::from(self.mss);
        let cwnd = f64::from(self.cwnd) / mss;
        let acked = f64::from(bytes) / mss;
        let w_max = self.w_max.max(self.cwnd);
        let epoch = self.epoch.get_or_insert_with(|| {
            self.w_max = w_max;
            let w_max = f64::from(w_max) / mss;
            Box::new(Epoch {
                began: now,
                w_max,
                k: ((w_max - cwnd) / C).cbrt(),
                w_est: cwnd,
                cwnd_epoch: cwnd,
                fraction: 0.0,
            })
        });
        let seconds = |micros: Micros| micros as f64 / 1e6;
        let w_cubic = |t: f64| C * (t - epoch.k).powi(3) + epoch.w_max;
        let t = seconds(now.saturating_sub(epoch.began));
        // As much as Reno, halfway to that of an equal share (RFC 9438, 4.3).
        let alpha = match epoch.w_est < epoch.w_max.max(epoch.cwnd_epoch / BETA) {
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
        let bytes = grown * mss + epoch.fraction;
        epoch.fraction = bytes.fract();
        bytes as u32
    }

    /// Something was lost, for the first time in this round trip (RFC 9438, 4.6).
    pub(super) fn on_loss(&mut self) {
        if self.kind == Congestion::None {
            return;
        }
        let cwnd = f64::from(self.cwnd);
        // Fast convergence (RFC 9438, 4.7).
        self.w_max = match self.cwnd < self.w_max {
            true => (cwnd * (1.0 + BETA) / 2.0) as u32,
            false => self.cwnd,
        };
        self.epoch = None;
        self.ssthresh = ((cwnd * BETA) as u32).max(2 * self.mss());
        self.cwnd = self.ssthresh;
    }

    /// The retransmission timer has expired: slow start begins anew (RFC 5681, 3.1). A further
    /// timeout of the same segment, `again`, says nothing new about the path.
    pub(super) fn on_timeout(&mut self, again: bool) {
        if !again {
            self.on_loss();
        }
        self.hystart = HyStart::default();
        self.cwnd = match self.kind {
            Congestion::Cubic => self.mss(),
            Congestion::None => initial_window(self.mss()).min(self.cwnd),
        };
    }

    /// More than one SYN or SYN-ACK was lost: one segment to begin with (RFC 5681, 3.1).
    pub(super) fn on_lost_syns(&mut self) {
        if self.kind == Congestion::Cubic {
            self.cwnd = self.mss();
        }
    }

    /// Nothing was sent for a whole timeout (RFC 5681, 4.1).
    pub(super) fn on_idle(&mut self) {
        if self.kind == Congestion::Cubic {
            self.cwnd = self.cwnd.min(initial_window(self.mss()));
            self.epoch = None;
        }
    }

    /// What a congestion response changes, for [`restore`](Self::restore).
    pub(super) fn prior(&self) -> Prior {
        Prior {
            epoch: self.epoch.clone(),
            cwnd: self.cwnd,
            ssthresh: self.ssthresh,
            w_max: self.w_max,
            hystart: self.hystart,
        }
    }

    /// The congestion response was spurious (RFC 9438, 4.9).
    pub(super) fn restore(&mut self, prior: Prior) {
        let Prior {
            epoch,
            cwnd,
            ssthresh,
            w_max,
            hystart,
        } = prior;
        if self.cwnd < cwnd {
            self.epoch = epoch;
            self.cwnd = cwnd;
            self.w_max = w_max;
            self.hystart = hystart;
        }
        self.ssthresh = self.ssthresh.max(ssthresh);
    }
}

/// RFC 6928, 2.
fn initial_window(mss: u32) -> u32 {
    (INITIAL_WINDOW * mss).min((2 * mss).max(14_600))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;
    const RTT: Micros = 10_000;

    /// One round trip in which the window is used up.
    fn round(window: &mut Window, now: Micros, rtt: Micros, seq: &mut u32) {
        let flight = window.cwnd();
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
        assert_eq!(window.cwnd(), 10 * MSS);
        let mut seq = 0;
        round(&mut window, RTT, RTT, &mut seq);
        assert_eq!(window.cwnd(), 20 * MSS);
        assert_eq!(Window::new(Congestion::Cubic, 9000).cwnd(), 18_000);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut window = Window::new(Congestion::Cubic, MSS);
        window.on_ack(1, (MSS, 1), MSS, (Some(RTT), 1));
        assert_eq!(window.cwnd(), 10 * MSS);
    }

    #[test]
    fn cubic_comes_back_to_where_it_was_in_the_time_that_the_rfc_says() {
        let mut window = Window::new(Congestion::Cubic, MSS);
        window.cwnd = 1000 * MSS;
        window.on_loss();
        assert_eq!(window.cwnd(), 700 * MSS);
        // K = cbrt(300 / 0.4) = 9.09 s, at 100 ms a round.
        let (mut seq, mut back) = (0, None);
        for n in 0..150u64 {
            round(&mut window, n * 100_000, 100_000, &mut seq);
            if back.is_none() && window.cwnd() >= 1000 * MSS {
                back = Some(n);
            }
        }
        assert!((87..=95).contains(&back.unwrap()), "{back:?}");
        assert!(window.cwnd() > 1050 * MSS, "and then further");
    }

    #[test]
    fn a_growing_round_trip_ends_slow_start_and_none_goes_on() {
        for (kind, ends) in [(Congestion::Cubic, true), (Congestion::None, false)] {
            let mut window = Window::new(kind, MSS);
            let mut seq = 0;
            for n in 0..12u64 {
                round(&mut window, n * RTT, RTT + n * 5_000, &mut seq);
            }
            assert_eq!(window.ssthresh() < MAX_WINDOW, ends, "{kind:?}");
        }
    }

    #[test]
    fn a_segment_that_times_out_again_says_nothing_new() {
        let mut window = Window::new(Congestion::Cubic, MSS);
        window.cwnd = 100 * MSS;
        window.on_timeout(false);
        assert_eq!((window.cwnd(), window.ssthresh()), (MSS, 70 * MSS));
        window.on_timeout(true);
        assert_eq!((window.cwnd(), window.ssthresh()), (MSS, 70 * MSS));
    }

    #[test]
    fn without_congestion_control_a_loss_changes_nothing() {
        let mut window = Window::new(Congestion::None, MSS);
        window.on_loss();
        assert_eq!(window.cwnd(), 10 * MSS);
    }
}

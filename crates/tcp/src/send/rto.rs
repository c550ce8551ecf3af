//! Round-trip time and retransmission timeout (RFC 6298).

use crate::seq::Micros;

/// The estimator of one connection. Times are in microseconds, of which 32 bits hold 71 minutes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rto {
    /// SRTT; 0 before the first sample.
    srtt: u32,
    rttvar: u32,
    /// The shortest sample of late, and when it was taken, in seconds. 0 before the first sample.
    min_rtt: u32,
    min_rtt_at: u32,
    /// The latest sample, until it is [taken](Self::take_sample); 0 after that.
    latest: u32,
}

/// Before the first sample (RFC 6298, 2.1).
const INITIAL_RTO: Micros = 1_000_000;
/// RFC 6298, 2.4 asks for a second. Like Linux, this is 200 ms, which acknowledgments that are
/// delayed by 40 ms do not reach.
const MIN_RTO: Micros = 200_000;
/// RFC 6298, 2.5.
const MAX_RTO: Micros = 60_000_000;
/// A minimum is forgotten after this time: routes change.
const MIN_RTT_WINDOW: u32 = 300;

impl Rto {
    /// Takes in a sample of at least a microsecond.
    pub(super) fn sample(&mut self, now: Micros, rtt: Micros) {
        let rtt = rtt.clamp(1, 1 << 30) as u32;
        self.latest = rtt;
        if self.srtt == 0 {
            self.srtt = rtt;
            self.rttvar = rtt / 2;
        } else {
            let error = u64::from(self.srtt.abs_diff(rtt));
            self.rttvar = ((3 * u64::from(self.rttvar) + error) / 4) as u32;
            let sum = 7 * u64::from(self.srtt) + u64::from(rtt);
            self.srtt = ((sum / 8) as u32).max(1);
        }
        let seconds = (now / 1_000_000) as u32;
        let expired = seconds.wrapping_sub(self.min_rtt_at) >= MIN_RTT_WINDOW;
        if self.min_rtt == 0 || rtt <= self.min_rtt || expired {
            self.min_rtt = rtt;
            self.min_rtt_at = seconds;
        }
    }

    /// The latest sample, once.
    pub(super) fn take_sample(&mut self) -> Option<u32> {
        let sample = std::mem::take(&mut self.latest);
        (sample > 0).then_some(sample)
    }

    /// The smoothed round-trip time.
    pub(super) fn srtt(&self) -> Option<Micros> {
        (self.srtt > 0).then_some(self.srtt.into())
    }

    pub(super) fn rttvar(&self) -> Micros {
        self.rttvar.into()
    }

    /// The shortest round-trip time of the last five minutes.
    pub(super) fn min_rtt(&self) -> Option<Micros> {
        (self.min_rtt > 0).then_some(self.min_rtt.into())
    }

    /// The retransmission timeout, doubled `backoff` times (RFC 6298, 5.5).
    pub(super) fn timeout(&self, backoff: u8) -> Micros {
        let timeout = match self.srtt() {
            None => INITIAL_RTO,
            Some(srtt) => srtt + (4 * self.rttvar()).max(MIN_RTO),
        };
        timeout
            .saturating_mul(1 << backoff.min(20))
            .clamp(MIN_RTO, MAX_RTO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_follows_the_samples() {
        let mut rto = Rto::default();
        assert_eq!(rto.timeout(0), INITIAL_RTO);
        assert_eq!(rto.timeout(2), 4 * INITIAL_RTO);
        assert_eq!(rto.timeout(60), MAX_RTO);
        rto.sample(0, 100_000);
        assert_eq!(rto.timeout(0), 300_000);
        for n in 0..50 {
            rto.sample(n, 100_000);
        }
        assert_eq!(rto.srtt(), Some(100_000));
        assert_eq!(rto.timeout(0), 300_000, "never less than 200 ms on top");
        rto.sample(50, 900_000);
        assert!(rto.timeout(0) > 900_000);
        assert_eq!(rto.min_rtt(), Some(100_000));
        rto.sample(u64::from(MIN_RTT_WINDOW) * 1_000_000, 500_000);
        assert_eq!(rto.min_rtt(), Some(500_000));
    }
}

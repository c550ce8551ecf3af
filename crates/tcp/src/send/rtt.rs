//! How long a round trip takes, and how long to wait for one (RFC 6298).

use crate::seq::Micros;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rtt {
    smoothed: Option<Micros>,
    variation: Micros,
    /// The shortest of late, and when it was seen.
    shortest: Option<(Micros, Micros)>,
}

/// Before anything has been measured (RFC 6298, 2.1).
const INITIAL: Micros = 1_000_000;
/// RFC 6298, 2.4 asks for a second; hosts have used a fifth of it for decades, which acknowledgements
/// that are delayed by 40 ms need not fear.
const SHORTEST_RTO: Micros = 200_000;
/// RFC 6298, 2.5.
const LONGEST_RTO: Micros = 60_000_000;
/// A shorter round trip than ever since is forgotten after this: routes change.
const MEMORY: Micros = 300_000_000;

impl Rtt {
    pub(super) fn sample(&mut self, now: Micros, rtt: Micros) {
        let rtt = rtt.max(1);
        match self.smoothed {
            None => {
                self.smoothed = Some(rtt);
                self.variation = rtt / 2;
            }
            Some(smoothed) => {
                self.variation = (3 * self.variation + smoothed.abs_diff(rtt)) / 4;
                self.smoothed = Some((7 * smoothed + rtt) / 8);
            }
        }
        match self.shortest {
            Some((shortest, at)) if shortest < rtt && now < at + MEMORY => {}
            _ => self.shortest = Some((rtt, now)),
        }
    }

    pub(super) fn smoothed(&self) -> Option<Micros> {
        self.smoothed
    }

    pub(super) fn variation(&self) -> Micros {
        self.variation
    }

    pub(super) fn shortest(&self) -> Option<Micros> {
        self.shortest.map(|(rtt, _)| rtt)
    }

    /// The retransmission timeout, doubled `backoff` times.
    pub(super) fn timeout(&self, backoff: u32) -> Micros {
        let timeout = match self.smoothed {
            None => INITIAL,
            Some(smoothed) => smoothed + (4 * self.variation).max(SHORTEST_RTO),
        };
        timeout
            .saturating_mul(1 << backoff.min(20))
            .clamp(SHORTEST_RTO, LONGEST_RTO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_follows_what_is_measured() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.timeout(0), INITIAL);
        assert_eq!(rtt.timeout(2), 4 * INITIAL);
        assert_eq!(rtt.timeout(60), LONGEST_RTO);
        rtt.sample(0, 100_000);
        assert_eq!(rtt.timeout(0), 300_000);
        for n in 0..50 {
            rtt.sample(n, 100_000);
        }
        assert_eq!(rtt.smoothed(), Some(100_000));
        assert_eq!(rtt.timeout(0), 300_000, "never less than 200 ms on top");
        rtt.sample(50, 900_000);
        assert!(rtt.timeout(0) > 900_000);
        assert_eq!(rtt.shortest(), Some(100_000));
        rtt.sample(MEMORY + 100, 500_000);
        assert_eq!(rtt.shortest(), Some(500_000));
    }
}

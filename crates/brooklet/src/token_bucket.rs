use std::time::{Duration, Instant};

/// ICMP errors that may be sent at once.
const BURST: u32 = 50;

/// How often one more may be sent: 100 a second.
const EVERY: Duration = Duration::from_millis(10);

/// Limits how many ICMP errors are sent (RFC 4443, 2.4(f); RFC 1812, 4.3.2.8).
#[derive(Debug, Default)]
pub(crate) struct TokenBucket {
    /// How many have been sent that time has not made up for yet.
    owed: u32,
    /// From when on time is counted.
    since: Option<Instant>,
}

impl TokenBucket {
    /// Whether one may be sent now; if so, it is counted.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let earned = now.saturating_duration_since(since).as_nanos() / EVERY.as_nanos();
        if earned >= u128::from(self.owed) {
            self.owed = 0;
            self.since = Some(now);
        } else {
            // Fewer than are owed, which fit.
            let earned = earned as u32;
            self.owed -= earned;
            self.since = Some(since + EVERY * earned);
        }
        let may = self.owed < BURST;
        self.owed += u32::from(may);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut TokenBucket, now: Instant) -> usize {
        (0..1000).filter(|_| bucket.take(now)).count()
    }

    #[test]
    fn a_burst_and_then_one_every_ten_milliseconds() {
        let (mut bucket, start) = (TokenBucket::default(), Instant::now());
        assert_eq!(taken(&mut bucket, start), 50);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(9)), 0);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(10)), 1);
        // What is left of a span counts for the next.
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(35)), 2);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(40)), 1);
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(60)), 50);
    }

    #[test]
    fn asking_often_earns_nothing() {
        let (mut bucket, start) = (TokenBucket::default(), Instant::now());
        let sent = (0..10_000)
            .filter(|at| bucket.take(start + Duration::from_millis(1) * *at))
            .count();
        // Ten seconds, less the last ten milliseconds of them, and the burst.
        assert_eq!(sent, 50 + 999);
    }
}

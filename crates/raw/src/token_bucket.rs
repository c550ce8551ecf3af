use std::time::{Duration, Instant};

/// The most ICMP errors that are sent at once.
const BURST: u32 = 50;

/// The time in which the bucket gains one token: 100 ICMP errors per second.
const INTERVAL: Duration = Duration::from_millis(10);

/// Limits how many ICMP errors are sent (RFC 4443, 2.4(f); RFC 1812, 4.3.2.8): 100 per second, and
/// 50 at once.
#[derive(Debug, Default)]
pub(crate) struct TokenBucket {
    /// The tokens that are missing from a full bucket.
    missing: u32,
    /// From when on the time counts for the next token.
    since: Option<Instant>,
}

impl TokenBucket {
    /// Takes a token for one ICMP error. Returns whether there was one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let earned = now.saturating_duration_since(since).as_nanos() / INTERVAL.as_nanos();
        if earned >= u128::from(self.missing) {
            self.missing = 0;
            self.since = Some(now);
        } else {
            let earned = earned as u32; // fewer than `missing`
            self.missing -= earned;
            self.since = Some(since + INTERVAL * earned);
        }
        let allowed = self.missing < BURST;
        self.missing += u32::from(allowed);
        allowed
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the start of a test's own time")]
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
        // The rest of an interval counts for the next token.
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

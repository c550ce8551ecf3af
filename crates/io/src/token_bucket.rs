use std::time::{Duration, Instant};

/// A rate limit: a burst of tokens, and one more token in each interval.
///
/// ```
/// use brooklet_io::TokenBucket;
/// use std::time::{Duration, Instant};
///
/// let (mut bucket, start) = (TokenBucket::new(), Instant::now());
/// // Two at once, and then one every 10 ms.
/// let (burst, interval) = (2, Duration::from_millis(10));
/// assert!(bucket.take(burst, interval, start));
/// assert!(bucket.take(burst, interval, start));
/// assert!(!bucket.take(burst, interval, start));
/// assert!(bucket.take(burst, interval, start + interval));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenBucket {
    /// The tokens that are missing from a full bucket.
    missing: u32,
    /// From when on the time counts for the next token.
    since: Option<Instant>,
}

impl TokenBucket {
    /// Returns a full bucket.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            missing: 0,
            since: None,
        }
    }

    /// Takes a token from a bucket of `burst` tokens that gains one in each `interval`. Returns
    /// whether there was one. An interval of 0 counts as 1 ns.
    ///
    /// A `now` that is earlier than that of a call before adds no tokens.
    #[must_use]
    pub fn take(&mut self, burst: u32, interval: Duration, now: Instant) -> bool {
        let allowed = self.refill(burst, interval, now);
        self.missing += u32::from(allowed);
        allowed
    }

    /// Adds the tokens that the bucket has gained. Returns whether [`take`](Self::take) would take
    /// one.
    pub fn refill(&mut self, burst: u32, interval: Duration, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let interval = interval.max(Duration::from_nanos(1));
        let gained = now.saturating_duration_since(since).as_nanos() / interval.as_nanos();
        if gained >= u128::from(self.missing) {
            self.missing = 0;
            self.since = Some(now.max(since));
        } else {
            let gained = gained as u32; // fewer than `missing`
            self.missing -= gained;
            self.since = Some(since + interval * gained);
        }
        self.missing < burst
    }

    /// Returns when the bucket gained its last token; `None` before the first call.
    #[must_use]
    pub fn last_gain(&self) -> Option<Instant> {
        self.since
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the start of a test's own time")]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_goes_back_gives_no_tokens_and_takes_none() {
        let (mut bucket, start) = (TokenBucket::new(), Instant::now());
        let later = start + Duration::from_secs(10);
        let mut take = |now| bucket.take(2, Duration::from_secs(1), now);
        assert!(take(later) && take(later) && !take(later));
        assert!(!take(start) && !take(later));
        assert!(take(later + Duration::from_secs(1)));
    }

    #[test]
    fn an_interval_of_nothing_does_not_divide_by_zero() {
        let (mut bucket, start) = (TokenBucket::new(), Instant::now());
        assert!(bucket.take(1, Duration::ZERO, start));
        assert!(!bucket.take(1, Duration::ZERO, start));
        assert!(bucket.take(1, Duration::ZERO, start + Duration::from_nanos(1)));
        assert!(!bucket.take(0, Duration::ZERO, start));
    }
}

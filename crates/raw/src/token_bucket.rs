use brooklet_io::TokenBucket;
use brooklet_packet::SourcePrefix;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// To one source: at most 50 ICMP errors at once, and 100 per second.
const SOURCE: Rate = Rate {
    burst: 50,
    interval: Duration::from_millis(10),
};

/// To all sources: ten times that. The rate is that of Linux (`icmp_msgs_per_sec`).
const ALL: Rate = Rate {
    burst: 500,
    interval: Duration::from_millis(1),
};

/// The most sources with a bucket of their own.
const SOURCES: usize = 256;

/// Limits how many ICMP errors are sent (RFC 4443, 2.4(f); RFC 1812, 4.3.2.8).
///
/// A source is the sender of the packet that an error is about: an IPv4 address or an IPv6 /64. Each
/// source has a bucket of its own in front of the bucket of all, so that one source that sends packets
/// to be rejected does not take the errors of other sources.
#[derive(Debug, Default)]
pub(crate) struct TokenBuckets {
    all: TokenBucket,
    sources: HashMap<SourcePrefix, TokenBucket, RandomState>,
}

impl TokenBuckets {
    /// Takes a token for one ICMP error about a packet from `source`. Returns whether there was one.
    pub(crate) fn take(&mut self, now: Instant, source: IpAddr) -> bool {
        // An error that is not sent takes no token from either bucket.
        if !self.all.refill(ALL.burst, ALL.interval, now) {
            return false;
        }
        let source = SourcePrefix::new(source);
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&source) {
            self.forget_oldest();
        }
        let bucket = self.sources.entry(source).or_default();
        bucket.take(SOURCE.burst, SOURCE.interval, now)
            && self.all.take(ALL.burst, ALL.interval, now)
    }

    /// Removes the bucket of the source that had the last error the longest time ago. The search is
    /// part of an error that is sent, so the bucket of all limits how often it happens.
    fn forget_oldest(&mut self) {
        let oldest = self
            .sources
            .iter()
            .min_by_key(|(_, bucket)| bucket.last_gain());
        if let Some((&oldest, _)) = oldest {
            self.sources.remove(&oldest);
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    /// The tokens of a full bucket.
    burst: u32,
    /// The time in which a bucket gains one token.
    interval: Duration,
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the start of a test's own time")]
mod tests {
    use super::*;

    /// The `n`th source.
    fn source(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).into()
    }

    fn taken(buckets: &mut TokenBuckets, now: Instant, n: u32) -> usize {
        (0..1000).filter(|_| buckets.take(now, source(n))).count()
    }

    #[test]
    fn a_burst_and_then_one_every_ten_milliseconds() {
        let (mut buckets, start) = (TokenBuckets::default(), Instant::now());
        let mut taken_at = |ms| taken(&mut buckets, start + Duration::from_millis(ms), 1);
        assert_eq!(taken_at(0), 50);
        assert_eq!(taken_at(9), 0);
        assert_eq!(taken_at(10), 1);
        // The rest of an interval counts for the next token.
        assert_eq!(taken_at(35), 2);
        assert_eq!(taken_at(40), 1);
        assert_eq!(taken_at(60_000), 50);
    }

    #[test]
    fn asking_often_earns_nothing() {
        let (mut buckets, start) = (TokenBuckets::default(), Instant::now());
        let sent = (0..10_000)
            .filter(|at| buckets.take(start + Duration::from_millis(1) * *at, source(1)))
            .count();
        // Ten seconds, less the last ten milliseconds of them, and the burst.
        assert_eq!(sent, 50 + 999);
    }

    #[test]
    fn a_source_that_asks_all_the_time_leaves_tokens_to_others() {
        let (mut buckets, start) = (TokenBuckets::default(), Instant::now());
        for ms in 0..1000 {
            let now = start + Duration::from_millis(ms);
            taken(&mut buckets, now, 1);
            if ms % 10 == 5 {
                assert!(buckets.take(now, source(2)), "after {ms} ms");
            }
        }
        // The addresses of an IPv6 /64 are one source.
        let address = |n: u128| IpAddr::from((0xfd00_u128 << 112 | n).to_be_bytes());
        let now = start + Duration::from_secs(9);
        let sent = (0..1000).filter(|n| buckets.take(now, address(*n)));
        assert_eq!(sent.count(), 50);
    }

    #[test]
    fn all_sources_together_have_a_limit_and_the_table_has_one() {
        let (mut buckets, start) = (TokenBuckets::default(), Instant::now());
        let mut taken_by_all = |now| {
            (0..1000)
                .map(|n| taken(&mut buckets, now, n))
                .sum::<usize>()
        };
        assert_eq!(taken_by_all(start), 500);
        assert_eq!(taken_by_all(start + Duration::from_millis(100)), 100);
        for n in 0..1000 {
            let now = start + Duration::from_secs(10) + Duration::from_millis(1) * n;
            assert!(buckets.take(now, source(n)));
        }
        assert_eq!(buckets.sources.len(), SOURCES);
        assert!(buckets.sources.contains_key(&source(999).into()));
        assert!(!buckets.sources.contains_key(&source(700).into()));
    }
}

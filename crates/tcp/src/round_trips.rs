//! The round-trip times of all connections, as a histogram.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The buckets of the histogram.
const BUCKETS: usize = 21;

/// The first bucket ends at 2 to this power microseconds, and each further one at twice the time.
const FIRST: u32 = 5;

/// A sample is at most this long, in microseconds.
const LONGEST: u64 = 1 << 30;

/// A histogram of the round-trip times that acknowledgments gave.
///
/// Every sample counts that enters the smoothed round-trip time of a connection (RFC 6298): at most
/// one for each acknowledgment of new data, and none by an ambiguous one (Karn's algorithm). A
/// bucket ends at twice the time of the one before, so that a quantile is known to a factor of two.
///
/// ```
/// use brooklet_tcp::RoundTrips;
/// use std::time::Duration;
///
/// let mut round_trips = RoundTrips::default();
/// assert_eq!(round_trips.mean(), None);
/// // 98 round trips of 900 us, and two of 70 ms.
/// round_trips.counts[5] = 98;
/// round_trips.counts[12] = 2;
/// round_trips.sum = 98 * Duration::from_micros(900) + 2 * Duration::from_millis(70);
/// assert_eq!(round_trips.count(), 100);
/// assert_eq!(round_trips.mean(), Some(Duration::from_micros(2282)));
/// assert_eq!(round_trips.quantile(0.5), Some(Duration::from_micros(1024)));
/// assert_eq!(round_trips.quantile(0.99), Some(Duration::from_micros(131_072)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
#[non_exhaustive]
pub struct RoundTrips {
    /// The samples in each bucket: those longer than the [bound](Self::BOUNDS) before, and at most
    /// as long as the bound with the same index.
    pub counts: [u64; BUCKETS],
    /// The sum of all samples.
    pub sum: Duration,
}

impl RoundTrips {
    /// The longest round-trip time of each bucket: 32 us, 64 us, and so on up to 16.8 s. The last
    /// bucket has all longer samples, which count as 18 minutes at most.
    pub const BOUNDS: [Duration; BUCKETS] = {
        let mut bounds = [Duration::from_micros(LONGEST); BUCKETS];
        let mut bucket = 0;
        while bucket < BUCKETS - 1 {
            bounds[bucket] = Duration::from_micros(1 << (FIRST + bucket as u32));
            bucket += 1;
        }
        bounds
    };

    /// Returns the number of samples.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the mean of the samples, `None` without a sample.
    pub fn mean(&self) -> Option<Duration> {
        let nanos = self.sum.as_nanos().checked_div(self.count().into())?;
        Some(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }

    /// Returns a bound that the part `quantile` of the samples, such as 0.5 or 0.99, does not
    /// exceed: that of a bucket, at most twice the quantile itself. `None` without a sample.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let wanted = (count as f64 * quantile).ceil().max(1.0);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen as f64 >= wanted
        });
        Some(Self::BOUNDS[bucket.unwrap_or(BUCKETS - 1)])
    }
}

/// The round-trip times that the engine of one device queue takes. Only that engine writes them,
/// and any thread may read them, so that a sample costs two additions and no locked instruction.
#[derive(Debug, Default)]
pub(crate) struct RoundTripCounters {
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl RoundTripCounters {
    /// Counts a sample of at least a microsecond.
    pub(crate) fn record(&self, micros: u32) {
        let add = |counter: &AtomicU64, more: u64| {
            counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
        };
        add(&self.counts[bucket(micros)], 1);
        add(&self.sum, micros.into());
    }

    /// Adds the samples to those of other queues.
    pub(crate) fn add_to(&self, round_trips: &mut RoundTrips) {
        for (sum, count) in round_trips.counts.iter_mut().zip(&self.counts) {
            *sum += count.load(Relaxed);
        }
        round_trips.sum += Duration::from_micros(self.sum.load(Relaxed));
    }
}

/// The bucket of a sample of at least a microsecond.
fn bucket(micros: u32) -> usize {
    let power = u32::BITS - (micros - 1).leading_zeros(); // the next power of two
    (power.saturating_sub(FIRST) as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let samples = [
            1,
            31,
            32,
            33,
            64,
            65,
            1 << 24,
            (1 << 24) + 1,
            LONGEST as u32,
        ];
        for micros in samples {
            let sample = Duration::from_micros(micros.into());
            let fits = |bound: &Duration| sample <= *bound;
            let expected = RoundTrips::BOUNDS.iter().position(fits);
            assert_eq!(Some(bucket(micros)), expected, "{micros} us");
        }
    }

    #[test]
    fn the_samples_of_two_queues_add_up() {
        let (one, two) = (RoundTripCounters::default(), RoundTripCounters::default());
        one.record(100);
        two.record(100);
        two.record(50_000);
        let mut both = RoundTrips::default();
        one.add_to(&mut both);
        two.add_to(&mut both);
        assert_eq!(both.count(), 3);
        assert_eq!(both.sum, Duration::from_micros(50_200));
        assert_eq!(both.quantile(0.6), Some(Duration::from_micros(128)));
        assert_eq!(both.quantile(1.0), Some(Duration::from_micros(65_536)));
        assert_eq!(both.quantile(0.0), Some(Duration::from_micros(128)));
    }
}

//! How many packets a rule has matched.

use crate::Verdict;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The packets that a rule or a policy has decided on, and their bytes.
///
/// The numbers are read while the drivers count, so the bytes may be those of one packet more or
/// less. They start at 0 with the ruleset, and wrap around at 2⁶⁴.
///
/// ```
/// use brooklet_filter::{Direction, Filter, Ruleset};
/// use brooklet_packet::{Packet, udp};
///
/// let rules: Ruleset = "udp dport 53 pass".parse()?;
/// let mut bytes = Vec::new();
/// udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:53".parse()?, 64, b"question")?;
/// rules.verdict(&Packet::parse(&bytes)?, Direction::Inbound);
///
/// let counters = rules.counters().next().expect("there is one rule");
/// assert_eq!((counters.packets, counters.bytes), (1, 36));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Counters {
    /// The number of packets.
    pub packets: u64,
    /// The lengths of these packets, IP headers included.
    pub bytes: u64,
}

/// A verdict and its counters side by side, in one cache line.
#[derive(Debug)]
#[repr(align(32))]
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Decision {
    pub(super) fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    pub(super) fn add(&self, Counters { packets, bytes }: Counters) {
        self.packets.fetch_add(packets, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn counters(&self) -> Counters {
        Counters {
            packets: self.packets.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }
}

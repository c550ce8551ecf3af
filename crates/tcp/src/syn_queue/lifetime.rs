//! How long a request waits.
//!
//! A client that gives up often says nothing, so a request lives as long as its client repeats the
//! SYN. Clients double the time between their SYNs (RFC 6298, 5.5; Linux sends them 0, 1, 3, 7, 15,
//! 31 and 63 s after the `connect`, since 6.5 the first five a second apart). A request therefore expires when, after the client's last SYN,
//! three times the time between the last two SYNs has passed without another, which leaves a
//! margin beyond the doubled time. A client that has repeated nothing yet, or repeats quickly, has
//! `handshake_timeout`: a flood whose sources are spoofed repeats nothing and holds its places for
//! no longer. In any case a request expires `request_timeout` after the first SYN.
//!
//! Times are whole seconds since the stack's epoch, rounded up, so that requests expire in batches.

use std::time::{Duration, Instant};

/// How many times the time between the last two SYNs a client has to send the next.
const GAPS: u32 = 3;

/// The limits of the waiting times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) epoch: Instant,
    /// The least time after the last SYN.
    pub(crate) handshake_timeout: Duration,
    /// The most time after the first SYN.
    pub(crate) request_timeout: Duration,
}

/// The waiting time of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime {
    /// When the client sent its last SYN, in milliseconds since the epoch, modulo 2^32.
    last_syn: u32,
    /// In seconds since the epoch.
    expiry: u32,
    latest_expiry: u32,
}

impl Lifetime {
    /// That of a request whose first SYN has arrived.
    pub(super) fn new(now: Instant, limits: &Lifetimes) -> Self {
        let latest_expiry = limits.second(now + limits.request_timeout);
        Self {
            last_syn: limits.millis(now),
            expiry: limits
                .second(now + limits.handshake_timeout)
                .min(latest_expiry),
            latest_expiry,
        }
    }

    /// That of a client which has completed the handshake: it has no SYN to repeat.
    pub(super) fn longest(now: Instant, limits: &Lifetimes) -> Self {
        let expiry = limits.second(now + limits.request_timeout);
        Self {
            last_syn: limits.millis(now),
            expiry,
            latest_expiry: expiry,
        }
    }

    /// The SYN was repeated.
    pub(super) fn extend(&mut self, now: Instant, limits: &Lifetimes) {
        let now_millis = limits.millis(now);
        let gap = now_millis.wrapping_sub(self.last_syn);
        self.last_syn = now_millis;
        let next_syn_timeout = Duration::from_millis(gap.into()) * GAPS;
        let expiry = limits.second(now + next_syn_timeout.max(limits.handshake_timeout));
        // A SYN that the network has doubled makes the time no shorter.
        self.expiry = expiry.max(self.expiry).min(self.latest_expiry);
    }

    /// In seconds since the epoch.
    pub(super) fn expiry(&self) -> u32 {
        self.expiry
    }
}

impl Lifetimes {
    /// The first whole second since the epoch that is not before `at`.
    fn second(&self, at: Instant) -> u32 {
        let since = at.saturating_duration_since(self.epoch);
        let seconds = since.as_secs() + u64::from(since.subsec_nanos() > 0);
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }

    fn millis(&self, at: Instant) -> u32 {
        at.saturating_duration_since(self.epoch).as_millis() as u32
    }

    pub(super) fn instant(&self, second: u32) -> Instant {
        self.epoch + Duration::from_secs(second.into())
    }
}

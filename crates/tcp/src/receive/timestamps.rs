//! The timestamps option (RFC 7323): PAWS and round-trip time measurement.

use crate::seq::{Micros, after};

/// The timestamps state of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timestamps {
    /// Both ends have offered the option.
    enabled: bool,
    /// Added to the clock of TSval, so that TSval does not tell how long this host has been up.
    offset: u32,
    /// TS.Recent.
    recent: u32,
    /// When TS.Recent was updated.
    recent_at: Micros,
}

/// After so long without a segment the peer's clock may have wrapped around, and TS.Recent is
/// invalid (RFC 7323, 5.5).
const TS_RECENT_LIFETIME: Micros = 24 * 86_400 * 1_000_000;

/// A longer round trip is none: the connection would have timed out.
const MAX_RTT_TICKS: u32 = 600_000;

impl Timestamps {
    pub(crate) fn new(offset: u32) -> Self {
        Self {
            offset,
            ..Self::default()
        }
    }

    /// The peer's SYN carried `tsval`, or no timestamp.
    pub(crate) fn negotiate(&mut self, now: Micros, tsval: Option<u32>) {
        self.enabled = tsval.is_some();
        self.recent = tsval.unwrap_or(0);
        self.recent_at = now;
    }

    /// The bytes that the option takes of every segment.
    pub(crate) fn option_len(&self) -> u32 {
        if self.enabled { 12 } else { 0 }
    }

    /// TSval and TSecr of a segment that is sent now, if the peer takes the option.
    pub(crate) fn option(&self, now: Micros) -> Option<(u32, u32)> {
        self.enabled.then(|| (self.tsval(now), self.recent))
    }

    /// TSval at `now`. A tick is a millisecond.
    pub(crate) fn tsval(&self, now: Micros) -> u32 {
        self.offset.wrapping_add((now / 1000) as u32)
    }

    /// What TIME-WAIT needs of the option: the offset of TSval, and TS.Recent.
    pub(crate) fn offset_and_recent(&self) -> Option<(u32, u32)> {
        self.enabled.then_some((self.offset, self.recent))
    }

    /// PAWS (RFC 7323, 5.3, R1): whether a segment with `tsval` is an old duplicate.
    pub(crate) fn is_old(&self, now: Micros, tsval: u32) -> bool {
        self.enabled && after(self.recent, tsval) && now < self.recent_at + TS_RECENT_LIFETIME
    }

    /// Updates TS.Recent from a segment that begins no later than the last ACK sent
    /// (RFC 7323, 4.3 and 5.3, R3).
    pub(crate) fn update_recent(&mut self, now: Micros, tsval: u32) {
        if self.enabled && !self.is_old(now, tsval) {
            self.recent = tsval;
            self.recent_at = now;
        }
    }

    /// The moment at which the segment was sent whose TSval is echoed as `tsecr`, to the
    /// millisecond; `None` if `tsecr` is no echo of ours.
    pub(crate) fn sent_at(&self, now: Micros, tsecr: u32) -> Option<Micros> {
        if !self.enabled || tsecr == 0 {
            return None;
        }
        let age = self.tsval(now).wrapping_sub(tsecr);
        (age < MAX_RTT_TICKS).then(|| (now / 1000).saturating_sub(age.into()) * 1000)
    }

    /// The round-trip time that `tsecr` shows, to the millisecond (RFC 7323, 4.1). A round trip
    /// shorter than a tick gives no sample.
    pub(crate) fn rtt(&self, now: Micros, tsecr: u32) -> Option<Micros> {
        let sent_at = self.sent_at(now, tsecr)?;
        let rtt = now / 1000 * 1000 - sent_at;
        (rtt > 0).then_some(rtt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_gives_the_round_trip() {
        let mut timestamps = Timestamps::new(u32::MAX - 1);
        timestamps.negotiate(0, Some(5));
        let (sent, _) = timestamps.option(1_000_000).unwrap();
        assert_eq!(timestamps.rtt(1_030_500, sent), Some(30_000));
        assert_eq!(timestamps.sent_at(1_030_500, sent), Some(1_000_000));
        assert_eq!(timestamps.rtt(1_000_900, sent), None, "less than a tick");
        assert_eq!(timestamps.rtt(1_030_000, sent.wrapping_add(9_999)), None);
    }

    #[test]
    fn paws_rejects_older_timestamps_until_ts_recent_expires() {
        let mut timestamps = Timestamps::new(0);
        assert!(!timestamps.is_old(0, 0), "the option is not in use");
        timestamps.negotiate(0, Some(5));
        assert!(timestamps.is_old(0, 4) && !timestamps.is_old(0, 5));
        timestamps.update_recent(0, 9);
        assert!(timestamps.is_old(0, 8));
        assert!(!timestamps.is_old(TS_RECENT_LIFETIME, 8));
    }
}

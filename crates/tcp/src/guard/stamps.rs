//! Timestamps (RFC 7323).

use crate::seq::{Micros, after};
use smoltcp::wire::TcpOption;

/// smoltcp writes the option if both sides want it; what it says comes from here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stamps {
    pub(super) on: bool,
    /// Added to the time, so that it does not tell how long this host has been up.
    offset: u32,
    /// TS.Recent, and when it came.
    recent: u32,
    recent_at: Micros,
    /// The latest time told.
    told: Micros,
}

/// After so long without a packet TS.Recent may have wrapped around (RFC 7323, 5.5).
const OLD: Micros = 24 * 86_400 * 1_000_000;

impl Stamps {
    pub(super) fn new(offset: u32) -> Self {
        Self {
            offset,
            ..Self::default()
        }
    }

    /// The peer's SYN carried `val`.
    pub(super) fn begin(&mut self, now: Micros, val: Option<u32>) {
        self.on = val.is_some();
        self.recent = val.unwrap_or(0);
        self.recent_at = now;
    }

    /// TSval and TSecr of a segment sent now.
    ///
    /// The time of a batch is that of its beginning, when a task may already have sent something
    /// later; what seems older than that would be thrown away (RFC 7323, 5.3).
    pub(super) fn pair(&mut self, now: Micros) -> (u32, u32) {
        self.told = self.told.max(now);
        (self.ticks(self.told), self.recent)
    }

    /// The same, if the peer wants them.
    pub(super) fn wanted(&mut self, now: Micros) -> Option<(u32, u32)> {
        self.on.then(|| self.pair(now))
    }

    /// A tick is a millisecond.
    fn ticks(&self, now: Micros) -> u32 {
        self.offset.wrapping_add((now / 1000) as u32)
    }

    /// Whether a segment with TSval `val` is an old one that wandered about (PAWS, RFC 7323, 5.3).
    pub(super) fn stale(&self, now: Micros, val: u32) -> bool {
        self.on && after(self.recent, val) && now < self.recent_at + OLD
    }

    /// Takes in TSval of a segment that begins no later than what was acknowledged last
    /// (RFC 7323, 4.3).
    pub(super) fn note(&mut self, now: Micros, val: u32) {
        if self.on && !self.stale(now, val) {
            self.recent = val;
            self.recent_at = now;
        }
    }

    /// The round trip that a segment with TSecr `ecr` tells of, to the millisecond.
    pub(super) fn rtt(&self, now: Micros, ecr: u32) -> Option<Micros> {
        if !self.on || ecr == 0 {
            return None;
        }
        let ticks = self.ticks(now.max(self.told)).wrapping_sub(ecr);
        // More would have been given up long ago, so it is no echo of ours.
        (ticks < 600_000).then_some(Micros::from(ticks) * 1000)
    }
}

/// The options of a segment that matter once the connection stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) timestamp: Option<(u32, u32)>,
    pub(super) sack: [(u32, u32); 4],
    pub(super) blocks: usize,
}

impl Options {
    /// Reads `bytes`, up to what makes no sense.
    pub(super) fn parse(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        while !bytes.is_empty() {
            let Ok((rest, option)) = TcpOption::parse(bytes) else {
                break;
            };
            match option {
                TcpOption::EndOfList => break,
                TcpOption::TimeStamp { tsval, tsecr } => options.timestamp = Some((tsval, tsecr)),
                // smoltcp reads three blocks, and a segment without timestamps has room for four.
                TcpOption::SackRange(_) => options.blocks(&bytes[2..bytes.len() - rest.len()]),
                _ => {}
            }
            bytes = rest;
        }
        options
    }

    fn blocks(&mut self, bytes: &[u8]) {
        let word = |b: &[u8]| u32::from_be_bytes([b[0], b[1], b[2], b[3]]);
        for (block, slot) in bytes.chunks_exact(8).zip(&mut self.sack) {
            *slot = (word(&block[..4]), word(&block[4..]));
            self.blocks += 1;
        }
    }

    pub(super) fn sack(&self) -> &[(u32, u32)] {
        &self.sack[..self.blocks]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_blocks_and_a_timestamp_are_read() {
        let mut bytes = vec![1, 1, 5, 34];
        for n in 0..8u32 {
            bytes.extend(n.to_be_bytes());
        }
        let options = Options::parse(&bytes);
        assert_eq!(options.sack(), [(0, 1), (2, 3), (4, 5), (6, 7)]);
        let options = Options::parse(&[1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9]);
        assert_eq!(options.timestamp, Some((7, 9)));
        for cut in 0..bytes.len() {
            Options::parse(&bytes[..cut]);
        }
    }

    #[test]
    fn an_echo_gives_the_round_trip() {
        let mut stamps = Stamps::new(u32::MAX - 1);
        stamps.begin(0, Some(5));
        let (sent, _) = stamps.pair(1_000_000);
        assert_eq!(stamps.rtt(1_030_000, sent), Some(30_000));
        assert_eq!(stamps.rtt(1_030_000, sent.wrapping_add(9_999)), None);
        assert_eq!(stamps.pair(980_000).0, sent, "time never goes back");
        assert!(stamps.stale(0, 4) && !stamps.stale(0, 5));
        stamps.note(0, 9);
        assert!(stamps.stale(0, 8) && !stamps.stale(OLD, 8));
    }
}

//! Random choices from a seed, and the bytes that the traffic carries.

use std::ops::Range;

/// A generator of random numbers: splitmix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Begins at `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// Returns the next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Returns a number of the range.
    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// Returns whether an event of one chance in `n` happens.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

/// The finalizer of splitmix64.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The bytes of a transfer: each is a function of the transfer's seed and of its place, so that a byte
/// that is wrong, missing, doubled or of another transfer shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes {
    seed: u64,
    place: u64,
}

impl Bytes {
    /// Begins the transfer `seed`.
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed, place: 0 }
    }

    /// Writes the next bytes.
    pub(crate) fn fill(&mut self, buf: &mut [u8]) {
        for byte in buf {
            *byte = self.next();
        }
    }

    /// Returns whether these are the next bytes.
    pub(crate) fn check(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|&byte| byte == self.next())
    }

    /// Returns the number of bytes so far.
    pub(crate) const fn place(&self) -> u64 {
        self.place
    }

    const fn next(&mut self) -> u8 {
        let word = mix(self.seed.wrapping_add(self.place / 8));
        let byte = word >> (8 * (self.place % 8));
        self.place += 1;
        byte as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_another_place_or_transfer_are_wrong() {
        let mut sent = [0; 100];
        Bytes::new(7).fill(&mut sent);
        assert!(Bytes::new(7).check(&sent));
        assert!(!Bytes::new(8).check(&sent));
        assert!(!Bytes::new(7).check(&sent[1..]));
        let mut received = Bytes::new(7);
        assert!(received.check(&sent[..30]) && received.check(&sent[30..]));
        assert_eq!(received.place(), 100);
    }
}

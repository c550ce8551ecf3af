//! Choices drawn from bytes.

/// Draws choices from the bytes of a fuzzer, or from those of a seed.
///
/// After the last byte every choice is the first one, so that a scenario ends.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns whether all bytes are used.
    pub(crate) fn is_over(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from(self.u16()) << 16 | u32::from(self.u16())
    }

    /// Draws a number below `limit`, which is at most 2^32. One byte is enough for a small limit.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        match limit {
            0 | 1 => 0,
            2..=256 => (usize::from(self.byte()) * limit) >> 8,
            257..=65_536 => (usize::from(self.u16()) * limit) >> 16,
            _ => ((u64::from(self.u32()) * limit as u64) >> 32) as usize,
        }
    }

    /// Draws `true` in `of_256` of 256 cases. The choice of a byte of 0 is `false`.
    pub(crate) fn chance(&mut self, of_256: u16) -> bool {
        u16::from(self.byte()) >= 256 - of_256.min(256)
    }

    pub(crate) fn pick<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        of[self.below(N)]
    }
}

/// Returns `len` bytes that a seed stands for, the same on every machine.
pub fn bytes_of_seed(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // SplitMix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend((z ^ (z >> 31)).to_be_bytes());
    }
    bytes.truncate(len);
    bytes
}

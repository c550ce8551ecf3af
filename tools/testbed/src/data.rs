//! Bytes that do not repeat, and their hashes.

use std::hash::{DefaultHasher, Hasher};

/// `len` bytes that are different for every `seed`, from Marsaglia's xorshift.
pub fn random(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let mut bytes = words.take(len.div_ceil(8)).flatten().collect::<Vec<u8>>();
    bytes.truncate(len);
    bytes
}

/// To compare what is too long to be printed.
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// The chargen pattern (RFC 864) up to where it begins again: 95 lines of 72 characters.
pub fn chargen_round() -> Vec<u8> {
    let printable: Vec<u8> = (b' '..=b'~').collect();
    let mut round = Vec::new();
    for first in 0..printable.len() {
        round.extend((first..first + 72).map(|n| printable[n % printable.len()]));
        round.extend(b"\r\n");
    }
    round
}

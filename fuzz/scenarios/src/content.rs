//! The bytes of a stream: every byte is a function of the stream and of the position.

/// Appends the `len` bytes of stream `stream` from position `at` on.
pub(crate) fn append(out: &mut Vec<u8>, stream: u64, at: u32, len: usize) {
    out.reserve(len);
    let mut word = word(stream, at);
    for n in 0..len as u32 {
        let at = at.wrapping_add(n);
        if at.is_multiple_of(8) {
            word = self::word(stream, at);
        }
        out.push(word.to_be_bytes()[(at % 8) as usize]);
    }
}

/// Returns whether `bytes` are the bytes of stream `stream` from position `at` on.
pub(crate) fn matches(bytes: &[u8], stream: u64, at: u32) -> bool {
    let mut word = word(stream, at);
    bytes.iter().zip(0u32..).all(|(byte, n)| {
        let at = at.wrapping_add(n);
        if at.is_multiple_of(8) {
            word = self::word(stream, at);
        }
        *byte == word.to_be_bytes()[(at % 8) as usize]
    })
}

/// The eight bytes around a position.
fn word(stream: u64, at: u32) -> u64 {
    let z = (stream << 32 | u64::from(at >> 3)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_part_of_the_whole() {
        let mut whole = Vec::new();
        append(&mut whole, 7, u32::MAX - 10, 40);
        let mut part = Vec::new();
        append(&mut part, 7, 2, 9);
        assert_eq!(whole[13..22], part);
        assert!(matches(&whole[3..], 7, u32::MAX - 7));
        assert!(!matches(&whole[3..], 7, u32::MAX - 6));
        assert!(!matches(&whole[3..], 8, u32::MAX - 7));
    }
}

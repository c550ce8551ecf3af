//! Changes to a segment that is already made.

use smoltcp::wire::TcpPacket;

/// Where these stand in a TCP header (RFC 9293, 3.1).
pub(super) const SEQ: usize = 4;
pub(super) const WINDOW: usize = 14;
const CHECKSUM: usize = 16;

/// Writes `bytes` into a segment from `at` on, and keeps its checksum right (RFC 1624, equation 3).
pub(super) fn patch(segment: &mut [u8], at: usize, bytes: &[u8]) {
    let words = at & !1..(at + bytes.len()).next_multiple_of(2);
    let sum = |segment: &[u8], flip: u16| -> u32 {
        let words = segment[words.clone()].chunks_exact(2);
        words
            .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]) ^ flip))
            .sum()
    };
    let checksum = u16::from_be_bytes([segment[CHECKSUM], segment[CHECKSUM + 1]]);
    let old = sum(segment, u16::MAX);
    segment[at..at + bytes.len()].copy_from_slice(bytes);
    let mut folded = u32::from(!checksum) + old + sum(segment, 0);
    while folded > 0xffff {
        folded = (folded & 0xffff) + (folded >> 16);
    }
    segment[CHECKSUM..CHECKSUM + 2].copy_from_slice(&(!(folded as u16)).to_be_bytes());
}

/// Writes the time into a segment that has a place for it.
pub(super) fn stamp(segment: &mut [u8], (val, ecr): (u32, u32)) {
    let mut pair = [0; 8];
    pair[..4].copy_from_slice(&val.to_be_bytes());
    pair[4..].copy_from_slice(&ecr.to_be_bytes());
    set_option(segment, 8, &pair);
}

/// Writes the value of the option `kind`, if it is there with a value of that length.
fn set_option(segment: &mut [u8], kind: u8, value: &[u8]) {
    let header = usize::from(TcpPacket::new_unchecked(&*segment).header_len());
    let mut at = 20;
    while at + 2 + value.len() <= header {
        match (segment[at], segment[at + 1]) {
            (this, len) if this == kind && usize::from(len) == 2 + value.len() => {
                return patch(segment, at + 2, value);
            }
            (0, _) => return,
            (1, _) => at += 1,
            (_, len) => at += usize::from(len.max(2)),
        }
    }
}

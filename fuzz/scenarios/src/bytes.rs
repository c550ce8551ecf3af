//! Changing packets.

/// Makes the IPv4 header checksum right, where there is a header to make it right of.
///
/// Without this almost no changed IPv4 packet gets past it.
pub fn repair(packet: &mut [u8]) {
    let header_len = match packet.first() {
        Some(first) if first >> 4 == 4 => usize::from(first & 0xf) * 4,
        _ => return,
    };
    if header_len < 20 || packet.len() < header_len {
        return;
    }
    packet[10..12].fill(0);
    let checksum = !fold(words(&packet[..header_len]));
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// The sum of the 16-bit words of `bytes` (RFC 1071).
pub(crate) fn words(bytes: &[u8]) -> u64 {
    bytes
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)))
        .sum()
}

/// A sum of words as 16 bits, the carries added again.
pub(crate) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// Changes bytes at random, the same ones for the same seed.
#[derive(Debug)]
pub struct Mutator(u64);

impl Mutator {
    /// Starts from a seed other than 0.
    pub fn new(seed: u64) -> Self {
        assert_ne!(seed, 0, "xorshift stays at 0");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        // The high bits are the better ones.
        (self.next() >> 32) as usize % limit.max(1)
    }

    /// Changes a few bytes, mostly of the headers, and now and then the length.
    pub fn mutate(&mut self, packet: &mut Vec<u8>) {
        // Numbers that mean something where protocols and lengths stand.
        const TELLING: [u8; 16] = [
            0, 1, 5, 6, 8, 17, 20, 43, 44, 51, 58, 59, 60, 0x45, 0x60, 255,
        ];
        for _ in 0..=self.below(4) {
            let reach = if self.below(8) == 0 {
                packet.len()
            } else {
                packet.len().min(80)
            };
            let at = self.below(reach);
            let value = match self.below(3) {
                0 => TELLING[self.below(TELLING.len())],
                1 => packet.get(at).map_or(0, |byte| byte ^ 1 << self.below(8)),
                _ => self.below(256) as u8,
            };
            if let Some(byte) = packet.get_mut(at) {
                *byte = value;
            }
        }
        match self.below(16) {
            0 => packet.truncate(self.below(packet.len() + 1)),
            1 => packet.resize(packet.len() + self.below(20), 0),
            _ => {}
        }
    }
}

//! The result of a scenario.

/// What a scenario did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Packets that the stacks received and sent.
    pub packets: u64,
    /// A hash of all packets that the stacks sent.
    pub hash: u64,
}

/// A hash of a sequence of packets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hash(u64);

impl Hash {
    pub(crate) fn add(&mut self, packet: &[u8]) {
        for chunk in packet.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(23) ^ u64::from_le_bytes(word))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }
}

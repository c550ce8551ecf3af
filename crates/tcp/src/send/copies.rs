//! What was sent and may have to be sent again.

use crate::seq::after;
use std::collections::VecDeque;

/// The bytes of one stretch of numbers.
///
/// There are none as long as nothing is lost: smoltcp keeps what is not acknowledged, and gives it
/// out once more when a loss is found. From then on, until that is mended, they are here.
#[derive(Debug, Default)]
pub(super) struct Copies {
    start: u32,
    bytes: VecDeque<u8>,
}

impl Copies {
    /// Whether everything from `start` to `end` is here.
    pub(super) fn cover(&self, start: u32, end: u32) -> bool {
        !self.bytes.is_empty() && !after(self.start, start) && !after(end, self.end())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn end(&self) -> u32 {
        self.start.wrapping_add(self.bytes.len() as u32)
    }

    /// Adds what was sent as number `start` and following, if it joins what is here.
    pub(super) fn add(&mut self, start: u32, bytes: &[u8]) {
        if self.bytes.is_empty() {
            self.start = start;
        }
        let known = self.end().wrapping_sub(start) as usize;
        if let Some(new) = bytes.get(known..) {
            self.bytes.extend(new);
        }
    }

    /// Forgets what comes before `ack`.
    pub(super) fn acked(&mut self, ack: u32) {
        if after(ack, self.start) {
            let gone = (ack.wrapping_sub(self.start) as usize).min(self.bytes.len());
            self.bytes.drain(..gone);
            self.start = ack;
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes = VecDeque::new();
    }

    /// The bytes from `start` to `end`, as far as they are here.
    pub(super) fn get(&mut self, start: u32, end: u32) -> &[u8] {
        let len = self.bytes.len();
        let bytes = self.bytes.make_contiguous();
        let from = (start.wrapping_sub(self.start) as usize).min(len);
        let to = (end.wrapping_sub(self.start) as usize).clamp(from, len);
        &bytes[from..to]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_back_what_it_was_given() {
        let mut copies = Copies::default();
        let start = u32::MAX - 2;
        copies.add(start, b"abcdef");
        copies.add(start.wrapping_add(4), b"efgh");
        copies.add(start.wrapping_add(20), b"not joined");
        assert!(copies.cover(start, start.wrapping_add(8)));
        assert!(!copies.cover(start, start.wrapping_add(9)));
        assert_eq!(
            copies.get(start.wrapping_add(2), start.wrapping_add(5)),
            b"cde"
        );
        copies.acked(start.wrapping_add(5));
        assert!(!copies.cover(start, start.wrapping_add(8)));
        assert_eq!(
            copies.get(start.wrapping_add(5), start.wrapping_add(99)),
            b"fgh"
        );
        copies.acked(start.wrapping_add(50));
        assert!(copies.is_empty());
    }
}

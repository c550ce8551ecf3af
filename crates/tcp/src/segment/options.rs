//! The options of a segment of a synchronized connection.

use smoltcp::wire::TcpOption;

/// Timestamps and SACK blocks (RFC 7323, 2018).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// TSval and TSecr.
    pub(crate) timestamp: Option<(u32, u32)>,
    blocks: [(u32, u32); 4],
    block_count: usize,
}

/// NOP, NOP, kind and length of the timestamps option: how nearly every segment with timestamps
/// begins its options (RFC 7323, Appendix A).
const ALIGNED_TIMESTAMP: [u8; 4] = [1, 1, 8, 10];

impl Options {
    /// Reads `bytes`. An option of a known kind with a wrong length is skipped, and the list ends
    /// at an option that is longer than the rest, as in Linux.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut options = Self::default();
        let mut rest = bytes;
        if let Some((start, values)) = bytes.split_first_chunk::<4>()
            && *start == ALIGNED_TIMESTAMP
            && let Some((values, behind)) = values.split_first_chunk::<8>()
        {
            options.timestamp = Some(pair(values));
            rest = behind;
        }
        each(rest, |option, bytes| match option {
            TcpOption::TimeStamp { tsval, tsecr } => options.timestamp = Some((tsval, tsecr)),
            // smoltcp reads three blocks, and a segment without timestamps has room for four.
            TcpOption::SackRange(_) => options.take_blocks(&bytes[2..]),
            _ => {}
        });
        options
    }

    /// The timestamp, or none, if `bytes` holds nothing else in the common form.
    pub(crate) fn only_timestamp(bytes: &[u8]) -> Option<Option<(u32, u32)>> {
        if bytes.is_empty() {
            return Some(None);
        }
        let (start, values) = bytes.split_first_chunk::<4>()?;
        let values = <&[u8; 8]>::try_from(values).ok()?;
        (*start == ALIGNED_TIMESTAMP).then(|| Some(pair(values)))
    }

    fn take_blocks(&mut self, bytes: &[u8]) {
        let (blocks, _) = bytes.as_chunks::<8>();
        for (block, slot) in blocks.iter().zip(&mut self.blocks) {
            *slot = pair(block);
            self.block_count += 1;
        }
        self.block_count = self.block_count.min(self.blocks.len());
    }

    /// The blocks of the SACK option, in the order of the segment.
    pub(crate) fn sack(&self) -> &[(u32, u32)] {
        &self.blocks[..self.block_count]
    }
}

/// Calls `f` with each option that is well-formed, and its bytes.
pub(crate) fn each(mut rest: &[u8], mut f: impl FnMut(TcpOption<'_>, &[u8])) {
    while let Some(&kind) = rest.first() {
        let len = match kind {
            0 => return, // end of option list
            1 => 1,      // no operation
            _ => match rest.get(1) {
                Some(&len) if len >= 2 && usize::from(len) <= rest.len() => usize::from(len),
                _ => return,
            },
        };
        let (option, behind) = rest.split_at(len);
        if kind != 1
            && let Ok((_, parsed)) = TcpOption::parse(option)
        {
            f(parsed, option);
        }
        rest = behind;
    }
}

fn pair(bytes: &[u8; 8]) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = *bytes;
    (
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
    )
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
        for aligned in [
            &[1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9][..],
            &[8, 10, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0],
        ] {
            let options = Options::parse(aligned);
            assert_eq!(options.timestamp, Some((7, 9)));
        }
        for cut in 0..bytes.len() {
            Options::parse(&bytes[..cut]);
        }
    }

    #[test]
    fn a_malformed_option_hides_no_other() {
        // An MSS of three bytes, then timestamps: Linux skips the first and reads the second.
        let options = Options::parse(&[2, 3, 5, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9]);
        assert_eq!(options.timestamp, Some((7, 9)));
        // An option that is longer than the rest ends the list.
        for bytes in [
            &[2, 9, 1, 8, 10, 0, 0][..],
            &[2],
            &[9, 0, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9],
        ] {
            assert_eq!(Options::parse(bytes).timestamp, None, "{bytes:?}");
        }
    }

    #[test]
    fn a_second_sack_option_does_not_overflow() {
        let mut bytes = Vec::new();
        for _ in 0..2 {
            bytes.extend([5, 18]);
            bytes.extend([0; 16]);
        }
        assert!(Options::parse(&bytes).sack().len() <= 4);
    }
}

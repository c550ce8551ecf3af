//! The segments that a peer writes, and the options in them.

use crate::input::Input;
use brooklet::{FlowKey, TcpFlags, TcpHeader};
use brooklet_packet::tcp;

pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;
pub(super) const URG: u8 = 0x20;

/// What a peer offers in its SYN.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Offer {
    pub(super) mss: Option<u16>,
    pub(super) scale: Option<u8>,
    pub(super) sack: bool,
    pub(super) timestamps: bool,
    /// Options that no host sends stand before the others.
    soup: Option<[u8; 12]>,
}

impl Offer {
    pub(super) fn draw(input: &mut Input<'_>) -> Self {
        Self {
            mss: input.pick([
                Some(1460),
                Some(1460),
                Some(536),
                Some(88),
                Some(0),
                Some(1),
                Some(65_535),
                None,
            ]),
            scale: input.pick([Some(7), Some(0), Some(14), Some(15), Some(255), None]),
            sack: input.chance(180),
            timestamps: input.chance(128),
            soup: input
                .chance(16)
                .then(|| std::array::from_fn(|_| input.byte())),
        }
    }

    /// The most that a stack may read out of the options.
    pub(super) fn most(&self) -> (usize, u8) {
        match self.soup {
            Some(_) => (65_535, 14),
            None => (
                // Without the option a host assumes at most 1,220 bytes.
                usize::from(self.mss.unwrap_or(1220)),
                self.scale.unwrap_or(0),
            ),
        }
    }

    /// The options of the SYN.
    pub(super) fn options(&self, timestamp: (u32, u32)) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(soup) = self.soup {
            out.extend(soup);
        }
        if let Some(mss) = self.mss {
            out.extend([2, 4]);
            out.extend(mss.to_be_bytes());
        }
        if let Some(scale) = self.scale {
            out.extend([1, 3, 3, scale]);
        }
        if self.sack {
            out.extend([4, 2]);
        }
        if self.timestamps {
            put_timestamp(&mut out, timestamp);
        }
        pad(&mut out);
        out
    }
}

pub(super) fn put_timestamp(out: &mut Vec<u8>, (tsval, tsecr): (u32, u32)) {
    out.extend([1, 1, 8, 10]);
    out.extend(tsval.to_be_bytes());
    out.extend(tsecr.to_be_bytes());
}

pub(super) fn put_sack(out: &mut Vec<u8>, blocks: &[(u32, u32)]) {
    out.extend([1, 1, 5, 2 + 8 * blocks.len() as u8]);
    for (start, end) in blocks {
        out.extend(start.to_be_bytes());
        out.extend(end.to_be_bytes());
    }
}

fn pad(out: &mut Vec<u8>) {
    while !out.len().is_multiple_of(4) {
        out.push(1);
    }
}

/// Writes a segment.
pub(super) fn write(
    key: FlowKey,
    (seq, ack, window, flags): (u32, u32, u16, u8),
    options: &[u8],
    data: &[u8],
) -> Vec<u8> {
    let header = TcpHeader {
        seq,
        ack,
        window,
        flags: TcpFlags::from_bits(flags),
    };
    let mut out = Vec::new();
    tcp::write(&mut out, key, header, options, 64, data).expect("options and data fit");
    out
}

/// The options of a segment of the stack.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) scale: Option<u8>,
    pub(super) tsval: Option<u32>,
    pub(super) sack: Vec<(u32, u32)>,
}

impl Options {
    pub(super) fn read(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        loop {
            match *bytes {
                [] | [0, ..] => return options,
                [1, ref rest @ ..] => bytes = rest,
                [kind, len, ref rest @ ..] if len >= 2 && usize::from(len) - 2 <= rest.len() => {
                    let (value, rest) = rest.split_at(usize::from(len) - 2);
                    options.take(kind, value);
                    bytes = rest;
                }
                _ => panic!("the stack sends malformed options: {bytes:?}"),
            }
        }
    }

    fn take(&mut self, kind: u8, value: &[u8]) {
        let (words, _) = value.as_chunks::<4>();
        let words: Vec<u32> = words.iter().map(|word| u32::from_be_bytes(*word)).collect();
        match (kind, value, &words[..]) {
            (3, [shift], _) => self.scale = Some(*shift),
            (8, _, [tsval, _]) => self.tsval = Some(*tsval),
            (5, _, words) => {
                let (blocks, _) = words.as_chunks::<2>();
                self.sack = blocks.iter().map(|block| (block[0], block[1])).collect();
            }
            _ => {}
        }
    }
}

//! A simple model of what Linux does with a packet behind a virtio-net header.

use crate::bytes::{fold, words};
use brooklet_io::{Checksum, Meta};
use std::num::NonZeroU16;

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const ECN: u8 = 0x80;

/// `struct virtio_net_hdr` (virtio 1.2, 5.1.6).
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    flags: u8,
    kind: u8,
    len: usize,
    size: u16,
    start: usize,
    offset: usize,
}

impl Header {
    pub(super) const LEN: usize = 10;

    pub(super) fn read(bytes: &[u8; Self::LEN]) -> Self {
        let number = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        Self {
            flags: bytes[0],
            kind: bytes[1],
            len: number(2).into(),
            size: number(4),
            start: number(6).into(),
            offset: number(8).into(),
        }
    }

    /// What the header says of a packet; `None` if it makes no sense, or there is no packet.
    pub(super) fn meta(self, packet: &[u8]) -> Option<Meta> {
        let version = packet.first()? >> 4;
        let checksum = match self.flags {
            flags if flags & NEEDS_CSUM != 0 => Checksum::Partial,
            flags if flags & DATA_VALID != 0 => Checksum::Verified,
            _ => Checksum::Complete,
        };
        let is_batch = match (self.kind & !ECN, version) {
            (0, _) => false,
            (1, 4) | (4, 6) | (5, _) => true,
            _ => return None,
        };
        let size = NonZeroU16::new(self.size).filter(|_| is_batch);
        if is_batch && (size.is_none() || checksum == Checksum::Complete) {
            return None;
        }
        Some(Meta::new().checksum(checksum).gso_size(size))
    }

    /// The packets that Linux makes of one from a program.
    pub(super) fn segments(self, packet: &[u8]) -> Vec<Vec<u8>> {
        if self.flags & NEEDS_CSUM == 0 {
            return vec![packet.to_vec()];
        }
        if self.kind == 0 {
            let mut packet = packet.to_vec();
            finish_checksum(&mut packet, self.start, self.offset);
            return vec![packet];
        }
        let (headers, payload) = packet.split_at(self.len);
        assert!(
            payload.len() > usize::from(self.size),
            "Linux refuses one segment"
        );
        let count = payload.len().div_ceil(self.size.into());
        let parts = payload.chunks(self.size.into()).enumerate();
        parts
            .map(|(nth, part)| self.segment(headers, part, nth, count))
            .collect()
    }

    fn segment(self, headers: &[u8], part: &[u8], nth: usize, count: usize) -> Vec<u8> {
        let mut packet = [headers, part].concat();
        let len = packet.len();
        let is_v6 = packet[0] >> 4 == 6;
        if is_v6 {
            packet[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
        } else {
            packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            let id = u16::from_be_bytes([packet[4], packet[5]]).wrapping_add(nth as u16);
            packet[4..6].copy_from_slice(&id.to_be_bytes());
            packet[10..12].fill(0);
            let header_len = usize::from(packet[0] & 15) * 4;
            let checksum = !fold(words(&packet[..header_len]));
            packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        let protocol = match self.kind & !ECN {
            5 => {
                let len = (len - self.start) as u16;
                packet[self.start + 4..self.start + 6].copy_from_slice(&len.to_be_bytes());
                17
            }
            kind => {
                assert_eq!(kind == 4, is_v6, "the wrong version");
                let at = self.start + 4;
                let seq = u32::from_be_bytes(*packet[at..].first_chunk().expect("4 bytes"));
                let seq = seq.wrapping_add((nth * usize::from(self.size)) as u32);
                packet[at..at + 4].copy_from_slice(&seq.to_be_bytes());
                // FIN and PSH are those of the last segment, CWR that of the first.
                if nth + 1 < count {
                    packet[self.start + 13] &= !0x09;
                }
                if nth > 0 {
                    packet[self.start + 13] &= !0x80;
                }
                6
            }
        };
        let addresses = if is_v6 { 8..40 } else { 12..20 };
        let pseudo = words(&packet[addresses]) + protocol + (len - self.start) as u64;
        let at = self.start + self.offset;
        packet[at..at + 2].copy_from_slice(&fold(pseudo).to_be_bytes());
        finish_checksum(&mut packet, self.start, self.offset);
        packet
    }
}

/// The checksum of all from `start`, in which the sum of the pseudo-header is already.
fn finish_checksum(packet: &mut [u8], start: usize, offset: usize) {
    let checksum = match !fold(words(&packet[start..])) {
        // RFC 768: none is all zeros.
        0 if offset == 6 => 0xffff,
        checksum => checksum,
    };
    packet[start + offset..start + offset + 2].copy_from_slice(&checksum.to_be_bytes());
}

//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng), in little-endian order.

use brooklet_filter::Direction;

/// LINKTYPE_RAW: a packet begins with its IPv4 or IPv6 header.
const LINKTYPE_RAW: u16 = 101;

/// Block types.
const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

/// Options of every block.
const END_OF_OPTIONS: u16 = 0;
const COMMENT: u16 = 1;

/// Options of the section header.
const SHB_USERAPPL: u16 = 4;

/// Options of an interface.
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;

/// Options of a packet.
const EPB_FLAGS: u16 = 2;
const EPB_DROPCOUNT: u16 = 4;

/// What a block of a packet takes at most beside the bytes of the packet and its comment.
pub(super) const PACKET_OVERHEAD: usize = 32 + 3 + 8 + 12 + 4 + 3 + 4;

/// A packet for a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    /// The number of the interface.
    pub(super) interface: u32,
    /// Nanoseconds since 1970.
    pub(super) time: u64,
    pub(super) direction: Direction,
    /// The bytes of the packet that are kept.
    pub(super) bytes: &'a [u8],
    /// The length of the packet.
    pub(super) len: usize,
    /// Packets that were lost since the last record.
    pub(super) lost: u64,
    pub(super) comment: Option<&'a str>,
}

/// Appends the block with which a file begins.
pub(super) fn section_header(out: &mut Vec<u8>) {
    block(out, SECTION_HEADER, |out| {
        out.extend(0x1A2B_3C4D_u32.to_le_bytes()); // says the byte order
        out.extend(1_u16.to_le_bytes());
        out.extend(0_u16.to_le_bytes());
        out.extend(u64::MAX.to_le_bytes()); // the length of the section is not known
        let program = concat!("brooklet ", env!("CARGO_PKG_VERSION"));
        option(out, SHB_USERAPPL, program.as_bytes());
        option(out, END_OF_OPTIONS, &[]);
    });
}

/// Appends the description of an interface. Interfaces are numbered in this order, from 0 on.
pub(super) fn interface(out: &mut Vec<u8>, name: &str, snap_len: usize) {
    block(out, INTERFACE_DESCRIPTION, |out| {
        out.extend(LINKTYPE_RAW.to_le_bytes());
        out.extend(0_u16.to_le_bytes());
        let snap_len = u32::try_from(snap_len).unwrap_or(u32::MAX);
        out.extend(snap_len.to_le_bytes());
        option(out, IF_NAME, name.as_bytes());
        option(out, IF_TSRESOL, &[9]); // times in units of 10^-9 s
        option(out, END_OF_OPTIONS, &[]);
    });
}

/// Appends a packet.
pub(super) fn packet(out: &mut Vec<u8>, record: &Record<'_>) {
    block(out, ENHANCED_PACKET, |out| {
        out.extend(record.interface.to_le_bytes());
        out.extend(((record.time >> 32) as u32).to_le_bytes());
        out.extend((record.time as u32).to_le_bytes());
        // No packet is longer than 65,575 bytes.
        out.extend((record.bytes.len() as u32).to_le_bytes());
        out.extend((record.len as u32).to_le_bytes());
        out.extend(record.bytes);
        pad(out, record.bytes.len());
        let flags: u32 = match record.direction {
            Direction::Inbound => 1,
            Direction::Outbound => 2,
        };
        option(out, EPB_FLAGS, &flags.to_le_bytes());
        if record.lost > 0 {
            option(out, EPB_DROPCOUNT, &record.lost.to_le_bytes());
        }
        if let Some(comment) = record.comment {
            option(out, COMMENT, comment.as_bytes());
        }
        option(out, END_OF_OPTIONS, &[]);
    });
}

/// Appends a block with the body that `body` appends: its length stands before and after it.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    body(out);
    let len = ((out.len() - start + 4) as u32).to_le_bytes();
    out[start + 4..start + 8].copy_from_slice(&len);
    out.extend(len);
}

/// Appends an option. Names and comments are far shorter than the 65,535 bytes of the length field.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    out.extend(value);
    pad(out, value.len());
}

/// Fills up what has `len` bytes to a multiple of 32 bits.
fn pad(out: &mut Vec<u8>, len: usize) {
    out.resize(out.len() + len.next_multiple_of(4) - len, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_block_of_a_packet_exceeds_its_overhead() {
        for len in 0..9 {
            for comment in ["", "1", "two", "many"] {
                let bytes = vec![7; len];
                let mut out = Vec::new();
                packet(
                    &mut out,
                    &Record {
                        interface: 3,
                        time: 1 << 40,
                        direction: Direction::Outbound,
                        bytes: &bytes,
                        len,
                        lost: 1,
                        comment: Some(comment),
                    },
                );
                assert!(out.len() <= PACKET_OVERHEAD + len + comment.len());
                assert_eq!(out.len() % 4, 0);
                let length = (out.len() as u32).to_le_bytes();
                assert_eq!(out[4..8], length);
                assert!(out.ends_with(&length));
            }
        }
    }
}

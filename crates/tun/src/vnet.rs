//! The header that `IFF_VNET_HDR` puts in front of each packet: `struct virtio_net_hdr` of Linux,
//! 5.1.6 of virtio 1.2, in the byte order of the machine.

use brooklet_io::{Checksum, Meta};
use brooklet_packet::{Headers, Protocol};
use std::num::NonZeroU16;

/// The length in bytes of the part that this crate reads and writes. `TUNSETVNETHDRSZ` may have
/// added bytes behind it.
pub(crate) const HEADER: usize = 10;

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;

const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// A bit beside the type: the first segment has CWR.
const GSO_ECN: u8 = 0x80;

/// Returns the metadata of `packet`, which came behind `header`; `None` if the header makes no
/// sense.
///
/// The offset and length of the transport header in `header` are ignored: parsing the packet yields
/// them.
pub(crate) fn decode(header: &[u8; HEADER], packet: &[u8]) -> Option<Meta> {
    let [flags, gso_type, _, _, size_0, size_1, ..] = *header;
    let checksum = if flags & NEEDS_CSUM != 0 {
        Checksum::Partial
    } else if flags & DATA_VALID != 0 {
        Checksum::Verified
    } else {
        Checksum::Complete
    };
    let version = packet.first()? >> 4;
    let gso_size = match (gso_type & !GSO_ECN, version) {
        (GSO_NONE, _) => None,
        (GSO_TCPV4, 4) | (GSO_TCPV6, 6) | (GSO_UDP_L4, _) if checksum != Checksum::Complete => {
            Some(NonZeroU16::new(u16::from_ne_bytes([size_0, size_1]))?)
        }
        _ => return None,
    };
    Some(Meta::new().checksum(checksum).gso_size(gso_size))
}

/// Returns the header for a packet with the metadata `meta`, whose IP header begins behind
/// `link_len` bytes: those of the header of a frame.
pub(crate) fn encode(meta: Meta, packet: &[u8], link_len: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    if meta.checksum != Checksum::Partial {
        return header;
    }
    let Ok(headers) = Headers::parse(packet.get(link_len..).unwrap_or_default()) else {
        return header;
    };
    let Some(checksum_offset) = headers.checksum_offset() else {
        return header;
    };
    // Both offsets fit 16 bits: the headers of a packet are no longer than some 2,000 bytes.
    let (start, payload) = (headers.transport_range().start, headers.payload_range());
    let mut field = |at: usize, value: u16| {
        header[at..at + 2].copy_from_slice(&value.to_ne_bytes());
    };
    field(2, (link_len + payload.start) as u16);
    field(6, (link_len + start) as u16);
    field(8, checksum_offset as u16);
    // The kernel refuses a super-packet whose payload fits one segment.
    let gso_size = meta
        .gso_size
        .filter(|size| payload.len() > size.get().into());
    field(4, gso_size.map_or(0, NonZeroU16::get));
    header[0] = NEEDS_CSUM;
    header[1] = match (gso_size, headers.protocol()) {
        (None, _) => GSO_NONE,
        (_, Protocol::Udp) => GSO_UDP_L4,
        _ if headers.key().is_ipv6() => GSO_TCPV6,
        _ => GSO_TCPV4,
    };
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use brooklet_packet::udp;

    fn header(flags: u8, gso_type: u8, size: u16) -> [u8; HEADER] {
        let [a, b] = size.to_ne_bytes();
        // The offsets are ignored.
        [flags, gso_type, 0xff, 0xff, a, b, 0xff, 0xff, 0xff, 0xff]
    }

    fn words(header: &[u8; HEADER]) -> (u8, u8, [u16; 4]) {
        let word = |at| u16::from_ne_bytes([header[at], header[at + 1]]);
        (header[0], header[1], [word(2), word(4), word(6), word(8)])
    }

    fn partial(gso_size: u16) -> Meta {
        Meta::new()
            .checksum(Checksum::Partial)
            .gso_size(NonZeroU16::new(gso_size))
    }

    fn tcp(v6: bool, payload: usize) -> Vec<u8> {
        let ends = match v6 {
            false => ("10.0.0.1:1".parse(), "10.0.0.2:2".parse()),
            true => ("[fd00::1]:1".parse(), "[fd00::2]:2".parse()),
        };
        // A TCP header has its ports where a UDP header has them.
        let mut packet = Vec::new();
        udp::write(
            &mut packet,
            ends.0.unwrap(),
            ends.1.unwrap(),
            64,
            &vec![0; 12 + payload],
        )
        .unwrap();
        let start = if v6 { 40 } else { 20 };
        packet[if v6 { 6 } else { 9 }] = 6;
        packet[start + 12] = 5 << 4;
        if !v6 {
            // Update the header checksum for the new protocol number.
            let sum = u16::from_be_bytes([packet[10], packet[11]]) + (17 - 6);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        assert!(Headers::parse(&packet).unwrap().tcp().is_some());
        packet
    }

    #[test]
    fn a_header_of_the_kernel_becomes_metadata() {
        let (v4, v6) = ([0x45; 60], [0x60; 60]);
        let meta = |checksum, gso_size| {
            let gso_size = NonZeroU16::new(gso_size);
            Some(Meta::new().checksum(checksum).gso_size(gso_size))
        };
        for (header, packet, wanted) in [
            (header(0, 0, 0), v4, meta(Checksum::Complete, 0)),
            (header(0, 0, 1448), v4, meta(Checksum::Complete, 0)),
            (header(1, 0, 0), v6, meta(Checksum::Partial, 0)),
            (header(2, 0, 0), v6, meta(Checksum::Verified, 0)),
            (header(3, 0, 0), v6, meta(Checksum::Partial, 0)),
            (header(1, 1, 1448), v4, meta(Checksum::Partial, 1448)),
            (header(1, 4, 1428), v6, meta(Checksum::Partial, 1428)),
            (header(1, 5, 1472), v4, meta(Checksum::Partial, 1472)),
            (header(1, 5, 1452), v6, meta(Checksum::Partial, 1452)),
            (header(1, 0x81, 1448), v4, meta(Checksum::Partial, 1448)),
            (header(2, 4, 1428), v6, meta(Checksum::Verified, 1428)),
        ] {
            assert_eq!(decode(&header, &packet), wanted, "{header:?}");
        }
    }

    #[test]
    fn an_invalid_header_is_refused() {
        let (v4, v6) = ([0x45; 60], [0x60; 60]);
        for (header, packet) in [
            (header(1, 2, 1448), v4),    // unknown
            (header(1, 3, 1448), v4),    // UFO, which is never enabled
            (header(1, 0x7f, 1448), v4), // unknown
            (header(1, 1, 0), v4),       // segments of 0 bytes
            (header(1, 1, 1448), v6),
            (header(1, 4, 1448), v4),
            (header(0, 1, 1448), v4), // GSO without a partial checksum
        ] {
            assert_eq!(decode(&header, &packet), None, "{header:?}");
        }
        assert_eq!(decode(&header(0, 0, 0), &[]), None);
    }

    #[test]
    fn metadata_becomes_a_header_for_the_kernel() {
        let mut datagrams = Vec::new();
        let ends = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
        udp::write(&mut datagrams, ends.0, ends.1, 64, &[0; 3000]).unwrap();
        for (meta, packet, wanted) in [
            (Meta::default(), &datagrams, (0, 0, [0; 4])),
            (partial(0), &datagrams, (1, 0, [28, 0, 20, 6])),
            (partial(1000), &datagrams, (1, 5, [28, 1000, 20, 6])),
            (partial(3000), &datagrams, (1, 0, [28, 0, 20, 6])),
            (partial(1000), &tcp(false, 1000), (1, 0, [40, 0, 20, 16])),
            (partial(1000), &tcp(false, 1001), (1, 1, [40, 1000, 20, 16])),
            (partial(1000), &tcp(true, 1001), (1, 4, [60, 1000, 40, 16])),
            (partial(1000), &vec![0xf0; 40], (0, 0, [0; 4])),
            (partial(1000), &vec![], (0, 0, [0; 4])),
        ] {
            assert_eq!(words(&encode(meta, packet, 0)), wanted, "{meta:?}");
        }
    }

    #[test]
    fn the_offsets_of_a_frame_are_those_behind_its_header() {
        let frame = [vec![0; 14], tcp(true, 1001)].concat();
        let header = encode(partial(1000), &frame, 14);
        assert_eq!(words(&header), (1, 4, [74, 1000, 54, 16]));
        assert_eq!(
            words(&encode(partial(1000), &frame[..9], 14)),
            (0, 0, [0; 4])
        );
    }

    #[test]
    fn metadata_survives_the_header() {
        for packet in [tcp(false, 5000), tcp(true, 5000)] {
            for meta in [partial(0), partial(1400), Meta::default()] {
                assert_eq!(decode(&encode(meta, &packet, 0), &packet), Some(meta));
            }
        }
    }
}

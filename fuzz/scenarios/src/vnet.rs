//! Super-packets behind virtio-net headers, as Linux passes them to a TUN and takes them from one.

mod host;
// Not by way of a device: what is behind the headers is in this file, and a device costs system calls.
#[path = "../../../crates/tun/src/vnet.rs"]
mod tun;

use crate::bytes::repair;
use crate::targets::named;
use brooklet_io::{Checksum, Meta};
use brooklet_packet::{Coalescer, Headers, Packet, Segmenter};
use host::Header;
use std::num::NonZeroU16;

/// The longest packet: one of IPv6.
const LONGEST: usize = 40 + 65_535;

/// Reads `data` as a virtio-net header and a packet from Linux. The packet is taken apart, its
/// segments are joined again, and the result passes with a header to a simple model of Linux. Returns
/// the number of segments.
///
/// # Panics
///
/// When the header is read as anything else than virtio 1.2, 5.1.6 says, when the segments that the
/// model makes are not those of the packet, or when a checksum is wrong.
pub fn vnet(data: &[u8]) -> usize {
    let Some((header, packet)) = data.split_first_chunk::<{ Header::LEN }>() else {
        return 0;
    };
    let mut packet = packet.to_vec();
    packet.truncate(LONGEST);
    repair(&mut packet);
    let meta = tun::decode(header, &packet);
    assert_eq!(meta, Header::read(header).meta(&packet));
    let (Some(meta), Ok(headers)) = (meta, Headers::parse(&packet)) else {
        return 0;
    };
    // What the driver does with a packet before it looks further.
    packet.truncate(headers.total_len());
    let can_be_filled = headers.checksum_offset().is_some();
    if can_be_filled && meta.checksum != Checksum::Complete {
        headers.fill_checksum(&mut packet);
        assert!(headers.verify_checksum(&packet));
    }
    // No host makes another super-packet: one that is not TCP or UDP, or a fragment.
    let is_whole = can_be_filled && headers.fragment().is_none();
    let Some(size) = meta.gso_size.filter(|_| is_whole) else {
        return 1;
    };
    let segments = segments(&headers, &packet, size);
    send(&segments, &packet, &headers);
    segments.len()
}

/// Joins segments to super-packets, which Linux takes apart again.
fn send(segments: &[Vec<u8>], whole: &[u8], headers: &Headers) {
    let mut segments = segments.iter().peekable();
    let mut payload = Vec::new();
    while let Some(first) = segments.next() {
        let mut packet = first.clone();
        let mut parts = vec![first];
        let mut size = None;
        if let Some(mut coalescer) = Coalescer::new(first) {
            while let Some(next) = segments.next_if(|next| coalescer.push(&mut packet, next)) {
                parts.push(next);
            }
            size = coalescer.finish(&mut packet);
        }
        if size.is_none() {
            let joined = Headers::parse(&packet).expect("a segment is a packet");
            joined.fill_partial_checksum(&mut packet);
        }
        let meta = Meta::new().checksum(Checksum::Partial).gso_size(size);
        let made = Header::read(&tun::encode(meta, &packet, 0)).segments(&packet);
        assert_eq!(made.len(), parts.len());
        for (made, part) in made.iter().zip(parts) {
            same(made, part);
            let made = Packet::parse(made).expect("checked above");
            payload.extend_from_slice(made.payload());
        }
    }
    assert_eq!(payload, &whole[headers.payload_range()]);
}

/// The segments of a super-packet.
fn segments(headers: &Headers, packet: &[u8], size: NonZeroU16) -> Vec<Vec<u8>> {
    let mut segmenter = Segmenter::new(headers, size);
    let mut out = vec![0; segmenter.longest()];
    let mut segments = Vec::new();
    while let Some(len) = segmenter.next(packet, &mut out) {
        let segment = Packet::parse(&out[..len]).expect("a segment is a packet");
        assert!(segment.verify_checksum());
        assert!(segment.payload().len() <= usize::from(size.get()));
        segments.push(out[..len].to_vec());
    }
    segments
}

/// A segment that the model has made is the one that went into the super-packet.
fn same(made: &[u8], part: &[u8]) {
    let (made, part) = (
        Packet::parse(made).expect("a segment of Linux is a packet"),
        Packet::parse(part).expect("it was one"),
    );
    assert!(made.verify_checksum(), "a wrong checksum of {made:?}");
    assert_eq!((made.key(), made.tcp()), (part.key(), part.tcp()));
    assert_eq!(made.payload(), part.payload());
    assert_eq!(made.hop_limit(), part.hop_limit());
    assert_eq!(made.traffic_class(), part.traffic_class());
}

pub(crate) fn corpus() -> Vec<(String, Vec<u8>)> {
    let input = |flags: u8, kind: u8, size: u16, packet: &[u8]| {
        let size = size.to_ne_bytes();
        let header = [flags, kind, 0, 0, size[0], size[1], 0, 0, 0, 0];
        [&header, packet].concat()
    };
    let packets = crate::seeds();
    // With 19 bytes of data each.
    let (tcp_v4, tcp_v6) = (&packets[14], &packets[13]);
    let (udp_v4, udp_v6) = (&packets[16], &packets[17]);
    named([
        ("complete", input(0, 0, 0, tcp_v4)),
        ("partial", input(1, 0, 0, udp_v4)),
        ("verified", input(2, 0, 0, udp_v6)),
        ("tso-v4", input(1, 1, 5, tcp_v4)),
        ("tso-v6", input(1, 4, 5, tcp_v6)),
        ("uso-v4", input(1, 5, 6, udp_v4)),
        ("uso-v6", input(1, 5, 6, udp_v6)),
        ("ecn", input(1, 0x81, 5, tcp_v4)),
        ("segments-of-nothing", input(1, 1, 0, tcp_v4)),
    ])
}

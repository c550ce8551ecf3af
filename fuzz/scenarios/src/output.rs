//! What must hold of every packet that a stack gives to its device.

use brooklet::{Checksum, Offload, PacketBuf, Protocol};
use brooklet_packet::{Headers, Packet, Segmenter};

/// Checks a packet and passes each packet that the device makes of it to `each`.
///
/// A packet fits the MTU or is a super-packet of segments that do; its checksums are right, or
/// prepared for a device that completes them; and it asks for no offload that the device lacks.
pub(crate) fn check(
    mut packet: PacketBuf,
    offload: Offload,
    mtu: usize,
    mut each: impl FnMut(&Packet<'_>),
) {
    let headers = Headers::parse(&packet).expect("the stack sends only packets that parse");
    assert_eq!(headers.total_len(), packet.len(), "padding");
    let meta = packet.meta();
    match meta.checksum {
        Checksum::Partial => {
            assert!(offload.checksum, "the device completes no checksums");
            let at = headers.transport_range().start
                + headers
                    .checksum_offset()
                    .expect("only TCP and UDP have one");
            let prepared = [packet[at], packet[at + 1]];
            headers.fill_partial_checksum(&mut packet);
            assert_eq!(prepared, packet[at..at + 2], "a wrong prepared checksum");
        }
        Checksum::Complete => {
            assert!(headers.verify_checksum(&packet), "a wrong checksum");
        }
        Checksum::Verified => panic!("nobody has verified a packet that is sent"),
    }
    let Some(size) = meta.gso_size else {
        assert!(
            packet.len() <= mtu,
            "{} bytes, an MTU of {mtu}",
            packet.len()
        );
        if meta.checksum == Checksum::Partial {
            headers.fill_checksum(&mut packet);
        }
        return each(&Packet::new(&packet, headers));
    };
    let permitted = match (headers.protocol(), headers.key().is_ipv6()) {
        (Protocol::Tcp, false) => offload.tso4,
        (Protocol::Tcp, true) => offload.tso6,
        _ => offload.uso,
    };
    assert!(
        permitted && offload.checksum,
        "a super-packet for {offload:?}"
    );
    assert_eq!(meta.checksum, Checksum::Partial);
    assert!(
        headers.payload_range().len() > usize::from(size.get()),
        "one segment"
    );
    let mut segmenter = Segmenter::new(&headers, size);
    let mut segment = vec![0; segmenter.longest()];
    while let Some(len) = segmenter.next(&packet, &mut segment) {
        assert!(len <= mtu, "a segment of {len} bytes, an MTU of {mtu}");
        let segment = Packet::parse(&segment[..len]).expect("a segment parses");
        assert!(segment.verify_checksum(), "a segment with a wrong checksum");
        each(&segment);
    }
}

//! Super-packets behind virtio-net headers, as Linux passes them to a TUN and takes them from one.

mod host;

use crate::bytes::repair;
use crate::targets::named;
use brooklet_io::{Checksum, Meta, Offload, PacketBuf};
use brooklet_packet::{Coalescer, Headers, Packet, Segmenter};
use brooklet_tun::{Framing, Tun};
use host::Header;
use std::num::NonZeroU16;
use std::os::unix::net::UnixDatagram;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

const FRAMING: Framing = Framing::VirtioNet {
    header_len: Header::LEN,
    offload: Offload::new()
        .checksum(true)
        .tso4(true)
        .tso6(true)
        .uso(true),
};

/// The longest packet: one of IPv6.
const LONGEST: usize = 40 + 65_535;

/// A device, and its other end.
struct Device {
    tun: Tun,
    kernel: UnixDatagram,
}

thread_local! {
    // To open one for each input would cost most of the time.
    static DEVICE: Device = Device::new();
}

/// Reads `data` as a virtio-net header and a packet. Both pass a TUN to the program, which takes the
/// packet apart, joins its segments again, and sends the result to a simple model of Linux. Returns
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
    DEVICE.with(|device| device.exchange(header, &packet))
}

impl Device {
    fn new() -> Self {
        let (ours, kernel) = UnixDatagram::pair().expect("a pair of sockets");
        kernel.set_nonblocking(true).expect("a setting of sockets");
        let tun = Tun::from_fd_with(ours.into(), FRAMING).expect("a socket is a device");
        Self { tun, kernel }
    }

    fn exchange(&self, header: &[u8; Header::LEN], packet: &[u8]) -> usize {
        let dropped = self.tun.dropped();
        let bytes = [header, packet].concat();
        self.kernel
            .send(&bytes)
            .expect("there is room for one packet");
        let mut received = PacketBuf::with_capacity(LONGEST);
        let received = self.poll(self.tun.recv(&mut received)).map(|result| {
            result.expect("a packet is no reason to end");
            received
        });
        let expected = Header::read(header).meta(packet);
        assert_eq!(received.as_ref().map(PacketBuf::meta), expected);
        assert_eq!(self.tun.dropped() - dropped, u64::from(expected.is_none()));
        let Some(received) = received else {
            return 0;
        };
        assert_eq!(&received[..], packet);
        let Ok(headers) = Headers::parse(&received) else {
            return 0;
        };
        // What the driver does with a packet before it looks further.
        let mut whole = received[..headers.total_len()].to_vec();
        let can_be_filled = headers.checksum_offset().is_some();
        if can_be_filled && received.meta().checksum != Checksum::Complete {
            headers.fill_checksum(&mut whole);
            assert!(headers.verify_checksum(&whole));
        }
        let size = received.meta().gso_size;
        // A super-packet that no host makes: not TCP or UDP, or in fragments.
        let Some(size) = size.filter(|_| can_be_filled && headers.fragment().is_none()) else {
            return 1;
        };
        let segments = segments(&headers, &whole, size);
        self.send(&segments, &whole, &headers);
        segments.len()
    }

    /// Joins segments and sends them in super-packets, which Linux takes apart again.
    fn send(&self, segments: &[Vec<u8>], whole: &[u8], headers: &Headers) {
        let mut segments = segments.iter().peekable();
        let mut payload = Vec::new();
        while let Some(first) = segments.next() {
            let mut joined = first.clone();
            let mut parts = vec![first.clone()];
            let mut size = None;
            if let Some(mut coalescer) = Coalescer::new(first) {
                while let Some(next) = segments.peek() {
                    if !coalescer.push(&mut joined, next) {
                        break;
                    }
                    parts.extend(segments.next().cloned());
                }
                size = coalescer.finish(&mut joined);
            }
            let mut packet = PacketBuf::with_capacity(joined.len());
            packet.copy_from_slice(&joined);
            let joined = Headers::parse(&joined).expect("joined segments are a packet");
            if size.is_none() {
                joined.fill_partial_checksum(&mut packet);
            }
            packet.set_meta(Meta::new().checksum(Checksum::Partial).gso_size(size));
            self.poll(self.tun.send(&packet))
                .expect("there is room for one packet")
                .expect("a packet is no reason to end");
            let mut bytes = vec![0; Header::LEN + LONGEST];
            let len = self.kernel.recv(&mut bytes).expect("the packet arrives");
            let (header, arrived) = bytes[..len].split_first_chunk().expect("a header");
            assert_eq!(arrived, &packet[..]);
            let made = Header::read(header).segments(arrived);
            assert_eq!(made.len(), parts.len());
            for (made, part) in made.iter().zip(&parts) {
                same(made, part);
                let made = Packet::parse(made).expect("checked above");
                payload.extend_from_slice(made.payload());
            }
        }
        assert_eq!(payload, &whole[headers.payload_range()]);
    }

    /// Polls a call of the device until there is nothing more to read or room for nothing more.
    fn poll<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let mut call = pin!(call);
        let mut context = Context::from_waker(Waker::noop());
        // A device yields to other tasks after a packet that it has dropped.
        for _ in 0..4 {
            if let Poll::Ready(value) = call.as_mut().poll(&mut context) {
                return Some(value);
            }
        }
        None
    }
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

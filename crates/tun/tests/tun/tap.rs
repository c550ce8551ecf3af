//! A TAP: Ethernet frames in place of packets.

use crate::support::*;
use brooklet_io::PacketBuf;
use brooklet_tun::{Framing, Tun, TunBuilder};
use std::io::ErrorKind;
use std::time::Duration;

const OWN: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// A TAP whose interface knows the address behind it, so that no ARP is needed.
fn open_tap() -> Tun {
    let tap = TunBuilder::new("tap0")
        .tap(true)
        .mtu(1400)
        .ipv4(HOST, 24)
        .offload(false)
        .open()
        .unwrap();
    ip("neigh replace 10.77.0.9 lladdr 02:00:00:00:00:09 dev tap0");
    tap
}

/// The address of the interface.
fn mac() -> [u8; 6] {
    let shown = ip("link show tap0");
    let (_, rest) = shown.split_once("link/ether ").unwrap();
    let mut octets = rest[..17].split(':');
    [(); 6].map(|()| u8::from_str_radix(octets.next().unwrap(), 16).unwrap())
}

/// The next frame to [`OWN`].
fn frame(tap: &mut Tun) -> PacketBuf {
    loop {
        let limit = Duration::from_secs(5);
        let frame = recv_within(tap, limit).expect("no frame").unwrap();
        if frame[..6] == OWN {
            return frame;
        }
    }
}

#[test]
fn frames_pass_in_both_directions() {
    in_namespace(|| {
        let mut tap = open_tap();
        assert_eq!((tap.name(), tap.mtu()), (Some("tap0"), Some(1414)));
        assert_eq!(tap.framing(), Framing::Plain);
        assert!(ip("-d link show tap0").contains("tun type tap"));
        let socket = socket();
        socket.send_to(b"out", (FAR, 7000)).unwrap();
        let out = frame(&mut tap);
        assert_eq!(out[..14], [&OWN[..], &mac(), &[0x08, 0x00]].concat());
        assert!(out.ends_with(b"out"));

        send(
            &mut tap,
            &[&mac()[..], &OWN, &[0x08, 0x00], &udp(b"in")].concat(),
        );
        assert_eq!(socket.recv(&mut [0; 10]).unwrap(), 2);
        assert_eq!(tap.dropped(), 0);
    });
}

#[test]
fn the_longest_frame_has_the_length_that_the_device_tells() {
    in_namespace(|| {
        let mut tap = open_tap();
        let socket = socket();
        socket.send_to(&[7; 1400 - 28], (FAR, 7000)).unwrap();
        assert_eq!(Some(frame(&mut tap).len()), tap.mtu());
    });
}

/// The kernel leaves the segmentation to the program, and does that of the program's frames.
#[test]
fn frames_carry_super_packets_in_both_directions() {
    use brooklet_io::{Checksum, Meta};
    use brooklet_packet::{Headers, Packet};
    use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
    use std::num::NonZeroU16;
    in_namespace(|| {
        let mut tap = TunBuilder::new("tap0")
            .tap(true)
            .mtu(1400)
            .ipv4(HOST, 24)
            .open()
            .unwrap();
        assert!(tap.offload().checksum && tap.offload().tso4);
        if !tap.offload().uso {
            return; // before Linux 6.2
        }
        ip("neigh replace 10.77.0.9 lladdr 02:00:00:00:00:09 dev tap0");
        let socket = socket();
        setsockopt(&socket, UdpGsoSegment, &1000).unwrap();
        let sent: Vec<u8> = (0..3500).map(|n| (n / 250) as u8).collect();
        socket.send_to(&sent, (FAR, 7000)).unwrap();
        let whole = frame(&mut tap);
        let meta = Meta::new()
            .checksum(Checksum::Partial)
            .gso_size(NonZeroU16::new(1000));
        assert_eq!(whole.meta(), meta);
        assert_eq!(Packet::parse(&whole[14..]).unwrap().payload(), sent);

        let mut packet = udp(&sent);
        let headers = Headers::parse(&packet).unwrap();
        headers.fill_partial_checksum(&mut packet);
        let mut back = PacketBuf::from([&mac()[..], &OWN, &[0x08, 0x00], &packet].concat());
        back.set_meta(meta);
        send_packet(&mut tap, &back);
        for part in sent.chunks(1000) {
            let mut buf = [0; 2000];
            let len = socket.recv(&mut buf).unwrap();
            assert_eq!(&buf[..len], part);
        }
        assert_eq!(tap.dropped(), 0);
    });
}

#[test]
fn several_queues_of_a_tap_are_opened() {
    in_namespace(|| {
        let builder = TunBuilder::new("tap0").tap(true).queues(2);
        let queues = builder.open_queues().unwrap();
        assert_eq!(queues.len(), 2);
        assert!(queues.iter().all(|queue| queue.mtu() == Some(1514)));
    });
}

#[test]
fn a_tun_of_the_same_name_is_refused_with_advice() {
    in_namespace(|| {
        ip("tuntap add dev tap0 mode tun");
        let error = TunBuilder::new("tap0").tap(true).open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("not a plain TAP"), "{error}");
    });
}

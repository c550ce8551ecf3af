//! A device without `IFF_NO_PI`: four bytes in front of each packet.

use crate::support::*;
use brooklet_io::PacketBuf;
use brooklet_packet::Packet;
use brooklet_tun::{Framing, Tun, TunBuilder};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

fn open_with_packet_info() -> Tun {
    let tun = TunBuilder::new("tun0")
        .mtu(1400)
        .ipv4(HOST, 24)
        .ipv6(HOST6, 64)
        .packet_info(true)
        .open()
        .unwrap();
    assert_eq!(tun.framing(), Framing::PacketInfo);
    assert!(!tun.offload().checksum);
    tun
}

#[test]
fn packets_of_both_families_pass_in_both_directions() {
    in_namespace(|| {
        let mut tun = open_with_packet_info();
        for (own, far) in [
            (IpAddr::from(HOST), IpAddr::from(FAR)),
            (HOST6.into(), FAR6.into()),
        ] {
            let socket = bind(own);
            socket.send_to(b"out", (far, 7000)).unwrap();
            assert_eq!(datagram(&mut tun), b"out");

            let mut bytes = Vec::new();
            let (from, to) = ((far, 7000).into(), (own, 5000).into());
            brooklet_packet::udp::write(&mut bytes, from, to, 64, b"in").unwrap();
            send(&mut tun, &bytes);
            assert_eq!(socket.recv(&mut [0; 10]).unwrap(), 2);
        }
        assert_eq!(tun.dropped(), 0);
    });
}

#[test]
fn the_descriptor_has_the_header_in_front_of_each_packet() {
    in_namespace(|| {
        let mut tun = open_with_packet_info();
        while recv_within(&mut tun, Duration::from_millis(100)).is_some() {}
        let mut file = File::from(tun.as_fd().try_clone_to_owned().unwrap());
        socket().send_to(b"out", (FAR, 7000)).unwrap();
        let mut buf = [0xee; 1500];
        let len = file.read(&mut buf).unwrap();
        assert_eq!(buf[..4], [0, 0, 0x08, 0x00]);
        assert_eq!(Packet::parse(&buf[4..len]).unwrap().payload(), b"out");

        // An adopted descriptor needs to be told.
        let mut again = Tun::from_fd_with(tun.into_fd().unwrap(), Framing::PacketInfo).unwrap();
        socket().send_to(b"again", (FAR, 7000)).unwrap();
        assert_eq!(datagram(&mut again), b"again");
    });
}

#[test]
fn a_packet_longer_than_the_buffer_is_dropped_and_counted() {
    in_namespace(|| {
        let mut tun = open_with_packet_info();
        while recv_within(&mut tun, Duration::from_millis(100)).is_some() {}
        let socket = socket();
        socket.send_to(&[7; 1000], (FAR, 7000)).unwrap();
        socket.send_to(b"short", (FAR, 7000)).unwrap();
        let mut packet = PacketBuf::with_capacity(500);
        futures_lite::future::block_on(tun.recv(&mut packet)).unwrap();
        assert_eq!(Packet::parse(&packet).unwrap().payload(), b"short");
        assert_eq!((tun.dropped(), tun.drop_counter().truncated()), (1, 1));
    });
}

/// The kernel would take the packet, as one of an unknown protocol, and drop it silently.
#[test]
fn a_packet_that_is_not_ip_is_refused_and_counted() {
    in_namespace(|| {
        let mut tun = open_with_packet_info();
        for bytes in [&[0xf0; 40][..], &[]] {
            send(&mut tun, bytes);
        }
        assert_eq!(tun.drop_counter().refused(), 2);
    });
}

#[test]
fn queues_with_and_without_packet_information_do_not_mix() {
    in_namespace(|| {
        let open = |packet_info| {
            TunBuilder::new("tun0")
                .queues(2)
                .offload(false)
                .packet_info(packet_info)
                .open_queues()
        };
        for first in [false, true] {
            let queues = open(first).unwrap();
            let wanted = [Framing::Plain, Framing::PacketInfo][usize::from(first)];
            assert!(queues.iter().all(|queue| queue.framing() == wanted));
            assert_eq!(open(!first).unwrap_err().kind(), ErrorKind::ResourceBusy);
            drop(open(first).unwrap());
        }
    });
}

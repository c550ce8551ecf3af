//! Packets that stand for several, and packets without a checksum, from the kernel and to it.

use crate::support::*;
use async_io::Timer;
use brooklet_io::{Checksum, Meta, Offload, PacketBuf, PacketIo};
use brooklet_packet::{Headers, Packet, Segmenter, udp};
use brooklet_tun::{Tun, TunBuilder};
use futures_lite::future::{block_on, or, poll_fn};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU16;
use std::slice;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

const ALL: Offload = Offload::new()
    .checksum(true)
    .tso4(true)
    .tso6(true)
    .uso(true);

fn meta(gso_size: u16) -> Meta {
    Meta::new()
        .checksum(Checksum::Partial)
        .gso_size(NonZeroU16::new(gso_size))
}

fn open_with_offload(own: IpAddr, own6: Ipv6Addr) -> Tun {
    let IpAddr::V4(own) = own else {
        panic!("IPv4 first")
    };
    let tun = TunBuilder::new("tun0")
        .mtu(1400)
        .ipv4(own, 24)
        .ipv6(own6, 64)
        .open()
        .unwrap();
    assert!(tun.offload().tso4 && tun.offload().tso6 && tun.offload().checksum);
    tun
}

/// What the relay has seen go one way.
#[derive(Debug, Default)]
struct Seen {
    packets: usize,
    longest: usize,
    segments: Vec<u16>,
}

impl Seen {
    fn note(&mut self, packet: &PacketBuf) {
        let parsed = Packet::parse(packet).unwrap();
        if parsed.tcp().is_none() {
            return;
        }
        let Meta {
            checksum, gso_size, ..
        } = packet.meta();
        // The kernel completes the checksum of what it sends without a socket: an RST, and an ACK
        // in TIME-WAIT.
        if !parsed.payload().is_empty() {
            assert_eq!(
                checksum,
                Checksum::Partial,
                "the checksum is not needed here"
            );
        }
        self.packets += 1;
        self.longest = self.longest.max(packet.len());
        let gso_size = gso_size.map(NonZeroU16::get);
        if gso_size.is_some_and(|size| !self.segments.contains(&size)) {
            self.segments.extend(gso_size);
        }
    }
}

/// Takes packets from one device to the other until `ended`.
fn relay(tuns: &mut [Tun; 2], ended: impl Fn() -> bool) -> [Seen; 2] {
    let mut seen = [Seen::default(), Seen::default()];
    let mut packet = PacketBuf::with_capacity(65_575);
    while !ended() {
        let next = poll_fn(|cx| {
            for (side, tun) in tuns.iter_mut().enumerate() {
                if let Poll::Ready(received) = tun.poll_recv(cx, &mut packet) {
                    received.unwrap();
                    return Poll::Ready(Some(side));
                }
            }
            Poll::Pending
        });
        let idle = async {
            Timer::after(Duration::from_millis(20)).await;
            None
        };
        if let Some(side) = block_on(or(next, idle)) {
            seen[side].note(&packet);
            send_packet(&mut tuns[1 - side], &packet);
        }
    }
    seen
}

#[test]
fn tcp_goes_in_and_out_in_segments_of_many() {
    in_namespace(|| {
        let near = open_with_offload(HOST.into(), HOST6);
        let (tell, told) = mpsc::channel();
        // The other end, in a namespace of its own: gives back what it was sent.
        let server = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let far = open_with_offload(FAR.into(), FAR6);
            let listener = TcpListener::bind("[::]:80").unwrap();
            tell.send(far).unwrap();
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).unwrap();
                stream.write_all(&bytes).unwrap();
            }
        });
        let far = told.recv().unwrap();
        let client = thread::spawn(|| {
            let sent: Vec<u8> = (0..4 << 20)
                .map(|n: u32| (n * 7 + (n >> 9)) as u8)
                .collect();
            for to in [IpAddr::from(FAR), FAR6.into()] {
                let mut stream = TcpStream::connect((to, 80)).unwrap();
                stream
                    .set_read_timeout(Some(Duration::from_secs(10)))
                    .unwrap();
                stream.write_all(&sent).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                let mut back = Vec::new();
                stream.read_to_end(&mut back).unwrap();
                assert!(sent == back, "{} bytes came back from {to}", back.len());
            }
        });
        let mut tuns = [near, far];
        let seen = relay(&mut tuns, || client.is_finished() && server.is_finished());
        client.join().unwrap();
        server.join().unwrap();
        for seen in seen {
            // 8 MiB: some 6,400 packets, of the MTU's length.
            assert!(seen.packets < 3200 && seen.longest > 16_000, "{seen:?}");
            // Beside the timestamps.
            assert_eq!(seen.segments, [1400 - 52, 1400 - 72], "{seen:?}");
        }
        assert_eq!(tuns.map(|tun| tun.dropped()), [0, 0]);
    });
}

#[test]
fn datagrams_come_in_as_one() {
    in_namespace(|| {
        let mut tun = open_with_offload(HOST.into(), HOST6);
        if !tun.offload().uso {
            return; // before Linux 6.2
        }
        for (own, to) in [
            (IpAddr::from(HOST), IpAddr::from(FAR)),
            (HOST6.into(), FAR6.into()),
        ] {
            let socket = bind(own);
            setsockopt(&socket, UdpGsoSegment, &1000).unwrap();
            let sent: Vec<u8> = (0..3500).map(|n| (n / 250) as u8).collect();
            socket.send_to(&sent, (to, 7000)).unwrap();
            let whole = recv(&mut tun);
            assert_eq!(whole.meta(), meta(1000));
            assert_eq!(Packet::parse(&whole).unwrap().payload(), sent);
        }
    });
}

#[test]
fn datagrams_go_out_as_one() {
    in_namespace(|| {
        let mut tun = open_with_offload(HOST.into(), HOST6);
        if !tun.offload().uso {
            return; // before Linux 6.2
        }
        for (from, to) in [
            (IpAddr::from(FAR), IpAddr::from(HOST)),
            (FAR6.into(), HOST6.into()),
        ] {
            let socket = bind(to);
            let payload: Vec<u8> = (0..3500).map(|n| (n / 250) as u8).collect();
            let packet = several(udp_between(from, to, &payload), 1000);
            send_packet(&mut tun, &packet);
            for part in payload.chunks(1000) {
                let mut buf = [0; 2000];
                let (len, sender) = socket.recv_from(&mut buf).unwrap();
                assert_eq!((&buf[..len], sender), (part, (from, 7000).into()));
            }
        }
        assert_eq!(tun.dropped(), 0);
    });
}

/// A packet that stands for several, as a stack gives it to a device.
fn several(bytes: Vec<u8>, gso_size: u16) -> PacketBuf {
    let headers = Headers::parse(&bytes).unwrap();
    let mut packet = PacketBuf::from(bytes);
    headers.fill_partial_checksum(&mut packet);
    packet.set_meta(meta(gso_size));
    packet
}

fn udp_between(from: IpAddr, to: IpAddr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (from, to): (SocketAddr, SocketAddr) = ((from, 7000).into(), (to, 5000).into());
    udp::write(&mut bytes, from, to, 64, payload).unwrap();
    bytes
}

/// A TCP segment in the place of a datagram.
fn tcp_between(from: IpAddr, to: IpAddr, payload: &[u8]) -> Vec<u8> {
    const ACK_PSH_FIN: u8 = 0x19;
    let rest = [0, 0, 0, 9, 8 << 4, ACK_PSH_FIN, 4, 0, 0, 0, 0, 0];
    let timestamps = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let mut bytes = udp_between(from, to, &[&rest, &timestamps, payload].concat());
    if from.is_ipv4() {
        bytes[9] = 6;
        let sum = u16::from_be_bytes([bytes[10], bytes[11]]) + (17 - 6);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes[24..28].copy_from_slice(&[0xff, 0xff, 0xf0, 0]);
    } else {
        bytes[6] = 6;
        bytes[44..48].copy_from_slice(&[0xff, 0xff, 0xf0, 0]);
    }
    bytes
}

/// The kernel forwards to a device that wants each packet whole, and so has to do what it is told
/// in the virtio-net header.
#[test]
fn the_kernel_cuts_as_the_segmenter_does() {
    in_namespace(|| {
        let mut tun = open_with_offload(HOST.into(), HOST6);
        let mut plain = TunBuilder::new("tun1")
            .mtu(1400)
            .ipv4([10, 78, 0, 1].into(), 24)
            .ipv6("fd78::1".parse().unwrap(), 64)
            .offload(false)
            .open()
            .unwrap();
        for forwarding in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/net/{forwarding}"), "1").unwrap();
        }
        let far_off: IpAddr = [10, 78, 0, 9].into();
        let far_off6: IpAddr = "fd78::9".parse().unwrap();
        let payload: Vec<u8> = (0..9000).map(|n: u32| (n * 7 + n / 251) as u8).collect();
        for (from, to) in [(IpAddr::from(FAR), far_off), (FAR6.into(), far_off6)] {
            let mut cases = vec![
                (tcp_between(from, to, &payload), 1300),
                (tcp_between(from, to, &payload[..2600]), 1300),
                (tcp_between(from, to, &payload[..1301]), 1300),
                (tcp_between(from, to, &payload[..1300]), 1300),
                (tcp_between(from, to, &[]), 1300),
                (udp_between(from, to, &payload[..1300]), 0),
                (udp_between(from, to, &[]), 0),
            ];
            if tun.offload().uso {
                cases.push((udp_between(from, to, &payload), 1300));
                cases.push((udp_between(from, to, &payload[..2600]), 1300));
                cases.push((udp_between(from, to, &payload[..1301]), 1300));
            }
            for (whole, segment) in cases {
                let headers = Headers::parse(&whole).unwrap();
                let size = NonZeroU16::new(segment).unwrap_or(NonZeroU16::MAX);
                let mut segmenter = Segmenter::new(&headers, size);
                let mut wanted = vec![0; segmenter.longest()];
                send_packet(&mut tun, &several(whole.clone(), segment));
                while let Some(len) = segmenter.next(&whole, &mut wanted) {
                    let wanted = Packet::parse(&wanted[..len]).unwrap();
                    let got = recv_to(&mut plain, to);
                    assert_eq!(got.meta(), Meta::default());
                    let got = Packet::parse(&got).unwrap();
                    assert!(got.verify_checksum());
                    assert_eq!(got.transport(), wanted.transport());
                    // The kernel does not care that the packet cannot be fragmented.
                    if to.is_ipv4() {
                        assert_eq!(got.bytes()[4..8], wanted.bytes()[4..8], "identification");
                    }
                }
            }
        }
        assert_eq!(tun.dropped(), 0);
    });
}

#[test]
fn without_offload_each_packet_is_whole() {
    in_namespace(|| {
        let mut tun = open();
        assert_eq!(tun.offload(), Offload::default());
        let socket = socket();
        socket.send_to(b"out", (FAR, 7000)).unwrap();
        let packet = recv(&mut tun);
        assert_eq!(packet.meta(), Meta::default());
        assert!(Packet::parse(&packet).unwrap().verify_checksum());
    });
}

#[test]
fn a_packet_that_the_kernel_refuses_is_dropped_and_counted() {
    in_namespace(|| {
        let mut tun = open_with_offload(HOST.into(), HOST6);
        let socket = socket();
        send(&mut tun, &[0xf0; 40]);
        send(&mut tun, &[]);
        assert_eq!(tun.dropped(), 2);
        send(&mut tun, &udp(b"good"));
        assert_eq!(socket.recv(&mut [0; 10]).unwrap(), 4);
    });
}

/// Each attachment says for itself whether there are headers, whatever the one before had.
#[test]
fn each_attachment_to_a_persistent_device_sets_its_own_offload() {
    in_namespace(|| {
        ip("tuntap add dev tun0 mode tun");
        ip("tuntap add dev tun1 mode tun vnet_hdr");
        for name in ["tun0", "tun1"] {
            for offload in [true, false, true] {
                let mut tun = TunBuilder::new(name)
                    .ipv4(HOST, 24)
                    .offload(offload)
                    .open()
                    .unwrap();
                let uso = tun.offload().uso;
                let wanted = match offload {
                    true => ALL.uso(uso),
                    false => Offload::default(),
                };
                assert_eq!(tun.offload(), wanted);
                passes(slice::from_mut(&mut tun));
            }
            ip(&format!("link del {name}"));
        }
    });
}

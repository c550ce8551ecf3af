#![cfg(unix)]

use super::*;
use crate::framing::Framing;
use brooklet_io::{Checksum, Meta};
use futures_lite::future::{block_on, or, poll_fn, poll_once};
use rustix::io::Errno;
use std::num::NonZeroU16;
use std::os::unix::net::UnixDatagram;
use std::time::Instant;

const V4: [u8; 20] = [0x45; 20];
const V6: [u8; 40] = [0x60; 40];

const OFFLOAD: Offload = Offload::new()
    .checksum(true)
    .tso4(true)
    .tso6(true)
    .uso(false);
const VIRTIO: Framing = Framing::VirtioNet {
    header_len: 10,
    offload: OFFLOAD,
};

fn pair(framing: Framing) -> (Tun, UnixDatagram) {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    (Tun::from_fd_with(ours.into(), framing).unwrap(), theirs)
}

fn recv(tun: &mut Tun) -> io::Result<Vec<u8>> {
    let mut packet = PacketBuf::with_capacity(1500);
    block_on(poll_fn(|cx| tun.poll_recv(cx, &mut packet)))?;
    Ok(packet.to_vec())
}

fn send(tun: &mut Tun, bytes: &[u8]) -> io::Result<()> {
    let packet = PacketBuf::from(bytes.to_vec());
    block_on(poll_fn(|cx| tun.poll_send(cx, &packet)))
}

fn errno(code: Errno) -> Poll<io::Result<usize>> {
    Poll::Ready(Err(code.into()))
}

#[test]
fn a_device_is_send_and_shared() {
    fn is_send_and_sync<T: Send + Sync + Unpin>() {}
    is_send_and_sync::<Tun>();
}

#[test]
fn an_adopted_descriptor_carries_packets() {
    let (mut tun, peer) = pair(Framing::Plain);
    peer.send(&V4).unwrap();
    assert_eq!(recv(&mut tun).unwrap(), V4);
    send(&mut tun, &V6).unwrap();
    let mut buf = [0; 100];
    assert_eq!(peer.recv(&mut buf).unwrap(), V6.len());
}

#[test]
fn the_family_header_is_taken_off_and_put_on() {
    let (mut tun, peer) = pair(Framing::FamilyHeader);
    peer.send(&[0, 0, 0, 2]).unwrap(); // a header alone is passed over
    peer.send(&[&[0, 0, 0, 2][..], &V4].concat()).unwrap();
    assert_eq!(recv(&mut tun).unwrap(), V4);

    let mut buf = [0; 100];
    send(&mut tun, &V4).unwrap();
    let len = peer.recv(&mut buf).unwrap();
    assert_eq!(&buf[..len], [&[0, 0, 0, 2][..], &V4].concat());
    send(&mut tun, &V6).unwrap();
    let len = peer.recv(&mut buf).unwrap();
    assert_eq!(
        &buf[..len],
        [
            &[0, 0, 0, rustix::net::AddressFamily::INET6.as_raw() as u8][..],
            &V6
        ]
        .concat()
    );
}

/// A datagram of IPv4 whose checksum is left out.
fn datagram(len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let ends = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
    brooklet_packet::udp::write(&mut bytes, ends.0, ends.1, 64, &vec![7; len]).unwrap();
    bytes
}

#[test]
fn virtio_headers_are_read_and_written() {
    let rest = |header_len: usize| vec![0; header_len - 10];
    for header_len in [10, 12, 24, 64] {
        let (mut tun, peer) = pair(Framing::VirtioNet {
            header_len,
            offload: OFFLOAD,
        });
        assert_eq!(PacketIo::offload(&tun), OFFLOAD);
        let [a, b] = 1000u16.to_ne_bytes();
        let (udp, bytes) = ([1, 5, 0, 0, a, b, 0, 0, 0, 0], datagram(2500));
        peer.send(&[&udp[..], &rest(header_len)].concat()).unwrap(); // passed over
        peer.send(&[&udp[..], &rest(header_len), &bytes].concat())
            .unwrap();
        let mut packet = PacketBuf::with_capacity(3000);
        block_on(poll_fn(|cx| tun.poll_recv(cx, &mut packet))).unwrap();
        let meta = Meta::new()
            .checksum(Checksum::Partial)
            .gso_size(NonZeroU16::new(1000));
        assert_eq!((&packet[..], packet.meta()), (&bytes[..], meta));

        // And the same way back, with the places filled in.
        block_on(poll_fn(|cx| tun.poll_send(cx, &packet))).unwrap();
        let mut buf = [0xee; 3000];
        let len = peer.recv(&mut buf).unwrap();
        let words = [28u16, 1000, 20, 6].map(u16::to_ne_bytes);
        let header = [&[1, 5], words.as_flattened()].concat();
        assert_eq!(
            buf[..len],
            [header, rest(header_len), bytes].concat(),
            "{header_len}"
        );
    }
}

#[test]
fn a_packet_behind_a_header_without_sense_is_dropped_and_counted() {
    let (mut tun, peer) = pair(VIRTIO);
    for _ in 0..100 {
        peer.send(&[&[1, 77, 0, 0, 9, 9, 0, 0, 0, 0], &V4[..]].concat())
            .unwrap();
    }
    // Not all in one go, as there might be no end to them.
    let mut packet = PacketBuf::with_capacity(1500);
    assert!(block_on(poll_once(poll_fn(|cx| tun.poll_recv(cx, &mut packet)))).is_none());
    assert_eq!(tun.dropped(), 1);
    peer.send(&[&[0; 10], &V4[..]].concat()).unwrap();
    assert_eq!(recv(&mut tun).unwrap(), V4);
    assert_eq!(tun.dropped(), 100);
}

#[test]
fn a_header_of_another_length_is_refused() {
    for header_len in [0, 9, 65] {
        let (ours, _theirs) = UnixDatagram::pair().unwrap();
        let framing = Framing::VirtioNet {
            header_len,
            offload: OFFLOAD,
        };
        let error = Tun::from_fd_with(ours.into(), framing).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn a_packet_that_is_not_taken_is_dropped_and_counted() {
    let (mut tun, peer) = pair(Framing::Plain);
    let drops = tun.drop_counter();
    send(&mut tun, &vec![0; 8 << 20]).unwrap(); // EMSGSIZE
    assert_eq!((tun.dropped(), drops.get()), (1, 1));
    assert_eq!((drops.refused(), drops.malformed()), (1, 0));
    send(&mut tun, &V4).unwrap();
    assert_eq!(peer.recv(&mut [0; 100]).unwrap(), V4.len());
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_full_descriptor_holds_the_packet_back() {
    let (mut tun, peer) = pair(Framing::Plain);
    let packet = PacketBuf::from(V4.to_vec());
    let mut sent = 0;
    while block_on(poll_once(poll_fn(|cx| tun.poll_send(cx, &packet)))).is_some() {
        sent += 1;
        assert!(sent < 1_000_000, "a socket without end");
    }
    assert_eq!(tun.dropped(), 0);
    peer.recv(&mut [0; 100]).unwrap();
    send(&mut tun, &V4).unwrap(); // woken by the room
}

#[test]
fn a_file_on_a_disk_is_refused() {
    let file = std::fs::File::open("Cargo.toml").unwrap();
    assert!(Tun::from_fd(file.into()).is_err());
}

#[test]
fn reads_that_fail_for_now_neither_end_nor_spin() {
    for code in [
        Errno::IO,
        Errno::NETDOWN,
        Errno::HOSTDOWN,
        Errno::NOBUFS,
        Errno::NOMEM,
    ] {
        let (mut tun, _peer) = pair(Framing::Plain);
        let (mut polls, mut reads) = (0, 0);
        let start = Instant::now();
        let read = poll_fn(|cx| {
            polls += 1;
            tun.poll_recv_with(cx, |_, _| {
                reads += 1;
                if reads < 4 {
                    errno(code)
                } else {
                    Poll::Ready(Ok(20))
                }
            })
        });
        block_on(read).unwrap();
        assert_eq!(reads, 4, "{code}: one read for each pause");
        assert!(polls <= 8, "{code}: polled {polls} times");
        assert!(start.elapsed() >= 3 * PAUSE, "{code}: did not wait");
    }
}

#[test]
fn an_interrupted_read_is_made_again_at_once() {
    let (mut tun, _peer) = pair(Framing::Plain);
    let mut answers = [errno(Errno::INTR), Poll::Ready(Ok(7))].into_iter();
    let read = poll_fn(|cx| tun.poll_recv_with(cx, |_, _| answers.next().unwrap()));
    block_on(poll_once(read)).unwrap().unwrap();
}

#[test]
fn a_device_that_is_gone_is_unexpected_eof_and_other_errors_pass_through() {
    let (mut tun, _peer) = pair(Framing::Plain);
    let mut end = |code| {
        let read = poll_fn(|cx| tun.poll_recv_with(cx, |_, _| errno(code)));
        let slow = async {
            Timer::after(Duration::from_secs(5)).await;
            panic!("{code}: still waiting")
        };
        block_on(or(read, slow)).unwrap_err()
    };
    for code in [Errno::BADF, Errno::NODEV, Errno::NXIO] {
        assert_eq!(end(code).kind(), io::ErrorKind::UnexpectedEof, "{code}");
    }
    #[cfg(target_os = "linux")]
    assert_eq!(end(Errno::BADFD).kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(
        end(Errno::ACCESS).raw_os_error(),
        Some(Errno::ACCESS.raw_os_error())
    );
}

#[test]
fn debug_output_names_the_device() {
    let (mut tun, _peer) = pair(Framing::Plain);
    tun.name = Some("tun7".into());
    assert!(format!("{tun:?}").contains("tun7"));
}

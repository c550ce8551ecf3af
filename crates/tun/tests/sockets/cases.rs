// Included once for each executor, with its `block_on`.

use async_io::Timer;
use brooklet_io::{PacketBuf, PacketIo};
use brooklet_tun::{Framing, Tun};
use futures_lite::future::{or, poll_fn, poll_once, yield_now, zip};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io::{self, ErrorKind, Read, Write};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const V4: [u8; 20] = [0x45; 20];
const V6: [u8; 40] = [0x60; 40];

fn pair(socket_type: SocketType) -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, socket_type, SocketFlags::empty(), None).unwrap()
}

fn tun_and_peer(socket_type: SocketType) -> (Tun, UnixDatagram) {
    let (ours, theirs) = pair(socket_type);
    // The type has the calls; the kind of socket is the descriptor's.
    (Tun::from_fd(ours).unwrap(), theirs.into())
}

/// The result of a future that must not take long.
fn soon<T>(future: impl Future<Output = T>) -> T {
    block_on(or(future, async {
        Timer::after(Duration::from_secs(10)).await;
        panic!("nothing happened in 10 seconds")
    }))
}

async fn recv(tun: &Tun) -> io::Result<Vec<u8>> {
    let mut packet = PacketBuf::with_capacity(1500);
    tun.recv(&mut packet).await?;
    Ok(packet.to_vec())
}

fn poll_recv(tun: &mut Tun) -> io::Result<Vec<u8>> {
    let mut packet = PacketBuf::with_capacity(1500);
    soon(poll_fn(|cx| tun.poll_recv(cx, &mut packet)))?;
    Ok(packet.to_vec())
}

fn waits(tun: &Tun) {
    assert!(block_on(poll_once(recv(tun))).is_none());
}

#[test]
fn an_empty_datagram_is_dropped_and_counted() {
    let (mut tun, peer) = tun_and_peer(SocketType::DGRAM);
    for packet in [&[][..], &V4, &[], &[], &V6] {
        peer.send(packet).unwrap();
    }
    assert_eq!(poll_recv(&mut tun).unwrap(), V4);
    assert_eq!(tun.dropped(), 1);
    assert_eq!(soon(recv(&tun)).unwrap(), V6);
    assert_eq!(tun.dropped(), 3);
    assert_eq!(tun.drop_counter().malformed(), 3);
    waits(&tun);
}

#[test]
fn an_empty_udp_datagram_is_dropped_and_counted() {
    let (ours, theirs) = [(); 2]
        .map(|()| UdpSocket::bind("127.0.0.1:0").unwrap())
        .into();
    ours.connect(theirs.local_addr().unwrap()).unwrap();
    theirs.connect(ours.local_addr().unwrap()).unwrap();
    let tun = Tun::from_fd(ours.into()).unwrap();
    theirs.send(&[]).unwrap();
    theirs.send(&V4).unwrap();
    assert_eq!(soon(recv(&tun)).unwrap(), V4);
    assert_eq!(tun.dropped(), 1);
}

/// An ICMP error says that nobody listens now, not that nobody ever will.
#[test]
fn a_udp_peer_that_is_away_is_no_end() {
    let away = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = away.local_addr().unwrap();
    drop(away);
    let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
    ours.connect(address).unwrap();
    let own = ours.local_addr().unwrap();
    let tun = Tun::from_fd(ours.into()).unwrap();
    soon(tun.send(&PacketBuf::from(V4.to_vec()))).unwrap();
    waits(&tun);
    soon(tun.send(&PacketBuf::from(V4.to_vec()))).unwrap();
    soon(tun.send(&PacketBuf::from(V4.to_vec()))).unwrap();

    let back = UdpSocket::bind(address).unwrap();
    back.send_to(&V6, own).unwrap();
    assert_eq!(soon(recv(&tun)).unwrap(), V6);
}

#[test]
fn a_header_without_a_packet_is_dropped_and_counted() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let tun = Tun::from_fd_with(ours.into(), Framing::FamilyHeader).unwrap();
    for bytes in [&[][..], &[0, 0], &[0, 0, 0, 2]] {
        theirs.send(bytes).unwrap();
    }
    theirs.send(&[&[0, 0, 0, 2][..], &V4].concat()).unwrap();
    assert_eq!(soon(recv(&tun)).unwrap(), V4);
    assert_eq!(tun.dropped(), 3);
}

/// A stream keeps no bounds of packets: it takes what it has room for.
#[test]
fn a_short_write_is_counted() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut tun = Tun::from_fd(ours.into()).unwrap();
    let long = PacketBuf::from(vec![0x45; 8 << 20]);
    soon(tun.send(&long)).unwrap();
    assert_eq!(tun.drop_counter().truncated(), 1);
    thread::scope(|scope| {
        scope.spawn(|| theirs.read(&mut vec![0; 8 << 20]));
        soon(poll_fn(|cx| tun.poll_send(cx, &long))).unwrap();
    });
    assert_eq!((tun.dropped(), tun.drop_counter().truncated()), (2, 2));
}

#[test]
fn packet_information_is_taken_off_and_put_on() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let tun = Tun::from_fd_with(ours.into(), Framing::PacketInfo).unwrap();
    let [strip_0, strip_1] = 1u16.to_ne_bytes();
    for (header, malformed, truncated) in [
        (&[][..], 1, 0),
        (&[0, 0], 2, 0),
        (&[0, 0, 8, 0], 3, 0),                   // a header without a packet
        (&[0, 0, 8, 6, 0x45], 4, 0),             // ARP, which no TUN carries
        (&[strip_0, strip_1, 8, 0, 0x45], 4, 1), // the system has truncated the packet
        (&[strip_0, strip_1, 0x86, 0xdd, 0x60], 4, 2),
    ] {
        theirs.send(header).unwrap();
        waits(&tun);
        let drops = tun.drop_counter();
        assert_eq!(
            (drops.malformed(), drops.truncated()),
            (malformed, truncated)
        );
    }
    let mut buf = [0; 100];
    for (header, packet) in [([0, 0, 8, 0], &V4[..]), ([0, 0, 0x86, 0xdd], &V6)] {
        let framed = [&header, packet].concat();
        theirs.send(&framed).unwrap();
        assert_eq!(soon(recv(&tun)).unwrap(), packet);
        soon(tun.send(&PacketBuf::from(packet.to_vec()))).unwrap();
        let len = theirs.recv(&mut buf).unwrap();
        assert_eq!(buf[..len], framed);
    }
    soon(tun.send(&PacketBuf::from(vec![0x50; 40]))).unwrap();
    assert_eq!(tun.drop_counter().refused(), 1);
}

/// A flood of empty packets leaves the task its other work.
#[test]
fn empty_datagrams_are_skipped_one_per_poll() {
    let (tun, peer) = tun_and_peer(SocketType::DGRAM);
    for _ in 0..5 {
        peer.send(&[]).unwrap();
    }
    assert!(block_on(poll_once(recv(&tun))).is_none());
    assert_eq!(tun.dropped(), 1);
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod seqpacket {
    use super::*;
    use brooklet_io::Offload;
    use std::net::Shutdown;

    const VIRTIO: Framing = Framing::VirtioNet {
        header_len: 10,
        offload: Offload::new().checksum(true).tso4(true).tso6(true),
    };

    #[test]
    fn an_empty_packet_is_dropped_and_counted() {
        let (mut tun, peer) = tun_and_peer(SocketType::SEQPACKET);
        for packet in [&[][..], &V4, &[], &V6] {
            peer.send(packet).unwrap();
        }
        assert_eq!(poll_recv(&mut tun).unwrap(), V4);
        assert_eq!(soon(recv(&tun)).unwrap(), V6);
        assert_eq!(tun.dropped(), 2);
        waits(&tun);
    }

    #[test]
    fn a_closed_peer_is_the_end_in_every_framing() {
        for framing in [
            Framing::Plain,
            Framing::FamilyHeader,
            Framing::PacketInfo,
            VIRTIO,
        ] {
            let (ours, theirs) = pair(SocketType::SEQPACKET);
            let mut tun = Tun::from_fd_with(ours, framing).unwrap();
            drop(theirs);
            let end = poll_recv(&mut tun).unwrap_err();
            assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
            let end = soon(recv(&tun)).unwrap_err();
            assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
            let end = soon(tun.send(&PacketBuf::from(V4.to_vec()))).unwrap_err();
            assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
            assert_eq!(tun.dropped(), 0);
        }
    }

    #[test]
    fn packets_behind_an_empty_one_arrive_before_the_end() {
        for close in [true, false] {
            let (tun, peer) = tun_and_peer(SocketType::SEQPACKET);
            for packet in [&V4[..], &[], &V6] {
                peer.send(packet).unwrap();
            }
            let half_open = if close {
                drop(peer);
                None
            } else {
                peer.shutdown(Shutdown::Write).unwrap();
                Some(peer)
            };
            assert_eq!(soon(recv(&tun)).unwrap(), V4);
            assert_eq!(soon(recv(&tun)).unwrap(), V6);
            assert_eq!(tun.dropped(), 1);
            let end = soon(recv(&tun)).unwrap_err();
            assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
            drop(half_open);
        }
    }

    #[test]
    fn a_peer_that_closes_ends_a_read_that_waits() {
        let (tun, peer) = tun_and_peer(SocketType::SEQPACKET);
        let close = async {
            yield_now().await;
            drop(peer);
        };
        let (read, ()) = soon(zip(recv(&tun), close));
        assert_eq!(read.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

/// Linux tells it on a write; other systems on the next read as well.
#[test]
fn a_dead_peer_of_a_datagram_pair_is_the_end_on_a_write() {
    let (tun, peer) = tun_and_peer(SocketType::DGRAM);
    drop(peer);
    let end = soon(tun.send(&PacketBuf::from(V4.to_vec()))).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(tun.dropped(), 0);
    let end = soon(recv(&tun)).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_write_to_a_dead_peer_ends_every_read_that_waits() {
    let (tun, peer) = tun_and_peer(SocketType::DGRAM);
    let write = async {
        yield_now().await;
        drop(peer);
        tun.send(&PacketBuf::from(V4.to_vec())).await
    };
    let ((first, second), written) = soon(zip(zip(recv(&tun), recv(&tun)), write));
    for result in [first.map(drop), second.map(drop), written] {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

#[test]
fn a_datagram_socket_that_is_shut_down_is_the_end() {
    let (ours, _theirs) = UnixDatagram::pair().unwrap();
    let copy = ours.try_clone().unwrap();
    let mut tun = Tun::from_fd(ours.into()).unwrap();
    waits(&tun);
    copy.shutdown(std::net::Shutdown::Both).unwrap();
    let end = poll_recv(&mut tun).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_stream_and_a_pipe_end_at_a_read_of_nothing() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let tun = Tun::from_fd(ours.into()).unwrap();
    (&theirs).write_all(&V4).unwrap();
    drop(theirs);
    assert_eq!(soon(recv(&tun)).unwrap(), V4);
    let end = soon(recv(&tun)).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::UnexpectedEof);

    let (reader, writer) = io::pipe().unwrap();
    let tun = Tun::from_fd(reader.into()).unwrap();
    drop(writer);
    let end = soon(recv(&tun)).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(tun.dropped(), 0);
}

#[test]
fn a_buffer_without_room_is_an_error_and_loses_nothing() {
    let (tun, peer) = tun_and_peer(SocketType::DGRAM);
    peer.send(&V4).unwrap();
    let error = soon(tun.recv(&mut PacketBuf::default())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(soon(recv(&tun)).unwrap(), V4);
}

#[test]
fn every_task_that_waits_for_a_packet_gets_one() {
    const TASKS: u8 = 4;
    let (tun, peer) = tun_and_peer(SocketType::DGRAM);
    let mut received: Vec<u8> = thread::scope(|scope| {
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| scope.spawn(|| soon(recv(&tun)).unwrap()[0]))
            .collect();
        // Each packet wakes all of them, and all but one wait again.
        thread::sleep(Duration::from_millis(50));
        for number in 0..TASKS {
            peer.send(&[number; 20]).unwrap();
            thread::sleep(Duration::from_millis(10));
        }
        tasks.into_iter().map(|task| task.join().unwrap()).collect()
    });
    received.sort_unstable();
    assert_eq!(received, (0..TASKS).collect::<Vec<_>>());
}

/// One waker for several tasks would have them wake each other in a loop.
#[test]
fn tasks_that_wait_do_not_wake_each_other() {
    let (tun, _peer) = tun_and_peer(SocketType::DGRAM);
    let polls = AtomicUsize::new(0);
    let wait = || {
        let mut receive = pin!(recv(&tun));
        let counted = poll_fn(|cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            receive.as_mut().poll(cx).map(drop)
        });
        block_on(or(counted, async {
            Timer::after(Duration::from_millis(200)).await;
        }));
    };
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(wait);
        }
    });
    let polls = polls.into_inner();
    assert!(polls < 30, "polled {polls} times in 200 ms");
}

#[test]
fn every_task_that_waits_for_room_sends() {
    const TASKS: usize = 4;
    let (tun, peer) = tun_and_peer(SocketType::DGRAM);
    let packet = PacketBuf::from(V4.to_vec());
    let mut sent = 0;
    while block_on(poll_once(tun.send(&packet))).is_some() {
        sent += 1;
        assert!(sent < 1_000_000, "a socket without end");
    }
    thread::scope(|scope| {
        for _ in 0..TASKS {
            scope.spawn(|| soon(tun.send(&packet)).unwrap());
        }
        thread::sleep(Duration::from_millis(50));
        for _ in 0..sent + TASKS {
            assert_eq!(peer.recv(&mut [0; 100]).unwrap(), V4.len());
        }
    });
    assert_eq!(tun.dropped(), 0);
}

#[test]
fn a_receive_that_is_cancelled_loses_no_packet() {
    let (tun, peer) = tun_and_peer(SocketType::DGRAM);
    for number in 0..20 {
        waits(&tun); // polled once, then dropped
        peer.send(&[number; 20]).unwrap();
        assert_eq!(soon(recv(&tun)).unwrap()[0], number);
    }
}

#[test]
fn the_futures_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let (tun, _peer) = tun_and_peer(SocketType::DGRAM);
    let mut packet = PacketBuf::with_capacity(1500);
    is_send(&tun.send(&PacketBuf::default()));
    is_send(&tun.recv(&mut packet));
}

#[test]
fn the_descriptor_is_given_back_and_leaves_the_reactor() {
    let (tun, peer) = tun_and_peer(SocketType::DGRAM);
    waits(&tun);
    let number = tun.as_raw_fd();
    assert_eq!(tun.as_fd().as_raw_fd(), number);
    let fd = tun.into_fd().unwrap();
    assert_eq!(fd.as_raw_fd(), number);
    // A descriptor is in the reactor once: adopting it again shows that it had left.
    let tun = Tun::from_fd(fd).unwrap();
    peer.send(&V4).unwrap();
    assert_eq!(soon(recv(&tun)).unwrap(), V4);
    let ours = UnixDatagram::from(tun.into_fd().unwrap());
    ours.send(&V6).unwrap();
    let mut buf = [0; 100];
    assert_eq!(peer.recv(&mut buf).unwrap(), V6.len());
}

#[test]
fn a_borrowed_descriptor_reads_with_the_header() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let tun = Tun::from_fd_with(ours.into(), Framing::FamilyHeader).unwrap();
    assert_eq!(tun.framing(), Framing::FamilyHeader);
    theirs.send(&[&[0, 0, 0, 2][..], &V4].concat()).unwrap();
    let mut file = std::fs::File::from(tun.as_fd().try_clone_to_owned().unwrap());
    let mut buf = [0; 100];
    assert_eq!(file.read(&mut buf).unwrap(), 24);
}

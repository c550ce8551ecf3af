//! The descriptor of a device, and several tasks that use one device.

use crate::support::*;
use async_io::Timer;
use brooklet_io::PacketBuf;
use brooklet_packet::Packet;
use brooklet_tun::{Framing, Tun, TunBuilder};
use futures_lite::future::{block_on, or};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::Duration;

#[test]
fn a_descriptor_given_away_keeps_the_interface_and_is_adopted_again() {
    in_namespace(|| {
        for offload in [false, true] {
            let tun = TunBuilder::new("tun0")
                .ipv4(HOST, 24)
                .offload(offload)
                .open()
                .unwrap();
            let framing = tun.framing();
            assert_eq!(framing == Framing::Plain, !offload);
            assert_eq!(tun.as_fd().as_raw_fd(), tun.as_raw_fd());
            let fd = tun.into_fd().unwrap();
            assert!(ip("link show tun0").contains("UP"));

            let mut again = Tun::from_fd_with(fd, framing).unwrap();
            let socket = socket();
            socket.send_to(b"out", (FAR, 7000)).unwrap();
            assert_eq!(datagram(&mut again), b"out");
            send(&mut again, &udp(b"in"));
            assert_eq!(socket.recv(&mut [0; 10]).unwrap(), 2);
            drop(again.into_fd().unwrap());
            assert!(!ip("link").contains("tun0"));
        }
    });
}

#[test]
fn a_borrowed_descriptor_reads_packets_without_waiting() {
    in_namespace(|| {
        let mut tun = open();
        while recv_within(&mut tun, Duration::from_millis(100)).is_some() {}
        let mut file = File::from(tun.as_fd().try_clone_to_owned().unwrap());
        let mut buf = [0; 1500];
        let empty = file.read(&mut buf).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        socket().send_to(b"out", (FAR, 7000)).unwrap();
        let len = file.read(&mut buf).unwrap();
        assert_eq!(Packet::parse(&buf[..len]).unwrap().payload(), b"out");
    });
}

/// The next datagram to [`FAR`], by the shared reference.
fn next_datagram(tun: &Tun) -> Vec<u8> {
    let read = async {
        let mut packet = PacketBuf::with_capacity(1500);
        loop {
            tun.recv(&mut packet).await.unwrap();
            let parsed = Packet::parse(&packet).unwrap();
            if parsed.destination() == FAR {
                return parsed.payload().to_vec();
            }
        }
    };
    block_on(or(read, async {
        Timer::after(Duration::from_secs(10)).await;
        panic!("no packet in 10 seconds")
    }))
}

#[test]
fn two_tasks_receive_while_two_others_send() {
    const EACH: usize = 50;
    in_namespace(|| {
        let tun = open();
        let socket = socket();
        let received: Vec<Vec<u8>> = thread::scope(|scope| {
            let receive = || (0..EACH).map(|_| next_datagram(&tun)).collect::<Vec<_>>();
            let receivers = [scope.spawn(receive), scope.spawn(receive)];
            for _ in 0..2 {
                scope.spawn(|| {
                    let packet = PacketBuf::from(udp(b"in"));
                    for _ in 0..EACH {
                        block_on(tun.send(&packet)).unwrap();
                    }
                });
            }
            for number in 0..2 * EACH {
                // One at a time, so that both receivers wait again and again.
                socket.send_to(&[number as u8], (FAR, 7000)).unwrap();
                assert_eq!(socket.recv(&mut [0; 10]).unwrap(), 2);
            }
            receivers
                .into_iter()
                .flat_map(|r| r.join().unwrap())
                .collect()
        });
        let distinct: BTreeSet<_> = received.iter().map(|payload| payload[0]).collect();
        assert_eq!((received.len(), distinct.len()), (2 * EACH, 2 * EACH));
        assert_eq!(tun.dropped(), 0);
    });
}

#[test]
fn a_shared_receive_waits_while_the_interface_is_down_and_ends_with_it() {
    in_namespace(|| {
        let tun = open();
        ip("link set tun0 down");
        thread::scope(|scope| {
            let tasks = [(); 2].map(|()| {
                scope.spawn(|| {
                    let mut packet = PacketBuf::with_capacity(1500);
                    loop {
                        if let Err(error) = block_on(tun.recv(&mut packet)) {
                            return error.kind();
                        }
                    }
                })
            });
            thread::sleep(Duration::from_millis(300));
            assert!(tasks.iter().all(|task| !task.is_finished()));
            ip("link del tun0");
            for task in tasks {
                assert_eq!(task.join().unwrap(), io::ErrorKind::UnexpectedEof);
            }
        });
        let error = block_on(tun.send(&PacketBuf::from(udp(b"late")))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}

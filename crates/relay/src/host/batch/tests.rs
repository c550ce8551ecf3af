//! Batches between sockets of the host on the loopback.

use crate::host::tests::{closed_port, loopbacks, soon};
use crate::host::{Fields, HostUdpSocket, UdpArrival, UdpTransmit};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::time::Duration;

fn transmit(to: SocketAddr, payload: &[u8]) -> UdpTransmit<'_> {
    UdpTransmit {
        to,
        payload,
        fields: Fields::default(),
        segment_size: None,
    }
}

/// Sends all datagrams. Returns the errors, by the number of the datagram, and the number of calls.
fn send_all(
    socket: &HostUdpSocket,
    transmits: &[UdpTransmit<'_>],
) -> (Vec<(usize, io::Error)>, usize) {
    let (mut sent, mut errors, mut calls) = (0, Vec::new(), 0);
    while sent < transmits.len() {
        calls += 1;
        sent += socket
            .send_batch(&transmits[sent..])
            .unwrap_or_else(|error| {
                errors.push((sent, error));
                1
            });
    }
    (errors, calls)
}

fn remote(ip: std::net::IpAddr) -> (UdpSocket, SocketAddr) {
    let remote = UdpSocket::bind((ip, 0)).unwrap();
    remote
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let address = remote.local_addr().unwrap();
    (remote, address)
}

fn received(remote: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let length = remote.recv(&mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

/// Datagrams of these lengths, each with its number as the content.
fn numbered(lengths: &[usize]) -> Vec<Vec<u8>> {
    let numbers = (0..=u8::MAX).cycle();
    let datagram = |(length, number): (&usize, u8)| vec![number; *length];
    lengths.iter().zip(numbers).map(datagram).collect()
}

#[test]
fn datagrams_of_one_flow_leave_in_one_call() {
    for ip in loopbacks() {
        let socket = HostUdpSocket::bind(ip.is_ipv6()).unwrap();
        let (remote, to) = remote(ip);
        for lengths in [
            &[100; 40][..],
            &[1200, 1200, 1200, 1199],
            // Of different lengths, or empty, so each is a message of its own.
            &[1, 2, 3, 4, 5],
            &[0, 0, 0],
            &[9],
        ] {
            let sent = numbered(lengths);
            let transmits: Vec<_> = sent.iter().map(|one| transmit(to, one)).collect();
            assert_eq!(socket.send_batch(&transmits).unwrap(), sent.len());
            for one in &sent {
                assert_eq!(&received(&remote), one);
            }
        }
    }
}

#[test]
fn every_datagram_is_sent_whatever_the_runs() {
    for ip in loopbacks() {
        let socket = HostUdpSocket::bind(ip.is_ipv6()).unwrap();
        let (remotes, mut calls) = ([remote(ip), remote(ip)], 0);
        let lengths = [5, 5, 5, 3, 700, 700, 2, 0, 80, 80, 80, 80, 79, 81, 1, 1];
        let sent = numbered(&lengths);
        let transmits: Vec<_> = sent
            .iter()
            .enumerate()
            .map(|(number, one)| transmit(remotes[usize::from(number % 5 == 4)].1, one))
            .collect();
        let mut next = &transmits[..];
        while !next.is_empty() {
            next = &next[socket.send_batch(next).unwrap()..];
            calls += 1;
        }
        assert!(calls <= lengths.len() / 2, "{calls} calls");
        for one in &transmits {
            let place = usize::from(one.to == remotes[1].1);
            assert_eq!(received(&remotes[place].0), one.payload);
        }
    }
}

#[test]
fn an_error_in_the_middle_of_a_batch_is_that_of_its_datagram() {
    for ip in loopbacks() {
        let socket = HostUdpSocket::bind(ip.is_ipv6()).unwrap();
        let (remote, to) = remote(ip);
        let nowhere = SocketAddr::new(ip, 0); // EINVAL
        let too_long = vec![3; 70_000]; // EMSGSIZE
        let transmits = [
            transmit(to, b"one"),
            transmit(nowhere, b"two"),
            transmit(to, b"three"),
            transmit(to, &too_long),
            transmit(to, b"five."),
            transmit(to, b"six."),
        ];
        let (errors, calls) = send_all(&socket, &transmits);
        let numbers: Vec<usize> = errors.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 3], "{errors:?}");
        assert_eq!(errors[1].1.raw_os_error(), Some(nix::libc::EMSGSIZE));
        assert_eq!(calls, 5);
        for expected in [&b"one"[..], b"three", b"five.", b"six."] {
            assert_eq!(received(&remote), expected);
        }
    }
}

#[test]
fn a_run_that_the_host_takes_in_no_batch_is_sent_one_by_one() {
    for ip in loopbacks() {
        let socket = HostUdpSocket::bind(ip.is_ipv6()).unwrap();
        let (remote, to) = remote(ip);
        // As after a batch that had to be fragmented.
        let longest = &socket.messages().longest_segment;
        longest.store(99, std::sync::atomic::Ordering::Relaxed);
        let sent = numbered(&[100, 100, 100, 50, 50]);
        let transmits: Vec<_> = sent.iter().map(|one| transmit(to, one)).collect();
        assert_eq!(socket.send_batch(&transmits).unwrap(), 3);
        assert_eq!(socket.send_batch(&transmits[3..]).unwrap(), 2);
        for one in &sent {
            assert_eq!(&received(&remote), one);
        }
    }
}

#[test]
fn closed_ports_in_a_batch_cost_no_other_datagram() {
    for ip in loopbacks() {
        let socket = HostUdpSocket::bind(ip.is_ipv6()).unwrap();
        let (remote, to) = remote(ip);
        let closed: Vec<SocketAddr> = (0..10).map(|_| closed_port(ip)).collect();
        let sent = numbered(&[7; 20]);
        let transmits: Vec<_> = sent
            .iter()
            .enumerate()
            .map(|(number, one)| match number % 2 {
                0 => transmit(to, one),
                _ => transmit(closed[number / 2], one),
            })
            .collect();
        let (errors, _) = send_all(&socket, &transmits);
        assert!(errors.is_empty(), "{errors:?}");
        for one in sent.iter().step_by(2) {
            assert_eq!(&received(&remote), one);
        }
        let mut reported = Vec::new();
        while reported.len() < closed.len() {
            let mut arrivals = Vec::new();
            soon(socket.recv_batch(&mut arrivals)).unwrap();
            for arrival in arrivals {
                match arrival {
                    UdpArrival::Report(report) => reported.push(report.destination),
                    UdpArrival::Datagram { from, .. } => panic!("a datagram from {from}"),
                }
            }
        }
        assert_eq!(reported, closed);
    }
}

/// The datagrams that arrive, until there are this many, and the number of arrivals.
fn arrived(socket: &HostUdpSocket, datagrams: usize) -> (Vec<Vec<u8>>, usize) {
    let (mut all, mut number) = (Vec::new(), 0);
    while all.len() < datagrams {
        let mut arrivals = Vec::new();
        soon(socket.recv_batch(&mut arrivals)).unwrap();
        for arrival in arrivals {
            let UdpArrival::Datagram {
                payload,
                segment_size,
                ..
            } = arrival
            else {
                panic!("a report");
            };
            number += 1;
            match segment_size {
                Some(size) => all.extend(payload.chunks(size.get().into()).map(<[u8]>::to_vec)),
                None => all.push(payload),
            }
        }
    }
    (all, number)
}

#[test]
fn batches_of_different_sizes_arrive_as_batches() {
    for ip in loopbacks() {
        let near = HostUdpSocket::bind(ip.is_ipv6()).unwrap();
        let far = HostUdpSocket::bind(ip.is_ipv6()).unwrap();
        let to = SocketAddr::new(ip, far.local_addr().unwrap().port());
        // The first ones come one by one: that is the usual case, and no batch was seen yet.
        let first = numbered(&[10; 20]);
        for one in &first {
            near.send_batch(&[transmit(to, one)]).unwrap();
        }
        assert_eq!(arrived(&far, 20), (first, 20));

        let sizes = [(1400_u16, 30, 3), (100, 7, 50), (1, 64, 1), (1200, 54, 700)];
        for (size, count, last) in sizes {
            let mut lengths = vec![usize::from(size); count - 1];
            lengths.push(last);
            let sent = numbered(&lengths);
            let batch = UdpTransmit {
                segment_size: NonZeroU16::new(size),
                ..transmit(to, &[])
            };
            let payload = sent.concat();
            let batch = UdpTransmit {
                payload: &payload,
                ..batch
            };
            assert_eq!(near.send_batch(&[batch]).unwrap(), 1);
            assert_eq!(arrived(&far, count), (sent, 1), "{count} of {size} bytes");
        }
        // Single ones stay single.
        near.send_batch(&[transmit(to, b"one")]).unwrap();
        assert_eq!(arrived(&far, 1), (vec![b"one".to_vec()], 1));
    }
}

#[test]
fn a_socket_receives_more_datagrams_than_one_call_takes() {
    for ip in loopbacks() {
        let socket = HostUdpSocket::bind(ip.is_ipv6()).unwrap();
        let to = SocketAddr::new(ip, socket.local_addr().unwrap().port());
        let sent = numbered(&(1..=50).collect::<Vec<usize>>());
        let (remote, _) = remote(ip);
        for one in &sent {
            remote.send_to(one, to).unwrap();
        }
        assert_eq!(arrived(&socket, 50).0, sent);
    }
}

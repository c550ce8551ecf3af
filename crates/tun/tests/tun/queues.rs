//! Several queues of one device.

use crate::support::*;
use brooklet_packet::{Headers, udp};
use brooklet_tun::{Tun, TunBuilder};
use std::collections::HashMap;
use std::io;
use std::net::UdpSocket;
use std::slice;
use std::time::Duration;

fn builder(queues: usize) -> TunBuilder {
    TunBuilder::new("tun0").ipv4(HOST, 24).queues(queues)
}

/// Ports of the host, by the queue on which their packets come out.
fn queue_of_each(tuns: &mut [Tun], packets: usize) -> HashMap<u16, usize> {
    let mut found = HashMap::new();
    for (queue, tun) in tuns.iter_mut().enumerate() {
        while let Some(packet) = recv_within(tun, Duration::from_millis(50)) {
            let headers = Headers::parse(&packet.unwrap()).unwrap();
            if headers.destination() == FAR {
                let before = found.insert(headers.key().source().port(), queue);
                assert_eq!(before, None, "a packet came twice");
            }
        }
    }
    assert_eq!(found.len(), packets, "packets were lost");
    found
}

#[test]
fn flows_are_spread_and_follow_the_queue_that_answers() {
    in_namespace(|| {
        let mut tuns = builder(2).open_queues().unwrap();
        assert_eq!(tuns.len(), 2);
        assert!(tuns.iter().all(|tun| tun.name() == Some("tun0")));
        assert!(tuns.iter().all(|tun| tun.offload().checksum));
        let sockets: Vec<UdpSocket> = (0..32)
            .map(|_| UdpSocket::bind((HOST, 0)).unwrap())
            .collect();
        let ask = || {
            for socket in &sockets {
                socket.send_to(b"out", (FAR, 7000)).unwrap();
            }
        };
        ask();
        let first = queue_of_each(&mut tuns, sockets.len());
        assert!((0..2).all(|queue| first.values().any(|at| *at == queue)));

        // Each is answered by the other queue.
        for (port, queue) in &first {
            let mut answer = Vec::new();
            udp::write(
                &mut answer,
                (FAR, 7000).into(),
                (HOST, *port).into(),
                64,
                b"",
            )
            .unwrap();
            send(&mut tuns[1 - queue], &answer);
        }
        ask();
        for (port, queue) in queue_of_each(&mut tuns, sockets.len()) {
            assert_eq!(queue, 1 - first[&port], "port {port}");
        }
        drop(tuns);
        assert!(!ip("link").contains("tun0"));
    });
}

#[test]
fn a_persistent_device_of_many_is_opened_by_one_or_by_many() {
    in_namespace(|| {
        ip("tuntap add dev tun0 mode tun multi_queue");
        for queues in [1, 3] {
            let mut tuns = builder(queues).open_queues().unwrap();
            // And by others beside them.
            tuns.push(builder(1).open().unwrap());
            assert_eq!(tuns.len(), queues + 1);
            passes(&mut tuns);
        }
    });
}

#[test]
fn all_queues_of_a_device_have_the_same_offload() {
    in_namespace(|| {
        ip("tuntap add dev tun0 mode tun multi_queue");
        let mut with = builder(1).open().unwrap();
        let error = builder(1).offload(false).open().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert!(error.to_string().contains("with offload"), "{error}");
        assert!(builder(1).open().unwrap().offload().checksum);
        passes(slice::from_mut(&mut with));
        drop(with);

        let mut without = builder(1).offload(false).open().unwrap();
        assert!(!builder(1).open().unwrap().offload().checksum);
        passes(slice::from_mut(&mut without));
    });
}

#[test]
fn an_impossible_number_of_queues_is_refused_with_advice() {
    in_namespace(|| {
        ip("tuntap add dev tun0 mode tun");
        let error = builder(2).open_queues().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("multi_queue"), "{error}");
        assert_eq!(builder(1).open_queues().unwrap().len(), 1);

        ip("link del tun0");
        let error = builder(257).open_queues().unwrap_err();
        assert!(error.to_string().contains("open fewer"), "{error}");
        for (queues, word) in [(0, "one or more"), (2, "open_queues")] {
            let opened = match queues {
                0 => builder(0).open_queues().map(drop),
                _ => builder(queues).open().map(drop),
            };
            let error = opened.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(word), "{error}");
        }
    });
}

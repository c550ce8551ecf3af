//! The sockets of the host, in a network namespace with a router and a host behind the router.

#![cfg(target_os = "linux")]

use async_io::Timer;
use brooklet::{IcmpErrorKind, Unreachable};
use brooklet_relay::host::{
    Fields, HostUdpSocket, PingArrival, PingSocket, Report, UdpArrival, UdpTransmit, connect,
    path_mtu,
};
use brooklet_testbed::network::{Namespace, Network};
use brooklet_testbed::{LIMIT, in_namespace, ip, program, require};
use futures_lite::future::{block_on, or};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::num::NonZeroU16;
use std::process::Command;
use std::thread;

fn with_hop_limit(limit: u8) -> Fields {
    Fields {
        hop_limit: Some(limit),
        ..Fields::default()
    }
}

fn soon<T>(what: &str, work: impl Future<Output = io::Result<T>>) -> T {
    let late = async {
        Timer::after(LIMIT).await;
        Err(ErrorKind::TimedOut.into())
    };
    block_on(or(work, late)).unwrap_or_else(|why| panic!("{what}: {why}"))
}

fn send(socket: &HostUdpSocket, to: SocketAddr, payload: &[u8], fields: Fields) -> io::Result<()> {
    let datagram = UdpTransmit {
        to,
        payload,
        fields,
        segment_size: None,
    };
    socket.send_batch(&[datagram]).map(drop)
}

fn report(socket: &HostUdpSocket) -> Report {
    let mut arrivals = Vec::new();
    soon("a report", socket.recv_batch(&mut arrivals));
    assert_eq!(arrivals.len(), 1, "{arrivals:?}");
    match arrivals.remove(0) {
        UdpArrival::Report(report) => report,
        UdpArrival::Datagram { from, .. } => panic!("a datagram from {from}"),
    }
}

#[test]
fn udp_shows_the_router_and_the_end() {
    in_namespace(|| {
        let network = Network::new(1500);
        for (router, far) in Network::ROUTER.into_iter().zip(Network::FAR) {
            let server = network.far().run(|| UdpSocket::bind((far, 53)).unwrap());
            let socket = HostUdpSocket::bind(far.is_ipv6()).unwrap();
            let to = SocketAddr::new(far, 53);

            send(&socket, to, b"too far", with_hop_limit(1)).unwrap();
            let exceeded = report(&socket);
            assert_eq!(exceeded.destination, to);
            assert_eq!(exceeded.reporter, router);
            assert_eq!(exceeded.kind, Some(IcmpErrorKind::HopLimitExceeded));
            assert_eq!(exceeded.error.kind(), ErrorKind::HostUnreachable);

            send(&socket, to, b"just right", with_hop_limit(2)).unwrap();
            let mut buffer = [0; 100];
            assert_eq!(server.recv(&mut buffer).unwrap(), 10);

            drop(server);
            send(&socket, to, b"refused", with_hop_limit(2)).unwrap();
            let refused = report(&socket);
            let port = IcmpErrorKind::Unreachable(Unreachable::Port);
            assert_eq!((refused.reporter, refused.kind), (far, Some(port)));
        }
    });
}

#[test]
fn the_mtu_of_a_far_link_is_reported() {
    in_namespace(|| {
        let network = Network::new(1280);
        for (router, far) in Network::ROUTER.into_iter().zip(Network::FAR) {
            let server = network.far().run(|| UdpSocket::bind((far, 53)).unwrap());
            let socket = HostUdpSocket::bind(far.is_ipv6()).unwrap();
            let to = SocketAddr::new(far, 53);
            let whole = Fields {
                dont_fragment: true,
                ..Fields::default()
            };
            // By the router the first time, and then by the host, which has learned it.
            send(&socket, to, &[1; 1400], whole).unwrap();
            let learned = report(&socket);
            assert_eq!((learned.reporter, learned.mtu()), (router, Some(1280)));

            let error = send(&socket, to, &[2; 1400], whole).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(nix::libc::EMSGSIZE));
            assert_eq!(path_mtu(far).unwrap(), 1280);

            send(&socket, to, &[3; 1400], Fields::default()).unwrap();
            let mut buffer = [0; 2000];
            assert_eq!(server.recv(&mut buffer).unwrap(), 1400);
            assert_eq!(buffer[0], 3, "one that was too long came");
        }
    });
}

#[test]
fn a_batch_whose_datagrams_exceed_the_path_mtu_is_sent_one_by_one() {
    in_namespace(|| {
        let network = Network::new(1280);
        for far in Network::FAR {
            let server = network.far().run(|| UdpSocket::bind((far, 53)).unwrap());
            server.set_read_timeout(Some(LIMIT)).unwrap();
            let socket = HostUdpSocket::bind(far.is_ipv6()).unwrap();
            let to = SocketAddr::new(far, 53);
            let whole = Fields {
                dont_fragment: true,
                ..Fields::default()
            };
            send(&socket, to, &[1; 1400], whole).unwrap();
            assert_eq!(report(&socket).mtu(), Some(1280));

            let payloads: Vec<[u8; 1400]> = (0..5).map(|n| [n; 1400]).collect();
            let transmits = |fields| {
                let transmit = |payload| UdpTransmit {
                    to,
                    payload,
                    fields,
                    segment_size: None,
                };
                let all: Vec<UdpTransmit<'_>> = payloads.iter().map(|p| transmit(&p[..])).collect();
                all
            };
            let too_long = socket.send_batch(&transmits(whole)).unwrap_err();
            assert_eq!(too_long.raw_os_error(), Some(nix::libc::EMSGSIZE));
            // The host fragments them if it may, and no batch can be fragmented.
            let sent = socket.send_batch(&transmits(Fields::default())).unwrap();
            assert_eq!(sent, 5);
            let batch = UdpTransmit {
                payload: &[7; 4000],
                segment_size: NonZeroU16::new(1400),
                ..transmits(Fields::default())[0]
            };
            let fails = socket.send_batch(&[batch]).unwrap_err();
            assert_ne!(fails.kind(), ErrorKind::WouldBlock);
            // Those that fit go as one, with an error of none of the earlier ones.
            let batch = UdpTransmit {
                segment_size: NonZeroU16::new(1000),
                ..batch
            };
            assert_eq!(socket.send_batch(&[batch]).unwrap(), 1);
            for number in 0..5 {
                let mut buffer = [0; 2000];
                assert_eq!(server.recv(&mut buffer).unwrap(), 1400);
                assert_eq!(buffer[0], number);
            }
            for _ in 0..4 {
                assert_eq!(server.recv(&mut [0; 2000]).unwrap(), 1000);
            }
        }
    });
}

fn ping_arrival(socket: &PingSocket) -> PingArrival {
    soon("an answer to ping", socket.recv())
}

fn pings() {
    let _network = Network::new(1500);
    for (index, far) in Network::FAR.into_iter().enumerate() {
        let socket = PingSocket::open(far.is_ipv6()).expect("a socket");
        socket
            .send(far, 7, b"data", Fields::default())
            .expect("sent");
        match ping_arrival(&socket) {
            PingArrival::Reply {
                from,
                sequence,
                payload,
                fields,
            } => {
                assert_eq!((from, sequence, &payload[..]), (far, 7, &b"data"[..]));
                assert_eq!(fields.hop_limit, Some(63), "one router on the way");
            }
            PingArrival::Report { report, .. } => panic!("{report:?}"),
        }

        let router = Network::ROUTER[index];
        socket
            .send(far, 8, b"too far", with_hop_limit(1))
            .expect("sent");
        let (sequence, exceeded) = ping_report(&socket);
        assert_eq!(sequence, 8);
        assert_eq!(exceeded.reporter, router);
        assert_eq!(exceeded.kind, Some(IcmpErrorKind::HopLimitExceeded));

        let nobody = Network::NOBODY[index];
        socket
            .send(nobody, 9, b"nobody", Fields::default())
            .expect("sent");
        let (sequence, unreachable) = ping_report(&socket);
        assert_eq!(sequence, 9);
        assert_eq!(unreachable.reporter, router);
        let host = IcmpErrorKind::Unreachable(Unreachable::Host);
        assert_eq!(unreachable.kind, Some(host));
    }
}

fn ping_report(socket: &PingSocket) -> (u16, Report) {
    match ping_arrival(socket) {
        PingArrival::Report { sequence, report } => (sequence, report),
        PingArrival::Reply { from, .. } => panic!("a reply from {from}"),
    }
}

#[test]
fn pings_by_a_raw_socket() {
    in_namespace(|| {
        // No group of users may have the other kind.
        Namespace::of_this_thread().set("net/ipv4/ping_group_range", "1 0");
        pings();
    });
}

#[test]
fn pings_by_an_unprivileged_socket() {
    in_namespace(|| {
        Namespace::of_this_thread().set("net/ipv4/ping_group_range", "0 2147483647");
        pings();
    });
}

#[test]
fn tcp_shows_the_router_and_the_end() {
    in_namespace(|| {
        let network = Network::new(1500);
        for (router, far) in Network::ROUTER.into_iter().zip(Network::FAR) {
            let to = SocketAddr::new(far, 80);
            let failed = dial(to, 1).unwrap_err();
            let (reporter, kind) = failed.expect("an ICMP error");
            assert_eq!(reporter, router);
            assert_eq!(kind, Some(IcmpErrorKind::HopLimitExceeded));

            let refused = dial(to, 2).unwrap_err();
            assert!(refused.is_none(), "a RST is no ICMP error");
            let _server = network.far().run(|| TcpListener::bind(to).unwrap());
            dial(to, 2).expect("a connection");
        }
    });
}

type Told = Option<(IpAddr, Option<IcmpErrorKind>)>;

fn dial(to: SocketAddr, limit: u8) -> Result<(), Told> {
    let dialed = async { Ok(connect(to, with_hop_limit(limit)).await) };
    match soon("a connection or an error", dialed) {
        Ok(_) => Ok(()),
        Err(failed) => Err(failed.report.map(|report| (report.reporter, report.kind))),
    }
}

#[test]
fn datagrams_wait_for_room_in_the_buffer_of_the_socket() {
    const DATAGRAMS: usize = 600;
    in_namespace(|| {
        let Some(tc) = require(program("tc")) else {
            return;
        };
        // A loopback that sends on 4 MB a second.
        ip("link set lo up");
        let slow = "qdisc add dev lo root tbf rate 32mbit burst 10k limit 10m";
        let done = Command::new(tc).args(slow.split(' ')).status();
        assert!(done.expect("tc runs").success());
        let remote = UdpSocket::bind("127.0.0.1:0").unwrap();
        remote.set_read_timeout(Some(LIMIT)).unwrap();
        let to = remote.local_addr().unwrap();
        let reader = thread::spawn(move || {
            for number in 0..DATAGRAMS {
                let mut buffer = [0; 2000];
                assert_eq!(remote.recv(&mut buffer).unwrap(), 1000);
                assert_eq!(usize::from(buffer[0]), number % 256, "in order");
            }
        });
        let socket = HostUdpSocket::bind(false).unwrap();
        let payloads: Vec<[u8; 1000]> = (0..DATAGRAMS).map(|n| [n as u8; 1000]).collect();
        let transmits: Vec<UdpTransmit<'_>> = payloads
            .iter()
            .map(|payload| UdpTransmit {
                to,
                payload,
                fields: Fields::default(),
                segment_size: None,
            })
            .collect();
        let (mut sent, mut full) = (0, 0);
        while sent < DATAGRAMS {
            sent += match socket.send_batch(&transmits[sent..]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    full += 1;
                    let room = poll_fn(|cx| socket.poll_send_batch(cx, &transmits[sent..]));
                    soon("room", room)
                }
                result => result.unwrap(),
            };
        }
        reader.join().unwrap();
        assert!(full > 0, "the buffer was never full");
    });
}

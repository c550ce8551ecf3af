//! TCP and UDP over a path that takes packets of 1,280 bytes, behind devices that take 1,500.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/packets.rs"]
mod packets;
#[path = "support/router.rs"]
mod router;
mod support;

use brooklet::{Builder, Driver, Parts, Pipe, Stack, TcpListener, TransparentUdpSocket};
use futures_lite::future::{block_on, or, race, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::net::SocketAddr;
use std::time::Duration;
use support::addr;

const PATH: usize = 1280;
const ENDS: [(&str, &str); 2] = [
    ("10.0.0.2:5000", "192.0.2.1:53"),
    ("[fd00::2]:5000", "[2001:db8::1]:53"),
];

/// The handles of a stack.
struct Host {
    stack: Stack,
    tcp: TcpListener,
    udp: TransparentUdpSocket,
}

fn host(device: Pipe) -> (Host, Driver<Pipe>) {
    let Parts {
        stack,
        tcp,
        udp,
        driver,
        ..
    } = Builder::new().mtu(1500).build(device).unwrap();
    (Host { stack, tcp, udp }, driver)
}

/// Runs `talk` between two stacks with a router between them, which tells of packets that are too
/// long or loses them without a word.
fn across<R>(tells: bool, talk: impl AsyncFnOnce(&Host, &Host) -> R) -> R {
    let (client_device, client_wire) = brooklet::pipe(64);
    let (server_device, server_wire) = brooklet::pipe(64);
    let (client, one) = host(client_device);
    let (server, other) = host(server_device);
    let ends = async {
        let router = router::route([client_wire, server_wire], PATH, tells);
        or(async { drop(zip(one, other).await) }, router).await;
        unreachable!("a driver or the router has ended");
    };
    block_on(or(talk(&client, &server), ends))
}

/// Sends a megabyte in each direction over one connection.
async fn exchange(client: &Host, server: &Host, from: SocketAddr, to: SocketAddr) {
    let connect = client.stack.connect_from(from, to);
    let (stream, accepted) = zip(connect, server.tcp.accept()).await;
    let data: Vec<u8> = (0..1_000_000_u32).map(|at| (at / 5) as u8).collect();
    let side = async |stream: brooklet::TcpStream| {
        let (mut reader, mut writer) = stream.split();
        let mut received = Vec::new();
        let write = async {
            writer.write_all(&data).await.unwrap();
            writer.close().await.unwrap();
        };
        let ((), read) = zip(write, reader.read_to_end(&mut received)).await;
        read.unwrap();
        assert!(received == data, "{} bytes", received.len());
    };
    zip(side(stream.unwrap()), side(accepted.unwrap().0)).await;
}

#[test]
fn tcp_keeps_flowing_with_icmp_and_with_icmp_filtered() {
    for tells in [true, false] {
        for (from, to) in ENDS {
            across(tells, async |client, server| {
                exchange(client, server, addr(from), addr(to)).await;
            });
        }
    }
}

/// Sends datagrams of `len` bytes, one every 20 ms, until one arrives. Returns how many were sent.
async fn arrives(client: &Host, server: &Host, ends: (&str, &str), len: usize) -> Option<usize> {
    let payload: Vec<u8> = (0..len).map(|at| (at / 3) as u8).collect();
    for sent in 1..=5 {
        let (from, to) = (addr(ends.0), addr(ends.1));
        let refused = client.udp.send_to(&payload, from, to).await;
        assert_eq!(refused.unwrap(), len);
        let wait = async {
            async_io::Timer::after(Duration::from_millis(20)).await;
            None
        };
        let receive = async { Some(server.udp.recv_datagram().await.unwrap()) };
        if let Some(datagram) = race(receive, wait).await {
            assert!(datagram.payload == payload);
            return Some(sent);
        }
    }
    None
}

#[test]
fn routers_fragment_ipv4_datagrams_with_icmp_and_with_icmp_filtered() {
    for tells in [true, false] {
        across(tells, async |client, server| {
            for len in [1200, 1400, 1472, 4000, 65_507] {
                assert_eq!(arrives(client, server, ENDS[0], len).await, Some(1));
            }
        });
    }
}

#[test]
fn the_path_mtu_of_ipv6_is_learned_by_icmp() {
    across(true, async |client, server| {
        assert_eq!(arrives(client, server, ENDS[1], 1232).await, Some(1));
        assert_eq!(arrives(client, server, ENDS[1], 1233).await, Some(2));
        assert_eq!(arrives(client, server, ENDS[1], 65_487).await, Some(1));
    });
}

#[test]
fn the_path_mtu_of_ipv6_is_stated_by_the_program_where_icmp_is_filtered() {
    across(false, async |client, server| {
        assert_eq!(arrives(client, server, ENDS[1], 1232).await, Some(1));
        assert_eq!(arrives(client, server, ENDS[1], 1452).await, None);
        let to = addr(ENDS[1].1).ip();
        client.stack.set_path_mtu(to, Some(PATH));
        for len in [1452, 4000, 65_487] {
            assert_eq!(arrives(client, server, ENDS[1], len).await, Some(1));
        }
        client.stack.set_path_mtu(to, None);
        assert_eq!(arrives(client, server, ENDS[1], 1452).await, None);
    });
}

//! Malformed packets among the packets of a connection and of a UDP exchange: none of them ends the
//! driver, a stream or a socket, and each is counted.
//!
//! ```sh
//! BROOKLET_PACKETS=1000000 cargo test --release -p brooklet --test malformed -- --nocapture
//! ```
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet::{Builder, DropReason, PacketBuf, PacketIo, Parts, Pipe};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use support::addr;

/// Malformed packets for each packet that is right.
const EACH: u64 = 4;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}

/// A packet that no host may take, made of one that is right.
fn malformed(packet: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bad = packet.to_vec();
    let v6 = packet[0] >> 4 == 6;
    // A checksum covers each of these bytes. That of the IPv6 header covers only the addresses.
    let covered = if v6 { 8 } else { 0 };
    match random.below(5) {
        0 => {
            let at = covered + random.below(bad.len() - covered);
            // A UDP checksum of 0 over IPv4 is none at all.
            let at = if !v6 && (26..28).contains(&at) {
                30
            } else {
                at
            };
            bad[at] ^= 1 << random.below(8);
        }
        // Cut short: the length in the header says more.
        1 => bad.truncate(1 + random.below(bad.len() - 1)),
        // A header that says less than it is long.
        2 if v6 => bad[4..6].copy_from_slice(&[0, random.below(8) as u8]),
        2 => bad[0] = 0x40 | random.below(5) as u8,
        // Neither version.
        3 => bad[0] = [0, 0x10, 0x50, 0x75, 0xff][random.below(5)],
        _ => {
            let len = 1 + random.below(100);
            bad = (0..len).map(|_| random.below(256) as u8).collect();
            bad[0] &= 0x8f; // or one in 2^32 would be right
        }
    }
    bad
}

/// The packet that a stack has sent, if there is one.
fn sent(wire: &mut Pipe) -> Option<PacketBuf> {
    let mut packet = PacketBuf::default();
    let received = future::poll_once(poll_fn(|cx| wire.poll_recv(cx, &mut packet)));
    future::block_on(received).map(|received| {
        received.unwrap();
        packet
    })
}

/// Gives a packet to a stack. The drivers run after each few packets, so that there is room.
fn give(wire: &mut Pipe, packet: &PacketBuf) {
    let given = future::poll_once(poll_fn(|cx| wire.poll_send(cx, packet)));
    future::block_on(given).expect("room").unwrap();
}

#[test]
fn malformed_packets_end_nothing_and_are_counted() {
    let wanted: u64 =
        std::env::var("BROOKLET_PACKETS").map_or(50_000, |packets| packets.parse().unwrap());
    let (client_device, mut client_wire) = brooklet::pipe(4096);
    let (server_device, mut server_wire) = brooklet::pipe(4096);
    let parts = |device| Builder::new().build(device).unwrap();
    let Parts {
        stack: client,
        udp: client_udp,
        driver: mut client_driver,
        ..
    } = parts(client_device);
    let Parts {
        stack: server,
        tcp,
        udp,
        driver: mut server_driver,
        ..
    } = parts(server_device);

    // One connection of each family and one exchange of datagrams go on until the end.
    let done = std::cell::Cell::new(false);
    let talk = async |from: &str, to: &str| {
        let mut stream = client.connect_from(addr(from), addr(to)).await.unwrap();
        let (mut round, mut received) = (0_u8, [0; 3000]);
        while !done.get() {
            round = round.wrapping_add(1);
            stream.write_all(&[round; 3000]).await.unwrap();
            stream.read_exact(&mut received).await.unwrap();
            assert_eq!(received, [round; 3000]);
            future::yield_now().await;
        }
        stream.close().await.unwrap();
        assert_eq!(stream.read(&mut received).await.unwrap(), 0);
    };
    let exchange = async {
        let (from, to) = (addr("10.0.0.2:5353"), addr("192.0.2.1:53"));
        let mut buf = [0; 100];
        let mut round = 0_u8;
        while !done.get() {
            round = round.wrapping_add(1);
            client_udp.send_to(&[round; 50], from, to).await.unwrap();
            let (len, source, _) = client_udp.recv_from(&mut buf).await.unwrap();
            assert_eq!((&buf[..len], source), (&[round; 50][..], to));
        }
    };
    let serve = async {
        loop {
            let (stream, _) = tcp.accept().await.unwrap();
            // Both at once: there are two.
            let (other, _) = tcp.accept().await.unwrap();
            let (one, two) = future::zip(support::echo(stream), support::echo(other)).await;
            one.unwrap();
            two.unwrap();
        }
    };
    let clients = async {
        let talks = future::zip(
            talk("10.0.0.2:4000", "192.0.2.1:80"),
            talk("[fd00::2]:4000", "[2001:db8::1]:80"),
        );
        future::zip(talks, exchange).await;
    };
    let (mut serve, mut clients) = (pin!(serve), pin!(clients));
    let mut echo = pin!(support::echo_datagrams(udp));

    let mut cx = Context::from_waker(Waker::noop());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut right, mut wrong) = (0, 0);
    loop {
        let ended = clients.as_mut().poll(&mut cx).is_ready();
        assert!(
            serve.as_mut().poll(&mut cx).is_pending(),
            "no more to serve"
        );
        assert!(echo.as_mut().poll(&mut cx).is_pending(), "the socket works");
        let client = pin!(&mut client_driver).poll(&mut cx);
        assert!(
            matches!(client, Poll::Pending),
            "the driver ended: {client:?}"
        );
        let server = pin!(&mut server_driver).poll(&mut cx);
        assert!(
            matches!(server, Poll::Pending),
            "the driver ended: {server:?}"
        );
        while let Some(packet) = sent(&mut server_wire) {
            // An answer to a malformed packet, an ICMP error, is nothing to the client.
            give(&mut client_wire, &packet);
        }
        while let Some(packet) = sent(&mut client_wire) {
            for _ in 0..EACH {
                give(&mut server_wire, &malformed(&packet, &mut random).into());
                wrong += 1;
            }
            give(&mut server_wire, &packet);
            right += 1;
        }
        done.set(wrong >= wanted);
        if ended {
            break;
        }
    }
    let stats = server.stats();
    println!("{right} packets, {wrong} malformed ones\n{stats}");
    assert!(wrong >= wanted);
    assert_eq!(stats.packets_in, right + wrong);
    // The clock is real: on a slow machine a segment is sent twice.
    let twice = stats.dropped(DropReason::TcpDuplicate);
    let dropped: u64 = stats.drops().map(|(_, count)| count).sum();
    assert_eq!(dropped - twice, wrong, "each malformed packet is counted");
    assert!(stats.dropped(DropReason::BadChecksum) > wrong / 20);
}

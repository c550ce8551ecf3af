//! One echo test for every flavor and every executor.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use brooklet::Flavor;
use brooklet::generic::{Stack, TcpListener, TcpStream, TransparentUdpSocket};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future, io};
use std::net::SocketAddr;

pub fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Sends everything back.
pub async fn echo<F: Flavor>(stream: TcpStream<F>) -> io::Result<()> {
    io::copy(&stream, &stream).await?;
    (&stream).close().await
}

/// Sends every datagram back, as the one it was sent to.
pub async fn echo_datagrams<F: Flavor>(udp: TransparentUdpSocket<F>) -> io::Result<()> {
    let mut buf = vec![0; 65_535];
    loop {
        let (n, from, to) = udp.recv_from(&mut buf).await?;
        udp.send_to(&buf[..n], to, from).await?;
    }
}

/// A client's part: what is sent comes back, and then the end.
pub async fn check<F: Flavor>(stack: Stack<F>, n: u16) {
    for to in ["93.184.216.34:7", "[2606:2800:220:1::1]:7"] {
        let to = addr(to);
        let from = SocketAddr::new(
            if to.is_ipv4() {
                addr("10.0.0.2:0").ip()
            } else {
                addr("[fd00::2]:0").ip()
            },
            40_000 + n,
        );
        let stream = stack.connect_from(from, to).await.unwrap();
        assert_eq!(
            (stream.local_addr().unwrap(), stream.peer_addr().unwrap()),
            (from, to)
        );
        let sent: Vec<u8> = (0..300_000u32).map(|i| (i / 3) as u8 ^ n as u8).collect();
        let (mut reader, mut writer) = stream.split();
        let write = async {
            writer.write_all(&sent).await.unwrap();
            writer.close().await.unwrap();
        };
        let mut got = Vec::new();
        let ((), read) = future::zip(write, reader.read_to_end(&mut got)).await;
        read.unwrap();
        assert!(
            got == sent,
            "{} bytes came back of {}",
            got.len(),
            sent.len()
        );
    }
}

/// A client's part of UDP: the datagram comes back from where it was sent to.
pub async fn check_datagrams<F: Flavor>(udp: TransparentUdpSocket<F>) {
    let mut buf = vec![0; 2000];
    for (from, to) in [
        ("10.0.0.2:5353", "1.1.1.1:53"),
        ("[fd00::2]:5353", "[2001:db8::1]:53"),
    ] {
        for payload in [&b""[..], b"query", &[5; 1400]] {
            udp.send_to(payload, addr(from), addr(to)).await.unwrap();
            let (n, source, destination) = udp.recv_from(&mut buf).await.unwrap();
            assert_eq!(
                (&buf[..n], source, destination),
                (payload, addr(to), addr(from))
            );
        }
    }
}

/// Accepts for ever; `spawn` runs what serves a connection.
pub async fn serve<F: Flavor>(tcp: TcpListener<F>, spawn: impl Fn(TcpStream<F>)) -> io::Result<()> {
    loop {
        spawn(tcp.accept().await?.0);
    }
}

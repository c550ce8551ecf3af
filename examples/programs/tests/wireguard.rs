//! Two stacks at the ends of a WireGuard tunnel.

use boringtun::x25519::{PublicKey, StaticSecret};
use brooklet::Builder;
use brooklet_programs::wireguard::{MTU, Tunnel};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future, io};
use std::net::UdpSocket;
use std::time::Duration;

/// More than the window of a new connection, so that both sides wait for each other.
const BYTES: usize = 1024 * 1024;

#[test]
fn a_stream_crosses_the_tunnel() -> io::Result<()> {
    smol::block_on(async {
        let (here, there) = tunnel()?;
        let client = Builder::new().mtu(MTU).address([10, 0, 0, 1]).build(here)?;
        let server = Builder::new().mtu(MTU).build(there)?;
        smol::spawn(client.driver).detach();
        smol::spawn(server.driver).detach();

        let listener = server.stack.bind("10.0.0.2:7".parse().unwrap())?;
        let echo = async {
            let (mut stream, peer) = listener.accept().await?;
            assert_eq!(peer.ip().to_string(), "10.0.0.1");
            io::copy(&stream, &stream).await?;
            stream.close().await
        };
        let talk = async {
            let stream = client.stack.connect("10.0.0.2:7".parse().unwrap()).await?;
            let sent: Vec<u8> = (0..BYTES).map(|n| n as u8).collect();
            let send = async {
                (&stream).write_all(&sent).await?;
                (&stream).close().await
            };
            let mut received = Vec::new();
            let receive = async { (&stream).read_to_end(&mut received).await };
            future::try_zip(send, receive).await?;
            assert!(sent == received, "other bytes came back than were sent");
            Ok(())
        };
        future::try_zip(echo, talk).await.map(drop)
    })
}

#[test]
fn a_peer_that_begins_later_is_reached() -> io::Result<()> {
    smol::block_on(async {
        let (here, there) = tunnel()?;
        let client = Builder::new().address([10, 0, 0, 1]).mtu(MTU).build(here)?;
        smol::spawn(client.driver).detach();
        let stack = client.stack;
        let connecting =
            smol::spawn(async move { stack.connect("10.0.0.2:7".parse().unwrap()).await });
        // Nobody has answered the handshake so far. The kernel keeps its first datagram.
        smol::Timer::after(Duration::from_millis(100)).await;
        let server = Builder::new().mtu(MTU).build(there)?;
        smol::spawn(server.driver).detach();
        let (accepted, connected) = future::try_zip(server.tcp.accept(), connecting).await?;
        assert_eq!(accepted.1, connected.local_addr()?);
        Ok(())
    })
}

#[test]
fn a_peer_with_another_key_is_not_heard() -> io::Result<()> {
    smol::block_on(async {
        let (here, there) = sockets()?;
        let (ours, theirs, other) = (secret(1), secret(2), secret(3));
        let here = Tunnel::new(here, ours.clone(), PublicKey::from(&theirs))?;
        let there = Tunnel::new(there, other, PublicKey::from(&ours))?;
        let client = Builder::new().mtu(MTU).address([10, 0, 0, 1]).build(here)?;
        let server = Builder::new().mtu(MTU).build(there)?;
        smol::spawn(client.driver).detach();
        smol::spawn(server.driver).detach();
        let connect = async { Some(client.stack.connect("10.0.0.2:7".parse().unwrap()).await) };
        let late = async {
            smol::Timer::after(Duration::from_millis(500)).await;
            None
        };
        assert!(future::or(connect, late).await.is_none());
        Ok(())
    })
}

/// Both ends of a tunnel over the loopback.
fn tunnel() -> io::Result<(Tunnel, Tunnel)> {
    let (here, there) = sockets()?;
    let (ours, theirs) = (secret(1), secret(2));
    let (our_key, their_key) = (PublicKey::from(&ours), PublicKey::from(&theirs));
    Ok((
        Tunnel::new(here, ours, their_key)?,
        Tunnel::new(there, theirs, our_key)?,
    ))
}

fn sockets() -> io::Result<(UdpSocket, UdpSocket)> {
    let (here, there) = (
        UdpSocket::bind("127.0.0.1:0")?,
        UdpSocket::bind("127.0.0.1:0")?,
    );
    here.connect(there.local_addr()?)?;
    there.connect(here.local_addr()?)?;
    Ok((here, there))
}

/// A program has it from a file or from the system's random numbers.
fn secret(byte: u8) -> StaticSecret {
    [byte; 32].into()
}

//! The scripted peer against a stack.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet::{Builder, Parts, Pipe, Stack, TcpListener};
use brooklet_sim::{Peer, Simulation, TcpFlags};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future, io};
use std::net::SocketAddr;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(100);

fn addresses() -> (SocketAddr, SocketAddr) {
    (
        "10.0.0.2:40000".parse().unwrap(),
        "192.0.2.1:80".parse().unwrap(),
    )
}

/// A stack with a peer on the other end of its wire.
fn stack(sim: &Simulation) -> (Stack, TcpListener, Peer<Pipe>) {
    let (device, wire) = brooklet::pipe(64);
    let parts = Builder::new().build_with_timer(device, sim.time().timer());
    let Parts {
        stack, tcp, driver, ..
    } = parts.unwrap();
    sim.spawn(driver).detach();
    let (from, to) = addresses();
    let peer = Peer::new(wire, sim.time(), from, to);
    (stack, tcp, peer)
}

#[test]
fn a_conversation_from_the_first_segment_to_the_last() {
    let sim = Simulation::new();
    let (_stack, tcp, mut peer) = stack(&sim);
    let server = sim.spawn(async move {
        let (stream, _) = tcp.accept().await?;
        io::copy(&stream, &stream).await?;
        (&stream).close().await
    });
    let talk = sim.run(async {
        let syn_ack = peer.connect().await?;
        assert!(syn_ack.option(2).is_some(), "{syn_ack:?}");
        peer.write(b"hello").await?;
        assert_eq!(peer.read(5).await?, b"hello");
        peer.close().await?;
        assert_eq!(peer.read(1).await?, b"");
        peer.expect_silence(LONG).await?;
        server.await
    });
    talk.unwrap().unwrap();
}

#[test]
fn a_stack_that_connects() {
    let sim = Simulation::new();
    let (stack, _tcp, mut peer) = stack(&sim);
    let (from, to) = addresses();
    let connect = async {
        let mut stream = stack.connect_from(to, from).await?;
        stream.write_all(b"first").await?;
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    };
    let accept = async {
        let syn = peer.accept().await?;
        assert_eq!(syn.flags, TcpFlags::SYN);
        assert_eq!(peer.read(5).await?, b"first");
        peer.write(b"second").await
    };
    let (answer, ()) = sim.run(future::try_zip(connect, accept)).unwrap().unwrap();
    assert_eq!(&answer, b"second");
}

#[test]
fn data_without_an_ack_is_retransmitted_and_breaks_an_expected_silence() {
    let sim = Simulation::new();
    let (_stack, tcp, mut peer) = stack(&sim);
    let server = sim.spawn(async move {
        let (mut stream, _) = tcp.accept().await?;
        stream.write_all(b"again").await?;
        io::Result::Ok(stream)
    });
    let run = sim.run(async {
        peer.connect().await?;
        let first = peer.receive().await?;
        let before = sim.time().elapsed();
        let second = peer.receive().await?;
        assert_eq!((first.seq, &first.data), (second.seq, &second.data));
        assert!(sim.time().elapsed() > before);
        let noise = peer.expect_silence(LONG).await.unwrap_err();
        assert_eq!(noise.kind(), io::ErrorKind::InvalidData);
        assert_eq!(peer.read(5).await?, b"again");
        peer.expect_silence(LONG).await?;
        let late = peer.receive().await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        server.await
    });
    run.unwrap().unwrap();
}

#[test]
fn a_flag_that_is_named_twice_is_set_once() {
    let sim = Simulation::new();
    let (_stack, _tcp, peer) = stack(&sim);
    assert_eq!(peer.segment("SS", b"").flags, TcpFlags::SYN);
    let all = TcpFlags::from_bits(0xff);
    assert_eq!(peer.segment("FSRPAUEW", b"").flags, all);
    assert_eq!(peer.segment("", b"").flags, TcpFlags::default());
}

#[test]
#[should_panic = "\"SX\": not the letters of TCP flags"]
fn an_unknown_flag_is_a_panic() {
    let sim = Simulation::new();
    let (_stack, _tcp, peer) = stack(&sim);
    let _ = peer.segment("SX", b"");
}

#[test]
fn a_refusal_is_not_a_connection() {
    let sim = Simulation::new();
    let (_stack, tcp, mut peer) = stack(&sim);
    drop(tcp);
    let error = sim.run(peer.connect()).unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("RST"), "{error}");
}

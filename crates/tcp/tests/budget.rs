//! What connections hold, and that all of it is in the budget: `Stats::buffers`, `Config::memory`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, TcpOptions, TcpState};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::net::Shutdown;
use support::*;

const RECV: usize = 32 << 10;
const SEND: usize = 16 << 10;

fn opened() -> (Host, Peer, Stream) {
    let mut host =
        Host::new(Config::new().options(TcpOptions::new().recv_buffer(RECV).send_buffer(SEND)));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    assert_eq!(host.engine.stats().buffers, 0);
    (host, peer, stream)
}

/// Bytes in buffers, and connections that have some.
fn held(host: &Host) -> (usize, u64) {
    let stats = host.engine.stats();
    (stats.buffers as usize, stats.buffered)
}

/// Lets more time pass than a connection keeps buffers without need.
fn assert_holds_nothing_when_idle(host: &mut Host, what: &str) {
    host.pass(2 * SECOND);
    assert_eq!(held(host), (0, 0), "{what}");
}

fn write(mut stream: &Stream, data: &[u8]) {
    now(stream.write_all(data)).unwrap();
}

fn reported(seg: &Seg) -> usize {
    let len = |&(start, end): &(u32, u32)| end.wrapping_sub(start) as usize;
    seg.sack.iter().map(len).sum()
}

#[test]
fn a_connection_that_only_receives_has_no_send_buffer() {
    let (mut host, mut peer, stream) = opened();
    for _ in 0..10 {
        peer.send(&mut host, &[1; 1000]);
        assert_eq!(held(&host), (RECV, 1));
        assert_eq!(read(&stream).unwrap().len(), 1000);
        assert_eq!(held(&host), (RECV, 1));
    }
    assert_holds_nothing_when_idle(&mut host, "received");
}

#[test]
fn a_connection_that_only_sends_has_no_receive_buffer() {
    let (mut host, mut peer, stream) = opened();
    for _ in 0..10 {
        write(&stream, &[1; 1000]);
        assert_eq!(held(&host), (SEND, 1));
        assert_eq!(peer.drain(&mut host).0.len(), 1000);
        assert_eq!(held(&host), (SEND, 1));
    }
    assert_holds_nothing_when_idle(&mut host, "sent");
}

#[test]
fn a_connection_that_does_both_has_both_buffers() {
    let (mut host, mut peer, stream) = opened();
    write(&stream, b"question");
    peer.drain(&mut host);
    peer.send(&mut host, b"answer");
    assert_eq!(held(&host), (RECV + SEND, 1));
    read(&stream).unwrap();
    assert_holds_nothing_when_idle(&mut host, "both");
}

#[test]
fn an_idle_connection_in_close_wait_holds_nothing() {
    let (mut host, mut peer, stream) = opened();
    peer.send(&mut host, b"last");
    host.tx(peer.seg(FIN | ACK, &[]));
    peer.seq += 1;
    host.pass(10 * SECOND);
    assert_eq!(held(&host).1, 1, "it has not been read");
    assert_eq!(read(&stream).unwrap(), b"last");
    assert_eq!(stream.info().state, TcpState::CloseWait);
    assert_holds_nothing_when_idle(&mut host, "CLOSE-WAIT");
    assert_eq!(read(&stream).unwrap(), b"");
    // It still sends.
    host.all();
    write(&stream, b"data");
    assert_eq!(held(&host), (SEND, 1));
    assert_eq!(peer.drain(&mut host), (b"data".to_vec(), false));
    assert_holds_nothing_when_idle(&mut host, "CLOSE-WAIT again");
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(peer.drain(&mut host), (vec![], true));
    assert_eq!(stream.info().state, TcpState::Closed);
}

#[test]
fn an_idle_connection_in_fin_wait_2_holds_nothing() {
    let (mut host, mut peer, stream) = opened();
    write(&stream, b"question");
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(peer.drain(&mut host), (b"question".to_vec(), true));
    assert_eq!(stream.info().state, TcpState::FinWait2);
    assert_holds_nothing_when_idle(&mut host, "FIN-WAIT-2");
    // It still receives.
    peer.send(&mut host, b"data");
    assert_eq!(held(&host), (RECV, 1));
    assert_eq!(host.one().ack, peer.seq);
    assert_eq!(read(&stream).unwrap(), b"data");
    assert_holds_nothing_when_idle(&mut host, "FIN-WAIT-2 again");
    host.tx(peer.seg(FIN | ACK, &[]));
    assert_eq!(host.one().ack, peer.seq + 1);
    assert_eq!(read(&stream).unwrap(), b"");
    assert_eq!(stream.info().state, TcpState::TimeWait);
}

#[test]
fn an_orphan_in_fin_wait_2_holds_nothing() {
    let (mut host, mut peer, stream) = opened();
    write(&stream, b"question");
    drop(stream);
    assert_eq!(peer.drain(&mut host), (b"question".to_vec(), true));
    assert_holds_nothing_when_idle(&mut host, "an orphan");
    assert_eq!(host.engine.stats().connections, 1);
}

#[test]
fn out_of_order_data_takes_a_buffer() {
    let (mut host, mut peer, stream) = opened();
    for n in 1..=20 {
        host.tx(peer.at(peer.seq + 1000 * n, ACK, &[1; 1000]));
        assert!(reported(&host.one()) > 0);
        assert_eq!(held(&host), (RECV, 1));
    }
    peer.send(&mut host, &[1; 1000]);
    assert_eq!(read(&stream).unwrap().len(), 21_000);
    assert_holds_nothing_when_idle(&mut host, "received");
}

#[test]
fn a_connection_whose_gap_is_never_closed_holds_only_what_is_counted() {
    let (mut host, peer, stream) = opened();
    host.tx(peer.at(peer.seq + 1000, ACK, &[1; 10_000]));
    host.all();
    host.pass(3600 * SECOND);
    host.tx(peer.at(peer.seq + 11_000, ACK, &[1; 10]));
    let kept = reported(&host.one());
    assert!(kept > 0 && kept <= held(&host).0, "{kept} bytes are kept");
    drop(stream);
}

#[test]
fn the_budget_covers_out_of_order_data_of_all_connections() {
    const MEMORY: usize = 2 << 20;
    const EARLY: usize = 60_000;
    let mut host = Host::new(
        Config::new().memory(MEMORY).options(
            TcpOptions::new()
                .recv_buffer(64 << 10)
                .send_buffer(16 << 10),
        ),
    );
    let mut kept = 0;
    let mut connections = Vec::new();
    // Half of the budget is kept for what connections are promised, 8 KiB each.
    for port in 1..=60 {
        let mut peer = Peer::new(&format!("10.0.0.2:{port}"), SERVER);
        let stream = peer.open(&mut host);
        for n in 1..=EARLY as u32 / 1000 {
            host.tx(peer.at(peer.seq + 1000 * n, ACK, &[1; 1000]));
        }
        kept += host.all().last().map_or(0, reported);
        let buffers = held(&host).0;
        assert!(buffers <= MEMORY, "{buffers} bytes with {port} connections");
        assert!(kept <= buffers, "{kept} bytes kept, {buffers} in buffers");
        connections.push((peer, stream));
    }
    // Each of them gets on.
    for (peer, mut stream) in connections {
        let (start, mut received) = (peer.seq, 0);
        while received < EARLY {
            let ahead = received + 1000;
            let seq = start.wrapping_add(received as u32);
            host.tx(peer.at(seq, ACK, &vec![1; ahead.min(EARLY) - received]));
            host.all();
            let mut buf = vec![0; EARLY];
            received += now(stream.read(&mut buf)).unwrap();
            assert!(held(&host).0 <= MEMORY);
        }
    }
}

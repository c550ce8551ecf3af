//! What a connection says of itself follows what happens to it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, TcpOptions, TcpState};
use futures_lite::AsyncWriteExt;
use std::net::Shutdown;
use std::time::Duration;
use support::*;

fn opened() -> (Host, Peer, Stream) {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    (host, peer, stream)
}

fn write(mut stream: &Stream, data: &[u8]) {
    assert_eq!(now(stream.write(data)).unwrap(), data.len());
}

fn state(stream: &Stream) -> TcpState {
    stream.info().state
}

/// The peer acknowledges all of `sent`.
fn acknowledge(host: &mut Host, peer: &mut Peer, sent: &[Seg]) {
    peer.ack = sent.last().unwrap().end();
    host.tx(peer.seg(ACK, &[]));
}

#[test]
fn states_when_this_end_finishes_first() {
    // RFC 9293, 3.3.2, figure 5.
    let (mut host, mut peer, stream) = opened();
    assert_eq!(state(&stream), TcpState::Established);
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(state(&stream), TcpState::FinWait1);
    let fin = host.all();
    acknowledge(&mut host, &mut peer, &fin);
    assert_eq!(state(&stream), TcpState::FinWait2);
    host.tx(peer.seg(FIN | ACK, &[]));
    assert_eq!(state(&stream), TcpState::TimeWait);
}

#[test]
fn states_when_the_peer_finishes_first() {
    let (mut host, mut peer, stream) = opened();
    host.tx(peer.seg(FIN | ACK, &[]));
    peer.seq += 1;
    assert_eq!(state(&stream), TcpState::CloseWait);
    host.all();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(state(&stream), TcpState::LastAck);
    let fin = host.all();
    acknowledge(&mut host, &mut peer, &fin);
    assert_eq!(state(&stream), TcpState::Closed);
}

#[test]
fn states_when_both_finish_at_once() {
    let (mut host, mut peer, stream) = opened();
    stream.shutdown(Shutdown::Write).unwrap();
    let fin = host.all();
    host.tx(peer.seg(FIN | ACK, &[]));
    peer.seq += 1;
    assert_eq!(state(&stream), TcpState::Closing);
    host.all();
    acknowledge(&mut host, &mut peer, &fin);
    assert_eq!(state(&stream), TcpState::TimeWait);
}

#[test]
fn an_end_with_an_error_is_closed() {
    let (mut host, peer, stream) = opened();
    host.tx(peer.seg(RST | ACK, &[]));
    assert_eq!(state(&stream), TcpState::Closed);
}

#[test]
fn queues_hold_what_was_written_and_not_acknowledged_and_what_was_not_read() {
    let (mut host, mut peer, stream) = opened();
    let queues = || {
        let info = stream.info();
        (info.send_queue, info.in_flight, info.recv_queue)
    };
    assert_eq!(queues(), (0, 0, 0));
    peer.window = 3000;
    host.tx(peer.seg(ACK, &[]));
    assert_eq!(stream.info().send_window, 3000 << 7);
    write(&stream, &[1; 100_000]);
    // Ten segments to begin with (RFC 6928).
    assert_eq!(queues(), (100_000, 14_600, 0));
    let sent = host.all();
    acknowledge(&mut host, &mut peer, &sent);
    let (queue, flight, _) = queues();
    assert_eq!((queue, flight), (85_400, 2 * 14_600));
    peer.send(&mut host, &[2; 1000]);
    peer.send(&mut host, &[2; 500]);
    assert_eq!(queues().2, 1500);
    read(&stream).unwrap();
    assert_eq!(queues().2, 0);
}

#[test]
fn round_trips_are_measured() {
    // RFC 6298, 2.1 to 2.3.
    let (mut host, mut peer, stream) = opened();
    let ms = Duration::from_millis;
    // The handshake took no time.
    let first = stream.info().rtt.unwrap();
    assert!(first <= ms(1), "{first:?}");
    let mut last = first;
    for _ in 0..50 {
        write(&stream, b"x");
        host.pass(ms(100));
        let sent = host.all();
        acknowledge(&mut host, &mut peer, &sent[..1]);
        let info = stream.info();
        assert!(info.rtt.unwrap() > last);
        last = info.rtt.unwrap();
    }
    let info = stream.info();
    assert!(info.rtt.unwrap() > ms(98) && info.rtt.unwrap() <= ms(100));
    assert!(info.rtt_variation.unwrap() < ms(10));
    assert!(info.rto >= ms(290) && info.rto < ms(400), "{:?}", info.rto);
}

#[test]
fn a_segment_is_as_long_as_peer_and_path_allow() {
    for (mss, timestamp, expected) in [
        (Some(1460), None, 1460),
        (Some(1460), Some((1, 0)), 1448),
        (Some(9000), None, 1460),
        (Some(1000), None, 1000),
        (None, None, 536),
    ] {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        (peer.mss, peer.timestamp) = (mss, timestamp);
        let stream = peer.open(&mut host);
        assert_eq!(stream.info().mss, expected, "{mss:?} {timestamp:?}");
        write(&stream, &[1; 3000]);
        assert_eq!(host.rx().unwrap().data.len(), expected);
    }
}

#[test]
fn the_congestion_window_grows_with_acknowledgements_and_falls_with_losses() {
    let (mut host, mut peer, stream) = opened();
    let start = stream.info();
    assert_eq!(start.cwnd, 14_600);
    assert!(start.ssthresh >= 1 << 30, "no loss has been seen");
    write(&stream, &[1; 100_000]);
    let sent = host.all();
    acknowledge(&mut host, &mut peer, &sent);
    // Slow start (RFC 5681, 3.1).
    assert_eq!(stream.info().cwnd, 29_200);
    assert_eq!(stream.info().retransmits, 0);
    // Nothing is received of the rest.
    host.all();
    host.pass(5 * SECOND);
    let after = stream.info();
    assert!(after.retransmits >= 1);
    assert_eq!(after.cwnd, after.mss, "RFC 5681, 3.1: a timeout leaves one");
    // Full segments that time out again and again may not fit the path (RFC 8899).
    assert!(after.mss < start.mss);
    assert!(after.ssthresh < 29_200);
    assert!(after.rto > start.rto, "RFC 6298, 5.5: it is doubled");
}

#[test]
fn retransmits_count_what_was_sent_again() {
    let (mut host, _, stream) = opened();
    write(&stream, b"lost");
    let mut copies = 0;
    for _ in 0..20 {
        host.pass(SECOND);
        let before = stream.info().retransmits;
        let sent = host.all();
        copies += sent.iter().filter(|seg| seg.data == b"lost").count();
        assert_eq!(before + 1, copies as u64);
    }
    assert!(copies > 3, "{copies}");
}

#[test]
fn without_congestion_control_only_windows_limit() {
    let mut host = Host::new(
        Config::new().options(TcpOptions::new().congestion(brooklet_tcp::Congestion::None)),
    );
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    write(&stream, &[1; 100_000]);
    let sent = host.all();
    acknowledge(&mut host, &mut peer, &sent);
    let before = stream.info();
    assert_eq!(before.cwnd, 29_200);
    // The first is missing, and the rest has come.
    let sent = host.all();
    peer.blocks[0] = Some((sent[0].end(), sent.last().unwrap().end()));
    host.tx(peer.seg(ACK, &[]));
    let after = stream.info();
    assert_eq!(after.retransmits, before.retransmits + 1);
    assert!(after.cwnd >= before.cwnd, "it is no sign of a full path");
}

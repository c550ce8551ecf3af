//! Timestamps (RFC 7323).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::time::Duration;
use support::*;

/// A connection whose peer's first TSval is 1000.
fn stamped() -> (Host, Peer, Stream, Seg) {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.timestamp = Some((1000, 0));
    host.tx(peer.syn());
    assert!(pends(host.listener().accept()));
    let syn_ack = peer.establish(&mut host);
    let (stream, _) = now(host.listener().accept()).unwrap();
    (host, peer, stream, syn_ack)
}

#[test]
fn they_are_sent_in_every_segment_if_the_peer_offered_them() {
    // 3.2.
    let (mut host, mut peer, stream, syn_ack) = stamped();
    assert_eq!(syn_ack.timestamp.expect("in the SYN-ACK").1, 1000);
    peer.timestamp = Some((1001, syn_ack.timestamp.unwrap().0));
    peer.send(&mut host, b"data");
    assert_eq!(host.one().timestamp.expect("in an acknowledgement").1, 1001);
    host.tx(peer.at(peer.seq + 9, ACK, b"early"));
    assert_eq!(host.one().timestamp.expect("in a duplicate one").1, 1001);
    read(&stream).unwrap();
    now((&stream).write_all(b"data")).unwrap();
    assert_eq!(host.one().timestamp.expect("in data").1, 1001);
    host.pass(3 * SECOND);
    let again = host.all();
    assert!(!again.is_empty());
    for seg in again {
        assert_eq!(seg.timestamp.expect("in data sent again").1, 1001);
    }
}

#[test]
fn they_are_not_sent_to_a_peer_that_did_not() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    assert!(pends(host.listener().accept()));
    assert_eq!(peer.establish(&mut host).timestamp, None);
    // Also if it sends some later (3.2).
    peer.timestamp = Some((7, 7));
    peer.send(&mut host, b"data");
    assert_eq!(host.one().timestamp, None);
}

#[test]
fn the_value_grows_by_one_each_millisecond() {
    // 5.4: between 1 ms and 1 s.
    let (mut host, mut peer, _stream, _) = stamped();
    let mut val = || {
        peer.send(&mut host, b"x");
        let val = host.one().timestamp.unwrap().0;
        host.pass(Duration::from_millis(250));
        val
    };
    let first = val();
    assert_eq!(val().wrapping_sub(first), 250);
    assert_eq!(val().wrapping_sub(first), 500);
}

#[test]
fn the_value_does_not_tell_one_connection_of_another() {
    // 7.1.
    let mut host = host();
    let vals = [1, 2, 3].map(|port| {
        let mut peer = Peer::new(&format!("10.0.0.2:{port}"), SERVER);
        peer.timestamp = Some((1, 0));
        let stream = peer.open(&mut host);
        now((&stream).write_all(b"x")).unwrap();
        let val = host.one().timestamp.unwrap().0;
        stream.abort();
        host.all();
        val
    });
    let near = |a: u32, b: u32| a.abs_diff(b) < 100_000;
    assert!(
        !near(vals[0], vals[1]) && !near(vals[1], vals[2]),
        "{vals:?}"
    );
}

#[test]
fn old_segments_are_acknowledged_and_not_taken() {
    // 5.3: PAWS.
    let (mut host, mut peer, stream, _) = stamped();
    peer.timestamp = Some((2000, 0));
    peer.send(&mut host, b"data");
    read(&stream).unwrap();
    host.all();
    for old in [1999, 1000, 2000u32.wrapping_sub(0x7fff_ffff)] {
        host.pass(SECOND);
        peer.timestamp = Some((old, 0));
        host.tx(peer.seg(ACK, b"wandered"));
        let answer = host.one();
        assert!(answer.is_bare_ack());
        assert_eq!((answer.ack, answer.timestamp.unwrap().1), (peer.seq, 2000));
        assert!(pends((&stream).read(&mut [0; 8])), "{old}");
    }
    // The same value is not an old one.
    peer.timestamp = Some((2000, 0));
    peer.send(&mut host, b"taken");
    assert_eq!(read(&stream).unwrap(), b"taken");
    // A reset is never old (5.2).
    peer.timestamp = Some((1, 0));
    host.tx(peer.seg(RST, &[]));
    assert!(read(&stream).is_err());
}

#[test]
fn after_24_days_nothing_is_old() {
    // 5.5.
    let (mut host, mut peer, stream, _) = stamped();
    host.pass(25 * 86_400 * SECOND);
    peer.timestamp = Some((1, 0));
    peer.send(&mut host, b"taken");
    assert_eq!(read(&stream).unwrap(), b"taken");
    assert_eq!(host.one().timestamp.unwrap().1, 1);
}

#[test]
fn what_is_echoed_is_of_the_segment_that_was_acknowledged_last() {
    // 4.3, (2): not of one that came early, whose time would hide a loss.
    let (mut host, mut peer, _stream, _) = stamped();
    let start = peer.seq;
    peer.timestamp = Some((1100, 0));
    host.tx(peer.at(start + 5, ACK, b"early"));
    assert_eq!(host.one().timestamp.unwrap().1, 1000);
    peer.timestamp = Some((1200, 0));
    host.tx(peer.at(start, ACK, b"first"));
    assert_eq!(host.all().pop().unwrap().timestamp.unwrap().1, 1200);
}

#[test]
fn a_round_trip_is_measured_by_the_echo_of_what_was_sent_again() {
    // 4.1: without them such a segment tells nothing (RFC 6298, 3).
    let (mut host, mut peer, stream, syn_ack) = stamped();
    peer.timestamp = Some((1001, syn_ack.timestamp.unwrap().0));
    now((&stream).write_all(b"data")).unwrap();
    host.one();
    host.pass(SECOND);
    let again = host.all().pop().expect("it is sent again");
    host.pass(Duration::from_millis(100));
    host.all();
    peer.ack = again.end();
    peer.timestamp = Some((1200, again.timestamp.unwrap().0));
    host.tx(peer.seg(ACK, &[]));
    let rtt = stream.info().rtt.unwrap();
    assert!(rtt > Duration::from_millis(5), "{rtt:?}");
}

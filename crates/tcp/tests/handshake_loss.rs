//! Handshakes of which a packet is lost or doubled.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::TcpState;
use futures_lite::AsyncWriteExt;
use std::time::Duration;
use support::*;

const MS: Duration = Duration::from_millis(1);

/// Segments of the first flight of a stream with much to send.
fn first_flight(host: &mut Host, mut stream: &Stream) -> usize {
    now(stream.write_all(&[1; 100_000])).unwrap();
    host.all().iter().filter(|seg| !seg.data.is_empty()).count()
}

/// A connection from here, whose SYN is lost so many times.
fn active(lost: u32) -> (Host, Stream) {
    let mut host = host();
    let connector = host.connector.clone();
    let mut connection = Box::pin(connect(&connector, addr(SERVER), addr(CLIENT)));
    assert!(poll(&mut connection).is_pending());
    let mut syn = host.one();
    for _ in 0..lost {
        host.pass(SECOND); // for each of the first five, as in Linux
        syn = host.one();
    }
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.ack = syn.seq + 1;
    host.tx(peer.seg(SYN | ACK, &[]));
    peer.seq += 1;
    let stream = now(connection).unwrap();
    // The window of the SYN-ACK is not scaled.
    host.tx(peer.seg(ACK, &[]));
    host.all();
    (host, stream)
}

/// A connection from the peer, whose SYN-ACK is lost so many times.
fn passive(lost: u32) -> (Host, Stream) {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    assert!(pends(host.listener().accept()));
    for n in 0..lost {
        host.one();
        host.pass((1 << n) * SECOND);
    }
    peer.establish(&mut host);
    let stream = now(host.listener().accept()).unwrap().0;
    host.silent();
    (host, stream)
}

#[test]
fn one_lost_syn_does_not_reduce_the_initial_window() {
    // RFC 6928, 2, as Linux reads it: the first timeout may well be spurious.
    for lost in [0, 1] {
        let (mut host, stream) = active(lost);
        assert_eq!(first_flight(&mut host, &stream), 10, "{lost} lost");
    }
}

#[test]
fn one_lost_syn_ack_does_not_reduce_the_initial_window() {
    for lost in [0, 1] {
        let (mut host, stream) = passive(lost);
        assert_eq!(first_flight(&mut host, &stream), 10, "{lost} lost");
    }
}

#[test]
fn a_lost_syn_ack_that_the_timer_and_the_client_ask_for_is_one_loss() {
    for early in [false, true] {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        host.tx(peer.syn());
        assert!(pends(host.listener().accept()));
        host.one(); // it is lost
        let wait = if early { 100 * MS } else { Duration::ZERO };
        host.pass(SECOND - wait);
        host.tx(peer.syn());
        host.pass(wait);
        assert!(!host.all().is_empty());
        host.tx(peer.syn()); // and doubled on the way
        peer.establish(&mut host);
        let stream = now(host.listener().accept()).unwrap().0;
        host.all();
        assert_eq!(first_flight(&mut host, &stream), 10, "early {early}");
    }
}

#[test]
fn a_syn_is_repeated_each_second_at_first() {
    let mut host = host();
    let connector = host.connector.clone();
    let mut connection = Box::pin(connect(&connector, addr(SERVER), addr(CLIENT)));
    assert!(poll(&mut connection).is_pending());
    host.one();
    for seconds in [1, 1, 1, 1, 1, 2] {
        host.pass(seconds * SECOND - MS);
        host.silent();
        host.pass(MS);
        host.one();
    }
}

#[test]
fn a_syn_ack_echoes_the_timestamp_of_the_last_syn() {
    // RFC 7323, 4.3: the client has a round-trip time then, whichever SYN was lost.
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.timestamp = Some((1000, 0));
    host.tx(peer.syn());
    assert!(pends(host.listener().accept()));
    assert_eq!(host.one().timestamp.unwrap().1, 1000);
    host.pass(900 * MS);
    peer.timestamp = Some((1900, 0));
    host.tx(peer.syn());
    assert_eq!(host.one().timestamp.unwrap().1, 1900);
}

#[test]
fn two_lost_syns_or_syn_acks_leave_a_window_of_one_segment() {
    // RFC 5681, 3.1.
    for lost in [2, 3] {
        let (mut host, stream) = active(lost);
        assert_eq!(first_flight(&mut host, &stream), 1, "{lost} SYNs lost");
    }
    let (mut host, stream) = passive(2);
    assert_eq!(first_flight(&mut host, &stream), 1, "two SYN-ACKs lost");
}

#[test]
fn a_syn_that_was_repeated_measures_no_round_trip() {
    // RFC 6298, 3: it is not known which one was answered.
    let (_host, stream) = active(1);
    assert_eq!(stream.info().rtt, None);
    let (_host, stream) = passive(1);
    assert_eq!(stream.info().rtt, None);
}

#[test]
fn a_doubled_syn_in_the_batch_of_its_ack_makes_no_wrong_syn_ack() {
    for with_data in [false, true] {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        let syn = peer.syn();
        host.tx(syn.clone());
        assert!(pends(host.listener().accept()));
        let syn_ack = host.one();
        peer.seq += 1;
        peer.ack = syn_ack.seq + 1;
        host.take_in(syn);
        host.take_in(peer.seg(ACK, &[]));
        if with_data {
            host.take_in(peer.seg(ACK, b"data"));
            peer.seq += 4;
        }
        host.engine.flush(host.now());
        for seg in host.all() {
            assert!(!seg.flags.rst());
            // Either the SYN-ACK as it was, or none.
            assert!(!seg.flags.syn() || seg.seq == syn_ack.seq, "{seg:?}");
        }
        let (stream, _) = now(host.listener().accept()).unwrap();
        assert_eq!(stream.info().state, TcpState::Established);
        host.pass(60 * SECOND);
        host.silent();
        // Our numbers are right still.
        now((&stream).write_all(b"data")).unwrap();
        assert_eq!(host.one().seq, peer.ack);
    }
}

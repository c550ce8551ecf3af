//! What the user timeout counts from: RFC 9293, 3.8.3; RFC 5482, 2.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, TcpState};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::ErrorKind;
use std::time::Duration;
use support::*;

fn assert_timed_out(stream: &Stream) {
    let error = now((&*stream).read(&mut [0; 8])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

fn assert_established(stream: &Stream) {
    assert_eq!(stream.info().state, TcpState::Established);
}

/// Two connections over a device that has taken nothing since the first one filled the queue.
fn blocked() -> (Host, Stream, (Peer, Stream)) {
    let mut host = Host::new(Config::new().outbound_packets(2));
    let mut other = Peer::new("10.0.0.3:1", SERVER);
    let full = other.open(&mut host);
    full.set_user_timeout(None);
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    stream.set_user_timeout(Some(20 * SECOND));
    host.silent();
    now((&full).write_all(&[1; 14_600])).unwrap();
    (host, full, (peer, stream))
}

/// Takes everything from the device's queue. Returns the data to `peer`.
fn drain(host: &mut Host, peer: &Peer) -> Vec<u8> {
    let sent = host.all();
    let to_peer = sent.iter().filter(|seg| seg.key.destination() == peer.from);
    to_peer.flat_map(|seg| seg.data.clone()).collect()
}

#[test]
fn the_timeout_does_not_count_while_the_device_takes_nothing() {
    let (mut host, _full, (mut peer, stream)) = blocked();
    now((&stream).write_all(b"data")).unwrap();
    host.pass(100 * SECOND);
    assert_established(&stream);
    assert_eq!(drain(&mut host, &peer), b"data");
    // It is acknowledged as soon as it has been sent.
    peer.ack += 4;
    host.tx(peer.seg(ACK, &[]));
    host.pass(100 * SECOND);
    assert_established(&stream);
}

#[test]
fn the_timeout_counts_from_the_first_transmission() {
    let (mut host, _full, (peer, stream)) = blocked();
    now((&stream).write_all(b"data")).unwrap();
    host.pass(100 * SECOND);
    assert_established(&stream);
    assert_eq!(drain(&mut host, &peer), b"data");
    host.pass(19 * SECOND);
    host.all();
    assert_established(&stream);
    host.pass(2 * SECOND);
    assert_timed_out(&stream);
}

#[test]
fn what_waits_in_the_outbound_queue_has_not_been_sent() {
    // The segment itself is in the queue, and the device does not take it.
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    stream.set_user_timeout(Some(20 * SECOND));
    now((&stream).write_all(b"data")).unwrap();
    host.block();
    host.pass(100 * SECOND);
    assert_established(&stream);
    assert_eq!(host.all()[0].data, b"data");
    host.pass(19 * SECOND);
    host.all();
    assert_established(&stream);
    host.pass(2 * SECOND);
    assert_timed_out(&stream);
}

#[test]
fn a_fin_that_waits_for_the_device_has_not_been_sent() {
    let (mut host, _full, (peer, stream)) = blocked();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    host.pass(100 * SECOND);
    assert_ne!(stream.info().state, TcpState::Closed);
    let sent = host.all();
    let fin = sent.iter().find(|seg| seg.flags.fin()).expect("a FIN");
    assert_eq!(fin.key.destination(), peer.from);
    host.pass(19 * SECOND);
    host.all();
    assert_eq!(stream.info().state, TcpState::FinWait1);
    host.pass(2 * SECOND);
    assert_timed_out(&stream);
}

#[test]
fn retransmissions_do_not_begin_it_anew() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    stream.set_user_timeout(Some(20 * SECOND));
    now((&stream).write_all(b"data")).unwrap();
    for _ in 0..38 {
        host.all();
        host.pass(Duration::from_millis(500));
    }
    assert_established(&stream);
    host.pass(2 * SECOND);
    assert_timed_out(&stream);
}

#[test]
fn an_ack_of_something_new_begins_it_anew() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    stream.set_user_timeout(Some(20 * SECOND));
    now((&stream).write_all(&[1; 5000])).unwrap();
    let sent = host.all();
    for seg in &sent[..2] {
        host.pass(15 * SECOND);
        host.all();
        peer.ack = seg.end();
        host.tx(peer.seg(ACK, &[]));
        assert_established(&stream);
    }
    host.pass(19 * SECOND);
    assert_established(&stream);
    host.pass(2 * SECOND);
    assert_timed_out(&stream);
}

#[test]
fn data_behind_an_unacceptable_segment_answers_a_keepalive_probe() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    stream.set_keepalive(Some(60 * SECOND));
    stream.set_user_timeout(Some(10 * SECOND));
    peer.send(&mut host, &[1; 100]);
    host.all();
    host.pass(60 * SECOND);
    host.one(); // the probe
    host.take_in(peer.at(peer.seq.wrapping_add(10_000_000), ACK, &[1; 100]));
    peer.send(&mut host, &[1; 100]);
    host.all();
    host.pass(20 * SECOND);
    assert_established(&stream);
}

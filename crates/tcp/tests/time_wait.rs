//! TIME-WAIT: how it ends early, and how late segments are answered (RFC 9293, 3.10.7.4; RFC 6191;
//! RFC 1337; RFC 7323).

mod support;

use brooklet_tcp::Config;
use std::net::Shutdown;
use support::{
    ACK, CLIENT, FIN, Host, Peer, RST, SECOND, SERVER, SYN, Seg, host, now, pends, read,
};

/// Takes a connection into TIME-WAIT: the stack closes first. Returns the ACK of the peer's FIN.
/// The peer's number is then the RCV.NXT of the stack.
fn into_time_wait(host: &mut Host, peer: &mut Peer) -> Seg {
    let before = host.engine.stats().time_wait;
    drop(peer.open(host));
    peer.drain(host);
    host.tx(peer.seg(FIN | ACK, &[]));
    peer.seq = peer.seq.wrapping_add(1);
    let ack = host.one();
    assert_eq!((ack.seq, ack.ack), (peer.ack, peer.seq));
    assert_eq!(host.engine.stats().time_wait, before + 1);
    ack
}

fn peer_with_timestamps(tsval: u32) -> Peer {
    Peer {
        timestamp: Some((tsval, 0)),
        ..Peer::new(CLIENT, SERVER)
    }
}

/// Whether a SYN of the peer opens a new connection. If not, it was acknowledged.
fn opens(host: &mut Host, peer: &Peer) -> bool {
    host.tx(peer.syn());
    let stats = host.engine.stats();
    assert_eq!(stats.time_wait + stats.requests, 1);
    if stats.time_wait == 1 {
        assert!(host.one().is_bare_ack());
    }
    stats.requests == 1
}

#[test]
fn a_syn_with_a_lower_number_and_a_newer_timestamp_opens_time_wait() {
    let mut host = host();
    let mut peer = peer_with_timestamps(5000);
    into_time_wait(&mut host, &mut peer);
    peer.seq = peer.seq.wrapping_sub(1 << 30);
    for old in [5000, 4999, 5000_u32.wrapping_sub(1 << 30)] {
        peer.timestamp = Some((old, 0));
        assert!(!opens(&mut host, &peer), "TSval {old}");
    }
    peer.timestamp = Some((5001, 0));
    host.tx(peer.syn());
    assert_eq!(host.engine.stats().time_wait, 0);
    assert!(pends(host.listener().accept()));
    peer.establish(&mut host);
    let (stream, _) = now(host.listener().accept()).unwrap();
    peer.send(&mut host, b"anew");
    assert_eq!(read(&stream).unwrap(), b"anew");
}

#[test]
fn a_syn_with_a_higher_number_opens_time_wait_unless_its_timestamp_is_older() {
    for (tsval, expected) in [(Some(4999), false), (Some(5000), true), (None, true)] {
        let mut host = host();
        let mut peer = peer_with_timestamps(5000);
        into_time_wait(&mut host, &mut peer);
        peer.seq = peer.seq.wrapping_add(1);
        peer.timestamp = tsval.map(|tsval| (tsval, 0));
        assert_eq!(opens(&mut host, &peer), expected, "TSval {tsval:?}");
    }
}

#[test]
fn without_timestamps_only_a_higher_number_opens_time_wait() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    into_time_wait(&mut host, &mut peer);
    peer.seq = peer.seq.wrapping_sub(1);
    peer.timestamp = Some((u32::MAX, 0));
    assert!(!opens(&mut host, &peer));
    peer.seq = peer.seq.wrapping_add(2);
    assert!(opens(&mut host, &peer));
}

#[test]
fn acks_of_time_wait_carry_timestamps_if_they_were_negotiated() {
    let mut host = host();
    let mut peer = peer_with_timestamps(5000);
    let first = into_time_wait(&mut host, &mut peer);
    let (tsval, tsecr) = first.timestamp.expect("timestamps were negotiated");
    assert_eq!(tsecr, 5000);
    host.pass(2 * SECOND);
    // The retransmitted FIN moves TS.Recent on.
    peer.timestamp = Some((7000, tsval));
    host.tx(peer.at(peer.seq.wrapping_sub(1), FIN | ACK, &[]));
    let again = host.one();
    assert_eq!(again.timestamp, Some((tsval.wrapping_add(2000), 7000)));
    assert_eq!((again.seq, again.ack), (first.seq, first.ack));

    let mut plain = Peer::new("10.0.0.2:2", SERVER);
    into_time_wait(&mut host, &mut plain);
    plain.timestamp = Some((1, 1));
    host.tx(plain.at(plain.seq.wrapping_sub(1), FIN | ACK, &[]));
    assert_eq!(host.one().timestamp, None);
}

#[test]
fn acks_of_time_wait_advertise_the_last_window() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let first = into_time_wait(&mut host, &mut peer);
    assert!(first.window > 0);
    host.tx(peer.at(peer.seq.wrapping_sub(1), FIN | ACK, &[]));
    assert_eq!(host.one().window, first.window);
}

#[test]
fn a_rst_at_rcv_nxt_ends_time_wait() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    into_time_wait(&mut host, &mut peer);
    for off in [1, u32::MAX, 1 << 20] {
        host.tx(peer.at(peer.seq.wrapping_add(off), RST, &[]));
        assert_eq!(host.engine.stats().time_wait, 1, "off by {off}");
    }
    host.tx(peer.seg(RST, &[]));
    assert_eq!(host.engine.stats().time_wait, 0);
    host.silent();
    // A client that counts lower is let in again.
    peer.seq = peer.seq.wrapping_sub(1 << 30);
    peer.open(&mut host);
    // The deadline of TIME-WAIT is gone as well.
    host.pass(60 * SECOND);
    assert_eq!(host.engine.stats().connections, 0, "the stream was dropped");
}

#[test]
fn with_rfc1337_a_rst_does_not_end_time_wait() {
    let mut host = Host::new(Config::new().rfc1337(true));
    let mut peer = Peer::new(CLIENT, SERVER);
    into_time_wait(&mut host, &mut peer);
    host.tx(peer.seg(RST, &[]));
    assert_eq!(host.engine.stats().time_wait, 1);
    host.silent();
    host.pass(32 * SECOND);
    assert_eq!(host.engine.stats().time_wait, 0);
}

#[test]
fn a_syn_in_the_batch_of_the_fin_that_begins_time_wait_opens_anew() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    drop(peer.open(&mut host));
    peer.drain(&mut host);
    host.take_in(peer.seg(FIN | ACK, &[]));
    let next = Peer {
        seq: peer.seq.wrapping_add(1000),
        ..peer.clone()
    };
    host.take_in(next.seg(SYN, &[]));
    host.engine.flush(host.now());
    let stats = host.engine.stats();
    assert_eq!(
        (stats.connections, stats.time_wait, stats.requests),
        (0, 0, 1)
    );
    let fin_ack = host.one();
    assert!(fin_ack.is_bare_ack() && fin_ack.ack == peer.seq.wrapping_add(1));
}

#[test]
fn a_syn_in_the_batch_of_the_ack_that_ends_last_ack_opens_anew() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    host.tx(peer.seg(FIN | ACK, &[]));
    peer.seq = peer.seq.wrapping_add(1);
    assert_eq!(read(&stream).unwrap(), b"");
    stream.shutdown(Shutdown::Write).unwrap();
    let fin = host.all().pop().unwrap();
    assert!(fin.flags.fin());
    peer.ack = fin.end();
    host.take_in(peer.seg(ACK, &[]));
    // A late segment of the old connection belongs to no connection any more.
    host.take_in(peer.seg(ACK, b"late"));
    let mut next = Peer {
        seq: peer.seq.wrapping_add(1000),
        ..peer
    };
    host.take_in(next.syn());
    host.engine.flush(host.now());
    assert!(host.one().flags.rst());
    assert_eq!(host.engine.stats().requests, 1);
    assert!(pends(host.listener().accept()));
    next.establish(&mut host);
    let (anew, _) = now(host.listener().accept()).unwrap();
    next.send(&mut host, b"anew");
    assert_eq!(read(&anew).unwrap(), b"anew");
    // The old handle knows nothing of the new connection.
    assert_eq!(read(&stream).unwrap(), b"");
}

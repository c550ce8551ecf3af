//! How connections begin: what a SYN says, and sequence numbers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::TcpState;
use futures_lite::AsyncWriteExt;
use std::io::ErrorKind;
use support::*;

/// The SYN-ACK for a SYN of `peer`, whose connection is given up.
fn syn_ack(host: &mut Host, peer: &Peer) -> Seg {
    host.tx(peer.syn());
    assert!(pends(host.listener().accept()));
    let answer = host.one();
    assert!(answer.flags.syn() && answer.flags.ack());
    host.tx(peer.at(peer.seq + 1, RST, &[]));
    assert_eq!(host.engine.stats().connections, 0);
    answer
}

#[test]
fn a_peer_that_does_not_say_its_mss_gets_the_default() {
    // RFC 9293, 3.7.1 (MUST-15): 536, and 1220 with IPv6. An MSS of 0 counts as none.
    for (from, to, default) in [
        (CLIENT, SERVER, 536),
        ("[fd00::2]:40000", "[2001:db8::1]:80", 1220),
    ] {
        for mss in [None, Some(0)] {
            let mut host = host();
            let mut peer = Peer::new(from, to);
            peer.mss = mss;
            let stream = peer.open(&mut host);
            now((&stream).write_all(&[1; 5000])).unwrap();
            assert_eq!(host.rx().unwrap().data.len(), default);
        }
    }
}

#[test]
fn segments_are_no_longer_than_the_peer_wants_them() {
    for mss in [48, 88, 536, 1459] {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        peer.mss = Some(mss);
        let stream = peer.open(&mut host);
        let data: Vec<u8> = (0..5000u32).map(|n| n as u8).collect();
        now((&stream).write_all(&data)).unwrap();
        let mut got: Vec<u8> = Vec::new();
        while got.len() < data.len() {
            let seg = host.rx().expect("more");
            assert!(seg.data.len() <= mss.into());
            got.extend(&seg.data);
            peer.ack = seg.end();
            host.tx(peer.seg(ACK, &[]));
        }
        assert!(got == data);
    }
}

#[test]
fn the_numbers_of_one_tuple_grow_by_250_000_a_second() {
    // RFC 9293, 3.4.1; RFC 6528, 3.
    let mut host = host();
    let peer = Peer::new(CLIENT, SERVER);
    let mut last = syn_ack(&mut host, &peer).seq;
    for seconds in [1, 2, 10] {
        host.pass(seconds * SECOND);
        let next = syn_ack(&mut host, &peer).seq;
        assert_eq!(next.wrapping_sub(last), 250_000 * seconds);
        last = next;
    }
}

#[test]
fn the_numbers_of_one_tuple_tell_nothing_of_another() {
    // RFC 6528, 3.
    let mut host = host();
    let mut numbers = Vec::new();
    for from in ["10.0.0.2:1", "10.0.0.2:2", "10.0.0.3:1", "10.0.0.4:1"] {
        for to in [SERVER, "192.0.2.1:81", "192.0.2.2:80"] {
            numbers.push(syn_ack(&mut host, &Peer::new(from, to)).seq);
        }
    }
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count);
    // Their differences too are all different.
    let mut gaps: Vec<_> = numbers.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    gaps.dedup();
    assert_eq!(gaps.len(), count - 1);
}

#[test]
fn a_syn_that_comes_again_is_answered_with_the_same_syn_ack() {
    // RFC 9293, 3.10.7.4: and it is one connection.
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    assert!(pends(host.listener().accept()));
    let first = host.one();
    for _ in 0..3 {
        host.pass(SECOND / 10);
        host.tx(peer.syn());
        let again = host.one();
        assert_eq!(
            (again.seq, again.ack, again.flags, again.mss, again.scale),
            (first.seq, first.ack, first.flags, first.mss, first.scale)
        );
    }
    peer.seq += 1;
    peer.ack = first.seq + 1;
    host.tx(peer.seg(ACK, &[]));
    let (_stream, _) = now(host.listener().accept()).unwrap();
    assert!(pends(host.listener().accept()));
    // Once more behind the handshake: its acknowledgement was lost (RFC 5961, 4.2).
    host.tx(peer.at(peer.seq - 1, SYN, &[]));
    assert!(host.one().is_bare_ack());
}

#[test]
fn an_unanswered_syn_ack_is_sent_again_a_few_times() {
    // RFC 6298, 5.5; no more than a few, so that nobody is flooded by SYNs in his name.
    let mut host = host();
    host.tx(Peer::new(CLIENT, SERVER).syn());
    assert!(pends(host.listener().accept()));
    host.one();
    let mut at = Vec::new();
    for second in 1..=15 {
        host.pass(SECOND);
        let again = host.all();
        at.extend(again.iter().filter(|seg| seg.flags.syn()).map(|_| second));
    }
    assert_eq!(at, [1, 3]);
    assert_eq!(host.engine.stats().connections, 0);
    host.pass(60 * SECOND);
    host.silent();
}

#[test]
fn a_wrong_acknowledgement_in_the_handshake_is_reset_and_ends_nothing() {
    // RFC 9293, 3.10.7.4, "SYN-RECEIVED STATE".
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    assert!(pends(host.listener().accept()));
    let answer = host.one();
    for wrong in [0, 2, 1_000_000] {
        let mut liar = peer.clone();
        liar.ack = answer.seq.wrapping_add(wrong);
        host.tx(liar.at(peer.seq + 1, ACK, &[]));
        let reset = host.one();
        assert!(reset.flags.rst());
        assert_eq!(reset.seq, liar.ack);
    }
    peer.seq += 1;
    peer.ack = answer.seq + 1;
    host.tx(peer.seg(ACK, &[]));
    let (stream, _) = now(host.listener().accept()).unwrap();
    assert_eq!(stream.info().state, TcpState::Established);
}

#[test]
fn a_reset_answers_a_connect_only_if_it_acknowledges_the_syn() {
    // RFC 9293, 3.10.7.3; RFC 5961, 3.2.
    let mut host = host();
    let connector = host.connector.clone();
    let mut connection = Box::pin(connect(&connector, addr(CLIENT), addr(SERVER)));
    assert!(poll(&mut connection).is_pending());
    let syn = host.one();
    let mut peer = Peer::new(SERVER, CLIENT);
    for (wrong, flags) in [(0, RST), (0, RST | ACK), (2, RST | ACK)] {
        peer.ack = syn.seq + wrong;
        host.tx(peer.seg(flags, &[]));
        host.silent();
        assert!(poll(&mut connection).is_pending());
    }
    peer.ack = syn.seq + 1;
    host.tx(peer.seg(RST | ACK, &[]));
    let error = now(connection).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn both_may_begin_at_once() {
    // RFC 9293, 3.5, figure 8.
    let mut host = host();
    let connector = host.connector.clone();
    let mut connection = Box::pin(connect(&connector, addr(CLIENT), addr(SERVER)));
    assert!(poll(&mut connection).is_pending());
    let syn = host.one();
    let mut peer = Peer::new(SERVER, CLIENT);
    host.tx(peer.syn());
    let answer = host.one();
    assert!(answer.flags.syn() && answer.flags.ack());
    assert_eq!((answer.seq, answer.ack), (syn.seq, peer.seq + 1));
    assert!(poll(&mut connection).is_pending());
    // The peer answers likewise.
    peer.ack = syn.seq + 1;
    host.tx(peer.seg(SYN | ACK, &[]));
    peer.seq += 1;
    let stream = now(connection).unwrap();
    assert_eq!(stream.info().state, TcpState::Established);
    host.all();
    peer.send(&mut host, b"across");
    assert_eq!(read(&stream).unwrap(), b"across");
    host.all();
    now((&stream).write_all(b"back")).unwrap();
    assert_eq!(peer.drain(&mut host).0, b"back");
}

#[test]
fn a_tuple_in_time_wait_is_opened_by_a_higher_syn_only() {
    // RFC 9293, 3.10.7.4, "TIME-WAIT STATE".
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    drop(peer.open(&mut host));
    peer.drain(&mut host);
    host.tx(peer.seg(FIN | ACK, &[]));
    peer.seq += 1;
    host.all();
    for off in [0, 100, 1 << 30] {
        host.tx(peer.at(peer.seq.wrapping_sub(off), SYN, &[]));
        let answer = host.one();
        assert!(answer.is_bare_ack());
        assert_eq!((answer.seq, answer.ack), (peer.ack, peer.seq));
    }
    assert_eq!(host.engine.stats().time_wait, 1);
    host.pass(SECOND);
    peer.seq += 1;
    let stream = peer.open(&mut host);
    peer.send(&mut host, b"anew");
    assert_eq!(read(&stream).unwrap(), b"anew");
}

#[test]
fn after_two_lost_syn_acks_one_segment_is_sent_at_first() {
    // One may have been lost by chance (RFC 6928, 2).
    for (lost, segments) in [(0, 10), (1, 10), (2, 1)] {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        host.tx(peer.syn());
        assert!(pends(host.listener().accept()));
        for n in 0..lost {
            host.one();
            host.pass((SECOND + SECOND / 10) * (1 << n));
        }
        peer.establish(&mut host);
        let (stream, _) = now(host.listener().accept()).unwrap();
        now((&stream).write_all(&[1; 40_000])).unwrap();
        assert_eq!(host.all().len(), segments, "lost: {lost}");
    }
}

//! Who asks for a connection, and what becomes of it, packet by packet.

mod support;

use brooklet_tcp::Config;
use futures_lite::StreamExt;
use std::io::ErrorKind;
use support::*;

#[test]
fn a_syn_sent_again_is_one_request() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    for _ in 0..4 {
        host.tx(peer.syn());
    }
    host.silent();
    let listener = host.listener.take().unwrap();
    let mut requests = listener.requests();
    let request = now(requests.next()).unwrap().unwrap();
    assert_eq!(
        (request.peer_addr(), request.local_addr()),
        (peer.from, peer.to)
    );
    assert!(pends(requests.next()), "the same SYN twice");
    host.tx(peer.syn());
    assert!(
        pends(requests.next()),
        "offered again while it waits for an answer"
    );
    let mut accept = Box::pin(request.accept());
    assert!(poll(&mut accept).is_pending());
    let answer = host.rx().unwrap();
    host.tx(peer.syn());
    let again = host.rx().expect("an answer to the second SYN");
    assert!(again.flags.syn() && again.seq == answer.seq);
    host.tx(peer.syn());
    let first = peer.establish(&mut host);
    assert!(host.all().iter().all(|seg| seg.seq == first.seq));
    assert!(poll(&mut accept).is_ready());
    assert!(pends(requests.next()));
}

#[test]
fn clients_of_one_address_keep_their_own_streams() {
    let mut host = host();
    let mut a = Peer::new("10.0.0.2:1111", SERVER);
    let mut b = Peer::new("10.0.0.9:2222", SERVER);
    b.seq = 77_000;
    host.tx(a.syn());
    host.tx(a.syn());
    host.tx(b.syn());
    assert!(pends(host.listener().accept()));
    a.establish(&mut host);
    b.establish(&mut host);
    b.send(&mut host, b"from b");
    a.send(&mut host, b"from a");
    for _ in 0..2 {
        let (stream, peer) = now(host.listener().accept()).unwrap();
        let said: &[u8] = if peer == a.from { b"from a" } else { b"from b" };
        assert_eq!(read(&stream).unwrap(), said, "on the stream of {peer}");
    }
}

#[test]
fn a_reset_during_the_handshake_frees_the_place_and_mislabels_nobody() {
    let mut host = host();
    let mut a = Peer::new("10.0.0.2:1111", SERVER);
    host.tx(a.syn());
    assert!(pends(host.listener().accept()));
    host.rx().unwrap();
    a.seq += 1;
    host.tx(a.seg(RST, &[]));
    assert_eq!(host.listener().stats().connections, 0);
    let mut b = Peer::new("10.0.0.9:2222", SERVER);
    let stream = b.open(&mut host);
    assert_eq!(stream.peer_addr().unwrap(), b.from);
    b.send(&mut host, b"from b");
    assert_eq!(read(&stream).unwrap(), b"from b");
}

#[test]
fn strangers_get_a_reset_and_resets_get_none() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.ack = 5555;
    host.tx(peer.seg(ACK, b"data"));
    let reset = host.rx().unwrap();
    assert!(reset.flags.rst() && !reset.flags.ack());
    assert_eq!(reset.seq, 5555);
    host.tx(peer.seg(SYN | ACK, &[]));
    assert!(host.rx().unwrap().flags.rst());
    host.tx(peer.seg(RST, &[]));
    host.tx(peer.seg(RST | ACK, &[]));
    host.silent();
    assert_eq!(host.listener().stats().resets, 2);
}

#[test]
fn flags_and_addresses_that_make_no_sense_are_counted_and_nothing_else() {
    let mut host = host();
    let peer = Peer::new(CLIENT, SERVER);
    for flags in [SYN | FIN, SYN | RST, 0, FIN | PSH | URG, SYN | FIN | ACK] {
        host.tx(peer.seg(flags, &[]));
    }
    assert_eq!(host.listener().stats().bad_flags, 5);
    let bad = [
        ("10.0.0.2:0", SERVER),
        (CLIENT, "192.0.2.1:0"),
        ("0.0.0.0:9", SERVER),
        ("255.255.255.255:9", SERVER),
        (CLIENT, "224.0.0.1:80"),
        (CLIENT, "255.255.255.255:80"),
        (SERVER, SERVER),
        ("[ff02::1]:9", "[fd00::1]:80"),
        ("[::]:9", "[fd00::1]:80"),
    ];
    for (from, to) in bad {
        host.tx(Peer::new(from, to).syn());
    }
    host.silent();
    let stats = host.listener().stats();
    assert_eq!((stats.bad_address, stats.requests), (bad.len() as u64, 0));
    assert!(pends(host.listener().accept()));
}

#[test]
fn a_refused_request_is_a_reset_and_an_ignored_one_is_silence() {
    let mut host = host();
    let listener = host.listener.take().unwrap();
    let mut requests = listener.requests();
    let peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    now(requests.next()).unwrap().unwrap().refuse();
    let reset = host.rx().unwrap();
    assert!(reset.flags.rst() && reset.flags.ack());
    assert_eq!(reset.ack, peer.seq + 1);
    host.tx(peer.syn());
    now(requests.next()).unwrap().unwrap().drop_silently();
    host.tx(peer.syn());
    assert!(pends(requests.next()), "the same client was told of twice");
    host.silent();
    host.pass(16 * SECOND);
    host.tx(peer.syn());
    assert!(
        !pends(requests.next()),
        "after its time the request is forgotten"
    );
}

#[test]
fn a_request_that_the_client_withdrew_cannot_be_accepted() {
    let mut host = host();
    let listener = host.listener.take().unwrap();
    let peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    let request = now(listener.requests().next()).unwrap().unwrap();
    host.tx(peer.at(peer.seq + 1, RST, &[]));
    assert_eq!(
        now(request.accept()).unwrap_err().kind(),
        ErrorKind::ConnectionAborted
    );
    host.silent();
}

#[test]
fn requests_that_nobody_took_are_evicted_oldest_first_and_expire() {
    let mut host = Host::new(Config::new().backlog(2).syn_cookies(false));
    let listener = host.listener.take().unwrap();
    for n in 1..=3 {
        host.tx(Peer::new(&format!("10.0.0.2:{n}"), SERVER).syn());
    }
    assert_eq!(
        (listener.stats().requests, listener.stats().backlog_full),
        (2, 1)
    );
    let mut requests = listener.requests();
    let ports: Vec<u16> = (0..2)
        .map(|_| now(requests.next()).unwrap().unwrap().peer_addr().port())
        .collect();
    assert_eq!(ports, [2, 3]);
    host.pass(16 * SECOND);
    let stats = listener.stats();
    assert_eq!((stats.requests, stats.expired), (0, 2));
    assert_eq!(
        host.engine.poll_timeout(host.now()),
        None,
        "nothing is left to wait for"
    );
}

#[test]
fn a_client_that_never_finishes_the_handshake_holds_up_nobody() {
    let mut host = host();
    host.tx(Peer::new("10.0.0.2:1", SERVER).syn());
    assert!(pends(host.listener().accept()));
    host.rx().unwrap();
    let mut good = Peer::new("10.0.0.2:2", SERVER);
    let stream = good.open(&mut host);
    assert_eq!(stream.peer_addr().unwrap(), good.from);
    host.pass(20 * SECOND);
    assert_eq!(
        host.listener().stats().connections,
        1,
        "the unfinished one is still held"
    );
}

#[test]
fn without_a_listener_clients_are_refused() {
    let mut host = host();
    let mut waiting = Peer::new("10.0.0.2:1", SERVER);
    host.tx(waiting.syn());
    let mut established = Peer::new("10.0.0.2:2", SERVER);
    host.tx(established.syn());
    assert!(pends(host.listener().accept()));
    waiting.establish(&mut host);
    host.rx().unwrap();
    let late = Peer::new("10.0.0.2:3", SERVER);
    host.tx(late.syn());
    host.listener = None;
    let resets = host.all().iter().filter(|seg| seg.flags.rst()).count();
    assert_eq!(
        resets, 3,
        "the established, the half open and the waiting one"
    );
    established.seq += 5;
    host.tx(established.syn());
    assert!(host.rx().unwrap().flags.rst());
}

#[test]
fn a_tuple_that_began_anew_is_not_handed_out_for_the_old_one() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    assert!(pends(host.listener().accept()));
    peer.establish(&mut host);
    // Ready, and gone before anybody took it; then again, accepted by whoever asked for requests.
    host.tx(peer.seg(RST | ACK, &[]));
    let mut again = Peer::new(CLIENT, SERVER);
    again.seq = 500_000;
    host.tx(again.syn());
    let listener = host.listener.take().unwrap();
    let request = now(listener.requests().next()).unwrap().unwrap();
    let mut accept = Box::pin(request.accept());
    assert!(poll(&mut accept).is_pending());
    again.establish(&mut host);
    let stream = now(accept).unwrap();
    assert!(pends(listener.accept()), "one connection handed out twice");
    again.send(&mut host, b"new");
    assert_eq!(read(&stream).unwrap(), b"new");
}

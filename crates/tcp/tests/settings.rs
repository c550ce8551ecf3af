//! What can be set on a connection, on the wire, and what it says of itself.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, TcpOptions, TcpState};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;
use support::*;

fn with(options: TcpOptions) -> (Host, Peer, Stream) {
    let mut host = Host::new(Config::new().options(options));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    (host, peer, stream)
}

fn opened() -> (Host, Peer, Stream) {
    with(TcpOptions::default())
}

fn write(mut stream: &Stream, data: &[u8]) {
    assert_eq!(now(stream.write(data)).unwrap(), data.len());
}

#[test]
fn nodelay_sends_small_writes_at_once() {
    let (mut host, _, stream) = opened();
    assert!(stream.nodelay().unwrap());
    for n in 0..5 {
        write(&stream, &[n]);
        assert_eq!(host.one().data, [n]);
    }
}

#[test]
fn without_nodelay_small_writes_are_gathered() {
    // RFC 9293, 3.7.4, by option and by call.
    let by_option = with(TcpOptions::new().nodelay(false));
    let by_call = opened();
    by_call.2.set_nodelay(false).unwrap();
    for (mut host, mut peer, stream) in [by_option, by_call] {
        assert!(!stream.nodelay().unwrap());
        write(&stream, b"a");
        assert_eq!(host.one().data, b"a", "nothing was in flight");
        write(&stream, b"b");
        write(&stream, b"c");
        host.silent();
        peer.ack += 1;
        host.tx(peer.seg(ACK, &[]));
        assert_eq!(host.one().data, b"bc");
        // A full segment is sent at once, and what is left over is gathered.
        write(&stream, &[7; 1500]);
        assert_eq!(host.one().data.len(), 1460);
        write(&stream, &[7; 10]);
        host.silent();
        // To switch it off lets go of what was gathered.
        stream.set_nodelay(true).unwrap();
        assert_eq!(host.one().data.len(), 50);
    }
}

#[test]
fn keepalive_asks_at_its_interval_and_gives_up_after_the_user_timeout() {
    let (mut host, mut peer, stream) = with(
        TcpOptions::new()
            .keepalive(Some(10 * SECOND))
            .user_timeout(Some(35 * SECOND)),
    );
    // What the peer sends puts the question off.
    host.pass(9 * SECOND);
    peer.send(&mut host, b"x");
    host.all();
    host.pass(9 * SECOND);
    host.silent();
    for _ in 0..3 {
        host.pass(SECOND);
        let question = host.one();
        // RFC 9293, 3.8.4: a number before the window and no data.
        assert!(question.is_bare_ack());
        assert_eq!((question.seq, question.ack), (peer.ack - 1, peer.seq));
        host.tx(peer.seg(ACK, &[]));
        host.pass(9 * SECOND);
        host.silent();
    }
    // From here it does not answer.
    host.pass(SECOND);
    let mut questions = host.all().len();
    for _ in 0..34 {
        host.pass(SECOND);
        questions += host.all().len();
        assert_eq!(stream.info().state, TcpState::Established);
    }
    assert_eq!(questions, 4, "at 0, 10, 20 and 30 s");
    host.pass(SECOND);
    assert!(host.one().flags.rst());
    assert_eq!(read(&stream).unwrap(), b"x", "what came is read first");
    let error = now((&stream).read(&mut [0; 8])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn keepalive_can_be_switched_on_and_off() {
    let (mut host, peer, stream) = opened();
    assert_eq!(stream.keepalive(), None);
    stream.set_keepalive(Some(10 * SECOND));
    host.pass(11 * SECOND);
    assert!(host.one().is_bare_ack());
    host.tx(peer.seg(ACK, &[]));
    stream.set_keepalive(None);
    host.pass(3600 * SECOND);
    host.silent();
}

#[test]
fn a_keepalive_of_the_peer_is_answered() {
    // RFC 9293, 3.8.4: an old number, with or without an old byte.
    let (mut host, mut peer, stream) = opened();
    peer.send(&mut host, b"data");
    read(&stream).unwrap();
    host.all();
    for data in [&b""[..], b"a"] {
        host.pass(SECOND);
        host.tx(peer.at(peer.seq - 1, ACK, data));
        let answer = host.one();
        assert!(answer.is_bare_ack());
        assert_eq!((answer.seq, answer.ack), (peer.ack, peer.seq));
    }
    assert!(pends((&stream).read(&mut [0; 8])));
}

#[test]
fn the_user_timeout_counts_only_while_the_peer_owes_something() {
    let (mut host, mut peer, stream) = opened();
    assert_eq!(stream.user_timeout(), Some(300 * SECOND));
    stream.set_user_timeout(Some(20 * SECOND));
    host.pass(3600 * SECOND);
    for _ in 0..3 {
        write(&stream, b"x");
        host.pass(19 * SECOND);
        host.all();
        peer.ack += 1;
        host.tx(peer.seg(ACK, &[]));
    }
    write(&stream, b"x");
    host.pass(10 * SECOND);
    // A longer one counts from the same moment.
    stream.set_user_timeout(Some(40 * SECOND));
    host.pass(29 * SECOND);
    assert_eq!(stream.info().state, TcpState::Established);
    host.pass(2 * SECOND);
    let error = now((&stream).read(&mut [0; 8])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);

    let (mut host, _, stream) = opened();
    stream.set_user_timeout(None);
    write(&stream, b"x");
    host.pass(86_400 * SECOND);
    assert_eq!(stream.info().state, TcpState::Established);
}

#[test]
fn the_ttl_is_that_of_every_packet() {
    for (from, to) in [(CLIENT, SERVER), ("[fd00::2]:40000", "[2001:db8::1]:80")] {
        let mut host = Host::new(Config::new().options(TcpOptions::new().ttl(17)));
        let mut peer = Peer::new(from, to);
        let ttls = |segs: Vec<Seg>, ttl: u8, what: &str| {
            assert!(!segs.is_empty(), "no {what}");
            assert!(segs.iter().all(|seg| seg.ttl == ttl), "{what}: {segs:?}");
        };
        host.tx(peer.syn());
        assert!(pends(host.listener().accept()));
        ttls(host.all(), 17, "SYN-ACK");
        host.tx(peer.syn());
        let syn_ack = host.one();
        ttls(vec![syn_ack.clone()], 17, "second SYN-ACK");
        peer.seq += 1;
        peer.ack = syn_ack.seq + 1;
        host.tx(peer.seg(ACK, &[]));
        let (stream, _) = now(host.listener().accept()).unwrap();
        assert_eq!(stream.ttl().unwrap(), 17);
        stream.set_ttl(33).unwrap();
        write(&stream, b"data");
        ttls(host.all(), 33, "data");
        host.pass(3 * SECOND);
        ttls(host.all(), 33, "data sent again");
        peer.ack += 4;
        peer.send(&mut host, b"data");
        ttls(host.all(), 33, "acknowledgement");
        host.tx(peer.at(peer.seq + 10, ACK, b"early"));
        ttls(host.all(), 33, "acknowledgement of what came early");
        host.tx(peer.at(peer.seq + 10, RST, &[]));
        ttls(host.all(), 33, "challenge");
        stream.set_keepalive(Some(10 * SECOND));
        host.pass(11 * SECOND);
        ttls(host.all(), 33, "question");
        host.tx(peer.seg(ACK, &[]));
        read(&stream).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        ttls(host.all(), 33, "FIN");
        host.pass(3 * SECOND);
        ttls(host.all(), 33, "FIN sent again");
        stream.abort();
        ttls(host.all(), 33, "reset");

        let connector = host.connector.clone();
        let mut connection = Box::pin(connect(&connector, peer.to, peer.from));
        assert!(poll(&mut connection).is_pending());
        ttls(host.all(), 17, "SYN");
        host.pass(2 * SECOND);
        ttls(host.all(), 17, "SYN sent again");
    }
}

#[test]
fn linger_is_what_was_set() {
    let (_host, _, stream) = opened();
    assert_eq!(stream.linger(), None);
    for linger in [Some(Duration::ZERO), Some(5 * SECOND), None] {
        stream.set_linger(linger);
        assert_eq!(stream.linger(), linger);
    }
}

#[test]
fn linger_can_be_an_option_of_every_connection() {
    let (mut host, _, stream) = with(TcpOptions::new().linger(Some(Duration::ZERO)));
    drop(stream);
    assert!(host.one().flags.rst());
}

#[test]
fn buffers_are_as_large_as_was_asked_for() {
    let (mut host, mut peer, stream) = with(
        TcpOptions::new()
            .recv_buffer(5000)
            .recv_buffer_max(5000)
            .send_buffer(7000)
            .send_buffer_max(7000),
    );
    assert_eq!(stream.buffer_sizes(), (5000, 7000));
    // As much as that is written without an acknowledgement, and no more.
    assert_eq!(now((&stream).write(&[1; 10_000])).unwrap(), 7000);
    assert!(pends((&stream).write(&[1])));
    peer.drain(&mut host);
    assert_eq!(now((&stream).write(&[1; 10_000])).unwrap(), 7000);
    peer.drain(&mut host);
    // As much as that is received without being read.
    for _ in 0..10 {
        peer.send(&mut host, &[2; 1000]);
    }
    assert_eq!(read(&stream).unwrap().len(), 5000);
}

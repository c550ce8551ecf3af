//! What a program does wrong, and what it is told.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, TcpOptions, TcpState};
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};
use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;
use support::*;

fn opened() -> (Host, Peer, Stream) {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    (host, peer, stream)
}

/// The kinds of error that a read, a peek and a write give; `None` where there is none.
fn kinds(mut stream: &Stream) -> [Option<ErrorKind>; 3] {
    let mut buf = [0; 8];
    [
        now(stream.read(&mut buf)).err(),
        now(stream.peek(&mut buf)).err(),
        now(stream.write(b"x")).err(),
    ]
    .map(|error| error.map(|error| error.kind()))
}

#[test]
fn after_abort() {
    let (mut host, mut peer, stream) = opened();
    peer.send(&mut host, b"unread");
    stream.abort();
    stream.abort();
    let kind = Some(ErrorKind::ConnectionAborted);
    for _ in 0..2 {
        assert_eq!(kinds(&stream), [kind; 3]);
    }
    for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        let error = stream.shutdown(how).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
    }
    let error = now((&stream).close()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    assert_eq!(host.all().iter().filter(|seg| seg.flags.rst()).count(), 1);
}

#[test]
fn writing_after_the_end_was_written() {
    for by_close in [true, false] {
        let (mut host, mut peer, stream) = opened();
        if by_close {
            assert!(pends((&stream).close()));
        } else {
            stream.shutdown(Shutdown::Write).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        }
        let write = || now((&stream).write(b"x")).unwrap_err().kind();
        assert_eq!(write(), ErrorKind::BrokenPipe);
        assert_eq!(peer.drain(&mut host), (vec![], true));
        host.tx(peer.seg(FIN | ACK, &[]));
        // When nothing is left of it too.
        assert_eq!(write(), ErrorKind::BrokenPipe);
        assert_eq!(now((&stream).read(&mut [0; 8])).unwrap(), 0);
        stream.shutdown(Shutdown::Both).unwrap();
        now((&stream).close()).unwrap();
    }
}

#[test]
fn writing_behind_an_end_that_waits_for_what_precedes_it() {
    let (mut host, mut peer, stream) = opened();
    let data = vec![7; 100_000];
    now((&stream).write_all(&data)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let error = now((&stream).write(b"x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(peer.drain(&mut host), (data, true));
}

#[test]
fn writing_after_the_peers_reset() {
    let (mut host, peer, stream) = opened();
    host.tx(peer.seg(RST | ACK, &[]));
    let kind = Some(ErrorKind::ConnectionReset);
    for _ in 0..2 {
        assert_eq!(kinds(&stream), [kind; 3]);
    }
    let error = stream.shutdown(Shutdown::Both).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    host.silent();
}

#[test]
fn writing_after_the_end_and_the_reset() {
    // What happened to the connection is said, rather than what was done wrong.
    let (mut host, peer, stream) = opened();
    stream.shutdown(Shutdown::Write).unwrap();
    host.all();
    host.tx(peer.seg(RST | ACK, &[]));
    let error = now((&stream).write(b"x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn reading_after_the_end() {
    let (mut host, peer, stream) = opened();
    host.tx(peer.seg(FIN | ACK, &[]));
    host.all();
    for _ in 0..3 {
        assert_eq!(kinds(&stream), [None; 3]);
        assert_eq!(read(&stream).unwrap(), b"");
    }
}

#[test]
fn reading_after_shutdown_read() {
    let (mut host, mut peer, stream) = opened();
    stream.shutdown(Shutdown::Read).unwrap();
    stream.shutdown(Shutdown::Read).unwrap();
    peer.send(&mut host, b"nobody reads this");
    assert_eq!(kinds(&stream), [None; 3]);
    // An end of another kind is told to those who write.
    host.tx(peer.seg(RST | ACK, &[]));
    assert_eq!(
        kinds(&stream),
        [None, None, Some(ErrorKind::ConnectionReset)]
    );
}

#[test]
fn nothing_to_read_into_and_nothing_to_write() {
    let (_host, _, stream) = opened();
    assert_eq!(now((&stream).read(&mut [])).unwrap(), 0);
    assert_eq!(now((&stream).write(&[])).unwrap(), 0);
    stream.abort();
    assert_eq!(now((&stream).read(&mut [])).unwrap(), 0);
    assert_eq!(now((&stream).write(&[])).unwrap(), 0);
}

#[test]
fn connecting_from_a_tuple_that_is_in_use() {
    let (mut host, mut peer, stream) = opened();
    let connector = host.connector.clone();
    let connect = || connect(&connector, addr(SERVER), addr(CLIENT));
    // By a connection that a client opened, also while it closes.
    assert_eq!(now(connect()).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(stream);
    assert_eq!(now(connect()).unwrap_err().kind(), ErrorKind::AddrInUse);
    peer.drain(&mut host);
    host.tx(peer.seg(FIN | ACK, &[]));
    host.all();
    // TIME-WAIT may be left by a connection with higher numbers (RFC 9293, 3.4.1 and 3.6.1).
    host.pass(SECOND);
    assert_eq!(host.engine.stats().time_wait, 1);
    let mut pending = Box::pin(connect());
    assert!(poll(&mut pending).is_pending());
    let syn = host.one();
    assert!((syn.seq.wrapping_sub(peer.ack) as i32) > 0);
    // By one that is being opened.
    assert_eq!(now(connect()).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(pending);
    // By a request that nobody has answered.
    let other = Peer::new("10.0.0.2:7", SERVER);
    host.tx(other.syn());
    let error = now(support::connect(&connector, other.to, other.from)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[test]
fn connecting_beyond_the_limit() {
    let mut host = Host::new(Config::new().max_connections(1));
    let _stream = Peer::new(CLIENT, SERVER).open(&mut host);
    let connected = now(connect(&host.connector, addr("10.0.0.9:1"), addr(SERVER)));
    assert_eq!(connected.unwrap_err().kind(), ErrorKind::QuotaExceeded);
    host.silent();
}

#[test]
fn a_ttl_out_of_range() {
    let (_host, _, stream) = opened();
    for bad in [0, 256, u32::MAX] {
        let error = stream.set_ttl(bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(stream.ttl().unwrap(), 64);
    }
    for good in [1, 255] {
        stream.set_ttl(good).unwrap();
        assert_eq!(stream.ttl().unwrap(), good);
    }
}

#[test]
fn a_user_timeout_below_a_second_is_raised_to_a_second() {
    let mut host =
        Host::new(Config::new().options(TcpOptions::new().user_timeout(Some(Duration::ZERO))));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    assert_eq!(stream.user_timeout(), Some(SECOND));
    now((&stream).write_all(b"answered in time")).unwrap();
    host.pass(SECOND / 2);
    peer.drain(&mut host);
    assert_eq!(stream.info().state, TcpState::Established);
    stream.set_user_timeout(Some(Duration::from_millis(1)));
    assert_eq!(stream.user_timeout(), Some(SECOND));
}

#[test]
fn options_that_cannot_work_are_replaced_by_the_nearest() {
    let (_host, _, stream) = opened();
    stream.set_keepalive(Some(Duration::ZERO));
    assert_eq!(stream.keepalive(), Some(SECOND));
    let ten_years = Duration::from_secs(10 * 365 * 86_400);
    stream.set_keepalive(Some(Duration::MAX));
    stream.set_user_timeout(Some(Duration::MAX));
    stream.set_linger(Some(Duration::MAX));
    let times = [stream.keepalive(), stream.user_timeout(), stream.linger()];
    assert_eq!(times, [Some(ten_years); 3]);

    let mut host = Host::new(
        Config::new().options(
            TcpOptions::new()
                .recv_buffer(0)
                .send_buffer(1)
                .keepalive(Some(Duration::ZERO))
                .user_timeout(Some(Duration::MAX))
                .linger(Some(Duration::MAX))
                .ttl(0),
        ),
    );
    let stream = Peer::new(CLIENT, SERVER).open(&mut host);
    assert_eq!(stream.buffer_sizes(), (2048, 2048));
    assert_eq!(stream.keepalive(), Some(SECOND));
    assert_eq!(stream.user_timeout(), Some(ten_years));
    assert_eq!(stream.linger(), Some(ten_years));
    assert_eq!(stream.ttl().unwrap(), 1);
}

#[test]
fn asking_a_connection_that_is_over() {
    let (mut host, mut peer, stream) = opened();
    stream.abort();
    host.all();
    assert_eq!(stream.peer_addr().unwrap(), peer.from);
    assert_eq!(stream.local_addr().unwrap(), peer.to);
    stream.set_nodelay(false).unwrap();
    stream.set_ttl(9).unwrap();
    stream.set_keepalive(Some(SECOND));
    stream.set_user_timeout(Some(SECOND));
    stream.set_linger(Some(Duration::ZERO));
    assert_eq!(stream.info().state, TcpState::Closed);
    // It does not touch the next connection of the same addresses.
    let next = peer.open(&mut host);
    drop(stream);
    host.pass(60 * SECOND);
    host.silent();
    assert_eq!((next.ttl().unwrap(), next.keepalive()), (64, None));
}

#[test]
fn polling_after_the_stack_is_gone() {
    let mut host = host();
    let listener = host.listener.take().unwrap();
    let connector = host.connector.clone();
    drop(host);
    let mut requests = listener.requests();
    let error = now(requests.next()).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
    for _ in 0..2 {
        assert!(now(requests.next()).is_none(), "the stream has ended");
        let error = now(listener.accept()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkDown);
        let error = now(connect(&connector, addr(CLIENT), addr(SERVER))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkDown);
    }
}

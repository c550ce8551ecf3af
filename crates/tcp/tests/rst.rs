//! Resets: RFC 9293, 3.10.7.4, second check; RFC 5961, 3.2.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, TcpOptions, TcpState};
use std::io::ErrorKind;
use support::*;

fn opened() -> (Host, Peer, Stream) {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    (host, peer, stream)
}

/// A connection whose receive buffer is full.
fn full() -> (Host, Peer, Stream) {
    let mut host = Host::new(Config::new().options(TcpOptions::new().recv_buffer(4000)));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    for _ in 0..4 {
        peer.send(&mut host, &[1; 1000]);
    }
    assert_eq!(host.all().pop().unwrap().window, 0);
    (host, peer, stream)
}

fn assert_reset(host: &mut Host, stream: &Stream, what: &str) {
    host.silent();
    assert_eq!(stream.info().state, TcpState::Closed, "{what}");
    assert_eq!(host.engine.stats().connections, 0, "{what}");
}

#[test]
fn a_rst_is_looked_at_before_everything_else_in_the_segment() {
    for (flags, data, what) in [
        (RST, &b""[..], "RST"),
        (RST | ACK, b"", "RST, ACK"),
        (RST | ACK | PSH, b"data", "RST with data"),
        (RST | ACK | FIN, b"", "RST with FIN"),
        (RST | FIN, b"", "RST with FIN and without ACK"),
        (RST | ACK | FIN, b"data", "RST with FIN and data"),
    ] {
        let (mut host, peer, stream) = opened();
        host.tx(peer.seg(flags, data));
        assert_reset(&mut host, &stream, what);
        let error = read(&stream).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{what}");
    }
}

#[test]
fn a_rst_at_a_closed_window_ends_the_connection() {
    // Only its number counts: no data fits into the window.
    for (flags, data, what) in [
        (RST, &b""[..], "RST"),
        (RST | ACK, b"data", "RST with data"),
        (RST | ACK | FIN, b"", "RST with FIN"),
        (RST | ACK | FIN, b"data", "RST with FIN and data"),
    ] {
        let (mut host, peer, stream) = full();
        host.tx(peer.seg(flags, data));
        assert_reset(&mut host, &stream, what);
        assert_eq!(read(&stream).unwrap().len(), 4000, "{what}");
        let error = read(&stream).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{what}");
    }
}

#[test]
fn a_rst_with_a_fin_is_challenged_like_any_other_in_the_window() {
    for flags in [RST, RST | FIN, RST | FIN | ACK] {
        let (mut host, peer, stream) = opened();
        host.tx(peer.at(peer.seq + 100, flags, &[]));
        let challenge = host.one();
        assert!(challenge.is_bare_ack());
        assert_eq!((challenge.seq, challenge.ack), (peer.ack, peer.seq));
        host.tx(peer.at(peer.seq - 1, flags, &[]));
        host.tx(peer.at(peer.seq + 1_000_000, flags, &[]));
        host.silent();
        assert_eq!(stream.info().state, TcpState::Established);
    }
}

#[test]
fn a_rst_with_a_fin_refuses_a_connect() {
    // RFC 9293, 3.10.7.3, second check.
    for flags in [RST | ACK, RST | ACK | FIN] {
        let mut host = host();
        let connector = host.connector.clone();
        let mut connection = Box::pin(connect(&connector, addr(SERVER), addr(CLIENT)));
        assert!(poll(&mut connection).is_pending());
        let mut peer = Peer::new(CLIENT, SERVER);
        peer.ack = host.one().seq + 1;
        host.tx(peer.seg(flags, &[]));
        let error = now(connection).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        host.silent();
    }
}

#[test]
fn a_rst_with_a_fin_ends_a_handshake() {
    for flags in [RST, RST | ACK, RST | FIN, RST | ACK | FIN] {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        host.tx(peer.syn());
        assert!(pends(host.listener().accept()));
        peer.ack = host.one().seq + 1;
        host.tx(peer.at(peer.seq + 1, flags, &[]));
        host.silent();
        assert_eq!(host.engine.stats().connections, 0);
    }
}

#[test]
fn a_rst_to_nobody_is_not_answered() {
    let mut host = host();
    let peer = Peer::new(CLIENT, SERVER);
    for flags in [RST, RST | ACK, RST | FIN, RST | FIN | ACK] {
        host.tx(peer.seg(flags, b"data"));
        host.silent();
    }
}

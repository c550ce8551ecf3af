//! The halves of a stream.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use support::*;

fn opened(client: &str) -> (Host, Peer, Stream) {
    let mut host = host();
    let mut peer = Peer::new(client, SERVER);
    let stream = peer.open(&mut host);
    (host, peer, stream)
}

#[test]
fn halves_have_the_addresses_of_the_stream() {
    let (_host, peer, stream) = opened(CLIENT);
    let (read, write) = stream.split();
    assert_eq!(read.local_addr().unwrap(), peer.to);
    assert_eq!(write.local_addr().unwrap(), peer.to);
    assert_eq!(read.peer_addr().unwrap(), peer.from);
    assert_eq!(write.peer_addr().unwrap(), peer.from);
}

#[test]
fn a_read_half_peeks() {
    let (mut host, mut peer, stream) = opened(CLIENT);
    let (mut read, _write) = stream.split();
    let mut buf = [0; 8];
    assert!(pends(read.peek(&mut buf)));
    peer.send(&mut host, b"data");
    for _ in 0..2 {
        assert_eq!(now(read.peek(&mut buf)).unwrap(), 4);
        assert_eq!(&buf[..4], b"data");
    }
    assert_eq!(now(read.read(&mut buf)).unwrap(), 4);
    assert!(pends(read.peek(&mut buf)));
}

#[test]
fn references_to_halves_read_and_write() {
    let (mut host, mut peer, stream) = opened(CLIENT);
    let (read, write) = stream.split();
    now((&write).write_all(b"out")).unwrap();
    assert!(pends((&write).close()));
    assert_eq!(peer.drain(&mut host), (b"out".to_vec(), true));
    now((&write).close()).unwrap();
    peer.send(&mut host, b"in");
    let mut buf = [0; 8];
    assert_eq!(now((&read).read(&mut buf)).unwrap(), 2);
}

#[test]
fn halves_of_two_connections_are_given_back() {
    let (mut host, mut peer, stream) = opened(CLIENT);
    let (_other_host, _, other) = opened("10.0.0.3:1");
    let (read, write) = stream.split();
    let (other_read, other_write) = other.split();
    let error = read.reunite(other_write).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the halves belong to different connections"
    );
    let (read, other_write) = (error.0, error.1);
    let error = write.reunite(other_read).unwrap_err();
    let (other_read, write) = (error.0, error.1);
    host.silent();
    // With the right halves both are whole again.
    let mut stream = read.reunite(write).unwrap();
    now(stream.write_all(b"whole")).unwrap();
    assert_eq!(peer.drain(&mut host), (b"whole".to_vec(), false));
    drop(other_write.reunite(other_read).unwrap());
}

#[test]
fn halves_of_two_streams_of_one_connection_reunite() {
    let (mut host, mut peer, stream) = opened(CLIENT);
    let (read, write) = stream.clone().split();
    let (second_read, second_write) = stream.split();
    let stream = write.reunite(second_read).unwrap();
    host.silent();
    drop(stream);
    drop(read);
    host.silent();
    drop(second_write);
    assert_eq!(peer.drain(&mut host), (vec![], true));
}

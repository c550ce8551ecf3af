//! Reads and writes of several slices at once.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::Config;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use support::*;

fn opened() -> (Host, Peer, Stream) {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    (host, peer, stream)
}

fn write(mut stream: &Stream, slices: &[&[u8]]) -> std::io::Result<usize> {
    let slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
    now(stream.write_vectored(&slices))
}

#[test]
fn small_slices_share_one_segment() {
    let (mut host, mut peer, stream) = opened();
    assert!(stream.nodelay().unwrap());
    assert_eq!(
        write(&stream, &[b"one, ", b"", b"two, ", b"three"]).unwrap(),
        15
    );
    assert_eq!(host.one().data, b"one, two, three");
    peer.ack += 15;
    host.tx(peer.seg(ACK, &[]));
    // A write for each slice makes a segment for each.
    for slice in [b"a", b"b", b"c"] {
        write(&stream, &[slice]).unwrap();
    }
    assert_eq!(host.all().len(), 3);
}

#[test]
fn slices_across_segments_arrive_in_order() {
    let (mut host, mut peer, stream) = opened();
    let data: Vec<u8> = (0..50_000u32).map(|n| (n / 11) as u8).collect();
    let (first, rest) = data.split_at(10);
    let (second, third) = rest.split_at(20_001);
    assert_eq!(write(&stream, &[first, second, third]).unwrap(), data.len());
    let sent = host.all();
    assert!(
        sent[0].data.len() > 1_400,
        "a full segment out of two slices"
    );
    peer.ack = sent.last().unwrap().end();
    host.tx(peer.seg(ACK, &[]));
    let mut got: Vec<u8> = sent.into_iter().flat_map(|seg| seg.data).collect();
    got.extend(peer.drain(&mut host).0);
    assert!(got == data);
}

#[test]
fn a_full_send_buffer_takes_a_part_that_may_end_within_a_slice() {
    let mut host = Host::new(Config::new().options(fixed_buffers(8192)));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let slices: [&[u8]; 3] = [&[1; 5000], &[2; 5000], &[3; 5000]];
    assert_eq!(write(&stream, &slices).unwrap(), 8192);
    let slices = slices.map(IoSlice::new);
    assert!(pends((&stream).write_vectored(&slices)));
    let (got, _) = peer.drain(&mut host);
    assert_eq!(got, [&[1; 5000][..], &[2; 3192]].concat());
    assert_eq!(now((&stream).write_vectored(&slices)).unwrap(), 8192);
}

#[test]
fn a_read_fills_all_slices_one_after_the_other() {
    let (mut host, mut peer, stream) = opened();
    peer.send(&mut host, b"hello, ");
    peer.send(&mut host, b"world");
    let (mut first, mut none, mut second, mut third) = ([0; 3], [0; 0], [0; 6], [0; 8]);
    let mut slices = [
        IoSliceMut::new(&mut first),
        IoSliceMut::new(&mut none),
        IoSliceMut::new(&mut second),
        IoSliceMut::new(&mut third),
    ];
    assert_eq!(now((&stream).read_vectored(&mut slices)).unwrap(), 12);
    assert_eq!(
        (&first, &second, &third[..3]),
        (b"hel", b"lo, wo", &b"rld"[..])
    );
    assert_eq!(third[3..], [0; 5]);
    assert!(pends(
        (&stream).read_vectored(&mut [IoSliceMut::new(&mut first)])
    ));
    host.tx(peer.seg(FIN | ACK, &[]));
    let end = now((&stream).read_vectored(&mut [IoSliceMut::new(&mut first)]));
    assert_eq!(end.unwrap(), 0);
}

#[test]
fn a_read_into_many_slices_sends_one_window_update() {
    let (mut host, mut peer, stream) = opened();
    for _ in 0..60 {
        peer.send(&mut host, &[7; 1400]);
    }
    host.all();
    let mut buf = vec![0; 84_000];
    let mut slices: Vec<_> = buf.chunks_mut(1000).map(IoSliceMut::new).collect();
    assert_eq!(now((&stream).read_vectored(&mut slices)).unwrap(), 84_000);
    assert!(host.one().is_bare_ack());
    assert!(buf.iter().all(|byte| *byte == 7));
}

#[test]
fn slices_without_a_byte_are_ready_at_once() {
    let (_host, _, stream) = opened();
    assert_eq!(write(&stream, &[]).unwrap(), 0);
    assert_eq!(write(&stream, &[b"", b""]).unwrap(), 0);
    assert_eq!(now((&stream).read_vectored(&mut [])).unwrap(), 0);
    stream.abort();
    assert_eq!(write(&stream, &[b""]).unwrap(), 0);
    let error = write(&stream, &[b"", b"x"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
}

#[test]
fn halves_read_and_write_slices_too() {
    let (mut host, mut peer, stream) = opened();
    let (mut read, mut write) = stream.split();
    let slices = [b"a", b"b"].map(|slice| IoSlice::new(slice));
    assert_eq!(now(write.write_vectored(&slices)).unwrap(), 2);
    assert_eq!(now((&write).write_vectored(&slices)).unwrap(), 2);
    assert_eq!(peer.drain(&mut host).0, b"abab");
    peer.send(&mut host, b"wxyz");
    let (mut a, mut b) = ([0; 1], [0; 1]);
    let mut slices = [&mut a, &mut b].map(|slice| IoSliceMut::new(slice));
    assert_eq!(now(read.read_vectored(&mut slices)).unwrap(), 2);
    assert_eq!((a, b), (*b"w", *b"x"));
    let mut slices = [&mut a, &mut b].map(|slice| IoSliceMut::new(slice));
    assert_eq!(now((&read).read_vectored(&mut slices)).unwrap(), 2);
    assert_eq!((a, b), (*b"y", *b"z"));
}

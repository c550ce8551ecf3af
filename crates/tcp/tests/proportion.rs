//! Work in proportion: whatever a peer has sent before, its next packet causes a bounded amount of
//! work. Counted are packets and entries, not time.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::Config;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::time::Duration;
use support::*;

const STEP: Duration = Duration::from_micros(10);

/// A stack with buffers of 4 MiB, and a peer.
fn opened(mss: u16) -> (Host, Peer, Stream) {
    let mut host = Host::new(Config::new().options(fixed_buffers(4 << 20)));
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.mss = Some(mss);
    let stream = peer.open(&mut host);
    (host, peer, stream)
}

/// Sends one byte and has it echoed. Returns the data segments that came back.
fn echo_byte(host: &mut Host, peer: &mut Peer, mut stream: &Stream) -> Vec<Seg> {
    host.pass(STEP);
    peer.send(host, &[7]);
    let mut buf = [0; 64];
    let read = now(stream.read(&mut buf)).unwrap();
    now(stream.write_all(&buf[..read])).unwrap();
    let mut sent = host.all();
    sent.retain(|seg| !seg.data.is_empty());
    sent
}

#[test]
fn short_segments_in_flight_are_bounded_and_their_bytes_share_one_later() {
    let (mut host, mut peer, stream) = opened(1460);
    let mut segments = Vec::new();
    for _ in 0..1000 {
        segments.extend(echo_byte(&mut host, &mut peer, &stream));
    }
    assert_eq!(segments.len(), 64);
    // What waits goes out in one segment as soon as some have arrived.
    peer.ack = segments[9].end();
    host.tx(peer.seg(ACK, &[]));
    let sent = host.all();
    assert_eq!(sent.iter().map(|seg| seg.data.len()).sum::<usize>(), 936);
    assert_eq!(sent.len(), 1);
}

#[test]
fn sack_of_alternate_short_segments_has_no_more_packets_sent_than_the_peer_sends() {
    let (mut host, mut peer, stream) = opened(1460);
    let mut peer_sent = 0;
    let mut stack_sent = 0;
    for _ in 0..50 {
        let mut end = peer.ack;
        for _ in 0..100 {
            peer_sent += 1;
            for seg in echo_byte(&mut host, &mut peer, &stream) {
                stack_sent += 1;
                end = seg.end();
            }
        }
        let mut at = peer.ack.wrapping_add(1);
        while (end.wrapping_sub(at) as i32) > 0 {
            peer.blocks = [0, 2, 4].map(|more| {
                let start = at.wrapping_add(more);
                Some((start, start.wrapping_add(1)))
            });
            host.pass(STEP);
            host.tx(peer.seg(ACK, &[]));
            peer_sent += 1;
            stack_sent += host.all().len();
            at = at.wrapping_add(6);
        }
        peer.blocks = [None; 3];
        peer.ack = end;
        host.tx(peer.seg(ACK, &[]));
        peer_sent += 1;
        stack_sent += host.all().len();
    }
    assert!(
        stack_sent <= peer_sent,
        "{stack_sent} segments in answer to {peer_sent}"
    );
}

/// Has so much in flight.
fn fill(host: &mut Host, peer: &mut Peer, mut stream: &Stream, flight: u32) -> Vec<Seg> {
    now(stream.write_all(&vec![7; 3 << 20])).unwrap();
    let mut segments = Vec::new();
    loop {
        segments.extend(host.all());
        let end = segments.last().unwrap().end();
        if end.wrapping_sub(peer.ack) >= flight {
            return segments;
        }
        host.pass(Duration::from_millis(1));
        peer.ack = end;
        segments.clear();
        host.tx(peer.seg(ACK, &[]));
    }
}

#[test]
fn an_ack_that_makes_everything_look_lost_causes_few_retransmissions() {
    let (mut host, mut peer, stream) = opened(48);
    let segments = fill(&mut host, &mut peer, &stream, 50_000);
    assert!(segments.len() > 1000);
    // Only the segment that was sent last has arrived, again and again.
    let mut last = segments.last().unwrap().clone();
    let mut all = 0;
    for n in 1..=500 {
        host.pass(Duration::from_millis(1));
        peer.blocks = [Some((last.seq, last.end())), None, None];
        host.tx(peer.seg(ACK, &[]));
        let sent = host.all();
        all += sent.len();
        assert!(all <= 16 + 2 * n, "{all} segments after {n} ACKs");
        if let Some(seg) = sent.into_iter().next_back() {
            last = seg;
        }
    }
}

#[test]
fn sack_blocks_of_more_gaps_than_a_path_makes_are_ignored_and_counted() {
    let (mut host, mut peer, stream) = opened(48);
    let segments = fill(&mut host, &mut peer, &stream, 200_000);
    assert!(segments.len() > 3000);
    for four in segments[1..].chunks_exact(2 * 3) {
        host.pass(STEP);
        peer.blocks = [0, 2, 4].map(|n| Some((four[n].seq, four[n].end())));
        host.tx(peer.seg(ACK, &[]));
        host.all();
    }
    assert!(host.engine.stats().scoreboard_full > 100);
    // The connection goes on all the same.
    peer.blocks = [None; 3];
    peer.ack = segments.last().unwrap().end();
    host.tx(peer.seg(ACK, &[]));
    peer.drain(&mut host);
    assert_eq!(stream.info().send_queue, 0);
}

#[test]
fn out_of_order_segments_beyond_the_ranges_that_the_window_allows_are_dropped_and_counted() {
    for (buffer, ranges) in [(64 << 10, 256), (4 << 20, 4096)] {
        let mut host = Host::new(Config::new().options(fixed_buffers(buffer)));
        let mut peer = Peer::new(CLIENT, SERVER);
        let _stream = peer.open(&mut host);
        for n in 1..=6000 {
            host.tx(peer.at(peer.seq.wrapping_add(2 * n), ACK, &[7]));
            assert_eq!(host.all().len(), 1, "one ACK for one segment");
        }
        assert_eq!(host.engine.stats().out_of_order_full, 6000 - ranges);
    }
}

#[test]
fn ack_division_does_not_widen_the_congestion_window() {
    // RFC 3465: bytes count, and not acknowledgments.
    let grown = |parts: u32| {
        let (mut host, mut peer, mut stream) = opened(1460);
        now(stream.write_all(&[7; 1 << 20])).unwrap();
        host.all();
        for _ in 0..10 * parts {
            peer.ack = peer.ack.wrapping_add(1460 / parts);
            host.tx(peer.seg(ACK, &[]));
            host.all();
        }
        stream.info().cwnd
    };
    assert!(grown(146) <= grown(1), "{} and {}", grown(146), grown(1));
}

//! Round-trip times: what counts as a sample (RFC 6298, 3; RFC 7323, 4).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_packet::Headers;
use futures_lite::AsyncWriteExt;
use std::time::{Duration, Instant};
use support::*;

const MS: Duration = Duration::from_millis(1);

fn write(mut stream: &Stream, len: usize) {
    now(stream.write_all(&vec![1; len])).unwrap();
}

/// A connection on which a round trip takes 100 ms, with timestamps if `stamped`.
fn measured(stamped: bool) -> (Host, Peer, Stream) {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.timestamp = stamped.then_some((1000, 0));
    let stream = peer.open(&mut host);
    for _ in 0..80 {
        write(&stream, 100);
        let sent = host.one();
        host.pass(100 * MS);
        acknowledge(&mut host, &mut peer, &sent);
    }
    let rtt = stream.info().rtt.unwrap();
    assert!(rtt > 99 * MS && rtt <= 100 * MS, "{rtt:?}");
    (host, peer, stream)
}

/// The peer acknowledges `seg`, and echoes its timestamp.
fn acknowledge(host: &mut Host, peer: &mut Peer, seg: &Seg) {
    peer.ack = seg.end();
    peer.timestamp = peer
        .timestamp
        .map(|(val, _)| (val + 100, seg.timestamp.unwrap().0));
    host.tx(peer.seg(ACK, &[]));
}

/// The stack is given `packet` in a batch that began at `batch`.
fn take_in_at(host: &mut Host, batch: Instant, packet: Vec<u8>) {
    let headers = Headers::parse(&packet).unwrap();
    host.engine.handle_packet(batch, &packet, &headers);
    host.engine.flush(batch);
}

#[test]
fn an_ack_in_a_batch_older_than_the_segment_is_no_sample() {
    // The driver read the clock, another thread wrote, and then the driver took in the ACK.
    for (stamped, later) in [
        (false, Duration::from_micros(1)),
        (false, 50 * MS),
        (true, Duration::from_micros(1)),
        (true, 50 * MS),
    ] {
        let (mut host, mut peer, stream) = measured(stamped);
        let before = stream.info();
        for _ in 0..20 {
            let batch = host.now();
            host.pass(later);
            write(&stream, 100);
            let sent = host.one();
            peer.ack = sent.end();
            peer.timestamp = sent.timestamp.map(|(val, recent)| (recent + 1, val));
            take_in_at(&mut host, batch, peer.seg(ACK, &[]));
            host.pass(100 * MS);
        }
        let info = stream.info();
        assert_eq!(info.in_flight, 0);
        assert_eq!(
            (info.rtt, info.rtt_variation),
            (before.rtt, before.rtt_variation),
            "{later:?}, timestamps: {stamped}"
        );
    }
}

#[test]
fn an_ack_in_the_instant_of_the_segment_is_no_sample() {
    // It took less than the clock can tell.
    let (mut host, mut peer, stream) = measured(false);
    let before = stream.info().rtt;
    write(&stream, 100);
    let sent = host.one();
    acknowledge(&mut host, &mut peer, &sent);
    assert_eq!(stream.info().rtt, before);
}

#[test]
fn a_round_trip_of_a_microsecond_is_a_sample() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    for _ in 0..80 {
        write(&stream, 100);
        let sent = host.one();
        host.pass(Duration::from_micros(1));
        acknowledge(&mut host, &mut peer, &sent);
    }
    assert_eq!(stream.info().rtt, Some(Duration::from_micros(1)));
}

#[test]
fn a_timestamp_older_than_the_last_retransmission_is_no_sample() {
    // The original arrived after all, and its ACK took its time, or the peer echoes the timestamp
    // of what came before a gap (RFC 7323, 4.1): either way it is not the round trip.
    let (mut host, mut peer, stream) = measured(true);
    let before = stream.info();
    write(&stream, 100);
    let sent = host.one();
    host.pass(30 * SECOND);
    assert!(host.all().len() > 3);
    acknowledge(&mut host, &mut peer, &sent);
    let info = stream.info();
    assert_eq!(info.in_flight, 0);
    assert_eq!(info.rtt, before.rtt);
    assert!(info.rto < SECOND, "the RTO is {:?}", info.rto);
}

#[test]
fn a_timestamp_of_the_last_retransmission_is_a_sample() {
    // RFC 7323, 4: that is what they are for.
    let (mut host, mut peer, stream) = measured(true);
    let before = stream.info().rtt.unwrap();
    write(&stream, 100);
    host.one();
    host.pass(30 * SECOND);
    let repeated = host.all().pop().unwrap();
    let late = host.now();
    // The last one was sent some time ago: the sample is as long.
    acknowledge(&mut host, &mut peer, &repeated);
    assert_eq!(late, host.now());
    assert!(stream.info().rtt.unwrap() > before);
}

#[test]
fn without_timestamps_a_retransmitted_segment_is_no_sample() {
    // Karn's algorithm (RFC 6298, 3).
    let (mut host, mut peer, stream) = measured(false);
    let before = stream.info().rtt;
    write(&stream, 100);
    let sent = host.one();
    host.pass(30 * SECOND);
    host.all();
    acknowledge(&mut host, &mut peer, &sent);
    assert_eq!(stream.info().rtt, before);
}

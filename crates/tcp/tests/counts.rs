//! How many packets the receiving side sends: acknowledgments, window updates, FINs, resets.
//!
//! Each number is exact: one packet too many for each segment is a third of all packets of a
//! transfer.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::TcpOptions;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use support::counts::*;
use support::*;

const ONE_ACK: Counts = Counts { acks: 1, ..NONE };
const ONE_DUPLICATE: Counts = Counts {
    duplicate_acks: 1,
    ..NONE
};

fn with_buffer(recv_buffer: usize) -> TcpOptions {
    TcpOptions::new()
        .recv_buffer(recv_buffer)
        .recv_buffer_max(recv_buffer)
}

fn write(mut stream: &Stream, data: &[u8]) {
    now(stream.write_all(data)).unwrap();
}

#[test]
fn a_handshake_takes_one_packet_and_a_third_party_gets_one_reset() {
    let mut host = host();
    let peer = Peer::new(CLIENT, SERVER);
    let mut counter = Counter::before_syn();
    host.tx(peer.syn());
    assert_eq!(counter.since(&mut host), NONE, "nobody has accepted yet");
    assert!(pends(host.listener().accept()));
    assert_eq!(
        counter.since(&mut host),
        Counts {
            syn_acks: 1,
            ..NONE
        }
    );
    // A repeated SYN gets the SYN-ACK once more.
    host.tx(peer.syn());
    assert_eq!(
        counter.since(&mut host),
        Counts {
            syn_acks: 1,
            ..NONE
        }
    );
    host.tx(Peer::new("10.0.0.9:9", SERVER).seg(ACK, b"data"));
    assert_eq!(counter.since(&mut host), Counts { rsts: 1, ..NONE });
}

#[test]
fn a_connect_takes_a_syn_and_an_ack() {
    let mut host = host();
    let connector = host.connector.clone();
    let mut connection = Box::pin(connect(&connector, addr(SERVER), addr(CLIENT)));
    let mut counter = Counter::before_syn();
    assert!(poll(&mut connection).is_pending());
    let syn = counter.take(&mut host).remove(0);
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.ack = syn.seq + 1;
    host.tx(peer.seg(SYN | ACK, &[]));
    let _stream = now(connection).unwrap();
    assert_eq!(
        counter.since(&mut host),
        Counts {
            syns: 1,
            acks: 1,
            ..NONE
        }
    );
}

#[test]
fn the_ack_of_the_handshake_is_answered_with_nothing() {
    let (mut host, _, _stream, mut counter) = opened();
    assert_eq!(counter.since(&mut host), NONE);
    host.pass(3600 * SECOND);
    assert_eq!(counter.since(&mut host), NONE);
}

#[test]
fn a_lone_segment_gets_one_ack_whenever_it_is_read() {
    for (late, len) in [(false, 1), (false, 1460), (true, 1), (true, 1460)] {
        let (mut host, mut peer, stream, mut counter) = opened();
        for _ in 0..20 {
            peer.send(&mut host, &vec![1; len]);
            if late {
                assert_eq!(counter.since(&mut host), ONE_ACK);
            }
            assert_eq!(read(&stream).unwrap().len(), len);
            let expected = if late { NONE } else { ONE_ACK };
            assert_eq!(counter.since(&mut host), expected, "late: {late}, {len}");
            host.pass(SECOND);
            assert_eq!(counter.since(&mut host), NONE);
        }
    }
}

#[test]
fn a_batch_of_segments_gets_one_ack() {
    for segments in [1, 2, 3, 10, 40] {
        for deferred in [false, true] {
            let (mut host, mut peer, stream, mut counter) = opened();
            assert!(pends((&stream).read(&mut [0; 8])), "a task waits");
            for _ in 0..segments {
                host.take_in(peer.seg(ACK, &[1; 1000]));
                peer.seq += 1000;
            }
            if deferred {
                assert!(host.engine.defer(host.now()));
                assert_eq!(counter.since(&mut host), NONE);
                assert_eq!(read(&stream).unwrap().len(), 1000 * segments);
                assert_eq!(counter.since(&mut host), NONE);
            }
            host.engine.flush(host.now());
            assert_eq!(counter.since(&mut host), ONE_ACK, "{segments} {deferred}");
        }
    }
}

/// How the application reads a batch of segments.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reads {
    /// After the ACK has left.
    Late,
    /// Before the ACK leaves: the driver defers it for the tasks that it woke.
    Deferred,
}

/// The peer sends 1 MiB in segments of 1,460 bytes, as many in a batch as the window lets it, but
/// no more than `batch`, and the application reads every batch whole. Returns the number of
/// segments and of batches, and the counts.
fn bulk(recv_buffer: usize, batch: usize, reads: Reads) -> (usize, usize, Counts) {
    const TOTAL: usize = 1 << 20;
    let (mut host, mut peer, stream, mut counter) =
        opened_with(with_buffer(recv_buffer), Peer::new(CLIENT, SERVER));
    let mut edge = peer.seq + recv_buffer.min(65_535) as u32;
    let (mut sent, mut segments, mut batches) = (0, 0, 0);
    while sent < TOTAL {
        assert!(pends((&stream).read(&mut [0; 8])), "a task waits");
        let mut taken = 0;
        for _ in 0..batch {
            let len = 1460.min(TOTAL - sent - taken);
            if len == 0 || len > edge.wrapping_sub(peer.seq) as usize {
                break;
            }
            host.take_in(peer.seg(ACK, &vec![1; len]));
            peer.seq += len as u32;
            taken += len;
            segments += 1;
        }
        assert!(taken > 0, "the window has no room for a segment");
        if reads == Reads::Deferred {
            assert!(host.engine.defer(host.now()));
            assert_eq!(read(&stream).unwrap().len(), taken);
        }
        host.engine.flush(host.now());
        if reads == Reads::Late {
            assert_eq!(read(&stream).unwrap().len(), taken);
        }
        sent += taken;
        batches += 1;
        let answers = counter.take(&mut host);
        edge = answers
            .last()
            .map_or(edge, |seg| right_edge(seg, recv_buffer));
    }
    (segments, batches, counter.counts)
}

/// The right edge of the window that `seg` advertises: the scale is the smallest that the buffer
/// needs (RFC 7323, 2.3).
fn right_edge(seg: &Seg, recv_buffer: usize) -> u32 {
    let mut scale = 0;
    while recv_buffer >> scale > 65_535 {
        scale += 1;
    }
    seg.ack + (u32::from(seg.window) << scale)
}

#[test]
fn bulk_data_that_is_read_at_once_gets_one_ack_a_batch() {
    // What is read before the ACK leaves opens the window with it. What is read later is worth a
    // window update once it has freed a third of the buffer, and more than a segment.
    for (recv_buffer, batch, batches, updates) in [
        (4 << 10, 1, 719, 0),
        (8 << 10, 1, 719, 0),
        (64 << 10, 1, 719, 0),
        (128 << 10, 1, 719, 0),
        (4 << 10, 10, 359, 359),
        (8 << 10, 10, 144, 144),
        (64 << 10, 10, 72, 0),
        (128 << 10, 10, 72, 0),
        (64 << 10, 64, 17, 16),
        (128 << 10, 64, 12, 12),
    ] {
        for (reads, window_updates) in [(Reads::Late, updates), (Reads::Deferred, 0)] {
            let expected = Counts {
                acks: batches,
                window_updates,
                ..NONE
            };
            let got = bulk(recv_buffer, batch, reads);
            assert_eq!(
                got,
                (719, batches, expected),
                "{recv_buffer} bytes, batches of {batch}, {reads:?}"
            );
        }
    }
}

#[test]
fn a_window_that_closed_is_opened_by_one_update() {
    for (recv_buffer, acks) in [(4 << 10, 5), (8 << 10, 9), (64 << 10, 66), (128 << 10, 132)] {
        let (mut host, mut peer, stream, mut counter) =
            opened_with(with_buffer(recv_buffer), Peer::new(CLIENT, SERVER));
        let mut window = 1000;
        while window > 0 {
            peer.send(&mut host, &vec![1; window.min(1000)]);
            let answer = counter.take(&mut host).pop().unwrap();
            window = right_edge(&answer, recv_buffer).wrapping_sub(peer.seq) as usize;
        }
        let closed = std::mem::take(&mut counter.counts);
        assert_eq!(closed, Counts { acks, ..NONE }, "{recv_buffer}");
        assert!(!read(&stream).unwrap().is_empty());
        let update = Counts {
            window_updates: 1,
            ..NONE
        };
        assert_eq!(counter.since(&mut host), update, "{recv_buffer}");
        host.pass(60 * SECOND);
        assert_eq!(counter.since(&mut host), NONE);
    }
}

#[test]
fn a_full_buffer_that_is_read_byte_by_byte_is_told_of_in_large_steps() {
    // RFC 9293, 3.8.6.2.2.
    for (recv_buffer, updates) in [(4 << 10, 2), (8 << 10, 3)] {
        let (mut host, mut peer, mut stream, mut counter) =
            opened_with(with_buffer(recv_buffer), Peer::new(CLIENT, SERVER));
        for _ in 0..recv_buffer / 1024 {
            peer.send(&mut host, &[1; 1024]);
        }
        assert_eq!(counter.since(&mut host).acks, recv_buffer / 1024);
        for _ in 0..recv_buffer {
            now(stream.read_exact(&mut [0])).unwrap();
        }
        assert_eq!(counter.since(&mut host).window_updates, updates);
    }
}

#[test]
fn an_answer_takes_one_packet_and_nothing_else() {
    let (mut host, mut peer, stream, mut counter) = opened();
    for _ in 0..20 {
        assert!(pends((&stream).read(&mut [0; 8])), "a task waits");
        host.take_in(peer.seg(ACK | PSH, &[1; 64]));
        peer.seq += 64;
        assert!(host.engine.defer(host.now()));
        assert_eq!(read(&stream).unwrap().len(), 64);
        write(&stream, &[2; 64]);
        host.engine.flush(host.now());
        let sent = counter.take(&mut host);
        assert_eq!(
            std::mem::take(&mut counter.counts),
            Counts { data: 1, ..NONE }
        );
        assert_eq!(sent[0].ack, peer.seq);
        // The next request carries the acknowledgment of the answer.
        peer.ack += 64;
    }
}

#[test]
fn out_of_order_segments_get_a_duplicate_ack_each() {
    // RFC 5681, 4.2.
    for sack in [true, false] {
        let mut peer = Peer::new(CLIENT, SERVER);
        peer.sack = sack;
        let (mut host, mut peer, stream, mut counter) = opened_with(TcpOptions::default(), peer);
        for n in 1..=30 {
            host.tx(peer.at(peer.seq + 1000 * n, ACK, &[1; 1000]));
        }
        let expected = Counts {
            duplicate_acks: 30,
            ..NONE
        };
        assert_eq!(counter.since(&mut host), expected);
        peer.send(&mut host, &[1; 1000]);
        assert_eq!(counter.since(&mut host), ONE_ACK);
        assert_eq!(read(&stream).unwrap().len(), 31_000);
        assert_eq!(counter.since(&mut host), NONE);
    }
}

#[test]
fn a_duplicate_segment_gets_one_ack_with_a_dsack() {
    // RFC 2883, 4.
    let (mut host, mut peer, _stream, mut counter) = opened();
    let start = peer.seq;
    peer.send(&mut host, &[1; 1000]);
    assert_eq!(counter.since(&mut host), ONE_ACK);
    for _ in 0..5 {
        host.tx(peer.at(start, ACK, &[1; 1000]));
        let answer = counter.take(&mut host).pop().unwrap();
        assert_eq!(answer.sack, [(start, start + 1000)]);
        assert_eq!(std::mem::take(&mut counter.counts), ONE_DUPLICATE);
    }
}

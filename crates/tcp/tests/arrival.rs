//! What comes early, late, twice or too far, and what the peer is told of it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, TcpOptions};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use support::*;

fn opened() -> (Host, Peer, Stream) {
    opened_by(Peer::new(CLIENT, SERVER))
}

fn opened_by(mut peer: Peer) -> (Host, Peer, Stream) {
    let mut host = host();
    let stream = peer.open(&mut host);
    (host, peer, stream)
}

#[test]
fn what_comes_twice_is_acknowledged_at_once_and_reported() {
    // RFC 9293, 3.10.7.4; RFC 2883, 4.
    let (mut host, mut peer, stream) = opened();
    let start = peer.seq;
    peer.send(&mut host, b"abcdef");
    host.all();
    for (at, data) in [(0, &b"abcdef"[..]), (2, b"cd")] {
        host.tx(peer.at(start + at, ACK, data));
        let answer = host.one();
        assert!(answer.is_bare_ack());
        assert_eq!(answer.ack, peer.seq);
        let block = (start + at, start + at + data.len() as u32);
        assert_eq!(answer.sack, [block]);
    }
    // In part: the part that is new is taken.
    host.tx(peer.at(start + 4, ACK, b"efgh"));
    let answer = host.all().pop().unwrap();
    assert_eq!(answer.ack, start + 8);
    assert_eq!(read(&stream).unwrap(), b"abcdefgh");
}

#[test]
fn nothing_is_reported_to_a_peer_that_did_not_offer_it() {
    // RFC 2018, 4.
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.sack = false;
    let (mut host, mut peer, _stream) = opened_by(peer);
    let start = peer.seq;
    peer.send(&mut host, b"abc");
    host.all();
    host.tx(peer.at(start, ACK, b"abc"));
    assert_eq!(host.one().sack, []);
    host.tx(peer.at(start + 9, ACK, b"xyz"));
    assert_eq!(host.one().sack, []);
}

#[test]
fn what_comes_early_is_kept_and_reported_at_once_the_latest_first() {
    // RFC 5681, 4.2; RFC 2018, 4.
    let (mut host, peer, stream) = opened();
    let start = peer.seq;
    let block = |n: u32| (start + n, start + n + 10);
    let mut told = Vec::new();
    for n in [10, 30, 50, 70] {
        host.tx(peer.at(start + n, ACK, &[n as u8; 10]));
        let answer = host.one();
        assert!(answer.is_bare_ack());
        assert_eq!(answer.ack, start);
        told.push(answer.sack);
    }
    assert_eq!(told[0], [block(10)]);
    assert_eq!(told[1], [block(30), block(10)]);
    assert_eq!(told[2], [block(50), block(30), block(10)]);
    assert_eq!(told[3], [block(70), block(50), block(30)], "three at most");
    // Once the first gap is closed only what lies beyond is reported.
    host.tx(peer.at(start, ACK, &[0; 10]));
    let answer = host.all().pop().unwrap();
    assert_eq!(answer.ack, start + 20);
    assert_eq!(read(&stream).unwrap(), [[0; 10], [10; 10]].concat());
    // Twice, beyond the gap: reported first, and then the block that it is in (RFC 2883, 4.2).
    host.tx(peer.at(start + 52, ACK, &[50; 3]));
    let answer = host.one();
    assert_eq!(answer.sack[0], (start + 52, start + 55));
    assert!(answer.sack[1..].contains(&block(50)), "{answer:?}");
}

#[test]
fn each_early_segment_is_answered_by_itself() {
    // RFC 5681, 4.2: three are needed for a fast retransmission.
    let (mut host, peer, _stream) = opened();
    for n in 1..=20 {
        host.tx(peer.at(peer.seq + 10 * n, ACK, &[1; 10]));
        assert_eq!(host.one().ack, peer.seq);
    }
}

#[test]
fn each_early_segment_of_a_batch_is_answered_where_the_peer_counts_answers() {
    // RFC 5681, 3.2 and 4.2: without selective acknowledgements three make a fast retransmission.
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.sack = false;
    let (mut host, mut peer, stream) = opened_by(peer);
    for n in 1..=4 {
        host.take_in(peer.at(peer.seq + 536 * n, ACK, &[n as u8; 536]));
    }
    host.engine.flush(host.now());
    let said = host.all();
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(
        said.iter()
            .all(|seg| seg.is_bare_ack() && seg.ack == peer.seq)
    );
    assert!(said.windows(2).all(|two| two[0].window == two[1].window));
    // What closes the gap is acknowledged with all behind it.
    peer.send(&mut host, &[0; 536]);
    assert_eq!(host.all().pop().unwrap().ack, peer.seq + 4 * 536);
    assert_eq!(read(&stream).unwrap().len(), 5 * 536);
}

#[test]
fn more_gaps_than_32_are_closed_without_a_byte_sent_again() {
    let (mut host, mut peer, stream) = opened();
    let start = peer.seq;
    let data: Vec<u8> = (0..20_000u32).map(|n| (n / 100) as u8).collect();
    let piece = |n: usize| &data[n * 100..(n + 1) * 100];
    for n in (1..200).step_by(2).rev() {
        host.tx(peer.at(start + n as u32 * 100, ACK, piece(n)));
    }
    host.all();
    for n in (0..200).step_by(2) {
        host.tx(peer.at(start + n as u32 * 100, ACK, piece(n)));
        assert_eq!(host.all().pop().unwrap().ack, start + (n as u32 + 2) * 100);
    }
    assert!(read(&stream).unwrap() == data);
    peer.seq += 20_000;
    host.tx(peer.seg(FIN | ACK, &[]));
    assert_eq!(read(&stream).unwrap(), b"");
}

#[test]
fn a_fin_that_comes_early_waits_for_what_precedes_it() {
    let (mut host, peer, stream) = opened();
    let start = peer.seq;
    host.tx(peer.at(start + 3, ACK | FIN, b"def"));
    host.tx(peer.at(start + 6, ACK | FIN, b""));
    host.all();
    assert!(pends((&stream).read(&mut [0; 8])));
    host.tx(peer.at(start, ACK, b"abc"));
    assert_eq!(host.all().pop().unwrap().ack, start + 7);
    assert_eq!(read(&stream).unwrap(), b"abcdef");
    assert_eq!(read(&stream).unwrap(), b"");
}

#[test]
fn a_fin_past_the_edge_of_the_window_is_not_the_end() {
    // RFC 9293, 3.10.7.4: what lies outside is cut off, the FIN with it.
    for early in [false, true] {
        let mut host = Host::new(Config::new().options(TcpOptions::new().recv_buffer(4000)));
        let mut peer = Peer::new(CLIENT, SERVER);
        let stream = peer.open(&mut host);
        let start = peer.seq;
        host.tx(peer.at(start, ACK, &[1; 10]));
        if early {
            host.tx(peer.at(start + 20, ACK | FIN, &[1; 4000]));
            host.tx(peer.at(start + 10, ACK, &[1; 10]));
        } else {
            host.tx(peer.at(start + 10, ACK | FIN, &[1; 4010]));
        }
        let got = read(&stream).unwrap().len();
        assert_eq!(got, 4000, "early: {early}");
        assert!(
            pends((&stream).read(&mut [0; 8])),
            "the end, early: {early}"
        );
        // What was cut off comes again.
        host.tx(peer.at(start + 4000, ACK | FIN, &[1; 20]));
        assert_eq!(read(&stream).unwrap().len(), 20);
        assert_eq!(read(&stream).unwrap(), b"");
    }
}

#[test]
fn urgent_data_passes_in_line() {
    // RFC 6093, 4 and 5.
    let (mut host, peer, stream) = opened();
    host.tx(peer.seg(ACK | PSH | URG, b"urgent"));
    assert_eq!(read(&stream).unwrap(), b"urgent");
}

#[test]
fn a_closed_window_of_the_peer_is_probed_until_it_opens() {
    // RFC 9293, 3.8.6.1.
    let (mut host, mut peer, stream) = opened();
    peer.window = 0;
    host.tx(peer.seg(ACK, &[]));
    now((&stream).write_all(b"waits")).unwrap();
    host.silent();
    let mut probes = Vec::new();
    for second in 0..64 {
        host.pass(SECOND);
        for probe in host.all() {
            assert!(probe.data.len() <= 1, "{probe:?}");
            probes.push(second);
            // The answer: still closed. It keeps the connection up for ever.
            host.tx(peer.seg(ACK, &[]));
        }
    }
    assert!(probes.len() >= 4, "{probes:?}");
    let gaps: Vec<_> = probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.windows(2).all(|gap| gap[0] <= gap[1]), "{probes:?}");
    for _ in 0..20 {
        host.pass(100 * SECOND);
        host.all();
        host.tx(peer.seg(ACK, &[]));
    }
    peer.window = 1000;
    host.tx(peer.seg(ACK, &[]));
    assert_eq!(peer.drain(&mut host).0, b"waits");
}

#[test]
fn a_window_that_was_closed_is_opened_by_reading() {
    // RFC 9293, 3.8.6.2.2.
    let mut host =
        Host::new(Config::new().options(TcpOptions::new().recv_buffer(8000).recv_buffer_max(8000)));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    for _ in 0..8 {
        peer.send(&mut host, &[1; 1000]);
    }
    assert_eq!(host.all().pop().unwrap().window, 0);
    // A probe is answered and its byte not taken.
    host.tx(peer.seg(ACK, &[2]));
    let answer = host.one();
    assert_eq!((answer.ack, answer.window), (peer.seq, 0));
    now((&stream).read_exact(&mut [0; 5000])).unwrap();
    assert!(host.all().pop().expect("an update").window >= 1460);
    peer.send(&mut host, &[2; 1000]);
    assert_eq!(read(&stream).unwrap().len(), 4000);
}

#[test]
fn a_window_does_not_open_by_crumbs() {
    // RFC 9293, 3.8.6.2.2.
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.scale = None;
    let mut host = Host::new(Config::new().options(TcpOptions::new().recv_buffer(10_000)));
    let mut stream = peer.open(&mut host);
    for _ in 0..10 {
        peer.send(&mut host, &[1; 1000]);
    }
    assert_eq!(host.all().pop().unwrap().window, 0);
    for read in 1..1460 {
        now(stream.read_exact(&mut [0])).unwrap();
        let told = host.all();
        assert!(told.iter().all(|seg| seg.window == 0), "{read}: {told:?}");
        // Asked, it says the same.
        if read % 500 == 0 {
            host.tx(peer.at(peer.seq, ACK, &[2]));
            assert_eq!(host.one().window, 0);
        }
    }
    now(stream.read_exact(&mut [0; 2000])).unwrap();
    assert!(host.all().pop().expect("an update").window >= 1460);
}

#[test]
fn a_fin_behind_data_that_has_come_already_is_taken() {
    let (mut host, mut peer, stream) = opened();
    peer.send(&mut host, b"all of it");
    host.all();
    host.tx(peer.at(peer.seq - 4, ACK | FIN, b"f it"));
    assert_eq!(host.all().pop().unwrap().ack, peer.seq + 1);
    assert_eq!(read(&stream).unwrap(), b"all of it");
    assert_eq!(read(&stream).unwrap(), b"");
}

#[test]
fn an_ack_that_finds_the_outbound_queue_full_stays_owed() {
    let mut host = Host::new(Config::new().outbound_packets(2));
    let mut peer = Peer::new(CLIENT, SERVER);
    let _stream = peer.open(&mut host);
    host.silent();
    // Two RSTs fill the outbound queue.
    for n in 1..=2 {
        host.take_in(Peer::new(&format!("10.9.9.9:{n}"), SERVER).seg(ACK, &[]));
    }
    // The duplicate asks for an ACK at once, and there is no room.
    let segment = peer.seg(ACK | PSH, &[1; 100]);
    host.take_in(segment.clone());
    host.tx(segment);
    let said = host.all();
    let acked = peer.seq.wrapping_add(100);
    assert!(said.iter().any(|seg| seg.ack == acked), "{said:?}");
}

#[test]
fn an_earlier_fin_takes_the_place_of_a_later_one() {
    // A peer that contradicts itself: no byte is read that never arrived.
    let (mut host, peer, stream) = opened();
    let at = |n: u32| peer.seq.wrapping_add(n);
    host.tx(peer.at(at(10), ACK, &[2; 10]));
    host.tx(peer.at(at(25), ACK | FIN, &[4; 5]));
    host.tx(peer.at(at(15), ACK | FIN, &[2; 5]));
    host.tx(peer.at(at(0), ACK, &[1; 10]));
    let expected = [[1; 10], [2; 10]].concat();
    assert_eq!(read(&stream).unwrap(), expected);
    assert_eq!(read(&stream).unwrap(), b"", "the end of the stream");
    assert_eq!(host.all().last().unwrap().ack, at(21));
}

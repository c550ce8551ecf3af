//! How many packets the sending side sends, and when: data, retransmissions, probes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, Congestion, TcpOptions};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;
use support::counts::*;
use support::*;

const MS: Duration = Duration::from_millis(1);

/// A connection on which a round trip takes 100 ms.
fn measured(sack: bool) -> (Host, Peer, Stream, Counter) {
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.sack = sack;
    let (mut host, mut peer, stream, mut counter) = opened_with(TcpOptions::default(), peer);
    for _ in 0..80 {
        write(&stream, &[1; 100]);
        host.pass(100 * MS);
        let sent = counter.take(&mut host);
        acknowledge(&mut host, &mut peer, &sent);
    }
    assert_eq!(std::mem::take(&mut counter.counts), data(80));
    (host, peer, stream, counter)
}

fn data(data: usize) -> Counts {
    Counts { data, ..NONE }
}

fn again(retransmissions: usize) -> Counts {
    Counts {
        retransmissions,
        ..NONE
    }
}

/// When something is repeated that takes 300 ms at first, in milliseconds: twice as long each time,
/// a minute at most.
const DOUBLING: [u64; 10] = [
    300, 900, 2100, 4500, 9300, 18_900, 38_100, 76_500, 136_500, 196_500,
];

fn write(mut stream: &Stream, data: &[u8]) {
    now(stream.write_all(data)).unwrap();
}

fn acknowledge(host: &mut Host, peer: &mut Peer, sent: &[Seg]) {
    peer.ack = sent.last().unwrap().end();
    host.tx(peer.seg(ACK, &[]));
}

#[test]
fn small_writes_take_a_packet_each_without_nagle() {
    let (mut host, mut peer, stream, mut counter) = opened();
    for _ in 0..10 {
        write(&stream, &[1; 10]);
    }
    let sent = counter.take(&mut host);
    assert_eq!(std::mem::take(&mut counter.counts), data(10));
    acknowledge(&mut host, &mut peer, &sent);
    assert_eq!(counter.since(&mut host), NONE);
}

#[test]
fn small_writes_take_a_packet_a_round_trip_with_nagle() {
    // RFC 9293, 3.7.4.
    let options = TcpOptions::new().nodelay(false);
    let (mut host, mut peer, stream, mut counter) = opened_with(options, Peer::new(CLIENT, SERVER));
    for _ in 0..20 {
        write(&stream, &[1; 100]);
    }
    let sent = counter.take(&mut host);
    assert_eq!(
        std::mem::take(&mut counter.counts),
        data(2),
        "100 and 1,460"
    );
    acknowledge(&mut host, &mut peer, &sent);
    let sent = counter.take(&mut host);
    assert_eq!(std::mem::take(&mut counter.counts), data(1), "440");
    acknowledge(&mut host, &mut peer, &sent);
    // A full segment does not wait.
    write(&stream, &[1; 1500]);
    let sent = counter.take(&mut host);
    assert_eq!(std::mem::take(&mut counter.counts), data(1));
    acknowledge(&mut host, &mut peer, &sent);
    assert_eq!(counter.since(&mut host), data(1), "40");
}

#[test]
fn a_write_takes_as_many_packets_as_it_has_segments() {
    // 72 segments, in slow start: 10, then two for each that is acknowledged.
    let (mut host, mut peer, stream, mut counter) = opened();
    write(&stream, &[1; 100 << 10]);
    let mut flights = Vec::new();
    loop {
        let sent = counter.take(&mut host);
        if sent.is_empty() {
            break;
        }
        flights.push(sent.len());
        assert!(sent.iter().all(|seg| !seg.data.is_empty()));
        acknowledge(&mut host, &mut peer, &sent);
    }
    assert_eq!(counter.counts, data((100_usize << 10).div_ceil(1460)));
    assert_eq!(flights, [10, 20, 40, 1]);
}

#[test]
fn a_window_is_used_to_its_edge() {
    for (window, each, total) in [(14_600, 10, 69), (10_000, 7, 70), (3000, 3, 100)] {
        let mut peer = Peer::new(CLIENT, SERVER);
        (peer.window, peer.scale) = (window, None);
        let options = TcpOptions::new().congestion(Congestion::None);
        let (mut host, mut peer, stream, mut counter) = opened_with(options, peer);
        write(&stream, &[1; 100_000]);
        let mut bytes = 0;
        while bytes < 100_000 {
            let sent = counter.take(&mut host);
            let flight: usize = sent.iter().map(|seg| seg.data.len()).sum();
            bytes += flight;
            if bytes < 100_000 {
                assert_eq!((flight, sent.len()), (window.into(), each));
            }
            acknowledge(&mut host, &mut peer, &sent);
        }
        assert_eq!(counter.since(&mut host), data(total));
    }
}

#[test]
fn connections_take_turns_of_64_packets() {
    let mut host = Host::new(
        Config::new().options(
            TcpOptions::new()
                .send_buffer(1 << 20)
                .congestion(Congestion::None),
        ),
    );
    let mut busy = ["10.0.0.2:1", "10.0.0.2:2"].map(|from| {
        let mut peer = Peer::new(from, SERVER);
        let stream = peer.open(&mut host);
        // The congestion window grows to more than 200 segments.
        for _ in 0..5 {
            write(&stream, &[1; 200_000]);
            peer.drain(&mut host);
        }
        (peer, stream)
    });
    host.pass(100 * MS);
    for (peer, stream) in &mut busy {
        assert!(stream.info().cwnd >= 200 * 1460, "{:?}", stream.info());
        host.tx(peer.seg(ACK, &[]));
        write(stream, &[1; 200 * 1460]);
    }
    let mut turns: Vec<(u16, usize)> = Vec::new();
    for seg in host.all() {
        let port = seg.key.destination().port();
        match turns.last_mut() {
            Some((last, packets)) if *last == port => *packets += 1,
            _ => turns.push((port, 1)),
        }
    }
    // The first had its turn, and asked for the next one, before the second wrote.
    let expected = [(1, 128), (2, 64), (1, 64), (2, 64), (1, 8), (2, 72)];
    assert_eq!(turns, expected);
}

#[test]
fn an_idle_connection_sends_data_again_at_once() {
    let (mut host, mut peer, stream, mut counter) = measured(true);
    host.pass(3600 * SECOND);
    assert_eq!(counter.since(&mut host), NONE);
    write(&stream, &[1; 30_000]);
    let sent = counter.take(&mut host);
    // RFC 5681, 4.1: no more than the initial window.
    assert_eq!(std::mem::take(&mut counter.counts), data(10));
    acknowledge(&mut host, &mut peer, &sent);
    assert_eq!(counter.since(&mut host), data(11));
}

#[test]
fn a_lost_segment_is_retransmitted_once_with_sack() {
    // RFC 8985, 6.2.
    let (mut host, mut peer, stream, mut counter) = measured(true);
    write(&stream, &[1; 14_600]);
    let sent = counter.take(&mut host);
    assert_eq!(std::mem::take(&mut counter.counts), data(10));
    host.pass(100 * MS);
    for last in 2..10 {
        peer.blocks[0] = Some((sent[1].seq, sent[last].end()));
        host.tx(peer.seg(ACK, &[]));
    }
    let repeated = counter.take(&mut host);
    assert_eq!(std::mem::take(&mut counter.counts), again(1));
    assert_eq!(
        (repeated[0].seq, repeated[0].end()),
        (sent[0].seq, sent[0].end())
    );
    host.pass(100 * MS);
    peer.blocks[0] = None;
    acknowledge(&mut host, &mut peer, &sent);
    host.pass(60 * SECOND);
    assert_eq!(counter.since(&mut host), NONE);
}

#[test]
fn a_lost_segment_is_retransmitted_once_without_sack() {
    // RFC 5681, 3.2.
    let (mut host, mut peer, stream, mut counter) = measured(false);
    write(&stream, &[1; 14_600]);
    let sent = counter.take(&mut host);
    assert_eq!(std::mem::take(&mut counter.counts), data(10));
    host.pass(100 * MS);
    for duplicates in 1..10 {
        host.tx(peer.seg(ACK, &[]));
        let expected = again(usize::from(duplicates == 3));
        assert_eq!(counter.since(&mut host), expected, "{duplicates}");
    }
    host.pass(100 * MS);
    acknowledge(&mut host, &mut peer, &sent);
    host.pass(60 * SECOND);
    assert_eq!(counter.since(&mut host), NONE);
}

#[test]
fn a_lost_tail_is_probed_after_two_round_trips() {
    // RFC 8985, 7.2.
    let (mut host, _peer, stream, mut counter) = measured(true);
    write(&stream, &[1; 3000]);
    assert_eq!(counter.since(&mut host), data(3));
    let at = times(&mut host, 10 * SECOND, |_, seg| counter.count(&seg));
    // The probe, and then the retransmission timeouts, of one segment each.
    assert_times(&at, &[200, 500, 1100, 2300, 4700, 9500]);
    assert_eq!(counter.counts, again(6));
}

#[test]
fn lost_data_is_retransmitted_at_doubling_intervals() {
    // RFC 6298, 5.
    for sack in [true, false] {
        let (mut host, _peer, stream, mut counter) = measured(sack);
        write(&stream, b"lost");
        assert_eq!(counter.since(&mut host), data(1));
        let at = times(&mut host, 200 * SECOND, |_, seg| counter.count(&seg));
        assert_times(&at, &DOUBLING);
        assert_eq!(counter.counts, again(DOUBLING.len()));
    }
}

#[test]
fn a_lost_fin_is_retransmitted_at_doubling_intervals() {
    for sack in [true, false] {
        let (mut host, _peer, stream, mut counter) = measured(sack);
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(counter.since(&mut host), Counts { fins: 1, ..NONE });
        let at = times(&mut host, 60 * SECOND, |_, seg| counter.count(&seg));
        assert_times(&at, &DOUBLING[..7]);
        assert_eq!(counter.counts, again(7));
    }
}

#[test]
fn a_closed_window_is_probed_at_doubling_intervals() {
    // RFC 9293, 3.8.6.1.
    let (mut host, mut peer, stream, mut counter) = measured(true);
    peer.window = 0;
    host.tx(peer.seg(ACK, &[]));
    write(&stream, b"waits");
    let at = times(&mut host, 300 * SECOND, |host, seg| {
        counter.count(&seg);
        host.tx(peer.seg(ACK, &[]));
    });
    let probes = [&DOUBLING[..], &[256_500]].concat();
    assert_times(&at, &probes);
    let expected = Counts {
        probes: probes.len(),
        ..NONE
    };
    assert_eq!(std::mem::take(&mut counter.counts), expected);
    peer.window = 1000;
    host.tx(peer.seg(ACK, &[]));
    assert_eq!(counter.since(&mut host), data(1));
}

#[test]
fn keepalive_probes_come_at_the_interval() {
    let options = TcpOptions::new().keepalive(Some(10 * SECOND));
    let (mut host, peer, stream, mut counter) = opened_with(options, Peer::new(CLIENT, SERVER));
    let at = times(&mut host, 35 * SECOND, |host, seg| {
        counter.count(&seg);
        host.tx(peer.seg(ACK, &[]));
    });
    assert_times(&at, &[10_000, 20_000, 30_000]);
    assert_eq!(
        std::mem::take(&mut counter.counts),
        Counts { probes: 3, ..NONE }
    );
    // Unanswered ones go on until the user timeout has passed since the first.
    stream.set_user_timeout(Some(60 * SECOND));
    let at = times(&mut host, 600 * SECOND, |_, seg| counter.count(&seg));
    assert_times(&at, &[5000, 15_000, 25_000, 35_000, 45_000, 55_000, 65_000]);
    let expected = Counts {
        probes: 6,
        rsts: 1,
        ..NONE
    };
    assert_eq!(counter.counts, expected);
    assert!(now((&stream).read(&mut [0; 8])).is_err());
}

#[test]
fn a_syn_is_retransmitted_each_second_at_first_and_then_at_doubling_intervals() {
    // RFC 6298, 2.1 and 5; the first five as in Linux (`tcp_syn_linear_timeouts`).
    let mut host = host();
    let connector = host.connector.clone();
    let mut connection = Box::pin(connect(&connector, addr(SERVER), addr(CLIENT)));
    assert!(poll(&mut connection).is_pending());
    let mut counter = Counter::before_syn();
    let at = times(&mut host, 14 * SECOND, |_, seg| counter.count(&seg));
    assert_times(&at, &[0, 1000, 2000, 3000, 4000, 5000, 7000, 11_000]);
    assert_eq!(counter.counts, Counts { syns: 8, ..NONE });
    host.pass(2 * SECOND);
    assert_eq!(now(connection).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn a_syn_ack_is_retransmitted_twice_at_doubling_intervals() {
    let mut host = host();
    host.tx(Peer::new(CLIENT, SERVER).syn());
    assert!(pends(host.listener().accept()));
    let mut counter = Counter::before_syn();
    let at = times(&mut host, 14 * SECOND, |_, seg| counter.count(&seg));
    assert_times(&at, &[0, 1000, 3000]);
    let expected = Counts {
        syn_acks: 3,
        ..NONE
    };
    assert_eq!(counter.counts, expected);
}

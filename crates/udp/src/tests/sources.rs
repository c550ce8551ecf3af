//! Shares of the inbound queue, and congestion.

use super::*;
use std::num::NonZeroU16;

both_flavors!(
    a_source_that_floods_the_queue_leaves_room_for_others,
    sources_that_flood_the_queue_get_equal_shares,
    a_share_is_bounded_in_bytes,
    the_addresses_of_an_ipv6_64_are_one_source,
    reading_frees_the_share_of_a_source,
    segment_batches_do_not_overrun_the_queue_of_a_reader_that_keeps_up,
    a_queue_that_becomes_half_full_is_congested,
);

/// Sends datagrams until one is dropped. Returns how many were queued.
fn flood<F: Flavor>(engine: &Engine<F>, from: &str) -> usize {
    (0..)
        .take_while(|_| arrive_from(engine, b"flood", from) == QUEUED)
        .count()
}

fn a_source_that_floods_the_queue_leaves_room_for_others<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    assert_eq!(flood(&engine, "10.0.0.66:6666"), 385, "three quarters");
    // Another port is the same source.
    assert_eq!(flood(&engine, "10.0.0.66:7777"), 0);
    assert_eq!(
        (engine.stats().dropped_source, engine.stats().dropped_full),
        (2, 0)
    );
    // Each of 40 clients asks twice, and the flood goes on.
    for round in 0..2 {
        for client in 1..=40 {
            let from = format!("10.0.0.{client}:{}", 5000 + round);
            assert_eq!(arrive_from(&engine, b"question", &from), QUEUED);
            assert_eq!(flood(&engine, "10.0.0.66:6666"), 0);
        }
    }
    let questions = (0..385 + 80)
        .filter(|_| now(socket.recv_datagram()).unwrap().payload == b"question")
        .count();
    assert_eq!(questions, 80);
    assert_eq!(engine.queued(), (0, 0, 0), "no source is remembered");
}

fn sources_that_flood_the_queue_get_equal_shares<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    // The reader is slow, so the queue remains full.
    let mut read = [0; 4];
    for turn in 0..8_000 {
        for source in 0..4 {
            let from = format!("10.0.0.{source}:1");
            let _ = arrive_from(&engine, &[source], &from);
        }
        if turn >= 512 {
            let source = now(socket.recv_datagram()).unwrap().payload[0];
            read[usize::from(source)] += usize::from(turn >= 4_000);
        }
    }
    assert!(
        read.iter().all(|read| (800..1_200).contains(read)),
        "{read:?}"
    );
}

fn a_share_is_bounded_in_bytes<F: Flavor>() {
    let (engine, _socket) = engine_with::<F>(|config| config.inbound_bytes = 100_000);
    let large = [0; 1_000];
    let queued = (0..100)
        .take_while(|_| arrive_from(&engine, &large, CLIENT) == QUEUED)
        .count();
    assert_eq!(queued, 76, "three quarters");
    assert_eq!(engine.stats().dropped_source, 1);
    assert_eq!(arrive_from(&engine, &large, CLIENT6), QUEUED);
}

fn the_addresses_of_an_ipv6_64_are_one_source<F: Flavor>() {
    let (engine, _socket) = engine::<F>();
    let addresses = (0..600).map(|n| format!("[fd00::{n:x}]:5000"));
    let queued = addresses
        .filter(|from| arrive_from(&engine, b"flood", from) == QUEUED)
        .count();
    assert_eq!((queued, engine.queued().2), (385, 1));
    let other = arrive_from(&engine, b"question", "[fd00:0:0:1::1]:5000");
    assert_eq!(other, QUEUED);
    assert_eq!(engine.queued().2, 2);
}

fn reading_frees_the_share_of_a_source<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    for _ in 0..3 {
        let queued = flood(&engine, CLIENT);
        assert_eq!(queued, 385);
        for _ in 0..queued {
            now(socket.recv_from(&mut [0; 10])).unwrap();
        }
    }
    // The last handle that reads takes the datagrams with it.
    let other = socket.clone();
    assert_eq!(flood(&engine, CLIENT), 385);
    drop((socket, other));
    assert_eq!(engine.queued(), (0, 0, 0));
}

fn segment_batches_do_not_overrun_the_queue_of_a_reader_that_keeps_up<F: Flavor>() {
    /// The longest segment batch of Linux.
    const ROW: usize = 128;
    let (engine, socket) = engine::<F>();
    let (mut arrived, mut read) = (0, 0);
    for _ in 0..30 {
        // The driver's batch: up to 64 packets, of 128 datagrams each.
        for _ in 0..64 {
            let payload = [b'x'; ROW];
            let received = receive(&engine, &payload, NonZeroU16::new(1));
            arrived += ROW;
            if received == (Received::Queued { congested: true }) {
                break;
            }
        }
        // The reader's turn.
        while Task::new().poll(pin!(socket.recv_datagram())).is_ready() {
            read += 1;
        }
    }
    assert_eq!((arrived, read), (30 * 2 * ROW, arrived));
}

/// Delivers a packet from the client to the server.
fn receive<F: Flavor>(
    engine: &Engine<F>,
    payload: &[u8],
    gso_size: Option<NonZeroU16>,
) -> Received {
    let bytes = packet(payload, CLIENT, SERVER);
    let arrival = Arrival::new().gso_size(gso_size);
    engine.handle_packet(time(), &Packet::parse(&bytes).unwrap(), arrival)
}

fn a_queue_that_becomes_half_full_is_congested<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.inbound_packets = 5);
    let arrives = || match receive(&engine, b"x", None) {
        Received::Queued { congested } => congested,
        received => panic!("{received}"),
    };
    assert_eq!([(); 3].map(|()| arrives()), [false, false, true]);
    assert!(!arrives(), "the reader does not keep up");
    for _ in 0..2 {
        now(socket.recv_datagram()).unwrap();
    }
    assert!(arrives(), "the reader has read");

    let (engine, _socket) = engine_with::<F>(|config| config.inbound_bytes = 1_000);
    let congested = |congested| Received::Queued { congested };
    assert_eq!(receive(&engine, &[0; 500], None), congested(false));
    assert_eq!(receive(&engine, b"x", None), congested(true));
}

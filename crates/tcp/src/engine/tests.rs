use super::*;
use crate::segment::Segment;
use brooklet_cell::Threaded;
use brooklet_packet::Headers;
use std::pin::pin;
use std::task::Context as TaskContext;

#[test]
fn connections_that_have_ended_leave_no_deadlines() {
    #[allow(clippy::disallowed_methods, reason = "time begins somewhere")]
    let now = Instant::now();
    let interface = Interface::new().ipv4(Some([10, 0, 0, 1].into()));
    let config = Config::default();
    let clock = Clock::new(move || now);
    let (mut engine, _listener, connector) =
        Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    let cx = &mut TaskContext::from_waker(Waker::noop());
    let mut stays = pin!(connector.connect(([192, 0, 2, 1], 81).into()));
    assert!(stays.as_mut().poll(cx).is_pending());
    for _ in 0..10_000 {
        let connect = pin!(connector.connect(([192, 0, 2, 1], 80).into()));
        assert!(connect.poll(cx).is_pending());
        while engine.poll_transmit().is_some() {}
        engine.poll_timeout(now);
    }
    while engine.poll_transmit().is_some() {}
    engine.flush(now);
    assert_eq!(engine.stats().connections, 1);
    let deadlines = engine.queue_shared.with(|queue| queue.timers.len());
    assert!(deadlines < 1100, "{deadlines} deadlines of one connection");
    // The connection that stays has kept its deadline.
    assert!(engine.poll_timeout(now).is_some());
}

#[test]
fn a_connection_waits_for_room_in_one_place_of_the_queue() {
    #[allow(clippy::disallowed_methods, reason = "time begins somewhere")]
    let now = Instant::now();
    let config = Config {
        outbound_packets: 2,
        ..Config::default()
    };
    let interface = Interface::default();
    let clock = Clock::new(move || now);
    let (mut engine, _listener, connector) =
        Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    let cx = &mut TaskContext::from_waker(Waker::noop());
    let to = ([192, 0, 2, 1], 80).into();
    let keys = (1..=6).map(|port| ([10, 0, 0, 1], port).into());
    let keys: Vec<_> = keys.map(|from| (from, FlowKey::new(to, from))).collect();
    let mut connects = Vec::new();
    for (from, _) in &keys {
        let mut connect = Box::pin(connector.connect_from(*from, to));
        assert!(connect.as_mut().poll(cx).is_pending());
        connects.push(connect);
    }
    for round in 0..5 {
        for key in keys.iter().filter_map(|(_, key)| *key) {
            let stray = Segment {
                seq: round,
                ack: Some(round),
                ..Segment::default()
            };
            let packet = stray.packet(key);
            let headers = Headers::parse(&packet).unwrap();
            engine.handle_packet(now, &packet, &headers);
        }
        engine.flush(now);
    }
    let waiting = engine.queue_shared.with(|queue| {
        while queue.tx.pop().is_some() {}
        queue.tx.callable()
    });
    // Four have not sent their SYN; the two others send it once more, behind the RST that answers a
    // segment which acknowledges nothing of it.
    assert_eq!(waiting, 6);
}

#[test]
fn connections_are_spread_over_any_number_of_queues() {
    for queues in [2, 3, 4, 8] {
        let mut of_each = vec![0; queues];
        // Consecutive ports, as many hosts use them.
        for port in 1..=100 * queues as u16 {
            let (from, to) = (([10, 0, 0, 1], port).into(), ([10, 0, 0, 2], 2).into());
            let key = FlowKey::new(to, from).unwrap();
            of_each[usize::from(crate::connector::queue_of(key, queues))] += 1;
        }
        assert!(of_each.iter().all(|&n| n > 60), "{of_each:?}");
    }
}

//! The bounds of the queues, and the shares of the sources.

use super::*;

both_flavors!(
    a_full_queue_drops_new_messages_and_counts_them,
    a_queue_is_bounded_in_bytes,
    a_source_that_floods_the_queue_leaves_room_for_others,
    the_addresses_of_an_ipv6_64_are_one_source,
    receiving_frees_the_share_of_a_source,
    a_flooded_socket_takes_nothing_from_another,
    the_last_clone_takes_the_messages_with_it,
    the_number_of_sockets_is_bounded,
    zero_bounds_count_as_one,
);

fn icmp_with<F: Flavor>(stack: &Stack<F>, config: IcmpSocketConfig) -> IcmpSocket<F> {
    stack.binder().bind_icmp_with(config).unwrap()
}

/// Sends echo requests until one is dropped. Returns how many were queued.
fn flood<F: Flavor>(stack: &Stack<F>, from: &str) -> usize {
    let to = if from.contains(':') {
        "fd00:1::1"
    } else {
        "10.0.1.1"
    };
    (0..)
        .take_while(|_| stack.ping(from, to, b"flood") == Echoed::Queued)
        .count()
}

fn a_full_queue_drops_new_messages_and_counts_them<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = icmp_with(&stack, IcmpSocketConfig::new().inbound_packets(2));
    for (n, echoed) in [Echoed::Queued, Echoed::Queued, Echoed::Dropped]
        .into_iter()
        .enumerate()
    {
        assert_eq!(stack.ping(&format!("10.0.0.{n}"), "10.0.1.1", b""), echoed);
    }
    let stats = stack.engine.stats();
    assert_eq!((stats.echo_requests_in, stats.dropped_full), (2, 1));
    assert_eq!(received(&socket).source(), ip("10.0.0.0"), "the oldest");
    assert_eq!(stack.ping("10.0.0.3", "10.0.1.1", b""), Echoed::Queued);
}

fn a_queue_is_bounded_in_bytes<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = icmp_with(&stack, IcmpSocketConfig::new().inbound_bytes(1000));
    let payload = [0; 472];
    assert_eq!(stack.ping("10.0.0.1", "10.0.1.1", &payload), Echoed::Queued);
    assert_eq!(stack.ping("10.0.0.2", "10.0.1.1", &payload), Echoed::Queued);
    assert_eq!(stack.ping("10.0.0.3", "10.0.1.1", b""), Echoed::Dropped);
    assert_eq!(stack.engine.stats().dropped_full, 1);
    drop(received(&socket));
    assert_eq!(stack.ping("10.0.0.3", "10.0.1.1", b""), Echoed::Queued);

    let config = RawConfig::new().inbound_bytes(100);
    let _raw = stack.binder().bind_raw(config).unwrap();
    assert_eq!(stack.divert("10.0.0.1", &[0; 73]), RawReceived::Dropped);
    assert_eq!(stack.divert("10.0.0.1", &[0; 72]), RawReceived::Queued);
}

fn a_source_that_floods_the_queue_leaves_room_for_others<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.icmp();
    assert_eq!(flood(&stack, "10.0.0.66"), 385, "three quarters");
    let stats = stack.engine.stats();
    assert_eq!((stats.dropped_source, stats.dropped_full), (1, 0));
    for client in 1..=40 {
        let from = format!("10.0.0.{client}");
        assert_eq!(stack.ping(&from, "10.0.1.1", b"ping"), Echoed::Queued);
        assert_eq!(flood(&stack, "10.0.0.66"), 0);
    }
    let pings = (0..385 + 40)
        .filter(|_| received(&socket).payload() == b"ping")
        .count();
    assert_eq!(pings, 40);
}

fn the_addresses_of_an_ipv6_64_are_one_source<F: Flavor>() {
    let stack = Stack::<F>::new();
    let raw = stack.raw();
    let divert = |from: &str| {
        let bytes = datagram(from, "fd00:1::1", b"");
        stack
            .engine
            .handle_diverted(&Packet::parse(&bytes).unwrap(), false)
    };
    let queued = (1..600)
        .filter(|n| divert(&format!("fd00::{n:x}")) == RawReceived::Queued)
        .count();
    assert_eq!(queued, 385);
    assert_eq!(divert("fd00:0:0:1::1"), RawReceived::Queued);
    assert_eq!(stack.engine.stats().dropped_source, 599 - 385);
    drop(raw);
}

fn receiving_frees_the_share_of_a_source<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.icmp();
    for _ in 0..3 {
        assert_eq!(flood(&stack, "fd00::66"), 385);
        for _ in 0..385 {
            drop(received(&socket));
        }
    }
}

fn a_flooded_socket_takes_nothing_from_another<F: Flavor>() {
    let stack = Stack::<F>::new();
    let _icmp = stack.icmp();
    let raw = stack.raw();
    flood(&stack, "10.0.0.66");
    assert_eq!(stack.divert("10.0.0.66", b"x"), RawReceived::Queued);
    now(raw.recv_packet()).unwrap();
}

fn the_last_clone_takes_the_messages_with_it<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.icmp();
    let clone = socket.clone();
    assert_eq!(stack.ping("10.0.0.1", "10.0.1.1", b""), Echoed::Queued);
    drop(socket);
    drop(clone);
    let socket = stack.icmp();
    assert!(Task::new().poll(pin!(socket.recv())).is_pending());
}

fn the_number_of_sockets_is_bounded<F: Flavor>() {
    let stack = Stack::<F>::with(Interface::new(), Config::new().sockets(2));
    let (icmp, raw) = (stack.icmp(), stack.raw());
    let quota = std::io::ErrorKind::QuotaExceeded;
    let more = stack.binder().bind_raw(RawConfig::new());
    assert_eq!(more.unwrap_err().kind(), quota);
    let pings = IcmpSocketConfig::new().echo_requests(false);
    let more = stack.binder().bind_icmp_with(pings);
    assert_eq!(more.unwrap_err().kind(), quota);
    // Clones do not count, and a socket that is gone frees its place.
    let clones = (icmp.clone(), raw.clone());
    drop((raw, clones));
    let _raw = stack.raw();
    drop(icmp);
    let _icmp = stack.icmp();
}

fn zero_bounds_count_as_one<F: Flavor>() {
    let stack = Stack::<F>::with(Interface::new(), Config::new().outbound_packets(0));
    let config = IcmpSocketConfig::new().inbound_packets(0).outstanding(0);
    let socket = icmp_with(&stack, config);
    assert_eq!(stack.ping("10.0.0.1", "10.0.1.1", b""), Echoed::Queued);
    assert_eq!(stack.ping("10.0.0.1", "10.0.1.1", b""), Echoed::Dropped);
    received(&socket).reply().unwrap();
    stack.sent();
}

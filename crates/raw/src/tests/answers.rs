//! ICMP errors that the program sends, and their rate limit.

use super::*;
use crate::Answered;
use brooklet_packet::icmp::{IcmpErrorKind, Unreachable};

both_flavors!(
    an_error_about_a_packet_of_either_family,
    the_driver_and_the_program_share_the_rate_limit,
    an_error_that_a_host_must_not_send_takes_no_token,
    echo_replies_have_no_rate_limit,
    an_answer_that_finds_the_queue_full_is_counted,
    the_outbound_queue_is_bounded_in_bytes,
);

fn an_error_about_a_packet_of_either_family<F: Flavor>() {
    let stack = Stack::<F>::new();
    let binder = stack.binder();
    for (from, to, router) in PINGS {
        let bytes = datagram(from, to, b"anyone?");
        let packet = Packet::parse(&bytes).unwrap();
        let answered = binder.send_error(&packet, Unreachable::Port).unwrap();
        assert_eq!(answered, Answered::Queued);
        let kind = IcmpErrorKind::HopLimitExceeded;
        let answered = binder.send_error_from(ip(router), &packet, kind).unwrap();
        assert_eq!(answered, Answered::Queued);

        let expected = [(to, Unreachable::Port.into()), (router, kind)];
        for (reporter, kind) in expected {
            let error = stack.sent();
            let error = icmp::parse_error(&Packet::parse(&error).unwrap()).unwrap();
            assert_eq!((error.from, error.kind), (ip(reporter), kind));
            assert_eq!(error.key.addresses(), (ip(from), ip(to)));
            assert_eq!(error.key.ports(), (68, 67));
        }
    }
    assert_eq!(stack.engine.stats().icmp_errors_out, 4);
}

fn the_driver_and_the_program_share_the_rate_limit<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.icmp();
    assert_eq!(stack.ping("10.0.0.1", "10.0.0.2", b""), Echoed::Queued);
    let request = received(&socket);
    let bytes = datagram("10.0.0.1", "10.0.0.2", b"");
    let packet = Packet::parse(&bytes).unwrap();
    let send = || {
        stack
            .binder()
            .send_error(&packet, Unreachable::Port)
            .unwrap()
    };

    assert_eq!((0..30).filter(|_| send() == Answered::Queued).count(), 30);
    let driver = |_: &i32| stack.engine.take_error_token(stack.now(), ip("10.0.0.1"));
    assert_eq!((0..30).filter(driver).count(), 20);
    assert_eq!(send(), Answered::RateLimited);
    let rejected = request.reject(Unreachable::Host).unwrap();
    assert_eq!(rejected, Answered::RateLimited);
    let stats = stack.engine.stats();
    assert_eq!((stats.icmp_errors_out, stats.icmp_errors_limited), (30, 2));

    // 100 per second.
    stack.advance(Duration::from_millis(20));
    assert_eq!((0..5).filter(|_| send() == Answered::Queued).count(), 2);
}

fn an_error_that_a_host_must_not_send_takes_no_token<F: Flavor>() {
    let stack = Stack::<F>::new();
    let binder = stack.binder();
    let multicast = datagram("10.0.0.1", "224.0.0.251", b"");
    let multicast = Packet::parse(&multicast).unwrap();
    let bytes = datagram("10.0.0.1", "10.0.0.2", b"");
    let packet = Packet::parse(&bytes).unwrap();
    for _ in 0..100 {
        let answered = binder.send_error(&multicast, Unreachable::Port).unwrap();
        assert_eq!(answered, Answered::NotPermitted);
        // The router is of the other family.
        let answered = binder.send_error_from(ip("fd00::1"), &packet, Unreachable::Host);
        assert_eq!(answered.unwrap(), Answered::NotPermitted);
    }
    assert_eq!(stack.engine.stats().icmp_errors_forbidden, 200);
    let taken = (0..60).filter(|_| stack.engine.take_error_token(stack.now(), ip("10.0.0.1")));
    assert_eq!(taken.count(), 50);
}

fn echo_replies_have_no_rate_limit<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.icmp();
    for _ in 0..200 {
        assert_eq!(stack.ping("10.0.0.1", "10.0.0.2", b""), Echoed::Queued);
        assert_eq!(received(&socket).reply().unwrap(), Answered::Queued);
    }
}

fn an_answer_that_finds_the_queue_full_is_counted<F: Flavor>() {
    let stack = Stack::<F>::with(Interface::new(), Config::new().outbound_packets(2));
    let bytes = datagram("10.0.0.1", "10.0.0.2", b"");
    let packet = Packet::parse(&bytes).unwrap();
    let send = || {
        stack
            .binder()
            .send_error(&packet, Unreachable::Port)
            .unwrap()
    };
    assert_eq!((send(), send()), (Answered::Queued, Answered::Queued));
    assert_eq!(send(), Answered::QueueFull);
    let stats = stack.engine.stats();
    assert_eq!((stats.icmp_errors_out, stats.answers_dropped), (2, 1));
    stack.sent();
    assert_eq!(send(), Answered::Queued);
    // The dropped answer has taken no token.
    let taken = (0..60).filter(|_| stack.engine.take_error_token(stack.now(), ip("10.0.0.1")));
    assert_eq!(taken.count(), 47);
}

fn the_outbound_queue_is_bounded_in_bytes<F: Flavor>() {
    let stack = Stack::<F>::with(Interface::new(), Config::new().outbound_bytes(100));
    let raw = stack.raw();
    let bytes = datagram("10.0.0.1", "10.0.0.2", &[0; 500]);
    now(raw.send(&bytes)).unwrap(); // an empty queue takes any packet
    let packet = Packet::parse(&bytes).unwrap();
    let send = || stack.binder().send_error(&packet, Unreachable::Port);
    assert_eq!(send().unwrap(), Answered::QueueFull);
    stack.sent();
    assert_eq!(send().unwrap(), Answered::Queued);
}

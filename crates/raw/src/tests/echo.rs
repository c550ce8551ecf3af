//! Echo requests: the policy, and the answers of the program.

use super::*;
use crate::{Answered, EchoAction};
use brooklet_packet::icmp::{IcmpErrorKind, Unreachable};
use brooklet_packet::{Protocol, TrafficClass};

both_flavors!(
    without_a_socket_the_stack_answers,
    without_a_policy_and_a_socket_the_configuration_decides,
    a_socket_receives_the_request_and_its_fields,
    the_reply_is_the_one_that_the_stack_would_send,
    a_rejected_request_is_quoted_by_the_error,
    a_dropped_request_gets_no_answer,
    the_policy_decides_by_destination,
    the_policy_changes_while_the_stack_runs,
    a_request_to_deliver_without_a_socket_is_dropped,
    one_socket_takes_the_echo_requests,
    a_socket_without_echo_requests_receives_none,
    requests_that_no_host_answers_are_left_alone,
    the_policy_may_use_the_stack,
    a_request_over_which_the_policy_panics_is_ignored,
);

fn without_a_socket_the_stack_answers<F: Flavor>() {
    let stack = Stack::<F>::new();
    for (from, to, _) in PINGS {
        assert_eq!(stack.ping(from, to, b"ping"), Echoed::Answer);
    }
    // The socket is gone, and the stack answers again.
    drop(stack.icmp());
    assert_eq!(stack.ping("10.0.0.1", "10.0.0.2", b""), Echoed::Answer);
    assert_eq!(stack.engine.stats().answered, 3);
}

fn without_a_policy_and_a_socket_the_configuration_decides<F: Flavor>() {
    let stack = Stack::<F>::with(Interface::new(), Config::new().echo(EchoAction::Ignore));
    assert_eq!(stack.ping("10.0.0.1", "10.0.0.2", b""), Echoed::Ignored);
    let _socket = stack.icmp();
    assert_eq!(stack.ping("10.0.0.1", "10.0.0.2", b""), Echoed::Queued);
}

fn a_socket_receives_the_request_and_its_fields<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.icmp();
    for (from, to, _) in PINGS {
        stack.advance(Duration::from_millis(10));
        let mut bytes = Vec::new();
        let class = TrafficClass::default().with_dscp(46);
        let fields = IpFields::new().hop_limit(9).traffic_class(class);
        icmp::write_echo_request(&mut bytes, ip(from), ip(to), fields, ECHO, b"ping").unwrap();
        // Padding behind the packet is no part of it.
        let len = bytes.len();
        bytes.extend_from_slice(b"padding");
        let packet = Packet::parse(&bytes).unwrap();
        let echoed = stack.engine.handle_echo_request(stack.now(), &packet);
        assert_eq!(echoed, Echoed::Queued);

        let request = received(&socket);
        assert_eq!(
            (request.source(), request.destination()),
            (ip(from), ip(to))
        );
        assert_eq!((request.identifier(), request.sequence()), (7, 1));
        assert_eq!((request.echo(), request.payload()), (ECHO, &b"ping"[..]));
        assert_eq!((request.hop_limit(), request.traffic_class()), (9, class));
        assert!(request.dont_fragment());
        assert_eq!(request.packet().bytes(), &bytes[..len]);
        assert_eq!(request.received_at(), stack.now());
    }
    assert_eq!(stack.engine.stats().echo_requests_in, 2);
}

fn the_reply_is_the_one_that_the_stack_would_send<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.icmp();
    for (from, to, _) in PINGS {
        assert_eq!(stack.ping(from, to, b"ping"), Echoed::Queued);
        assert_eq!(received(&socket).reply().unwrap(), Answered::Queued);
        let mut expected = Vec::new();
        let bytes = request(from, to, b"ping");
        assert!(icmp::echo_reply(
            &mut expected,
            &Packet::parse(&bytes).unwrap()
        ));
        let reply = stack.sent();
        assert_eq!(reply, expected);
        let reply = Packet::parse(&reply).unwrap();
        assert_eq!((reply.source(), reply.destination()), (ip(to), ip(from)));
        assert_eq!(icmp::parse_echo_reply(&reply), Some(ECHO));
    }
    assert_eq!(stack.engine.stats().echo_replies_out, 2);
}

fn a_rejected_request_is_quoted_by_the_error<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.icmp();
    for (from, to, router) in PINGS {
        for by_router in [false, true] {
            assert_eq!(stack.ping(from, to, b"ping"), Echoed::Queued);
            let request = received(&socket);
            let (kind, reporter, answered) = if by_router {
                let kind = IcmpErrorKind::HopLimitExceeded;
                (kind, router, request.reject_from(ip(router), kind))
            } else {
                let kind = IcmpErrorKind::from(Unreachable::Host);
                (kind, to, request.reject(Unreachable::Host))
            };
            assert_eq!(answered.unwrap(), Answered::Queued);
            let error = stack.sent();
            let error = icmp::parse_error(&Packet::parse(&error).unwrap()).unwrap();
            assert_eq!((error.kind, error.from), (kind, ip(reporter)));
            assert_eq!(error.key.addresses(), (ip(from), ip(to)));
            assert_eq!(error.echo, Some(ECHO));
        }
    }
    assert_eq!(stack.engine.stats().icmp_errors_out, 4);
}

fn a_dropped_request_gets_no_answer<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.icmp();
    assert_eq!(stack.ping("10.0.0.1", "10.0.0.2", b""), Echoed::Queued);
    drop(received(&socket));
    assert_eq!(stack.engine.poll_transmit(), None);
}

fn the_policy_decides_by_destination<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.icmp();
    stack.binder().set_echo_policy(|to| match to {
        to if to == ip("10.0.0.1") || to == ip("fd00::1") => EchoAction::Answer,
        to if to == ip("10.0.0.2") || to == ip("fd00::2") => EchoAction::Ignore,
        to if to == ip("10.0.0.3") || to == ip("fd00::3") => {
            EchoAction::Reject(Unreachable::Network)
        }
        _ => EchoAction::Deliver,
    });
    let expected = [
        Echoed::Answer,
        Echoed::Ignored,
        Echoed::Reject(Unreachable::Network.into()),
        Echoed::Queued,
    ];
    for (n, echoed) in (1..).zip(expected) {
        assert_eq!(stack.ping("10.0.0.9", &format!("10.0.0.{n}"), b""), echoed);
        assert_eq!(stack.ping("fd00::9", &format!("fd00::{n}"), b""), echoed);
    }
    let stats = stack.engine.stats();
    assert_eq!((stats.answered, stats.ignored), (2, 2));
    assert_eq!((stats.rejected, stats.echo_requests_in), (2, 2));
    assert_eq!(received(&socket).destination(), ip("10.0.0.4"));
    assert_eq!(received(&socket).destination(), ip("fd00::4"));
}

fn the_policy_changes_while_the_stack_runs<F: Flavor>() {
    let stack = Stack::<F>::new();
    let _socket = stack.icmp();
    let ping = || stack.ping("10.0.0.1", "10.0.0.2", b"");
    assert_eq!(ping(), Echoed::Queued);
    let binder = stack.binder();
    binder.set_echo_policy(|_| EchoAction::Answer);
    assert_eq!(ping(), Echoed::Answer);
    binder.clear_echo_policy();
    assert_eq!(ping(), Echoed::Queued);
}

fn a_request_to_deliver_without_a_socket_is_dropped<F: Flavor>() {
    let stack = Stack::<F>::new();
    stack.binder().set_echo_policy(|_| EchoAction::Deliver);
    assert_eq!(stack.ping("10.0.0.1", "10.0.0.2", b""), Echoed::Dropped);
    assert_eq!(stack.engine.stats().no_listener, 1);
}

fn one_socket_takes_the_echo_requests<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.icmp();
    let second = stack.binder().bind_icmp();
    assert_eq!(second.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    // A clone is the same socket, and keeps it bound.
    let clone = socket.clone();
    drop(socket);
    assert_eq!(stack.ping("10.0.0.1", "10.0.0.2", b""), Echoed::Queued);
    assert_eq!(received(&clone).source(), ip("10.0.0.1"));
    drop(clone);
    let _socket = stack.icmp();
}

fn a_socket_without_echo_requests_receives_none<F: Flavor>() {
    let stack = Stack::<F>::new();
    let config = IcmpSocketConfig::new().echo_requests(false);
    let _pings = stack.binder().bind_icmp_with(config).unwrap();
    assert_eq!(stack.ping("10.0.0.1", "10.0.0.2", b""), Echoed::Answer);
    let socket = stack.icmp();
    assert_eq!(stack.ping("10.0.0.1", "10.0.0.2", b""), Echoed::Queued);
    received(&socket).reply().unwrap();
}

fn requests_that_no_host_answers_are_left_alone<F: Flavor>() {
    let stack = Stack::<F>::new();
    let _socket = stack.icmp();
    for to in ["224.0.0.1", "255.255.255.255"] {
        assert_eq!(stack.ping("10.0.0.1", to, b""), Echoed::NotEcho);
    }
    assert_eq!(stack.ping("fd00::1", "ff02::1", b""), Echoed::NotEcho);

    let mut corrupted = request("10.0.0.1", "10.0.0.2", b"ping");
    *corrupted.last_mut().unwrap() ^= 1;
    let packet = Packet::parse(&corrupted).unwrap();
    let echoed = stack.engine.handle_echo_request(stack.now(), &packet);
    assert_eq!(echoed, Echoed::NotEcho);

    let datagram = datagram("10.0.0.1", "10.0.0.2", b"ping");
    let packet = Packet::parse(&datagram).unwrap();
    assert_eq!(packet.protocol(), Protocol::Udp);
    let echoed = stack.engine.handle_echo_request(stack.now(), &packet);
    assert_eq!(echoed, Echoed::NotEcho);
    assert_eq!(stack.engine.stats(), Default::default());
}

thread_local! {
    /// What the policy of a test does: a policy is `Send`, and a local socket is not.
    static POLICY: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
}

/// Each use of the stack would find the cell locked if the policy were called with the cell held.
fn the_policy_may_use_the_stack<F: Flavor>() {
    let stack = Stack::<F>::new();
    let binder = stack.binder();
    POLICY.set(Some(Box::new(move || {
        drop(binder.bind_raw(RawConfig::new()).unwrap());
        binder.set_echo_policy(|_| EchoAction::Ignore);
    })));
    stack.binder().set_echo_policy(|_| {
        POLICY.with_borrow(|policy| policy.as_ref().expect("set above")());
        EchoAction::Answer
    });
    let ping = || stack.ping("10.0.0.1", "10.0.0.2", b"");
    assert_eq!(ping(), Echoed::Answer);
    assert_eq!(ping(), Echoed::Ignored);
    POLICY.set(None);
}

fn a_request_over_which_the_policy_panics_is_ignored<F: Flavor>() {
    let stack = Stack::<F>::new();
    stack
        .binder()
        .set_echo_policy(|_| panic!("the policy panics"));
    let ping = || stack.ping("10.0.0.1", "10.0.0.2", b"");
    assert_eq!(ping(), Echoed::Ignored);
    stack.binder().clear_echo_policy();
    assert_eq!(ping(), Echoed::Answer);
}

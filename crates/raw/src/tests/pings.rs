//! Echo requests of the program, their replies, and errors about them.

use super::*;
use crate::SendError;
use brooklet_packet::icmp::Unreachable;
use std::io::ErrorKind;

both_flavors!(
    a_reply_reaches_the_socket_that_asked,
    a_reply_that_nobody_asked_for_is_dropped,
    a_second_reply_is_unmatched,
    an_error_must_name_an_outstanding_request,
    a_request_waits_for_its_reply_for_a_time,
    the_oldest_request_gives_way,
    answered_requests_take_no_place,
    requests_that_cannot_be_sent_are_refused,
    a_long_request_is_left_to_the_driver_to_fragment,
    each_request_that_may_be_fragmented_has_an_identification_of_its_own,
    a_request_that_was_not_sent_is_not_outstanding,
);

fn pings<F: Flavor>(stack: &Stack<F>) -> IcmpSocket<F> {
    let config = IcmpSocketConfig::new().echo_requests(false);
    stack.binder().bind_icmp_with(config).unwrap()
}

fn echo(sequence: u16) -> Echo {
    Echo { sequence, ..ECHO }
}

fn send<F: Flavor>(socket: &IcmpSocket<F>, from: &str, to: &str, echo: Echo) {
    now(socket.send_echo_request(ip(from), ip(to), echo, b"ping")).unwrap();
}

/// A reply from `from` arrives. Returns whether it was queued.
fn reply<F: Flavor>(stack: &Stack<F>, from: &str, to: &str, echo: Echo) -> bool {
    let mut bytes = Vec::new();
    icmp::write_echo_reply(&mut bytes, ip(from), ip(to), IpFields::new(), echo, b"ping").unwrap();
    let packet = Packet::parse(&bytes).unwrap();
    let before = stack.engine.stats();
    let matched = stack.engine.handle_echo_reply(stack.now(), &packet);
    let after = stack.engine.stats();
    let queued = after.echo_replies_in - before.echo_replies_in;
    assert_eq!(queued, u64::from(matched));
    assert_eq!(after.unmatched - before.unmatched, u64::from(!matched));
    matched
}

/// The error of `router` about a request.
fn error(router: &str, request: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let request = Packet::parse(request).unwrap();
    assert!(icmp::error_from(
        &mut bytes,
        ip(router),
        &request,
        Unreachable::Host
    ));
    bytes
}

/// An error arrives. Returns whether it was matched.
fn handle<F: Flavor>(stack: &Stack<F>, bytes: &[u8]) -> bool {
    let packet = Packet::parse(bytes).unwrap();
    let error = icmp::parse_error(&packet).unwrap();
    stack.engine.handle_icmp_error(stack.now(), &packet, &error)
}

fn a_reply_reaches_the_socket_that_asked<F: Flavor>() {
    let stack = Stack::<F>::new();
    let (one, two) = (pings(&stack), pings(&stack));
    for (from, to, _) in PINGS {
        send(&one, from, to, echo(1));
        send(&two, from, to, echo(2));
        stack.advance(Duration::from_millis(30));
        assert!(reply(&stack, to, from, echo(2)));
        assert!(reply(&stack, to, from, echo(1)));
        for (socket, sequence) in [(&one, 1), (&two, 2)] {
            let IcmpMessage::EchoReply(reply) = now(socket.recv()).unwrap() else {
                panic!("a reply")
            };
            assert_eq!((reply.source(), reply.destination()), (ip(to), ip(from)));
            assert_eq!(
                (reply.sequence(), reply.payload()),
                (sequence, &b"ping"[..])
            );
            assert_eq!(reply.round_trip(), Duration::from_millis(30));
            assert_eq!(reply.hop_limit(), 64);
        }
    }
    assert_eq!(stack.engine.stats().echo_requests_out, 4);
}

fn a_reply_that_nobody_asked_for_is_dropped<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = pings(&stack);
    send(&socket, "10.0.0.1", "10.0.0.2", echo(1));
    assert!(!reply(&stack, "10.0.0.3", "10.0.0.1", echo(1)));
    assert!(!reply(&stack, "10.0.0.2", "10.0.0.4", echo(1)));
    assert!(!reply(&stack, "10.0.0.2", "10.0.0.1", echo(2)));
    let other = Echo {
        identifier: 8,
        ..echo(1)
    };
    assert!(!reply(&stack, "10.0.0.2", "10.0.0.1", other));
    assert!(reply(&stack, "10.0.0.2", "10.0.0.1", echo(1)));
    // The socket is gone with its requests.
    send(&socket, "10.0.0.1", "10.0.0.2", echo(2));
    drop(socket);
    assert!(!reply(&stack, "10.0.0.2", "10.0.0.1", echo(2)));
    // Another message is no reply.
    let bytes = request("10.0.0.2", "10.0.0.1", b"");
    let packet = Packet::parse(&bytes).unwrap();
    assert!(!stack.engine.handle_echo_reply(stack.now(), &packet));
}

fn a_second_reply_is_unmatched<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = pings(&stack);
    send(&socket, "10.0.0.1", "10.0.0.2", echo(1));
    assert!(reply(&stack, "10.0.0.2", "10.0.0.1", echo(1)));
    assert!(!reply(&stack, "10.0.0.2", "10.0.0.1", echo(1)));
}

fn an_error_must_name_an_outstanding_request<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = pings(&stack);
    for (from, to, router) in PINGS {
        // The attacker has to guess identifier and sequence number.
        let guess = error(router, &request(from, to, b"ping"));
        assert!(!handle(&stack, &guess));

        send(&socket, from, to, echo(2));
        let about = error(router, &stack.sent());
        assert!(!handle(&stack, &guess));
        assert!(handle(&stack, &about));
        assert!(!handle(&stack, &about), "again");
        let IcmpMessage::Error(received) = now(socket.recv()).unwrap() else {
            panic!("an error")
        };
        let about = icmp::parse_error(&Packet::parse(&about).unwrap());
        assert_eq!(Some(received), about);
        // The request is over.
        assert!(!reply(&stack, to, from, echo(2)));
    }
    let stats = stack.engine.stats();
    assert_eq!((stats.icmp_errors_in, stats.unmatched), (2, 2 * 4));

    let datagram = datagram("10.0.0.1", "10.0.0.2", b"");
    let about = error("10.0.0.254", &datagram);
    assert!(!handle(&stack, &about));
    assert_eq!(stack.engine.stats(), stats, "the caller's");
}

fn a_request_waits_for_its_reply_for_a_time<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = pings(&stack);
    send(&socket, "10.0.0.1", "10.0.0.2", echo(1));
    send(&socket, "10.0.0.1", "10.0.0.2", echo(2));
    stack.advance(Duration::from_millis(29_999));
    assert!(reply(&stack, "10.0.0.2", "10.0.0.1", echo(1)));
    stack.advance(Duration::from_millis(1));
    assert!(!reply(&stack, "10.0.0.2", "10.0.0.1", echo(2)));

    // Sending a request again starts the time anew.
    send(&socket, "10.0.0.1", "10.0.0.2", echo(3));
    stack.advance(Duration::from_secs(20));
    send(&socket, "10.0.0.1", "10.0.0.2", echo(3));
    stack.advance(Duration::from_secs(20));
    assert!(reply(&stack, "10.0.0.2", "10.0.0.1", echo(3)));
}

fn the_oldest_request_gives_way<F: Flavor>() {
    let stack = Stack::<F>::new();
    let config = IcmpSocketConfig::new().outstanding(3);
    let socket = stack.binder().bind_icmp_with(config).unwrap();
    for sequence in 1..=4 {
        send(&socket, "10.0.0.1", "10.0.0.2", echo(sequence));
    }
    let answered = (1..=4).map(|sequence| reply(&stack, "10.0.0.2", "10.0.0.1", echo(sequence)));
    assert_eq!(answered.collect::<Vec<_>>(), [false, true, true, true]);
}

fn answered_requests_take_no_place<F: Flavor>() {
    let stack = Stack::<F>::new();
    let config = IcmpSocketConfig::new().outstanding(3);
    let socket = stack.binder().bind_icmp_with(config).unwrap();
    send(&socket, "10.0.0.1", "10.0.0.2", echo(0));
    for sequence in 1..=100 {
        send(&socket, "10.0.0.1", "10.0.0.2", echo(sequence));
        assert!(reply(&stack, "10.0.0.2", "10.0.0.1", echo(sequence)));
    }
    assert!(reply(&stack, "10.0.0.2", "10.0.0.1", echo(0)));
}

fn requests_that_cannot_be_sent_are_refused<F: Flavor>() {
    let interface = Interface::new().ipv6(false);
    let stack = Stack::<F>::with(interface, Config::new());
    let socket = pings(&stack);
    let send = |from: &str, to: &str, len: usize, fields: IpFields| {
        let payload = vec![0; len];
        let send = socket.send_echo_request_with(fields, ip(from), ip(to), ECHO, &payload);
        let error = now(send).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        *error
            .get_ref()
            .unwrap()
            .downcast_ref::<SendError>()
            .unwrap()
    };
    let fields = IpFields::new();
    let (from, to) = (ip("10.0.0.1"), ip("fd00::1"));
    let refused = send("10.0.0.1", "fd00::1", 0, fields);
    assert_eq!(refused, SendError::Families { from, to });
    let refused = send("fd00::2", "fd00::1", 0, fields);
    assert_eq!(refused, SendError::NoIpv6 { to });
    let address = ip("224.0.0.1");
    let refused = send("10.0.0.1", "224.0.0.1", 0, fields);
    assert_eq!(refused, SendError::NotUnicast { address });
    let refused = send("224.0.0.1", "10.0.0.1", 0, fields);
    assert_eq!(refused, SendError::NotUnicast { address });

    let (len, limit) = (1501, 1500);
    let refused = send("10.0.0.1", "10.0.0.2", 1473, fields);
    assert_eq!(refused, SendError::TooLong { len, limit });
    let fields = fields.dont_fragment(false);
    let (len, limit) = (65_536, 65_535);
    let refused = send("10.0.0.1", "10.0.0.2", 65_508, fields);
    assert_eq!(refused, SendError::TooLong { len, limit });
    assert_eq!(stack.engine.poll_transmit(), None);
}

fn a_long_request_is_left_to_the_driver_to_fragment<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = pings(&stack);
    for ((from, to, _), longest) in PINGS.into_iter().zip([65_507, 65_527]) {
        let payload = vec![7; longest];
        now(socket.send_echo_request(ip(from), ip(to), ECHO, &payload)).unwrap();
        let packet = stack.sent();
        let packet = Packet::parse(&packet).unwrap();
        assert_eq!(packet.payload(), payload);
        let more = vec![7; longest + 1];
        let refused = now(socket.send_echo_request(ip(from), ip(to), ECHO, &more));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

fn each_request_that_may_be_fragmented_has_an_identification_of_its_own<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = pings(&stack);
    let identification = |packet: &[u8]| u16::from_be_bytes([packet[4], packet[5]]);
    send(&socket, "10.0.0.1", "10.0.0.2", echo(1));
    send(&socket, "10.0.0.1", "10.0.0.2", echo(2));
    let (one, two) = (stack.sent(), stack.sent());
    assert!(!Packet::parse(&one).unwrap().dont_fragment());
    assert_ne!(identification(&one), identification(&two));

    let fields = IpFields::new().dont_fragment(false).identification(99);
    let (from, to) = (ip("10.0.0.1"), ip("10.0.0.2"));
    now(socket.send_echo_request_with(fields, from, to, ECHO, b"")).unwrap();
    assert_eq!(identification(&stack.sent()), 99, "the program's");
}

fn a_request_that_was_not_sent_is_not_outstanding<F: Flavor>() {
    let stack = Stack::<F>::with(Interface::new(), Config::new().outbound_packets(1));
    let socket = pings(&stack);
    send(&socket, "10.0.0.1", "10.0.0.2", echo(1));
    {
        let (from, to) = (ip("10.0.0.1"), ip("10.0.0.2"));
        let mut waits = pin!(socket.send_echo_request(from, to, echo(2), b""));
        assert!(Task::new().poll(waits.as_mut()).is_pending());
    }
    assert!(!reply(&stack, "10.0.0.2", "10.0.0.1", echo(2)));
}

//! Echo requests and replies: the policy, the ICMP socket, and errors about them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/host.rs"]
mod host;
#[path = "support/packets.rs"]
mod packets;
mod support;

use brooklet::{
    Answered, Builder, DropReason, Echo, EchoAction, IcmpConfig, IcmpMessage, IpFields, Packet,
    Protocol, RawConfig, Unreachable,
};
use brooklet_packet::icmp::{self, IcmpErrorKind};
use futures_lite::future::{block_on, or, poll_once};
use host::Host;
use packets::{fix, ping, summed};
use std::net::IpAddr;
use support::addr;

const ENDS: [(&str, &str); 2] = [
    ("10.0.0.2:5000", "192.0.2.1:53"),
    ("[fd00::2]:5000", "[2001:db8::1]:53"),
];

fn ips((from, to): (&str, &str)) -> (IpAddr, IpAddr) {
    (addr(from).ip(), addr(to).ip())
}

/// What a poll returns now.
fn now<R>(future: impl Future<Output = std::io::Result<R>>) -> Option<R> {
    let mut future = Box::pin(future);
    block_on(poll_once(&mut future)).map(Result::unwrap)
}

fn error(packets: &[Vec<u8>]) -> icmp::IcmpError {
    assert_eq!(packets.len(), 1, "{packets:02x?}");
    icmp::parse_error(&Packet::parse(&packets[0]).unwrap()).expect("an ICMP error")
}

#[test]
fn echo_requests_follow_the_policy() {
    for ends in ENDS {
        let (from, to) = ips(ends);
        let request = ping(from, to, b"ping");
        let mut host = host::host();
        assert_eq!(host.give([&request]).len(), 1, "answered by default");

        let icmp_socket = host.stack.bind_icmp().unwrap();
        assert!(host.give([&request]).is_empty());
        let Some(IcmpMessage::EchoRequest(echo)) = now(icmp_socket.recv()) else {
            panic!("an echo request");
        };
        assert_eq!((echo.source(), echo.destination()), (from, to));
        assert_eq!((echo.payload(), echo.hop_limit()), (&b"ping"[..], 64));
        echo.reply().unwrap();
        let sent = host.run();
        let reply = Packet::parse(&sent[0]).unwrap();
        let known = Echo {
            identifier: 1,
            sequence: 2,
        };
        assert_eq!(icmp::parse_echo_reply(&reply), Some(known));

        for (action, answers) in [
            (EchoAction::Answer, 1),
            (EchoAction::Reject(Unreachable::Host), 1),
            (EchoAction::Ignore, 0),
        ] {
            host.stack
                .set_echo_policy(move |destination| match destination == to {
                    true => action,
                    false => EchoAction::Deliver,
                });
            assert_eq!(host.give([&request]).len(), answers, "{action}");
        }
        assert_eq!(host.stack.stats().dropped(DropReason::EchoIgnored), 1);
        host.stack.clear_echo_policy();
        drop(icmp_socket);
        assert_eq!(host.give([&request]).len(), 1);
    }
}

#[test]
fn echo_requests_are_rejected_by_the_configuration() {
    for ends in ENDS {
        let (from, to) = ips(ends);
        let nobody = EchoAction::Reject(Unreachable::Host);
        let mut host = Host::new(Builder::new().icmp_config(IcmpConfig::new().echo(nobody)));
        let unreachable = error(&host.give([ping(from, to, b"ping")]));
        let kind = IcmpErrorKind::Unreachable(Unreachable::Host);
        assert_eq!((unreachable.kind, unreachable.from), (kind, to));
        // The errors of the driver and of the program share one limit.
        host.give((0..60).map(|_| ping(from, to, b"ping")));
        let request = ping(from, to, b"ping");
        let limited = host
            .stack
            .send_error(&Packet::parse(&request).unwrap(), Unreachable::Host);
        assert_eq!(limited.unwrap(), Answered::RateLimited);
        assert_eq!(host.stack.stats().dropped(DropReason::IcmpLimited), 12);
    }
}

#[test]
fn replies_and_errors_about_echo_requests_of_the_program_come_back() {
    for ends in ENDS {
        let (here, host_address) = ips(ends);
        let mut host = host::host();
        let socket = host.stack.bind_icmp().unwrap();
        let echo = Echo {
            identifier: 7,
            sequence: 9,
        };
        let second = Echo {
            sequence: 10,
            ..echo
        };
        for echo in [echo, second] {
            block_on(socket.send_echo_request(here, host_address, echo, b"there?")).unwrap();
        }
        let requests = host.run();
        let request = Packet::parse(&requests[0]).unwrap();
        let (mut reply, mut exceeded) = (Vec::new(), Vec::new());
        assert!(icmp::echo_reply(
            &mut reply,
            &Packet::parse(&requests[1]).unwrap()
        ));
        let router = if here.is_ipv4() {
            "10.0.0.1:0"
        } else {
            "[fd00::1]:0"
        };
        let router = addr(router).ip();
        let kind = IcmpErrorKind::HopLimitExceeded;
        assert!(icmp::error_from(&mut exceeded, router, &request, kind));

        host.give([&exceeded, &reply]);
        let Some(IcmpMessage::Error(error)) = now(socket.recv()) else {
            panic!("an error");
        };
        assert_eq!(
            (error.kind, error.from, error.echo),
            (kind, router, Some(echo))
        );
        let Some(IcmpMessage::EchoReply(reply)) = now(socket.recv()) else {
            panic!("a reply");
        };
        assert_eq!((reply.source(), reply.echo()), (host_address, second));
        assert_eq!(host.stack.stats().drops().map(|(_, n)| n).sum::<u64>(), 0);

        // A stack that did not send the request does not know of it.
        let mut other = host::host();
        let _socket = other.stack.bind_icmp().unwrap();
        other.give([&exceeded]);
        assert_eq!(other.stack.stats().dropped(DropReason::IcmpIgnored), 1);
    }
}

#[test]
fn echo_requests_and_replies_longer_than_the_mtu_leave_in_fragments() {
    for ends in ENDS {
        let (here, there) = ips(ends);
        let (one, other) = brooklet::pipe(64);
        let client = Builder::new().build(one).unwrap();
        let server = Builder::new().build(other).unwrap();
        let pings = client.stack.bind_icmp().unwrap();
        let requests = server.stack.bind_icmp().unwrap();
        let payload = vec![7; 65_000];
        let talk = async {
            for program_answers in [true, false] {
                let echo = Echo {
                    identifier: 1,
                    sequence: program_answers.into(),
                };
                pings
                    .send_echo_request(here, there, echo, &payload)
                    .await
                    .unwrap();
                if program_answers {
                    let IcmpMessage::EchoRequest(request) = requests.recv().await.unwrap() else {
                        panic!("an echo request");
                    };
                    request.reply().unwrap();
                    server.stack.set_echo_policy(|_| EchoAction::Answer);
                }
                let IcmpMessage::EchoReply(reply) = pings.recv().await.unwrap() else {
                    panic!("an echo reply");
                };
                assert!(reply.payload() == payload);
            }
            // A request that must not be fragmented is refused.
            let fields = IpFields::new().dont_fragment(true);
            let echo = Echo {
                identifier: 1,
                sequence: 2,
            };
            let refused = pings
                .send_echo_request_with(fields, here, there, echo, &payload)
                .await
                .unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
            assert!(refused.to_string().contains("1500"), "{refused}");
        };
        let drivers = futures_lite::future::zip(client.driver, server.driver);
        block_on(or(talk, async { drivers.await.0.unwrap() }));
    }
}

#[test]
fn packet_too_big_about_an_echo_request_is_learned() {
    for ends in ENDS {
        let (here, there) = ips(ends);
        let mut host = host::host();
        let socket = host.stack.bind_icmp().unwrap();
        let echo = Echo {
            identifier: 7,
            sequence: 9,
        };
        let fields = IpFields::new().dont_fragment(true);
        let send = || socket.send_echo_request_with(fields, here, there, echo, &[7; 1400]);
        block_on(send()).unwrap();
        let request = host.run().remove(0);
        let mut too_big = Vec::new();
        let mtu = Unreachable::PacketTooBig { mtu: 1300 };
        assert!(icmp::error(
            &mut too_big,
            &Packet::parse(&request).unwrap(),
            mtu
        ));
        host.give([too_big]);
        assert_eq!(host.stack.path_mtu(there), 1300);
        let Some(IcmpMessage::Error(error)) = now(socket.recv()) else {
            panic!("an error");
        };
        assert_eq!(error.kind, IcmpErrorKind::Unreachable(mtu));
        // IPv4 with "don't fragment" is dropped, IPv6 is fragmented by its sender.
        block_on(send()).unwrap();
        let (fragments, too_long) = if here.is_ipv4() { (0, 1) } else { (2, 0) };
        assert_eq!(host.run().len(), fragments);
        assert_eq!(host.stack.stats().dropped(DropReason::TooLong), too_long);
        // What arrives for that address ends in the stack.
        drop(socket);
        let mut request = ping(here, there, &[7; 1400]);
        if here.is_ipv4() {
            request[6] = 0x40;
            fix(&mut request);
        }
        host.give([request]);
        assert_eq!(host.stack.stats().dropped(DropReason::TooBig), 0);
    }
}

#[test]
fn a_raw_socket_that_asks_for_icmp_has_the_messages_that_nothing_else_takes() {
    let (from, to) = ips(ENDS[0]);
    let mut host = host::host();
    let raw = host
        .stack
        .bind_raw(RawConfig::new().protocol(Protocol::Icmpv4))
        .unwrap();
    // A timestamp request (RFC 792), and a reply to a request that no ICMP socket has sent.
    let timestamp = summed(from, to, 1, [&[13][..], &[0; 19]].concat(), 2);
    let (request, mut reply) = (ping(to, from, b"ping"), Vec::new());
    assert!(icmp::echo_reply(
        &mut reply,
        &Packet::parse(&request).unwrap()
    ));
    for message in [&timestamp, &reply] {
        assert!(host.give([message]).is_empty());
        assert_eq!(now(raw.recv_packet()).unwrap().bytes, *message);
    }
    assert_eq!(host.stack.stats().raw.unmatched, 1);
    assert_eq!(host.stack.stats().drops().map(|(_, n)| n).sum::<u64>(), 0);
    // An echo request is answered by the stack, and not passed on.
    assert_eq!(host.give([ping(from, to, b"ping")]).len(), 1);
    assert!(now(raw.recv_packet()).is_none());

    drop(raw);
    assert!(host.give([&timestamp, &reply]).is_empty());
    assert_eq!(host.stack.stats().dropped(DropReason::IcmpUnanswered), 2);
}

#[test]
fn an_error_that_must_not_be_sent_is_counted() {
    let mut host = host::host();
    let request = ping(addr("10.0.0.2:0").ip(), addr("224.0.0.1:0").ip(), b"ping");
    let packet = Packet::parse(&request).unwrap();
    let answered = host.stack.send_error(&packet, Unreachable::Host).unwrap();
    assert_eq!(answered, Answered::NotPermitted);
    assert!(host.run().is_empty());
    assert_eq!(host.stack.stats().dropped(DropReason::IcmpForbidden), 1);
}

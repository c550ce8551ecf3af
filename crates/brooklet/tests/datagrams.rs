//! UDP sockets, sessions and path MTUs through the driver.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/host.rs"]
mod host;
#[path = "support/packets.rs"]
mod packets;
mod support;

use brooklet::filter::{Direction, Reject, Verdict};
use brooklet::{
    Builder, Datagram, DropReason, Packet, Parts, Protocol, SessionConfig, SessionEnd,
    TrafficClass, UdpFlowError, Unreachable,
};
use brooklet_packet::icmp::{self, IcmpErrorKind};
use brooklet_packet::{IpFields, udp as udp_packet};
use futures_lite::future::{block_on, or, poll_once, zip};
use host::Host;
use packets::{fix, fragments, ping, udp};
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};
use support::addr;

const ENDS: [(&str, &str); 2] = [
    ("10.0.0.2:5000", "192.0.2.1:443"),
    ("[fd00::2]:5000", "[2001:db8::1]:443"),
];

/// What a poll returns now.
fn now<R>(future: impl Future<Output = R>) -> Option<R> {
    let mut future = Box::pin(future);
    block_on(poll_once(&mut future))
}

/// The ICMP error in the only packet.
fn error(packets: &[Vec<u8>]) -> icmp::IcmpError {
    assert_eq!(packets.len(), 1, "{packets:02x?}");
    icmp::parse_error(&Packet::parse(&packets[0]).unwrap()).expect("an ICMP error")
}

#[test]
fn a_bound_socket_has_its_datagrams_and_the_socket_for_all_addresses_the_rest() {
    for (from, to) in ENDS {
        let mut host = host::host();
        let (from, to) = (addr(from), addr(to));
        let socket = host.stack.bind_udp(to).unwrap();
        let mut other = to;
        other.set_port(444);
        host.give([udp(from, to, b"bound"), udp(from, other, b"other")]);
        let datagram = now(socket.recv_datagram()).unwrap().unwrap();
        assert_eq!(
            (&datagram.payload[..], datagram.from),
            (&b"bound"[..], from)
        );
        assert_eq!(host.datagram().unwrap().payload, b"other");
        assert!(now(socket.recv_datagram()).is_none());

        block_on(socket.send_to(b"answer", from)).unwrap();
        let sent = host.run();
        let answer = Packet::parse(&sent[0]).unwrap();
        assert_eq!(answer.key().source(), to);
        assert_eq!(answer.key().destination(), from);
        drop(socket);
        host.give([udp(from, to, b"again")]);
        assert_eq!(host.datagram().unwrap().payload, b"again");
    }
}

#[test]
fn a_bound_socket_needs_a_family_that_the_stack_speaks() {
    let host = Host::new(Builder::new().ipv6(false));
    let refused = host.stack.bind_udp(addr("[::]:0")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

/// A client and a server, each on a stack, the server with a filter that rejects UDP to port 443.
#[test]
fn a_client_of_a_rejected_port_sees_connection_refused_at_once() {
    let no_quic = |packet: &Packet<'_>, direction: Direction| {
        let port = packet.key().destination().port();
        match (direction, packet.protocol(), port) {
            (Direction::Inbound, Protocol::Udp, 443) => Verdict::Reject(Reject::TcpReset),
            _ => Verdict::Pass,
        }
    };
    let (here, there) = brooklet::pipe(64);
    let client = Builder::new().build(here).unwrap();
    let server = Builder::new().filter(no_quic).build(there).unwrap();
    let talk = async {
        for (from, to) in ENDS {
            let socket = client.stack.bind_udp(addr(from)).unwrap();
            socket.connect(addr(to)).await.unwrap();
            let start = Instant::now();
            socket.send(b"initial").await.unwrap();
            let refused = socket.recv(&mut [0; 100]).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            let elapsed = start.elapsed();
            assert!(elapsed < Duration::from_millis(500), "{elapsed:?}");
            // Another port of the same host is open.
            let mut open = addr(to);
            open.set_port(53);
            socket.connect(open).await.unwrap();
            socket.send(b"question").await.unwrap();
            assert_eq!(
                server.udp.recv_datagram().await.unwrap().payload,
                b"question"
            );
        }
    };
    let drivers = zip(client.driver, server.driver);
    block_on(or(talk, async { drivers.await.0.unwrap() }));
}

#[test]
fn a_client_of_a_closed_port_sees_connection_refused_at_once() {
    let (here, there) = brooklet::pipe(64);
    let client = Builder::new().address([10, 0, 0, 2]).build(here).unwrap();
    let server = Builder::new().build(there).unwrap();
    drop(server.udp);
    let talk = async {
        let socket = client.stack.bind_udp(addr("0.0.0.0:0")).unwrap();
        socket.connect(addr("192.0.2.1:9")).await.unwrap();
        let start = Instant::now();
        socket.send(b"anyone?").await.unwrap();
        let refused = socket.recv(&mut [0; 100]).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let cause: &UdpFlowError = refused.get_ref().unwrap().downcast_ref().unwrap();
        assert_eq!(cause.reporter, addr("192.0.2.1:9").ip());
        let elapsed = start.elapsed();
        assert!(elapsed < Duration::from_millis(500), "{elapsed:?}");
    };
    let drivers = zip(client.driver, server.driver);
    block_on(or(talk, async { drivers.await.0.unwrap() }));
}

#[test]
fn a_socket_whose_datagrams_the_filter_rejects_sees_the_error_and_nothing_is_sent() {
    for (from, to) in ENDS {
        for (reject, kind) in [
            (Reject::TcpReset, ErrorKind::ConnectionRefused),
            (Reject::Icmp(Unreachable::Host), ErrorKind::HostUnreachable),
            (
                Reject::Icmp(Unreachable::Prohibited),
                ErrorKind::PermissionDenied,
            ),
        ] {
            let mut host = Host::new(Builder::new().filter_fn(
                move |_, direction| match direction {
                    Direction::Outbound => Verdict::Reject(reject),
                    _ => Verdict::Pass,
                },
            ));
            let socket = host.stack.bind_udp(addr(from)).unwrap();
            block_on(socket.connect(addr(to))).unwrap();
            block_on(socket.send(b"initial")).unwrap();
            assert!(host.run().is_empty());
            let refused = now(socket.recv(&mut [0; 100])).unwrap().unwrap_err();
            assert_eq!(refused.kind(), kind);
            let cause: &UdpFlowError = refused.get_ref().unwrap().downcast_ref().unwrap();
            assert_eq!((cause.from, cause.to), (addr(from), addr(to)));
            let stats = host.stack.stats();
            assert_eq!(stats.dropped(DropReason::RejectedOut), 1);
            assert_eq!(stats.drops().map(|(_, n)| n).sum::<u64>(), 1, "{stats}");
        }
    }
}

#[test]
fn the_fields_of_the_ip_header_arrive_and_leave() {
    for (from, to) in ENDS {
        let mut host = host::host();
        let (from, to) = (addr(from), addr(to));
        let class = TrafficClass::from_bits(0xb9);
        let fields = IpFields::new().hop_limit(1).traffic_class(class);
        let mut probe = Vec::new();
        udp_packet::write_with(&mut probe, from, to, fields, b"probe").unwrap();
        host.give([probe]);
        // The stack is the host: a hop limit of 1 is enough, and the program sees it.
        let datagram = host.datagram().unwrap();
        assert_eq!(datagram.hop_limit, Some(1));
        assert_eq!(datagram.traffic_class, class);
        assert!(datagram.dont_fragment);

        let answer = datagram.reply(b"answer").hop_limit(Some(7));
        let answer = answer.traffic_class(class).dont_fragment(true);
        block_on(host.udp.as_ref().unwrap().send_datagram(&answer)).unwrap();
        let sent = host.run();
        let sent = Packet::parse(&sent[0]).unwrap();
        assert_eq!((sent.hop_limit(), sent.traffic_class()), (7, class));
        assert!(sent.dont_fragment());
    }
}

#[test]
fn a_session_ends_when_its_time_is_over_and_the_driver_sleeps_until_then() {
    let mut host = host::host();
    let socket = host.udp.take().unwrap();
    let listener = socket.into_sessions(SessionConfig::new());
    let (client, server) = (addr("10.0.0.2:5000"), addr("192.0.2.1:443"));
    host.give([udp(client, server, b"one"), udp(client, server, b"two")]);
    let session = now(listener.accept()).unwrap().unwrap();
    assert_eq!((session.source(), session.destination()), (client, server));
    for wanted in [b"one", b"two"] {
        let datagram = now(session.recv_datagram()).unwrap().unwrap();
        assert_eq!(datagram.payload, wanted);
    }
    assert_eq!(host.sleeps_for(), Some(Duration::from_secs(120)));
    block_on(session.send_to_client(b"answer", server)).unwrap();
    assert_eq!(host.run().len(), 1);
    assert_eq!(host.stack.stats().udp.sessions, 1);
    host.pass(Duration::from_secs(120));
    let end = now(session.recv_datagram()).unwrap().unwrap_err();
    let end: &SessionEnd = end.get_ref().unwrap().downcast_ref().unwrap();
    assert_eq!(*end, SessionEnd::Idle);
    let stats = host.stack.stats();
    assert_eq!((stats.udp.sessions, stats.udp.sessions_idle), (0, 1));
    assert_eq!(host.sleeps_for(), None);
}

#[test]
fn a_session_of_a_datagram_that_had_waited_ends_in_time_too() {
    let mut host = host::host();
    host.give([udp(addr("10.0.0.2:5000"), addr("192.0.2.1:443"), b"early")]);
    assert_eq!(host.sleeps_for(), None);
    let wakes = host.wakes();
    let socket = host.udp.take().unwrap();
    let listener = socket.into_sessions(SessionConfig::new());
    assert_eq!(host.wakes(), wakes + 1);
    assert!(host.run().is_empty());
    assert_eq!(host.sleeps_for(), Some(Duration::from_secs(120)));
    host.pass(Duration::from_secs(120));
    assert_eq!(host.stack.stats().udp.sessions_idle, 1);
    drop(listener);
}

#[test]
fn a_session_for_a_dns_question_ends_soon_after_its_answer() {
    let mut host = host::host();
    let socket = host.udp.take().unwrap();
    let listener = socket.into_sessions(SessionConfig::new());
    let (client, server) = (addr("10.0.0.2:5000"), addr("192.0.2.1:53"));
    host.give([udp(client, server, b"question")]);
    let session = now(listener.accept()).unwrap().unwrap();
    now(session.recv_datagram()).unwrap().unwrap();
    block_on(session.send_to_client(b"answer", server)).unwrap();
    assert_eq!(host.run().len(), 1);
    // The datagram that left has made the deadline earlier.
    assert_eq!(host.sleeps_for(), Some(Duration::from_secs(10)));
    host.pass(Duration::from_secs(10));
    assert_eq!(host.stack.stats().udp.sessions, 0);
}

#[test]
fn an_icmp_error_reaches_the_session_whose_datagram_it_quotes() {
    for (client, server) in ENDS {
        let (client, server) = (addr(client), addr(server));
        let mut host = host::host();
        let socket = host.udp.take().unwrap();
        let listener = socket.into_sessions(SessionConfig::new());
        host.give([udp(client, server, b"hello")]);
        let session = now(listener.accept()).unwrap().unwrap();
        now(session.recv_datagram()).unwrap().unwrap();
        block_on(session.send_to_client(b"answer", server)).unwrap();
        let answer = host.run().remove(0);
        let mut unreachable = Vec::new();
        let answer = Packet::parse(&answer).unwrap();
        assert!(icmp::error(&mut unreachable, &answer, Unreachable::Port));
        host.give([unreachable]);
        let refused = now(session.recv_datagram()).unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        // The ICMP error is found again, not only its kind.
        block_on(session.send_to_client(b"answer", server)).unwrap();
        let answer = host.run().remove(0);
        let answer = Packet::parse(&answer).unwrap();
        let mut unreachable = Vec::new();
        let sent = icmp::error(&mut unreachable, &answer, Unreachable::Protocol);
        assert!(sent);
        host.give([unreachable]);
        let refused = now(session.recv_datagram()).unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let kind = IcmpErrorKind::Unreachable(Unreachable::Protocol);
        assert_eq!(brooklet::icmp_error_of(&refused), Some(kind));
        assert_eq!(host.stack.stats().drops().map(|(_, n)| n).sum::<u64>(), 0);
    }
}

#[test]
fn datagrams_above_a_stated_path_mtu_are_refused_with_packet_too_big() {
    for (from, to) in ENDS {
        let (from, to) = (addr(from), addr(to));
        let header = if to.is_ipv4() { 28 } else { 48 };
        let mut host = host::host();
        host.stack.set_path_mtu(to.ip(), Some(1300));
        let datagram = |len: usize, dont_fragment| {
            let mut packet = udp(from, to, &vec![7; len - header]);
            if dont_fragment && to.is_ipv4() {
                packet[6] = 0x40;
                fix(&mut packet);
            }
            packet
        };
        assert!(host.give([datagram(1300, true)]).is_empty());
        assert!(host.datagram().is_some());
        for packet in [
            datagram(1301, true),
            ping(from.ip(), to.ip(), &vec![7; 1301 - header]),
        ] {
            let mut packet = packet;
            if to.is_ipv4() {
                packet[6] = 0x40;
                fix(&mut packet);
            }
            let too_big = error(&host.give([packet]));
            let mtu = Unreachable::PacketTooBig { mtu: 1300 };
            assert_eq!(too_big.kind, IcmpErrorKind::Unreachable(mtu));
            assert!(host.datagram().is_none());
        }
        assert_eq!(host.stack.stats().dropped(DropReason::TooBig), 2);

        // Fragments, and IPv4 datagrams that may be fragmented, are for the path to carry.
        let whole = datagram(3000, false);
        assert!(host.give(fragments(&whole, &[1000, 2000])).is_empty());
        assert_eq!(host.datagram().unwrap().payload.len(), 3000 - header);
        let request = ping(from.ip(), to.ip(), &[7; 3000]);
        let answers = host.give(fragments(&request, &[1000, 2000]));
        let reply = Packet::parse(&answers[0]).unwrap();
        assert!(icmp::parse_error(&reply).is_none() && answers.len() > 1);
        if to.is_ipv4() {
            assert!(host.give([datagram(1400, false)]).is_empty());
            assert!(host.datagram().is_some());
        }
        host.stack.set_path_mtu(to.ip(), None);
        assert!(host.give([datagram(1400, true)]).is_empty());
        assert!(host.datagram().is_some());
    }
}

#[test]
fn a_datagram_that_must_not_be_fragmented_is_refused_above_the_path_mtu() {
    for (here, client) in ENDS {
        let (here, client) = (addr(here), addr(client));
        let header = if here.is_ipv4() { 28 } else { 48 };
        let host = host::host();
        host.stack.set_path_mtu(client.ip(), Some(1300));
        assert_eq!(host.stack.path_mtu(client.ip()), 1300);
        let udp = host.udp.as_ref().unwrap();
        let send = |len| {
            let datagram = Datagram::new(vec![7; len], here, client).dont_fragment(true);
            block_on(udp.send_datagram(&datagram))
        };
        send(1300 - header).unwrap();
        let refused = send(1301 - header).unwrap_err();
        assert!(refused.to_string().contains("1300"), "{refused}");
    }
}

/// Sends a datagram of each length there and back between two stacks, and returns how many packets
/// the first one sent.
fn echo(mtu: usize, ipv6: bool, (from, to): (&str, &str), lengths: &[usize]) -> u64 {
    let (here, there) = brooklet::pipe(64);
    let build = |device| Builder::new().ipv6(ipv6).mtu(mtu).build(device).unwrap();
    let (client, server) = (build(here), build(there));
    let Parts {
        udp, driver, stack, ..
    } = client;
    let talk = async {
        for &len in lengths {
            let payload: Vec<u8> = (0..len).map(|at| (at / 3) as u8).collect();
            udp.send_to(&payload, addr(from), addr(to)).await?;
            let datagram = server.udp.recv_datagram().await?;
            assert!(datagram.payload == payload, "{len} bytes");
            server
                .udp
                .send_datagram(&datagram.reply(payload.clone()))
                .await?;
            let datagram = udp.recv_datagram().await?;
            assert!(datagram.payload == payload, "{len} bytes back");
        }
        io::Result::Ok(())
    };
    block_on(or(talk, or(driver, server.driver))).unwrap();
    let stats = stack.stats();
    assert_eq!(stats.drops().map(|(_, n)| n).sum::<u64>(), 0, "{stats}");
    stats.packets_out
}

#[test]
fn datagrams_of_every_length_are_echoed() {
    let lengths = [0, 1, 1472, 1473, 4000, 30_000];
    for (ends, longest) in ENDS.into_iter().zip([65_507, 65_487]) {
        let lengths = [&lengths[..], &[longest]].concat();
        // A packet that leaves in fragments counts once.
        assert_eq!(echo(1500, true, ends, &lengths), 7);
        assert_eq!(echo(1280, true, ends, &lengths), 7);
    }
    assert_eq!(echo(576, false, ENDS[0], &[548, 549, 4000, 65_507]), 4);
}

#[test]
fn the_filter_sees_a_long_datagram_whole_and_once() {
    for (here, client) in ENDS {
        let (here, client) = (addr(here), addr(client));
        let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let log = seen.clone();
        let mut host = Host::new(Builder::new().filter_fn(move |packet, direction| {
            let ports = (packet.key().source().port(), packet.payload().len());
            log.lock().unwrap().push((direction, ports));
            match packet.payload().first() {
                Some(0) => Verdict::Drop,
                _ => Verdict::Pass,
            }
        }));
        let udp = host.udp.as_ref().unwrap();
        for first in [1, 0] {
            let payload = [&[first], &[7; 3999][..]].concat();
            block_on(udp.send_to(&payload, here, client)).unwrap();
        }
        let sent = host.run();
        assert_eq!(sent.len(), 3);
        let ids: Vec<_> = sent
            .iter()
            .map(|bytes| Packet::parse(bytes).unwrap().fragment().unwrap())
            .map(|fragment| fragment.id)
            .collect();
        assert!(ids.iter().all(|&id| id == ids[0]), "{ids:?}");
        let judged = (Direction::Outbound, (here.port(), 4000));
        assert_eq!(*seen.lock().unwrap(), [judged; 2]);
        assert_eq!(host.stack.stats().dropped(DropReason::FilteredOut), 1);
    }
}

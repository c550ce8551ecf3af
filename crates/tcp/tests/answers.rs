//! What a request tells, the answers to it beside a reset, and the bounds of the backlog.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_packet::icmp::{self, IcmpErrorKind, ParameterProblem, ParameterProblemKind};
use brooklet_packet::{Packet, Protocol};
use brooklet_tcp::{Config, TcpOptions, TcpRequest, Unreachable};
use futures_lite::StreamExt;
use std::io::ErrorKind;
use support::*;

fn request(host: &Host) -> TcpRequest<brooklet_cell::Threaded> {
    now(host.listener().requests().next()).unwrap().unwrap()
}

#[test]
fn a_request_tells_what_its_syn_says() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.window = 12_345;
    host.tx(peer.syn());
    let asked = request(&host);
    assert_eq!(
        (asked.peer_addr(), asked.local_addr()),
        (peer.from, peer.to)
    );
    assert_eq!(
        (asked.mss(), asked.window(), asked.hop_limit()),
        (Some(1460), 12_345, 64)
    );
    // A SYN without options, in a packet with another TTL.
    let mut bare = peer.at(peer.seq, SYN, &[]);
    let header = 20;
    bare.truncate(header + 20);
    bare[header + 12] = 5 << 4;
    bare[3] = 40;
    bare[8] = 3;
    bare[header..header + 2].copy_from_slice(&7_u16.to_be_bytes());
    mend_checksums(&mut bare);
    host.tx(bare);
    let asked = request(&host);
    assert_eq!(
        (asked.mss(), asked.hop_limit(), asked.peer_addr().port()),
        (None, 3, 7)
    );
}

/// Of an IPv4 packet without options.
fn mend_checksums(packet: &mut [u8]) {
    use smoltcp::wire::{IpAddress, Ipv4Packet, TcpPacket};
    let mut ip = Ipv4Packet::new_unchecked(&mut *packet);
    ip.fill_checksum();
    let ends = (
        IpAddress::from(ip.src_addr()),
        IpAddress::from(ip.dst_addr()),
    );
    TcpPacket::new_unchecked(&mut packet[20..]).fill_checksum(&ends.0, &ends.1);
}

/// The next packet of the stack as it is.
fn packet(host: &mut Host) -> Option<Vec<u8>> {
    let packet = host.engine.poll_transmit()?;
    Some(packet.into_vec())
}

#[test]
fn a_rejected_request_is_answered_with_an_icmp_error_that_quotes_the_syn() {
    let mut host = host();
    let cases = [
        (CLIENT, SERVER, Unreachable::Host, [3, 1]),
        (CLIENT, SERVER, Unreachable::Network, [3, 0]),
        (CLIENT, SERVER, Unreachable::Prohibited, [3, 13]),
        ("[fd00::2]:9", "[fd00::1]:80", Unreachable::Host, [1, 3]),
        ("[fd00::2]:9", "[fd00::1]:80", Unreachable::Network, [1, 0]),
        ("[fd00::2]:9", "[fd00::1]:80", Unreachable::Port, [1, 4]),
    ];
    for (from, to, why, kind) in cases {
        let peer = Peer::new(from, to);
        let syn = peer.syn();
        host.tx(syn.clone());
        request(&host).reject(why);
        let answer = packet(&mut host).expect("an answer");
        let error = Packet::parse(&answer).unwrap();
        assert!(matches!(
            error.protocol(),
            Protocol::Icmpv4 | Protocol::Icmpv6
        ));
        assert!(error.verify_checksum());
        assert_eq!(error.transport()[..2], kind);
        assert_eq!(
            (error.source(), error.destination()),
            (peer.to.ip(), peer.from.ip())
        );
        assert_eq!(error.payload(), syn, "not the packet that came");
        assert_eq!(packet(&mut host), None);
    }
    let stats = host.listener().stats();
    assert_eq!(
        (stats.rejected, stats.dropped_silently),
        (cases.len() as u64, 0)
    );
    assert_eq!(stats.requests, 0, "the client may ask again");
}

#[test]
fn a_request_can_be_rejected_with_every_kind_of_icmp_error() {
    let problem = ParameterProblem {
        pointer: 1,
        kind: ParameterProblemKind::HeaderField,
    };
    let mut host = host();
    for (from, to) in [(CLIENT, SERVER), ("[fd00::2]:9", "[fd00::1]:80")] {
        for kind in [
            Unreachable::Protocol.into(),
            Unreachable::PacketTooBig { mtu: 1300 }.into(),
            IcmpErrorKind::HopLimitExceeded,
            IcmpErrorKind::ReassemblyTimeExceeded,
            problem.into(),
        ] {
            let mut syn = Peer::new(from, to).syn();
            if from == CLIENT {
                syn[6] |= 0x40; // don't fragment, as packets without it are never too big
                mend_checksums(&mut syn);
            }
            host.tx(syn);
            request(&host).reject(kind);
            let answer = packet(&mut host).expect("an answer");
            let error = icmp::parse_error(&Packet::parse(&answer).unwrap()).unwrap();
            assert_eq!((error.kind, error.from), (kind, addr(to).ip()));
            assert_eq!(error.key.source(), addr(from));
        }
    }
}

#[test]
fn a_request_is_rejected_from_the_address_of_a_router() {
    let kind = IcmpErrorKind::HopLimitExceeded;
    let mut host = host();
    for (from, to, router, reporter) in [
        (CLIENT, SERVER, "198.51.100.7", "198.51.100.7"),
        ("[fd00::2]:9", "[fd00::1]:80", "fd00::77", "fd00::77"),
        // No address that a router of the client's family can have.
        (CLIENT, SERVER, "fd00::77", "192.0.2.1"),
        (CLIENT, SERVER, "127.0.0.1", "192.0.2.1"),
        ("[fd00::2]:9", "[fd00::1]:80", "ff02::1", "fd00::1"),
    ] {
        let syn = with_ip_fields(Peer::new(from, to).syn(), 1, 0);
        host.tx(syn.clone());
        request(&host).reject_from(kind, router.parse().unwrap());
        let answer = packet(&mut host).expect("an answer");
        let answer = Packet::parse(&answer).unwrap();
        let error = icmp::parse_error(&answer).unwrap();
        assert_eq!(error.kind, kind);
        assert_eq!(error.from.to_string(), reporter, "{router}");
        assert_eq!(answer.destination(), addr(from).ip());
        assert_eq!(answer.payload(), syn);
    }
    assert_eq!(host.listener().stats().rejected, 5);
}

#[test]
fn a_syn_that_is_too_long_to_keep_is_quoted_without_its_data() {
    let mut host = host();
    let peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.at(peer.seq, SYN, &[7; 1000]));
    request(&host).reject(Unreachable::Host);
    let answer = packet(&mut host).expect("an answer");
    let error = Packet::parse(&answer).unwrap();
    let quoted = Packet::parse(error.payload()).unwrap();
    assert_eq!(quoted.key().source(), peer.from);
    assert_eq!(quoted.tcp().unwrap().seq, peer.seq);
    assert!(quoted.payload().is_empty());
}

#[test]
fn a_connection_is_accepted_with_options_of_its_own() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    let options = TcpOptions::new().recv_buffer(4096).nodelay(false).ttl(9);
    let mut accept = Box::pin(request(&host).accept_with(options));
    assert!(poll(&mut accept).is_pending());
    let syn_ack = peer.establish(&mut host);
    assert!(syn_ack.window <= 4096, "a window of {}", syn_ack.window);
    let stream = now(accept).unwrap();
    assert_eq!(
        (stream.ttl().unwrap(), stream.nodelay().unwrap()),
        (9, false)
    );
}

#[test]
fn one_source_has_its_share_and_no_more() {
    let mut host = Host::new(Config::new().backlog(10).backlog_per_source(Some(3)));
    host.tx(Peer::new("10.0.0.9:1", SERVER).syn());
    for port in 1..=5 {
        host.tx(Peer::new(&format!("10.0.0.2:{port}"), SERVER).syn());
    }
    // An IPv6 host has a /64 to choose addresses from.
    for n in 1..=5 {
        host.tx(Peer::new(&format!("[fd00::{n}]:{n}"), "[fd01::1]:80").syn());
    }
    host.tx(Peer::new("[fd00:0:0:1::1]:9", "[fd01::1]:80").syn());
    let stats = host.listener().stats();
    assert_eq!(
        (stats.requests, stats.source_full, stats.backlog_full),
        (8, 4, 0)
    );
    let ports: Vec<u16> = (0..8).map(|_| request(&host).peer_addr().port()).collect();
    assert_eq!(
        ports,
        [1, 1, 2, 3, 1, 2, 3, 9],
        "the newest of the source waits"
    );
    assert!(pends(host.listener().requests().next()));
}

#[test]
fn a_request_that_the_program_works_on_is_never_evicted() {
    let mut host = Host::new(Config::new().backlog(2).syn_cookies(false));
    let [a, b, c] = [1, 2, 3].map(|port| Peer::new(&format!("10.0.0.2:{port}"), SERVER));
    host.tx(a.syn());
    host.tx(b.syn());
    let (first, second) = (request(&host), request(&host));
    host.tx(c.syn());
    let stats = host.listener().stats();
    assert_eq!((stats.requests, stats.backlog_full), (2, 1));
    assert!(pends(host.listener().requests().next()));
    let mut accept = Box::pin(first.accept());
    assert!(poll(&mut accept).is_pending());
    assert!(host.rx().unwrap().flags.syn());
    // There is room now, and the client repeats its SYN.
    host.tx(c.syn());
    assert_eq!(request(&host).peer_addr(), c.from);
    second.refuse();
    assert!(host.rx().unwrap().flags.rst());
}

#[test]
fn a_request_left_unanswered_is_evicted_first_and_then_the_oldest_that_nobody_was_given() {
    let mut host = Host::new(Config::new().backlog(3).syn_cookies(false));
    let peers: Vec<Peer> = (1..=6)
        .map(|port| Peer::new(&format!("10.0.0.2:{port}"), SERVER))
        .collect();
    host.tx(peers[0].syn());
    let held = request(&host);
    host.tx(peers[1].syn());
    host.tx(peers[2].syn());
    let unanswered = request(&host);
    assert_eq!(unanswered.peer_addr(), peers[1].from);
    unanswered.drop_silently();
    host.tx(peers[3].syn());
    host.tx(peers[4].syn());
    // The requests are the first, which is held, and the newest two.
    let ports = [request(&host), request(&host)].map(|request| request.peer_addr().port());
    assert_eq!(ports, [4, 5]);
    assert_eq!(host.listener().stats().backlog_full, 2);
    assert!(pends(held.accept()));
}

#[test]
fn when_the_driver_has_ended_accept_says_so() {
    let mut host = host();
    host.tx(Peer::new(CLIENT, SERVER).syn());
    let asked = request(&host);
    host.engine.shutdown();
    let error = now(asked.accept()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
}

#[test]
fn a_request_that_is_gone_is_not_answered_in_the_place_of_another() {
    let mut host = host();
    for answer in 0..4 {
        let a = Peer::new(&format!("10.0.0.2:{}", 1 + answer), SERVER);
        let b = Peer::new(&format!("10.0.0.3:{}", 1 + answer), SERVER);
        host.tx(a.syn());
        let gone = request(&host);
        host.tx(a.at(a.seq + 1, RST, &[]));
        host.tx(b.syn());
        match answer {
            0 => gone.refuse(),
            1 => gone.reject(Unreachable::Host),
            2 => gone.drop_silently(),
            _ => {
                let error = now(gone.accept()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
            }
        }
        assert_eq!(packet(&mut host), None, "an answer to somebody else");
        assert_eq!(request(&host).peer_addr(), b.from);
    }
}

//! Every segment that is dropped is counted once, under its reason.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_packet::icmp::Unreachable;
use brooklet_packet::{Headers, udp};
use brooklet_tcp::{Config, Stats};
use futures_lite::StreamExt;
use support::*;

/// The counters of drops that are not 0.
fn drops(stats: &Stats) -> Vec<(&'static str, u64)> {
    let all = [
        ("malformed", stats.malformed),
        ("bad_flags", stats.bad_flags),
        ("bad_address", stats.bad_address),
        ("backlog_full", stats.backlog_full),
        ("source_full", stats.source_full),
        ("table_full", stats.table_full),
        ("repeated_syns", stats.repeated_syns),
        ("unaccepted", stats.unaccepted),
        ("reset_limit", stats.reset_limit),
        ("late", stats.late),
        ("closed", stats.closed),
        ("bad_rst", stats.bad_rst),
        ("unexpected_syn", stats.unexpected_syn),
        ("bad_ack", stats.bad_ack),
        ("no_ack", stats.no_ack),
        ("old_timestamp", stats.old_timestamp),
        ("outside_window", stats.outside_window),
        ("duplicates", stats.duplicates),
        ("out_of_order_full", stats.out_of_order_full),
        ("icmp_ignored", stats.icmp_ignored),
        ("outbound_full", stats.outbound_full),
    ];
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// Sends a packet, and checks that it is dropped for `reason` alone.
fn drops_one(host: &mut Host, packet: Vec<u8>, reason: &'static str) {
    let before = drops(&host.engine.stats());
    host.tx(packet);
    host.all();
    let mut after = drops(&host.engine.stats());
    for (reason, count) in &mut after {
        let known = before.iter().find(|(name, _)| name == reason);
        *count -= known.map_or(0, |(_, count)| *count);
    }
    after.retain(|(_, count)| *count > 0);
    assert_eq!(after, [(reason, 1)]);
}

#[test]
fn a_segment_of_an_established_connection() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.timestamp = Some((5000, 0));
    let _stream = peer.open(&mut host);
    peer.send(&mut host, b"data");
    host.all();
    let next = peer.seq;
    drops_one(
        &mut host,
        peer.at(next.wrapping_sub(4), ACK, b"data"),
        "duplicates",
    );
    drops_one(&mut host, peer.at(next + 1, RST, &[]), "bad_rst");
    drops_one(&mut host, peer.at(next - 1, RST, &[]), "bad_rst");
    drops_one(&mut host, peer.at(next, SYN, &[]), "unexpected_syn");
    drops_one(
        &mut host,
        peer.at(next + (1 << 24), ACK, b"far"),
        "outside_window",
    );
    drops_one(
        &mut host,
        peer.at(next + (1 << 24), ACK, &[]),
        "outside_window",
    );
    let limited = host.engine.stats().limited_acks;
    drops_one(
        &mut host,
        peer.at(next + (1 << 24), ACK, &[]),
        "outside_window",
    );
    assert_eq!(host.engine.stats().limited_acks, limited + 1);
    let ack = peer.ack;
    peer.ack = ack.wrapping_add(1);
    drops_one(&mut host, peer.seg(ACK, b"x"), "bad_ack");
    peer.ack = ack.wrapping_sub(1 << 30);
    drops_one(&mut host, peer.seg(ACK, b"x"), "bad_ack");
    peer.ack = ack;
    peer.timestamp = Some((4999, 0));
    drops_one(&mut host, peer.seg(ACK, b"x"), "old_timestamp");
    peer.timestamp = Some((5000, 0));
    host.tx(peer.seg(ACK | FIN, &[]));
    host.all();
    drops_one(
        &mut host,
        peer.at(next + 1, ACK, b"behind"),
        "outside_window",
    );
}

#[test]
fn a_segment_during_the_handshake() {
    let mut host = host();
    let peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    drops_one(&mut host, peer.syn(), "repeated_syns");
    drops_one(&mut host, peer.at(peer.seq, RST, &[]), "bad_rst");
    assert!(pends(host.listener().accept()));
    host.all();
    drops_one(&mut host, peer.syn(), "repeated_syns");
    drops_one(&mut host, peer.at(peer.seq + 1, ACK, &[]), "bad_ack");
    drops_one(&mut host, peer.at(peer.seq + 500, RST, &[]), "bad_rst");

    let connector = host.connector.clone();
    let mut connect = Box::pin(connector.connect_from(addr("192.0.2.1:9"), peer.from));
    assert!(poll(&mut connect).is_pending());
    let syn = host.rx().unwrap();
    let mut server = Peer::new(CLIENT, "192.0.2.1:9");
    drops_one(&mut host, server.seg(RST, &[]), "bad_rst");
    drops_one(&mut host, server.seg(RST | ACK, &[]), "bad_rst");
    drops_one(&mut host, server.seg(SYN | ACK, &[]), "bad_ack");
    server.ack = syn.seq.wrapping_add(1);
    drops_one(&mut host, server.seg(ACK, b"no SYN"), "no_ack");
}

#[test]
fn a_segment_that_belongs_to_no_connection() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    drops_one(&mut host, peer.seg(RST, &[]), "bad_rst");
    drops_one(&mut host, peer.seg(SYN | FIN, &[]), "bad_flags");
    // A connection in TIME-WAIT.
    drop(peer.open(&mut host));
    peer.drain(&mut host);
    host.tx(peer.seg(FIN | ACK, &[]));
    peer.seq = peer.seq.wrapping_add(1);
    assert_eq!(host.engine.stats().time_wait, 1);
    drops_one(&mut host, peer.seg(ACK, &[]), "late");
    drops_one(&mut host, peer.at(peer.seq + 1, RST, &[]), "bad_rst");
    let mut packet = Vec::new();
    udp::write(&mut packet, peer.from, peer.to, 64, b"no segment").unwrap();
    drops_one(&mut host, packet, "malformed");
    host.engine.shutdown();
    drops_one(&mut host, peer.syn(), "closed");
}

#[test]
fn a_syn_that_finds_no_room() {
    let peers: Vec<Peer> = (1..=3)
        .map(|port| Peer::new(&format!("10.0.0.2:{port}"), SERVER))
        .collect();
    for (config, reason) in [
        (Config::new().backlog(1).syn_cookies(false), "backlog_full"),
        (Config::new().backlog_per_source(Some(1)), "source_full"),
        (
            Config::new().max_connections(1).syn_cookies(false),
            "backlog_full",
        ),
    ] {
        let mut host = Host::new(config);
        host.tx(peers[0].syn());
        let request = now(host.listener().requests().next()).unwrap().unwrap();
        drops_one(&mut host, peers[1].syn(), reason);
        drop(request);
    }
    let mut host = Host::new(Config::new().max_connections(1));
    let _stream = Peer::new("10.0.0.2:1", SERVER).open(&mut host);
    drops_one(&mut host, peers[1].syn(), "table_full");
}

#[test]
fn an_icmp_error_that_quotes_nothing_in_flight() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let _stream = peer.open(&mut host);
    peer.send(&mut host, b"data");
    host.pass(SECOND);
    let ack = host.all().pop().unwrap();
    host.icmp(&ack, Unreachable::Host);
    assert_eq!(drops(&host.engine.stats()), [("icmp_ignored", 1)]);
}

#[test]
fn a_segment_with_an_end_that_no_host_has_is_not_even_reset() {
    let mut host = host();
    let ends = [
        ("10.0.0.2:0", SERVER),
        (CLIENT, "192.0.2.1:0"),
        ("0.0.0.0:9", SERVER),
        ("127.0.0.1:9", SERVER),
        ("224.0.0.1:9", SERVER),
        ("255.255.255.255:9", SERVER),
        (CLIENT, "127.0.0.1:80"),
        (CLIENT, "224.0.0.1:80"),
        (SERVER, SERVER),
        ("[::]:9", "[fd00::1]:80"),
        ("[::1]:9", "[fd00::1]:80"),
        ("[ff02::1]:9", "[fd00::1]:80"),
        ("[::ffff:10.0.0.2]:9", "[fd00::1]:80"),
        ("[fd00::2]:9", "[::1]:80"),
    ];
    for (from, to) in ends {
        let peer = Peer::new(from, to);
        for packet in [
            peer.syn(),
            peer.seg(ACK, b"data"),
            peer.seg(SYN | ACK, &[]),
            peer.seg(RST, &[]),
        ] {
            let headers = Headers::parse(&packet);
            let before = host.engine.stats();
            host.tx(packet);
            host.silent();
            let after = host.engine.stats();
            assert_eq!(after.bad_address, before.bad_address + 1, "{headers:?}");
            assert_eq!((after.requests, after.resets), (0, 0));
        }
    }
    // Nor is a listener there for it.
    host.listener = None;
    drops_one(
        &mut host,
        Peer::new("127.0.0.1:9", SERVER).syn(),
        "bad_address",
    );
}

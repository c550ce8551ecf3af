//! The traffic class and the hop limit of packets: RFC 2474, 3168.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_packet::Ecn;
use brooklet_tcp::{Config, Interface, TcpOptions, TrafficClass};
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};
use std::net::Shutdown;
use support::*;

const ENDS: [(&str, &str); 2] = [(CLIENT, SERVER), ("[fd00::2]:40000", "[2001:db8::1]:80")];

/// AF21 (RFC 4594).
fn af21() -> TrafficClass {
    TrafficClass::default().with_dscp(18)
}

fn host_with(options: TcpOptions) -> Host {
    Host::new(Config::new().options(options))
}

#[track_caller]
fn all_have(segs: &[Seg], class: TrafficClass, what: &str) {
    assert!(!segs.is_empty(), "no {what}");
    let same = segs.iter().all(|seg| seg.traffic_class == class);
    assert!(same, "{what}: {segs:?}");
}

#[test]
fn every_segment_of_a_connection_has_its_traffic_class() {
    for (from, to) in ENDS {
        let mut host = host_with(TcpOptions::new().traffic_class(af21()));
        let mut peer = Peer::new(from, to);
        host.tx(peer.syn());
        assert!(pends(host.listener().accept()));
        all_have(&host.all(), af21(), "SYN-ACK");
        host.tx(peer.syn());
        let syn_ack = host.one();
        all_have(std::slice::from_ref(&syn_ack), af21(), "second SYN-ACK");
        peer.seq += 1;
        peer.ack = syn_ack.seq + 1;
        host.tx(peer.seg(ACK, &[]));
        let (stream, _) = now(host.listener().accept()).unwrap();
        assert_eq!(stream.traffic_class(), af21());
        now((&stream).write_all(b"data")).unwrap();
        all_have(&host.all(), af21(), "data");
        let ef = TrafficClass::default().with_dscp(46);
        stream.set_traffic_class(ef);
        host.pass(3 * SECOND);
        all_have(&host.all(), ef, "data sent again");
        peer.ack += 4;
        peer.send(&mut host, b"data");
        all_have(&host.all(), ef, "acknowledgment");
        host.tx(peer.at(peer.seq + 10, RST, &[]));
        all_have(&host.all(), ef, "challenge ACK");
        stream.set_keepalive(Some(10 * SECOND));
        host.pass(11 * SECOND);
        all_have(&host.all(), ef, "keepalive probe");
        stream.shutdown(Shutdown::Write).unwrap();
        all_have(&host.all(), ef, "FIN");
        stream.abort();
        all_have(&host.all(), ef, "RST");
    }
}

#[test]
fn a_traffic_class_goes_with_the_segments_that_a_device_cuts() {
    for (from, to) in ENDS {
        let options = TcpOptions::new().traffic_class(af21());
        let interface = Interface::new().offload(true);
        let mut host = Host::on(interface, Config::new().options(options));
        let stream = Peer::new(from, to).open(&mut host);
        now((&stream).write_all(&[1; 6000])).unwrap();
        let segs = host.all();
        assert_eq!(segs.len(), 5);
        all_have(&segs, af21(), "segments");
    }
}

#[test]
fn without_a_choice_the_traffic_class_is_0() {
    for (from, to) in ENDS {
        let mut host = host();
        let mut peer = Peer::new(from, to);
        // The class of the client's packets is not reflected.
        host.tx(with_ip_fields(peer.syn(), 64, 0xb8));
        assert!(pends(host.listener().accept()));
        assert_eq!(
            peer.establish(&mut host).traffic_class,
            TrafficClass::default()
        );
        let (stream, _) = now(host.listener().accept()).unwrap();
        now((&stream).write_all(b"data")).unwrap();
        assert_eq!(host.one().traffic_class, TrafficClass::default());
    }
}

#[test]
fn the_ecn_codepoint_is_not_for_the_program_to_choose() {
    // RFC 3168, 6.1: only TCPs that have negotiated ECN send ECN-capable packets.
    let marked = TrafficClass::from_bits(0xff);
    let mut host = host_with(TcpOptions::new().traffic_class(marked));
    let stream = Peer::new(CLIENT, SERVER).open(&mut host);
    assert_eq!(stream.traffic_class(), marked.with_ecn(Ecn::NotEct));
    stream.set_traffic_class(TrafficClass::default().with_ecn(Ecn::Ect0));
    assert_eq!(stream.traffic_class(), TrafficClass::default());
    now((&stream).write_all(b"data")).unwrap();
    assert_eq!(host.one().traffic_class, TrafficClass::default());
    let config = Config::new().options(TcpOptions::new().traffic_class(marked));
    assert!(config.check().is_err(), "the builder says so");
}

#[test]
fn each_connection_and_each_listener_can_have_a_traffic_class_of_its_own() {
    let mut host = host();
    // `connect_with`.
    let connector = host.connector.clone();
    let options = TcpOptions::new().traffic_class(af21());
    let connect = connector.connect_with(addr(CLIENT), addr(SERVER), options.clone());
    let mut connect = Box::pin(connect);
    assert!(poll(&mut connect).is_pending());
    assert_eq!(host.one().traffic_class, af21(), "SYN");
    drop(connect);
    host.all();
    // `bind_with`.
    let listener = connector.bind_with(addr(SERVER), options.clone()).unwrap();
    host.tx(Peer::new(CLIENT, SERVER).syn());
    assert!(pends(listener.accept()));
    assert_eq!(host.one().traffic_class, af21(), "SYN-ACK of the listener");
    // `accept_with`.
    host.tx(Peer::new("10.0.0.3:1", "192.0.2.9:1").syn());
    let request = now(host.listener().requests().next()).unwrap().unwrap();
    let mut accept = Box::pin(request.accept_with(options));
    assert!(poll(&mut accept).is_pending());
    assert_eq!(host.one().traffic_class, af21(), "SYN-ACK of the request");
}

#[test]
fn time_wait_answers_with_the_hop_limit_and_the_class_of_its_connection() {
    for (from, to) in ENDS {
        let mut host = host_with(TcpOptions::new().ttl(17).traffic_class(af21()));
        let mut peer = Peer::new(from, to);
        drop(peer.open(&mut host));
        peer.drain(&mut host);
        let fin = peer.seg(FIN | ACK, &[]);
        host.tx(fin.clone());
        host.all();
        assert_eq!(host.engine.stats().time_wait, 1);
        host.tx(fin);
        let ack = host.one();
        assert_eq!((ack.ttl, ack.traffic_class), (17, af21()));
    }
}

#[test]
fn a_request_and_its_stream_tell_the_hop_limit_and_the_class_of_the_syn() {
    for (from, to) in ENDS {
        let mut host = host();
        let mut peer = Peer::new(from, to);
        host.tx(with_ip_fields(peer.syn(), 3, 0xb9));
        let request = now(host.listener().requests().next()).unwrap().unwrap();
        let class = TrafficClass::from_bits(0xb9);
        assert_eq!((request.hop_limit(), request.traffic_class()), (3, class));
        let mut accept = Box::pin(request.accept());
        assert!(poll(&mut accept).is_pending());
        peer.establish(&mut host);
        let stream = now(accept).unwrap();
        // Later packets change nothing.
        host.tx(with_ip_fields(peer.seg(ACK | PSH, b"data"), 9, 0));
        assert_eq!(now((&stream).read(&mut [0; 9])).unwrap(), 4);
        let info = stream.info();
        assert_eq!(info.peer_hop_limit, Some(3));
        assert_eq!(info.peer_traffic_class, Some(class));
    }
}

#[test]
fn a_syn_without_its_options_and_data_keeps_its_hop_limit_and_its_class() {
    for (from, to) in ENDS {
        let mut host = host();
        let peer = Peer::new(from, to);
        let syn = peer.at(peer.seq, SYN, &[7; 500]);
        host.tx(with_ip_fields(syn, 1, 0x20));
        let request = now(host.listener().requests().next()).unwrap().unwrap();
        let class = TrafficClass::from_bits(0x20);
        assert_eq!((request.hop_limit(), request.traffic_class()), (1, class));
    }
}

#[test]
fn a_stream_that_connected_tells_the_hop_limit_and_the_class_of_the_syn_ack() {
    for (from, to) in ENDS {
        let mut host = host();
        let connector = host.connector.clone();
        let mut connection = Box::pin(connect(&connector, addr(from), addr(to)));
        assert!(poll(&mut connection).is_pending());
        let syn = host.one();
        let mut peer = Peer::new(to, from);
        peer.ack = syn.seq.wrapping_add(1);
        host.tx(with_ip_fields(peer.seg(SYN | ACK, &[]), 55, 0x28));
        let info = now(connection).unwrap().info();
        assert_eq!(info.peer_hop_limit, Some(55));
        assert_eq!(info.peer_traffic_class, Some(TrafficClass::from_bits(0x28)));
    }
}

//! Path MTUs that the program states, and small MTUs of the device.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_packet::icmp::Unreachable;
use brooklet_tcp::{Config, Interface};
use futures_lite::{AsyncWriteExt, StreamExt};
use std::net::{IpAddr, Ipv4Addr};
use support::*;

const V6: (&str, &str) = ("[fd00::2]:40000", "[2001:db8::1]:80");

fn ip(end: &str) -> IpAddr {
    addr(end).ip()
}

/// The longest packet that the stack sends for 20,000 bytes, all of which are acknowledged.
fn longest(host: &mut Host, peer: &mut Peer, stream: &Stream) -> usize {
    let mut writer = stream;
    now(writer.write_all(&[7; 20_000])).unwrap();
    let mut longest = 0;
    while stream.info().send_queue > 0 {
        let sent = host.all();
        assert!(!sent.is_empty(), "nothing is sent");
        for seg in sent {
            longest = longest.max(seg.bytes.len());
            if seg.seq == peer.ack {
                peer.ack = seg.end();
            }
        }
        host.pass(RTT);
        host.tx(peer.seg(ACK, &[]));
    }
    longest
}

#[test]
fn a_connection_announces_and_uses_the_stated_mtu_of_either_end() {
    for ((from, to), headers) in [((CLIENT, SERVER), 40), (V6, 60)] {
        for stated in [from, to] {
            let mut host = host();
            host.connector.set_path_mtu(ip(stated), Some(1400));
            let mut peer = Peer::new(from, to);
            host.tx(peer.syn());
            assert!(pends(host.listener().accept()));
            let syn_ack = peer.establish(&mut host);
            assert_eq!(syn_ack.mss, Some(1400 - headers), "SYN-ACK");
            let (stream, _) = now(host.listener().accept()).unwrap();
            assert_eq!(longest(&mut host, &mut peer, &stream), 1400);

            let connector = host.connector.clone();
            let from = addr(from);
            let from = std::net::SocketAddr::new(from.ip(), 7);
            let mut connection = Box::pin(connect(&connector, from, addr(to)));
            assert!(poll(&mut connection).is_pending());
            let syn = host.one();
            assert_eq!(syn.mss, Some(1400 - headers), "SYN");
            let mut peer = Peer::new(to, &from.to_string());
            peer.ack = syn.seq + 1;
            host.tx(peer.seg(SYN | ACK, &[]));
            peer.seq += 1;
            let stream = now(connection).unwrap();
            assert_eq!(host.all().len(), 1);
            assert_eq!(longest(&mut host, &mut peer, &stream), 1400);
        }
    }
}

#[test]
fn a_first_window_is_ten_segments_of_the_stated_size() {
    // RFC 6928.
    let mut host = host();
    host.connector.set_path_mtu(ip(CLIENT), Some(1040));
    let stream = Peer::new(CLIENT, SERVER).open(&mut host);
    now((&stream).write_all(&[1; 50_000])).unwrap();
    assert_eq!(host.all().len(), 10);
}

#[test]
fn an_accepted_request_uses_a_statement_made_while_it_waited() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    let request = now(host.listener().requests().next()).unwrap().unwrap();
    host.connector.set_path_mtu(ip(SERVER), Some(1300));
    let mut accept = Box::pin(request.accept());
    assert!(poll(&mut accept).is_pending());
    assert_eq!(peer.establish(&mut host).mss, Some(1260));
}

#[test]
fn a_repeated_syn_announces_what_was_stated_meanwhile() {
    let mut host = host();
    let connector = host.connector.clone();
    let mut connection = Box::pin(connect(&connector, addr(CLIENT), addr(SERVER)));
    assert!(poll(&mut connection).is_pending());
    assert_eq!(host.one().mss, Some(1460));
    connector.set_path_mtu(ip(SERVER), Some(1300));
    host.silent();
    host.pass(SECOND);
    assert_eq!(host.one().mss, Some(1260));
}

#[test]
fn an_open_connection_sends_again_in_smaller_packets_what_is_too_long() {
    for ((from, to), mtu) in [((CLIENT, SERVER), 1000), (V6, 1300)] {
        let mut host = host();
        let mut peer = Peer::new(from, to);
        let stream = peer.open(&mut host);
        now((&stream).write_all(&[1; 4000])).unwrap();
        assert!(host.all().iter().any(|seg| seg.bytes.len() == 1500));
        host.connector.set_path_mtu(ip(to), Some(mtu));
        let first = host.rx().expect("it is sent again at once");
        assert_eq!((first.seq, first.bytes.len()), (peer.ack, mtu.into()));
        host.all();
        peer.ack = peer.ack.wrapping_add(4000);
        host.tx(peer.seg(ACK, &[]));
        assert_eq!(longest(&mut host, &mut peer, &stream), mtu.into());
    }
}

#[test]
fn packets_that_a_device_cuts_are_cut_for_the_stated_mtu() {
    let mut host = Host::on(Interface::new().offload(true), Config::default());
    host.connector.set_path_mtu(ip(SERVER), Some(1000));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    assert_eq!(longest(&mut host, &mut peer, &stream), 1000);
}

#[test]
fn the_smaller_statement_about_two_ends_counts() {
    for (client, server) in [(1300, 1200), (1200, 1300)] {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        let stream = peer.open(&mut host);
        host.connector.set_path_mtu(ip(CLIENT), Some(client));
        host.connector.set_path_mtu(ip(SERVER), Some(server));
        assert_eq!(stream.info().mss, 1160);
        host.connector.set_path_mtu(ip("203.0.113.1:1"), Some(600));
        assert_eq!(stream.info().mss, 1160, "another host");
        assert_eq!(longest(&mut host, &mut peer, &stream), 1200);
    }
}

#[test]
fn a_statement_stays_between_the_least_mtu_and_that_of_the_device() {
    for ((from, to), stated, mss) in [
        ((CLIENT, SERVER), 0, 68 - 40),
        ((CLIENT, SERVER), 300, 300 - 40),
        ((CLIENT, SERVER), 9000, 1500 - 40),
        (V6, 0, 1280 - 60),
        (V6, 1279, 1280 - 60),
        (V6, u16::MAX, 1500 - 60),
    ] {
        let mut host = host();
        host.connector.set_path_mtu(ip(from), Some(stated));
        host.tx(Peer::new(from, to).syn());
        assert!(pends(host.listener().accept()));
        assert_eq!(host.one().mss, Some(mss), "{stated}");
    }
}

#[test]
fn a_statement_taken_back_lets_open_connections_probe_for_more() {
    for ((from, to), headers) in [((CLIENT, SERVER), 40), (V6, 60)] {
        let mut host = host();
        let mut peer = Peer::new(from, to);
        peer.mss = Some(1500 - headers);
        let stream = peer.open(&mut host);
        host.connector.set_path_mtu(ip(from), Some(1300));
        assert_eq!(longest(&mut host, &mut peer, &stream), 1300);
        host.pass(3600 * SECOND);
        assert_eq!(longest(&mut host, &mut peer, &stream), 1300);
        // A larger statement, and then none.
        for (stated, mtu) in [(Some(1400), 1400), (None, 1500)] {
            host.connector.set_path_mtu(ip(from), stated);
            assert_eq!(longest(&mut host, &mut peer, &stream), mtu);
            assert_eq!(stream.info().mss, mtu - usize::from(headers));
        }
        // New connections know nothing of it.
        let from = std::net::SocketAddr::new(ip(from), 9).to_string();
        host.tx(Peer::new(&from, to).syn());
        assert!(pends(host.listener().accept()));
        assert_eq!(host.one().mss, Some(1500 - headers));
    }
}

#[test]
fn a_probe_is_no_longer_than_the_stated_mtu() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    host.connector.set_path_mtu(ip(SERVER), Some(1400));
    now((&stream).write_all(&[1; 3000])).unwrap();
    let sent = host.all();
    // A router on the path takes less, for a while.
    host.icmp(&sent[0], Unreachable::PacketTooBig { mtu: 1000 });
    assert_eq!(stream.info().mss, 960);
    host.all();
    peer.ack = peer.ack.wrapping_add(3000);
    host.tx(peer.seg(ACK, &[]));
    host.connector.set_path_mtu(ip(SERVER), Some(1350));
    assert_eq!(longest(&mut host, &mut peer, &stream), 1000);
    host.pass(600 * SECOND);
    // In steps (RFC 8899, 5.1.2).
    for size in [1280, 1350, 1350] {
        assert_eq!(longest(&mut host, &mut peer, &stream), size);
    }
}

#[test]
fn the_oldest_of_too_many_statements_is_forgotten() {
    let mut host = host();
    let hosts = |n: u32| IpAddr::from(Ipv4Addr::from_bits(0x0b00_0000 + n));
    for n in 0..=4096 {
        host.connector.set_path_mtu(hosts(n), Some(1000));
    }
    for (n, mss) in [(0, 1460), (1, 960), (4096, 960)] {
        let client = std::net::SocketAddr::new(hosts(n), 1).to_string();
        host.tx(Peer::new(&client, SERVER).syn());
        assert!(pends(host.listener().accept()));
        assert_eq!(host.one().mss, Some(mss), "{client}");
    }
}

#[test]
fn a_device_with_an_mtu_of_576_has_an_mss_of_536_both_ways() {
    // RFC 9293, 3.7.1.
    for mss in [Some(536), Some(1460), None] {
        let mut host = Host::on(Interface::new().mtu(576), Config::default());
        let mut peer = Peer::new(CLIENT, SERVER);
        peer.mss = mss;
        host.tx(peer.syn());
        assert!(pends(host.listener().accept()));
        assert_eq!(peer.establish(&mut host).mss, Some(536), "SYN-ACK");
        let (stream, _) = now(host.listener().accept()).unwrap();
        assert_eq!(longest(&mut host, &mut peer, &stream), 576);
        assert_eq!(stream.info().mss, 536);
        peer.send(&mut host, &[5; 536]);
        assert_eq!(read(&stream).unwrap(), [5; 536]);

        let connector = host.connector.clone();
        let mut connection = Box::pin(connect(&connector, addr("10.0.0.2:7"), addr(SERVER)));
        assert!(poll(&mut connection).is_pending());
        let syn = host.all().pop().unwrap();
        assert_eq!(syn.mss, Some(536), "SYN");
        let mut peer = Peer::new(SERVER, "10.0.0.2:7");
        (peer.mss, peer.ack) = (mss, syn.seq + 1);
        host.tx(peer.seg(SYN | ACK, &[]));
        peer.seq += 1;
        let stream = now(connection).unwrap();
        host.all();
        assert_eq!(longest(&mut host, &mut peer, &stream), 576);
    }
}

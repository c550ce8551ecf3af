//! What routers say of a connection's packets: RFC 1191, 8201 and 5927.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_packet::icmp::{IcmpErrorKind, Unreachable};
use brooklet_tcp::TcpState;
use futures_lite::AsyncWriteExt;
use std::io::ErrorKind;
use support::*;

const V6: (&str, &str) = ("[fd00::2]:40000", "[2001:db8::1]:80");

fn opened(from: &str, to: &str) -> (Host, Peer, Stream) {
    let mut host = host();
    let mut peer = Peer::new(from, to);
    let stream = peer.open(&mut host);
    (host, peer, stream)
}

fn too_big(mtu: u32) -> Unreachable {
    Unreachable::PacketTooBig { mtu }
}

#[test]
fn a_packet_that_is_too_big_is_sent_again_in_smaller_ones() {
    // RFC 1191, 6.4; RFC 8201, 5.2.
    for ((from, to), mtu, headers) in [((CLIENT, SERVER), 1000, 40), (V6, 1300, 60)] {
        let (mut host, mut peer, stream) = opened(from, to);
        let data: Vec<u8> = (0..10_000u32).map(|n| (n / 3) as u8).collect();
        now((&stream).write_all(&data)).unwrap();
        let sent = host.all();
        assert!(sent.iter().any(|seg| seg.bytes.len() == 1500));
        host.icmp(&sent[0], too_big(mtu));
        let first = host.rx().expect("it is sent again at once");
        assert_eq!((first.seq, first.bytes.len()), (peer.ack, mtu as usize));
        assert_eq!(stream.info().mss, mtu as usize - headers);
        peer.ack = first.end();
        host.tx(peer.seg(ACK, &[]));
        let mut got = first.data;
        for _ in 0..100 {
            for seg in host.all() {
                assert!(seg.bytes.len() <= mtu as usize);
                if seg.seq == peer.ack {
                    peer.ack = seg.end();
                    got.extend(&seg.data);
                }
            }
            host.tx(peer.seg(ACK, &[]));
            if got.len() == data.len() {
                break;
            }
        }
        assert!(got == data, "{} bytes", got.len());
        // Packets stay small.
        now((&stream).write_all(&data)).unwrap();
        assert!(host.all().iter().all(|seg| seg.bytes.len() <= mtu as usize));
    }
}

#[test]
fn a_router_that_does_not_say_how_much_it_takes_gets_576() {
    // RFC 1191, 5.
    let (mut host, _, stream) = opened(CLIENT, SERVER);
    now((&stream).write_all(&[1; 3000])).unwrap();
    let sent = host.all();
    host.icmp(&sent[0], too_big(0));
    assert_eq!(host.rx().unwrap().bytes.len(), 576);
}

#[test]
fn a_path_is_believed_to_take_a_useful_packet() {
    // RFC 5927, 7: nobody makes segments of a few bytes.
    let (mut host, _, stream) = opened(CLIENT, SERVER);
    now((&stream).write_all(&[1; 3000])).unwrap();
    let sent = host.all();
    host.icmp(&sent[0], too_big(68));
    assert_eq!(stream.info().mss, 552 - 40);
}

#[test]
fn a_path_does_not_become_wider() {
    // RFC 1191, 6.4.
    let (mut host, mut peer, stream) = opened(CLIENT, SERVER);
    now((&stream).write_all(&[1; 3000])).unwrap();
    let sent = host.all();
    for (mtu, mss) in [(1000, 960), (900, 860), (1200, 860), (9000, 860)] {
        host.icmp(&sent[0], too_big(mtu));
        assert_eq!(stream.info().mss, mss);
    }
    host.all();
    peer.ack += 3000;
    host.tx(peer.seg(ACK, &[]));
    now((&stream).write_all(&[1; 3000])).unwrap();
    assert_eq!(host.rx().unwrap().bytes.len(), 900);
}

#[test]
fn errors_about_what_is_not_under_way_are_not_believed() {
    // RFC 5927, 4.1.
    let (mut host, mut peer, stream) = opened(CLIENT, SERVER);
    now((&stream).write_all(&[1; 3000])).unwrap();
    let sent = host.all();
    let mut forged = sent[0].clone();
    for seq in [
        peer.ack - 1,
        peer.ack + 3000,
        peer.ack.wrapping_add(1 << 31),
    ] {
        forged.bytes[24..28].copy_from_slice(&seq.to_be_bytes());
        host.icmp(&forged, too_big(1000));
        assert_eq!(stream.info().mss, 1460, "{seq}");
        host.silent();
    }
    // An old one too, once it is acknowledged.
    peer.ack += 3000;
    host.tx(peer.seg(ACK, &[]));
    host.icmp(&sent[0], too_big(1000));
    assert_eq!(stream.info().mss, 1460);
}

#[test]
fn a_connect_fails_as_a_router_says() {
    // RFC 9293, 3.9.2.2; RFC 1122, 4.2.3.9.
    for (why, kind) in [
        (Unreachable::Network, ErrorKind::NetworkUnreachable),
        (Unreachable::Host, ErrorKind::HostUnreachable),
        (Unreachable::Prohibited, ErrorKind::HostUnreachable),
        (Unreachable::Port, ErrorKind::ConnectionRefused),
        (Unreachable::Protocol, ErrorKind::ConnectionRefused),
    ] {
        for (from, to) in [(CLIENT, SERVER), V6] {
            let mut host = host();
            let connector = host.connector.clone();
            let mut connection = Box::pin(connect(&connector, addr(from), addr(to)));
            assert!(poll(&mut connection).is_pending());
            let syn = host.one();
            host.icmp(&syn, why);
            let error = now(connection).unwrap_err();
            assert_eq!(error.kind(), kind, "{why:?} with {from}");
            assert_eq!(host.engine.stats().connections, 0);
            assert!(
                host.all().is_empty(),
                "a RST to a peer that has not received the SYN"
            );
        }
    }
}

#[test]
fn a_connect_fails_when_its_syn_runs_out_of_hops() {
    // As with Linux (`tcp_v4_err`).
    for (from, to) in [(CLIENT, SERVER), V6] {
        let mut host = host();
        let connector = host.connector.clone();
        let mut connection = Box::pin(connect(&connector, addr(from), addr(to)));
        assert!(poll(&mut connection).is_pending());
        let syn = host.one();
        host.icmp(&syn, IcmpErrorKind::ReassemblyTimeExceeded);
        assert!(poll(&mut connection).is_pending());
        host.icmp(&syn, IcmpErrorKind::HopLimitExceeded);
        let error = now(connection).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostUnreachable);
    }
}

#[test]
fn a_connection_that_stands_does_not_fall_by_what_a_router_says() {
    // RFC 5927, 5.2 and 6.1.
    let (mut host, mut peer, stream) = opened(CLIENT, SERVER);
    now((&stream).write_all(b"data")).unwrap();
    let sent = host.one();
    for why in [
        Unreachable::Network,
        Unreachable::Host,
        Unreachable::Protocol,
        Unreachable::Port,
        Unreachable::Prohibited,
    ] {
        host.icmp(&sent, why);
        assert_eq!(stream.info().state, TcpState::Established, "{why:?}");
    }
    host.icmp(&sent, IcmpErrorKind::HopLimitExceeded);
    assert_eq!(stream.info().state, TcpState::Established);
    host.silent();
    peer.ack += 4;
    peer.send(&mut host, b"more");
    assert_eq!(read(&stream).unwrap(), b"more");
}

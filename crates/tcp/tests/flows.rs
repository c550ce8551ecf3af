//! The list of the connections, and the counters of retransmissions and round trips.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, RoundTrips, TcpFlow, TcpState};
use futures_lite::AsyncWriteExt;
use std::net::Shutdown;
use std::time::Duration;
use support::*;

fn write(mut stream: &Stream, data: &[u8]) {
    assert_eq!(now(stream.write(data)).unwrap(), data.len());
}

/// The peer acknowledges all of `sent`.
fn acknowledge(host: &mut Host, peer: &mut Peer, sent: &[Seg]) {
    peer.ack = sent.last().unwrap().end();
    host.tx(peer.seg(ACK, &[]));
}

fn only(host: &Host) -> TcpFlow {
    let flows = host.connector.flows();
    assert_eq!(flows.len(), 1, "{flows:?}");
    flows[0]
}

#[test]
fn a_flow_has_the_addresses_the_state_and_what_was_moved() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    host.pass(3 * SECOND);
    write(&stream, &[1; 3000]);
    let sent = host.all();
    acknowledge(&mut host, &mut peer, &sent[..1]);
    peer.send(&mut host, &[2; 700]);
    let flow = only(&host);
    assert_eq!(
        (flow.local_addr, flow.peer_addr),
        (addr(SERVER), addr(CLIENT))
    );
    assert_eq!((flow.state, flow.queue), (TcpState::Established, 0));
    let info = stream.info();
    assert_eq!(
        (flow.bytes_in, flow.bytes_out),
        (700, sent[0].data.len() as u64)
    );
    assert_eq!((flow.recv_queue, flow.send_queue), (700, info.send_queue));
    assert_eq!((flow.srtt, flow.cwnd), (info.rtt, info.cwnd));
    assert!(
        flow.age >= 3 * SECOND && flow.age < 4 * SECOND,
        "{:?}",
        flow.age
    );
}

#[test]
fn bytes_that_arrive_out_of_order_or_twice_count_once() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let _stream = peer.open(&mut host);
    let first = peer.seg(ACK, &[1; 100]);
    peer.seq = peer.seq.wrapping_add(100);
    let second = peer.seg(ACK, &[2; 100]);
    host.tx(second.clone());
    assert_eq!(only(&host).bytes_in, 0, "there is a gap before it");
    for segment in [first.clone(), first, second] {
        host.tx(segment);
    }
    assert_eq!(only(&host).bytes_in, 200);
    // The FIN is no byte.
    peer.seq = peer.seq.wrapping_add(100);
    host.tx(peer.seg(FIN | ACK, &[3; 7]));
    assert_eq!(only(&host).bytes_in, 207);
    assert_eq!(only(&host).state, TcpState::CloseWait);
}

#[test]
fn a_flow_is_listed_from_the_handshake_to_the_end_of_time_wait() {
    let host = host();
    let mut connect = Box::pin(connect(&host.connector, addr(SERVER), addr(CLIENT)));
    assert!(poll(&mut connect).is_pending());
    let syn_sent = only(&host);
    assert_eq!(syn_sent.state, TcpState::SynSent);
    assert_eq!((syn_sent.bytes_in, syn_sent.bytes_out), (0, 0));
    drop(connect);
    assert!(
        host.connector.flows().is_empty(),
        "an aborted connect is gone"
    );

    let mut host = support::host();
    let mut peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    assert!(
        host.connector.flows().is_empty(),
        "a request is no connection yet"
    );
    assert!(pends(host.listener().accept()));
    assert_eq!(only(&host).state, TcpState::SynReceived);
    peer.establish(&mut host);
    let (stream, _) = now(host.listener().accept()).unwrap();
    write(&stream, &[1; 500]);
    stream.shutdown(Shutdown::Write).unwrap();
    peer.drain(&mut host);
    // Our FIN and our SYN are no bytes.
    assert_eq!(
        (only(&host).state, only(&host).bytes_out),
        (TcpState::FinWait2, 500)
    );
    peer.send(&mut host, &[2; 900]);
    read(&stream).unwrap();
    host.tx(peer.seg(FIN | ACK, &[]));
    host.all();
    let waiting = only(&host);
    assert_eq!(waiting.state, TcpState::TimeWait);
    assert_eq!((waiting.bytes_in, waiting.bytes_out), (900, 500));
    assert_eq!((waiting.srtt, waiting.cwnd), (None, 0));
    host.pass(Duration::from_secs(35));
    assert!(host.connector.flows().is_empty());
}

#[test]
fn flows_come_in_the_order_of_their_addresses() {
    let mut host = host();
    let mut streams = Vec::new();
    for client in ["10.0.0.9:1", "10.0.0.2:9", "10.0.0.2:7", "10.0.0.30:5"] {
        streams.push(Peer::new(client, SERVER).open(&mut host));
    }
    let peers: Vec<_> = host
        .connector
        .flows()
        .iter()
        .map(|flow| flow.peer_addr)
        .collect();
    let expected = ["10.0.0.2:7", "10.0.0.2:9", "10.0.0.9:1", "10.0.0.30:5"].map(addr);
    assert_eq!(peers, expected);
}

#[test]
fn the_text_of_a_flow_is_one_line_with_every_figure() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    write(&stream, &[1; 1000]);
    peer.send(&mut host, &[2; 700]);
    let line = only(&host).to_string();
    let start = "TCP 192.0.2.1:80 10.0.0.2:40000 ESTABLISHED queue=0 age=0.000s in=700 out=0 srtt=";
    assert!(line.starts_with(start), "{line}");
    let end = "ms cwnd=14600 recv_queue=700 send_queue=1000 retransmits=0";
    assert!(line.ends_with(end), "{line}");
}

#[test]
fn the_stack_counts_retransmissions_and_timeouts() {
    let mut host = host();
    let stream = Peer::new(CLIENT, SERVER).open(&mut host);
    let before = host.connector.stats();
    assert_eq!((before.retransmits, before.timeouts), (0, 0));
    write(&stream, b"lost");
    host.all();
    let mut copies = 0;
    for _ in 0..20 {
        host.pass(SECOND);
        copies += host.all().len() as u64;
    }
    let stats = host.connector.stats();
    assert!(copies > 3, "{copies}");
    assert_eq!(
        (stats.retransmits, only(&host).retransmits),
        (copies, copies)
    );
    assert_eq!(
        stats.timeouts, copies,
        "a peer without SACK gets no tail loss probe"
    );
    // What a connection has counted remains after its end.
    stream.abort();
    assert!(host.connector.flows().is_empty());
    assert_eq!(host.connector.stats().retransmits, copies);
}

#[test]
fn a_probe_of_a_closed_window_is_no_timeout() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    peer.window = 0;
    host.tx(peer.seg(ACK, &[]));
    write(&stream, b"waits");
    host.pass(20 * SECOND);
    assert!(host.all().len() > 3, "the window is probed");
    let stats = host.connector.stats();
    assert_eq!((stats.retransmits, stats.timeouts), (0, 0));
}

#[test]
fn round_trips_are_counted_by_their_length() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let before = host.connector.stats().round_trips;
    for millis in [100, 100, 7] {
        write(&stream, b"x");
        host.pass(Duration::from_millis(millis));
        let sent = host.all();
        acknowledge(&mut host, &mut peer, &sent[..1]);
    }
    let after = host.connector.stats().round_trips;
    assert_eq!(after.count() - before.count(), 3);
    assert_eq!(after.sum - before.sum, Duration::from_millis(207));
    let of = |millis| {
        let fits = |bound: &Duration| *bound >= Duration::from_millis(millis);
        let bucket = RoundTrips::BOUNDS.iter().position(fits).unwrap();
        after.counts[bucket] - before.counts[bucket]
    };
    assert_eq!((of(100), of(7)), (2, 1));
}

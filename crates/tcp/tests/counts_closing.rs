//! How many packets the end of a connection takes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::TcpState;
use std::net::Shutdown;
use std::time::Duration;
use support::counts::*;
use support::*;

const ONE_ACK: Counts = Counts { acks: 1, ..NONE };
const ONE_DUPLICATE: Counts = Counts {
    duplicate_acks: 1,
    ..NONE
};

fn opened() -> (Host, Peer, Stream, Counter) {
    let (mut host, mut peer) = (host(), Peer::new(CLIENT, SERVER));
    host.tx(peer.syn());
    assert!(pends(host.listener().accept()));
    let syn_ack = peer.establish(&mut host);
    let stream = now(host.listener().accept()).unwrap().0;
    let counter = Counter::new(&peer, &syn_ack);
    (host, peer, stream, counter)
}

/// The peer acknowledges everything that it was sent.
fn acknowledge(host: &mut Host, peer: &mut Peer, sent: &[Seg]) {
    peer.ack = sent.last().unwrap().end();
    host.tx(peer.seg(ACK, &[]));
}

#[test]
fn an_active_close_takes_a_fin_and_an_ack() {
    let (mut host, mut peer, stream, mut counter) = opened();
    stream.shutdown(Shutdown::Write).unwrap();
    let fin = counter.take(&mut host);
    acknowledge(&mut host, &mut peer, &fin);
    host.tx(peer.seg(FIN | ACK, &[]));
    let expected = Counts {
        fins: 1,
        acks: 1,
        ..NONE
    };
    assert_eq!(counter.since(&mut host), expected);
    assert_eq!(stream.info().state, TcpState::TimeWait);
    // The FIN again: one ACK.
    host.tx(peer.seg(FIN | ACK, &[]));
    assert_eq!(counter.since(&mut host), ONE_DUPLICATE);
    host.pass(120 * SECOND);
    assert_eq!(counter.since(&mut host), NONE);
}

#[test]
fn a_passive_close_takes_an_ack_and_a_fin() {
    for data in [0, 1000] {
        let (mut host, mut peer, stream, mut counter) = opened();
        host.tx(peer.seg(FIN | ACK, &vec![1; data]));
        peer.seq += data as u32 + 1;
        assert_eq!(counter.since(&mut host), ONE_ACK, "with {data} bytes");
        drop(read(&stream).unwrap());
        assert_eq!(counter.since(&mut host), NONE);
        drop(stream);
        let fin = counter.take(&mut host);
        acknowledge(&mut host, &mut peer, &fin);
        host.pass(600 * SECOND);
        assert_eq!(counter.since(&mut host), Counts { fins: 1, ..NONE });
        assert_eq!(host.engine.stats().connections, 0);
    }
}

#[test]
fn a_simultaneous_close_takes_a_fin_and_an_ack() {
    let (mut host, mut peer, stream, mut counter) = opened();
    stream.shutdown(Shutdown::Write).unwrap();
    let fin = counter.take(&mut host);
    host.tx(peer.seg(FIN | ACK, &[]));
    peer.seq += 1;
    acknowledge(&mut host, &mut peer, &fin);
    host.pass(120 * SECOND);
    let expected = Counts {
        fins: 1,
        acks: 1,
        ..NONE
    };
    assert_eq!(counter.since(&mut host), expected);
}

#[test]
fn a_half_closed_connection_acknowledges_as_before() {
    let (mut host, mut peer, stream, mut counter) = opened();
    stream.shutdown(Shutdown::Write).unwrap();
    let fin = counter.take(&mut host);
    acknowledge(&mut host, &mut peer, &fin);
    assert_eq!(counter.since(&mut host), Counts { fins: 1, ..NONE });
    for _ in 0..10 {
        peer.send(&mut host, &[1; 1460]);
        read(&stream).unwrap();
        assert_eq!(counter.since(&mut host), ONE_ACK);
    }
    host.tx(peer.seg(FIN | ACK, &[1; 10]));
    assert_eq!(counter.since(&mut host), ONE_ACK);
}

#[test]
fn an_abort_and_a_drop_with_unread_data_take_one_reset() {
    for unread in [false, true] {
        let (mut host, mut peer, stream, mut counter) = opened();
        if unread {
            peer.send(&mut host, b"unread");
            assert_eq!(counter.since(&mut host), ONE_ACK);
            drop(stream);
        } else {
            stream.abort();
        }
        host.pass(Duration::from_secs(600));
        assert_eq!(counter.since(&mut host), Counts { rsts: 1, ..NONE });
    }
}

//! The driver's deadlines: none of a connection that is over stays in the past.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, TcpOptions};
use futures_lite::AsyncWriteExt;
use std::net::Shutdown;
use std::sync::mpsc;
use std::time::Duration;
use support::{ACK, CLIENT, FIN, Host, Peer, SECOND, SERVER, connect, host, now, pends, read};

/// Runs a test on a thread of its own, which may take 30 s: a timeout that is handled without end
/// would otherwise never return.
fn bounded(test: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    if let Err(mpsc::RecvTimeoutError::Timeout) = wait.recv_timeout(Duration::from_secs(30)) {
        panic!("handle_timeout does not return");
    }
    thread.join().unwrap();
}

fn with_keepalive(linger: Option<Duration>) -> Host {
    Host::new(
        Config::new()
            .options(
                TcpOptions::new()
                    .keepalive(Some(10 * SECOND))
                    .linger(linger),
            )
            .outbound_packets(4),
    )
}

/// Fills the outbound queue with RSTs to segments without a connection.
fn fill_the_outbound_queue(host: &mut Host) {
    for port in 1..=8 {
        let other = Peer::new(&format!("10.9.9.9:{port}"), SERVER);
        host.tx(other.seg(ACK, &[]));
    }
    assert!(host.engine.stats().outbound_full > 0);
}

fn reset_waits_for_room(linger: Option<Duration>) {
    let mut host = with_keepalive(linger);
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    peer.send(&mut host, b"unread");
    host.all();
    fill_the_outbound_queue(&mut host);
    drop(stream);
    assert_eq!(host.engine.stats().connections, 1, "its RST has no room");
    host.pass(60 * SECOND);
    let said = host.all();
    let of_peer = said.iter().filter(|seg| seg.key.destination() == peer.from);
    let resets: Vec<_> = of_peer.map(|seg| seg.flags.rst()).collect();
    assert_eq!(resets, [true]);
    assert_eq!(host.engine.stats().connections, 0);
}

#[test]
fn keepalive_of_a_stream_dropped_with_unread_data_ends_though_its_rst_has_no_room() {
    bounded(|| reset_waits_for_room(None));
}

#[test]
fn keepalive_of_a_stream_dropped_with_linger_0_ends_though_its_rst_has_no_room() {
    bounded(|| reset_waits_for_room(Some(Duration::ZERO)));
}

#[test]
fn keepalive_ends_with_last_ack_though_the_device_takes_nothing() {
    bounded(|| {
        let mut host = with_keepalive(None);
        let mut peer = Peer::new(CLIENT, SERVER);
        let stream = peer.open(&mut host);
        host.tx(peer.seg(FIN | ACK, &[]));
        peer.seq = peer.seq.wrapping_add(1);
        assert_eq!(read(&stream).unwrap(), b"");
        stream.shutdown(Shutdown::Write).unwrap();
        let fin = host.all().pop().unwrap();
        assert!(fin.flags.fin());
        // The FIN is to be retransmitted, and there is no room for it.
        fill_the_outbound_queue(&mut host);
        host.pass(5 * SECOND);
        peer.ack = fin.end();
        host.tx(peer.seg(ACK, &[]));
        host.pass(60 * SECOND);
        host.all();
        assert_eq!(host.engine.stats().connections, 0);
        drop(stream);
    });
}

#[test]
fn a_request_that_was_answered_leaves_no_deadline() {
    let mut host = host();
    let peer = Peer::new(CLIENT, SERVER);
    assert_eq!(host.engine.poll_timeout(host.now()), None);
    host.tx(peer.syn());
    let expiry = host.engine.poll_timeout(host.now()).unwrap();
    let timeout = Config::default().handshake_timeout;
    let late = expiry - (host.now() + timeout);
    assert!(late < SECOND, "{late:?} late");
    let request = {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match host.listener().poll_request(&mut cx) {
            std::task::Poll::Ready(request) => request.unwrap(),
            std::task::Poll::Pending => panic!("no request"),
        }
    };
    request.refuse();
    assert_eq!(host.engine.poll_timeout(host.now()), None);
    // Withdrawn by the client before anybody answered.
    host.all();
    host.tx(peer.syn());
    host.tx(peer.at(peer.seq.wrapping_add(1), support::RST, &[]));
    assert_eq!(host.engine.poll_timeout(host.now()), None);
    assert!(pends(host.listener().accept()));
}

#[test]
fn the_reordering_timer_expires_while_the_device_takes_nothing() {
    bounded(|| {
        let mut host = host();
        host.rtt = Duration::from_millis(100);
        let mut peer = Peer::new(CLIENT, SERVER);
        let stream = peer.open(&mut host);
        now((&stream).write_all(&[1; 5000])).unwrap();
        host.all();
        host.pass(host.rtt);
        now((&stream).write_all(&[1; 100])).unwrap();
        host.block();
        // The second segment has overtaken the first.
        let second = peer.ack.wrapping_add(1460);
        peer.blocks = [Some((second, second.wrapping_add(1460))), None, None];
        host.tx(peer.seg(ACK, &[]));
        host.pass(SECOND);
        let again = host.all();
        assert!(
            again.iter().any(|seg| seg.seq == peer.ack),
            "the first segment is lost: {again:?}"
        );
    });
}

#[test]
fn deadlines_of_connections_that_are_gone_wake_the_driver_once() {
    let mut host = host();
    let to = CLIENT.parse().unwrap();
    let connector = host.connector.clone();
    let mut connects = Vec::new();
    for port in 1..=5 {
        let from = ([10, 0, 0, 1], port).into();
        let mut connect = Box::pin(connect(&connector, from, to));
        assert!(pends(connect.as_mut()));
        connects.push(connect);
        host.pass(Duration::from_millis(150));
    }
    assert_eq!(host.all().len(), 5, "a SYN of each");
    drop(connects);
    assert_eq!(host.all().len(), 5, "a RST of each");
    assert_eq!(host.engine.stats().connections, 0);
    // The SYNs would have been sent again 150 ms apart.
    let mut wake_ups = 0;
    while let Some(at) = host.engine.poll_timeout(host.now()) {
        let sleep = at.saturating_duration_since(host.now());
        host.pass(sleep);
        host.silent();
        wake_ups += 1;
        assert!(wake_ups < 100, "the driver never sleeps");
    }
    assert!(wake_ups <= 1, "woken {wake_ups} times for nothing");
}

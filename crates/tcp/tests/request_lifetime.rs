//! How long a request waits for its answer, and how the program learns that it is gone.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_cell::Threaded;
use brooklet_tcp::{Config, TcpOptions, TcpRequest};
use futures_lite::StreamExt;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use support::*;

type Request = TcpRequest<Threaded>;

fn request(host: &Host) -> Request {
    now(host.listener().requests().next()).unwrap().unwrap()
}

/// When Linux sends its SYNs, in seconds after the `connect`.
const LINUX: [u64; 7] = [0, 1, 3, 7, 15, 31, 63];

/// Passes the time until `end`, in seconds, in which each peer sends its SYNs as Linux does.
fn ask(host: &mut Host, peers: &[Peer], end: u64) {
    let start = host.now();
    for at in LINUX.into_iter().filter(|at| *at < end) {
        host.pass(start + Duration::from_secs(at) - host.now());
        for peer in peers {
            host.tx(peer.syn());
        }
    }
    host.pass(start + Duration::from_secs(end) - host.now());
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_client_that_repeats_its_syn_is_one_request_and_connects_after_17_seconds() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    ask(&mut host, std::slice::from_ref(&peer), 17);
    let request = request(&host);
    assert!(pends(host.listener().requests().next()), "asked for twice");
    let mut accept = Box::pin(request.accept());
    assert!(poll(&mut accept).is_pending());
    peer.establish(&mut host);
    assert_eq!(now(accept).unwrap().peer_addr().unwrap(), peer.from);
    let stats = host.listener().stats();
    assert_eq!((stats.requested, stats.expired), (1, 0));
    assert_eq!(stats.repeated_syns, 4);
}

#[test]
fn six_hundred_clients_of_one_address_that_ask_for_slow_hosts_are_six_hundred_requests() {
    let options = TcpOptions::new().recv_buffer(8192).send_buffer(8192);
    let mut host = Host::new(Config::new().options(options));
    let peers: Vec<Peer> = (0..600)
        .map(|n| Peer::new(&format!("10.0.0.2:{}", 1000 + n), SERVER))
        .collect();
    ask(&mut host, &peers, 1);
    let requests: Vec<Request> = (0..600).map(|_| request(&host)).collect();
    ask(&mut host, &peers, 20);
    assert!(pends(host.listener().requests().next()));
    let mut streams = Vec::new();
    for (request, mut peer) in requests.into_iter().zip(peers) {
        let mut accept = Box::pin(request.accept());
        assert!(poll(&mut accept).is_pending());
        peer.establish(&mut host);
        streams.push(now(accept).unwrap());
        assert_eq!(streams.last().unwrap().peer_addr().unwrap(), peer.from);
    }
    let stats = host.listener().stats();
    assert_eq!((stats.requested, stats.accepted), (600, 600));
}

#[test]
fn a_request_is_over_120_seconds_after_its_first_syn() {
    let mut host = host();
    let peer = Peer::new(CLIENT, SERVER);
    ask(&mut host, std::slice::from_ref(&peer), 118);
    assert_eq!(host.listener().stats().requests, 1);
    host.pass(3 * SECOND);
    let stats = host.listener().stats();
    assert_eq!((stats.requests, stats.expired), (0, 1));
    let mut host = Host::new(Config::new().request_timeout(5 * SECOND));
    ask(&mut host, std::slice::from_ref(&peer), 4);
    assert_eq!(host.listener().stats().requests, 1);
    host.pass(2 * SECOND);
    assert_eq!(host.listener().stats().requests, 0);
}

#[test]
fn a_request_is_withdrawn_by_a_rst_in_sequence() {
    let mut host = host();
    let peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    let request = request(&host);
    let mut withdrawn = Box::pin(request.withdrawn());
    assert!(poll(&mut withdrawn).is_pending());
    for seq in [0, 2, 1000] {
        host.tx(peer.at(peer.seq.wrapping_add(seq), RST, &[]));
    }
    assert_eq!(host.listener().stats().bad_rst, 3);
    host.tx(peer.at(peer.seq.wrapping_add(77), SYN, &[]));
    assert!(poll(&mut withdrawn).is_pending(), "the client starts anew");
    host.tx(peer.at(peer.seq.wrapping_add(1), RST, &[]));
    assert!(poll(&mut withdrawn).is_pending(), "of the SYN before");
    host.tx(peer.at(peer.seq.wrapping_add(78), RST, &[]));
    assert!(poll(&mut withdrawn).is_ready());
    drop(withdrawn);
    now(request.withdrawn());
    let error = now(request.accept()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    assert_eq!(host.listener().stats().requests, 0);
}

#[test]
fn a_request_is_withdrawn_by_its_expiry_and_by_the_end_of_the_stack() {
    for expires in [true, false] {
        let mut host = host();
        host.tx(Peer::new(CLIENT, SERVER).syn());
        let request = request(&host);
        let (count, other) = (Arc::<Count>::default(), Arc::<Count>::default());
        let mut first = Box::pin(request.withdrawn());
        let mut second = Box::pin(request.withdrawn());
        for (future, count) in [(&mut first, &count), (&mut second, &other)] {
            let waker = Waker::from(count.clone());
            let cx = &mut Context::from_waker(&waker);
            assert!(future.as_mut().poll(cx).is_pending());
            assert!(future.as_mut().poll(cx).is_pending());
        }
        if expires {
            host.pass(14 * SECOND);
            assert_eq!(count.0.load(Ordering::SeqCst), 0);
            host.pass(2 * SECOND);
        } else {
            host.engine.shutdown();
        }
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(other.0.load(Ordering::SeqCst), 1);
        assert!(poll(&mut first).is_ready());
        assert!(poll(&mut second).is_ready());
    }
}

#[test]
fn a_task_is_woken_by_its_last_waker_and_a_dropped_future_leaves_none() {
    let mut host = host();
    let peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    let request = request(&host);
    let counts: [Arc<Count>; 3] = Default::default();
    let wakers = counts.each_ref().map(|count| Waker::from(count.clone()));
    let mut stays = Box::pin(request.withdrawn());
    let mut dropped = Box::pin(request.withdrawn());
    assert!(
        stays
            .as_mut()
            .poll(&mut Context::from_waker(&wakers[0]))
            .is_pending()
    );
    assert!(
        stays
            .as_mut()
            .poll(&mut Context::from_waker(&wakers[1]))
            .is_pending()
    );
    assert!(
        dropped
            .as_mut()
            .poll(&mut Context::from_waker(&wakers[2]))
            .is_pending()
    );
    drop(dropped);
    drop(wakers);
    let references = counts.each_ref().map(Arc::strong_count);
    assert_eq!(references, [1, 2, 1], "one waker is registered");
    host.tx(peer.at(peer.seq + 1, RST, &[]));
    let woken = counts
        .each_ref()
        .map(|count| count.0.load(Ordering::SeqCst));
    assert_eq!(woken, [0, 1, 0]);
    assert!(poll(&mut stays).is_ready());
}

#[test]
fn a_dial_races_the_withdrawal_on_another_thread() {
    let mut host = host();
    let peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    let request = request(&host);
    let dial = std::thread::spawn(move || {
        let gone = async {
            request.withdrawn().await;
            "gone"
        };
        futures_lite::future::block_on(futures_lite::future::or(
            futures_lite::future::pending(),
            gone,
        ))
    });
    host.tx(peer.at(peer.seq + 1, RST, &[]));
    assert_eq!(dial.join().unwrap(), "gone");
}

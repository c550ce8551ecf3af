//! Connections that the application has let go: how long they may last.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::Config;
use futures_lite::AsyncWriteExt;
use support::*;

/// A connection with `data` bytes written and its stream dropped, and what was sent. Its peer may
/// stay silent for 60 s.
fn orphan(data: usize) -> (Host, Peer, Vec<Seg>) {
    let mut host = Host::new(Config::new().orphan_timeout(60 * SECOND));
    let mut peer = Peer::new(CLIENT, SERVER);
    let mut stream = peer.open(&mut host);
    now(stream.write_all(&vec![1; data])).unwrap();
    drop(stream);
    let sent = host.all();
    (host, peer, sent)
}

fn alive(host: &Host) -> bool {
    host.engine.stats().connections == 1
}

/// Passes `seconds` and throws away what is sent. No reset may be among it.
fn pass_without_reset(host: &mut Host, seconds: u32) {
    host.pass(seconds * SECOND);
    let sent = host.all();
    assert!(sent.iter().all(|seg| !seg.flags.rst()), "a reset: {sent:?}");
}

#[test]
fn an_orphan_ends_when_it_makes_no_progress() {
    for data in [0, 5000] {
        let (mut host, _, _) = orphan(data);
        pass_without_reset(&mut host, 59);
        assert!(alive(&host));
        host.pass(2 * SECOND);
        assert!(!alive(&host));
    }
}

#[test]
fn fin_wait_2_lasts_for_the_whole_timeout() {
    // From the acknowledgment of the FIN on, whenever it comes.
    for at in [0, 1, 30, 59] {
        let (mut host, mut peer, sent) = orphan(5000);
        pass_without_reset(&mut host, at);
        peer.ack = sent.last().unwrap().end();
        host.tx(peer.seg(ACK, &[]));
        pass_without_reset(&mut host, 59);
        assert!(alive(&host), "the FIN acknowledged after {at} s");
        host.pass(2 * SECOND);
        assert!(!alive(&host), "the FIN acknowledged after {at} s");
    }
}

#[test]
fn a_fin_in_the_whole_of_fin_wait_2_is_acknowledged() {
    for at in [1, 30, 59] {
        let (mut host, mut peer, sent) = orphan(5000);
        pass_without_reset(&mut host, 50);
        peer.ack = sent.last().unwrap().end();
        host.tx(peer.seg(ACK, &[]));
        pass_without_reset(&mut host, at);
        host.tx(peer.seg(FIN | ACK, &[]));
        let answer = host.one();
        assert!(answer.is_bare_ack(), "after {at} s: {answer:?}");
        assert_eq!(answer.ack, peer.seq + 1);
        assert_eq!(host.engine.stats().time_wait, 1);
    }
}

#[test]
fn the_timeout_counts_from_the_last_progress() {
    // Each of the times when the peer acknowledges one more segment.
    for acks in [&[50][..], &[1], &[59], &[10, 65, 120], &[59, 118, 177]] {
        let (mut host, mut peer, sent) = orphan(8000);
        let mut passed = 0;
        for (at, seg) in acks.iter().zip(&sent) {
            pass_without_reset(&mut host, at - passed);
            passed = *at;
            assert!(alive(&host), "before {at} s of {acks:?}");
            peer.ack = seg.end();
            host.tx(peer.seg(ACK, &[]));
        }
        pass_without_reset(&mut host, 59);
        assert!(alive(&host), "59 s after the last of {acks:?}");
        host.pass(2 * SECOND);
        assert!(!alive(&host), "61 s after the last of {acks:?}");
    }
}

#[test]
fn an_ack_that_acknowledges_nothing_is_no_progress() {
    let (mut host, mut peer, _) = orphan(8000);
    peer.window = 0;
    for _ in 0..59 {
        pass_without_reset(&mut host, 1);
        host.tx(peer.seg(ACK, &[]));
    }
    assert!(alive(&host));
    host.pass(2 * SECOND);
    assert!(!alive(&host));
}

#[test]
fn a_linger_time_ends_an_orphan_whatever_progress_it_makes() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let mut stream = peer.open(&mut host);
    stream.set_linger(Some(100 * SECOND));
    now(stream.write_all(&[1; 14_600])).unwrap();
    drop(stream);
    let sent = host.all();
    for seg in &sent[..9] {
        pass_without_reset(&mut host, 11);
        peer.ack = seg.end();
        host.tx(peer.seg(ACK, &[]));
    }
    assert!(alive(&host));
    host.pass(2 * SECOND);
    assert!(!alive(&host));
}

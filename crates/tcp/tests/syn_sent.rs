//! What comes in SYN-SENT: RFC 9293, 3.10.7.3.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::Config;
use futures_lite::AsyncWriteExt;
use std::io::ErrorKind;
use std::time::Duration;
use support::*;

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_syn_ack_before_the_syn_was_sent_connects_nothing() {
    // The device takes nothing, and another connection has filled the outbound queue.
    for ack in [0, 1, u32::MAX] {
        let mut host = Host::new(Config::new().outbound_packets(2));
        let mut other = Peer::new("10.0.0.3:1", SERVER);
        let mut full = other.open(&mut host);
        now(full.write_all(&[1; 10_000])).unwrap();
        let connector = host.connector.clone();
        let mut connection = Box::pin(connect(&connector, addr(SERVER), addr(CLIENT)));
        assert!(poll(&mut connection).is_pending());
        let mut peer = Peer::new(CLIENT, SERVER);
        peer.ack = ack;
        host.tx(peer.seg(SYN | ACK, &[]));
        assert!(poll(&mut connection).is_pending(), "ack {ack}");
        // There is room again, and the SYN leaves.
        let sent = host.all();
        let syn = sent
            .iter()
            .find(|seg| seg.flags.syn() && !seg.flags.ack())
            .unwrap_or_else(|| panic!("no SYN after a SYN-ACK with ack {ack}"));
        peer.ack = syn.seq + 1;
        host.tx(peer.seg(SYN | ACK, &[]));
        assert!(poll(&mut connection).is_ready());
    }
}

#[test]
fn a_challenge_ack_gets_a_reset_and_the_syn_again_at_once() {
    // The peer still has an old connection of this 4-tuple (RFC 5961, 4.2). The RST ends that, and
    // the SYN that follows opens the new one.
    for (flags, what) in [(ACK, "ACK"), (SYN | ACK, "SYN-ACK")] {
        let mut host = host();
        let connector = host.connector.clone();
        let mut connection = Box::pin(connect(&connector, addr(SERVER), addr(CLIENT)));
        assert!(poll(&mut connection).is_pending());
        let syn = host.one();
        host.pass(50 * MS);
        let mut peer = Peer::new(CLIENT, SERVER);
        peer.ack = syn.seq.wrapping_sub(5000);
        host.tx(peer.seg(flags, &[]));
        host.pass(10 * MS);
        let sent = host.all();
        assert_eq!(sent.len(), 2, "{what}: {sent:?}");
        assert!(sent[0].flags.rst());
        assert_eq!(sent[0].seq, peer.ack);
        assert!(sent[1].flags.syn() && !sent[1].flags.ack());
        assert_eq!((sent[1].seq, sent[1].mss), (syn.seq, syn.mss));
        // Once: a peer that goes on challenging does not make a stream of SYNs.
        for _ in 0..5 {
            host.tx(peer.seg(flags, &[]));
            host.pass(10 * MS);
            assert!(host.one().flags.rst());
        }
        peer.ack = syn.seq + 1;
        host.tx(peer.seg(SYN | ACK, &[]));
        let stream = now(connection).unwrap();
        assert!(host.one().is_bare_ack());
        drop(stream);
    }
}

#[test]
fn the_retransmission_timer_goes_on_after_a_challenge_ack() {
    let mut host = host();
    let connector = host.connector.clone();
    let mut connection = Box::pin(connect(&connector, addr(SERVER), addr(CLIENT)));
    assert!(poll(&mut connection).is_pending());
    let syn = host.one();
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.ack = syn.seq.wrapping_sub(5000);
    host.tx(peer.seg(ACK, &[]));
    host.pass(10 * MS);
    host.all();
    // Nothing answers any more.
    host.pass(3 * SECOND);
    assert!(host.all().iter().all(|seg| seg.flags.syn()));
    host.pass(13 * SECOND);
    assert_eq!(now(connection).unwrap_err().kind(), ErrorKind::TimedOut);
}

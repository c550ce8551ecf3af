//! Retransmissions that were not needed: the response to congestion is undone (RFC 9438, 4.9), shown
//! by D-SACK (RFC 3708) or by timestamps (RFC 3522, RFC 4015), and the reordering window grows
//! (RFC 8985, 6.2).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::TcpInfo;
use futures_lite::AsyncWriteExt;
use std::time::Duration;
use support::*;

const MS: Duration = Duration::from_millis(1);
const SEGMENTS: usize = 10;

struct Path {
    host: Host,
    peer: Peer,
    stream: Stream,
}

impl Path {
    /// A connection on which a round trip takes 100 ms.
    fn new(stamped: bool) -> Self {
        let mut host = host();
        host.rtt = 100 * MS;
        let mut peer = Peer::new(CLIENT, SERVER);
        peer.timestamp = stamped.then_some((1000, 0));
        let stream = peer.open(&mut host);
        let mut path = Self { host, peer, stream };
        for _ in 0..80 {
            let sent = path.send(100);
            path.host.pass(100 * MS);
            path.ack(&sent[0], sent[0].end(), &[]);
        }
        path
    }

    fn info(&self) -> TcpInfo {
        self.stream.info()
    }

    fn send(&mut self, len: usize) -> Vec<Seg> {
        now((&self.stream).write_all(&vec![1; len])).unwrap();
        self.host.all()
    }

    /// A flight of full segments that fills the congestion window.
    fn flight(&mut self) -> Vec<Seg> {
        let mss = self.info().mss;
        let sent = self.send(SEGMENTS * mss);
        assert_eq!(sent.len(), SEGMENTS, "the congestion window has shrunk");
        sent
    }

    /// The peer acknowledges everything before `ack`, reports `blocks`, and echoes the timestamp of
    /// `echo`.
    fn ack(&mut self, echo: &Seg, ack: u32, blocks: &[(u32, u32)]) {
        let Self { host, peer, .. } = self;
        peer.ack = ack;
        peer.timestamp = peer
            .timestamp
            .map(|(val, _)| (val + 1, echo.timestamp.unwrap().0));
        peer.blocks = [0, 1, 2].map(|n| blocks.get(n).copied());
        host.tx(peer.seg(ACK, &[]));
        peer.blocks = [None; 3];
    }

    /// The second and all following segments of `sent` have arrived. Returns what is sent again.
    fn all_but_the_first_arrive(&mut self, sent: &[Seg]) -> Vec<Seg> {
        for seg in &sent[1..] {
            self.ack(seg, sent[0].seq, &[(sent[1].seq, seg.end())]);
        }
        self.host.all()
    }

    fn assert_undone(&self, before: &TcpInfo) {
        let info = self.info();
        let (now, then) = ((info.cwnd, info.ssthresh), (before.cwnd, before.ssthresh));
        assert!(now.0 >= then.0 && now.1 == then.1, "{now:?}, not {then:?}");
    }

    fn assert_reduced(&self, before: &TcpInfo) {
        let info = self.info();
        assert!(info.ssthresh < before.cwnd, "{info:?}");
        assert!(info.cwnd <= before.cwnd, "{info:?}");
    }
}

fn block(seg: &Seg) -> (u32, u32) {
    (seg.seq, seg.end())
}

#[test]
fn a_dsack_for_the_only_retransmission_undoes_the_reduction() {
    for stamped in [false, true] {
        let mut path = Path::new(stamped);
        let sent = path.flight();
        let before = path.info();
        path.host.pass(100 * MS);
        let again = path.all_but_the_first_arrive(&sent);
        assert_eq!(again.len(), 1);
        path.assert_reduced(&before);
        // The original was only late, and then the retransmission arrives as well. The peer echoes
        // the timestamp of the retransmission, so that only the D-SACK tells.
        path.host.pass(10 * MS);
        path.ack(&again[0], sent[9].end(), &[]);
        path.host.pass(90 * MS);
        path.ack(&again[0], sent[9].end(), &[block(&sent[0])]);
        path.assert_undone(&before);
        assert_eq!(path.flight().len(), SEGMENTS);
    }
}

#[test]
fn a_dsack_in_recovery_undoes_the_reduction() {
    let mut path = Path::new(false);
    let sent = path.flight();
    let before = path.info();
    path.host.pass(100 * MS);
    for seg in &sent[1..5] {
        path.ack(seg, sent[0].seq, &[(sent[1].seq, seg.end())]);
    }
    assert_eq!(path.host.all().len(), 1);
    path.assert_reduced(&before);
    path.host.pass(10 * MS);
    path.ack(&sent[0], sent[4].end(), &[]);
    path.ack(&sent[0], sent[4].end(), &[block(&sent[0])]);
    path.assert_undone(&before);
    // What is still in flight has not been lost.
    path.ack(&sent[9], sent[9].end(), &[]);
    assert_eq!(path.host.all(), []);
    path.assert_undone(&before);
}

#[test]
fn an_echo_of_the_original_undoes_the_reduction_at_once() {
    // RFC 3522, 3.2: the first ACK that covers the retransmission tells.
    let mut path = Path::new(true);
    let sent = path.flight();
    let before = path.info();
    path.host.pass(100 * MS);
    let again = path.all_but_the_first_arrive(&sent);
    assert_eq!(again.len(), 1);
    assert_ne!(again[0].timestamp.unwrap().0, sent[0].timestamp.unwrap().0);
    path.assert_reduced(&before);
    path.host.pass(10 * MS);
    path.ack(&sent[0], sent[9].end(), &[]);
    path.assert_undone(&before);
}

#[test]
fn an_echo_of_the_original_undoes_a_timeout() {
    // RFC 4015. The ACKs were late by more than the RTO; nothing was lost.
    let mut path = Path::new(true);
    let sent = path.flight();
    let before = path.info();
    path.host.pass(550 * MS);
    path.assert_reduced(&before);
    let timeout = path.host.all();
    assert!(timeout.iter().any(|seg| seg.seq == sent[0].seq));
    let retransmits = path.info().retransmits;
    for seg in &sent {
        path.ack(seg, seg.end(), &[]);
        path.assert_undone(&before);
    }
    // Nothing else is sent again.
    assert_eq!(path.host.all(), []);
    assert_eq!(path.info().retransmits, retransmits);
}

#[test]
fn a_needed_retransmission_is_not_undone() {
    for stamped in [false, true] {
        let mut path = Path::new(stamped);
        let sent = path.flight();
        let before = path.info();
        path.host.pass(100 * MS);
        let again = path.all_but_the_first_arrive(&sent);
        path.host.pass(100 * MS);
        path.ack(&again[0], sent[9].end(), &[]);
        path.assert_reduced(&before);
        path.host.pass(10 * SECOND);
        path.assert_reduced(&before);
    }
}

#[test]
fn a_needed_timeout_is_not_undone() {
    for stamped in [false, true] {
        let mut path = Path::new(stamped);
        let sent = path.flight();
        let before = path.info();
        path.host.pass(550 * MS);
        let first = sent[0].seq;
        let again = path.host.all();
        let again = again.iter().find(|seg| seg.seq == first).unwrap();
        path.host.pass(100 * MS);
        path.ack(again, sent[0].end(), &[]);
        path.assert_reduced(&before);
    }
}

#[test]
fn a_dsack_for_one_of_two_retransmissions_undoes_nothing() {
    let mut path = Path::new(false);
    let sent = path.flight();
    let before = path.info();
    path.host.pass(100 * MS);
    for seg in &sent[2..] {
        path.ack(seg, sent[0].seq, &[(sent[2].seq, seg.end())]);
    }
    assert_eq!(path.host.all().len(), 2);
    // The first was late, the second was lost.
    path.host.pass(10 * MS);
    path.ack(&sent[0], sent[0].end(), &[(sent[2].seq, sent[9].end())]);
    path.host.pass(90 * MS);
    path.ack(&sent[0], sent[9].end(), &[block(&sent[0])]);
    path.assert_reduced(&before);
    // The second was late, too.
    path.ack(&sent[0], sent[9].end(), &[block(&sent[1])]);
    path.assert_undone(&before);
}

/// A round trip in which the first of ten segments arrives `late`, and what the peer says of it.
/// Returns the number of retransmissions.
fn reordered_round(path: &mut Path, late: Duration) -> usize {
    let sent = path.flight();
    path.host.pass(100 * MS);
    let mut again = path.all_but_the_first_arrive(&sent);
    path.host.pass(late);
    again.extend(path.host.all());
    path.ack(&sent[0], sent[9].end(), &[]);
    path.host.pass(100 * MS);
    again.extend(path.host.all());
    for seg in &again {
        path.ack(seg, sent[9].end(), &[block(seg)]);
    }
    again.len()
}

#[test]
fn the_reordering_window_adapts_to_the_path() {
    for stamped in [false, true] {
        let mut path = Path::new(stamped);
        let before = path.info();
        // Of a quarter of a round trip, and then of more: step by step, a quarter a round.
        for (late, learns) in [(20, 1), (45, 2), (70, 3)] {
            for round in 0..learns {
                let again = reordered_round(&mut path, late * MS);
                assert!(again <= 1, "{again} in round {round} of {late} ms");
            }
            for round in 0..10 {
                let again = reordered_round(&mut path, late * MS);
                assert_eq!(again, 0, "in round {round} of {late} ms, {stamped}");
            }
            assert!(path.info().cwnd >= before.cwnd, "{late} ms");
        }
    }
}

#[test]
fn a_loss_is_still_found_in_time_on_a_path_that_reorders() {
    // RFC 8985, 6.2: the window is a part of the round trip, not a timeout.
    let mut path = Path::new(false);
    for _ in 0..10 {
        reordered_round(&mut path, 20 * MS);
    }
    let sent = path.flight();
    path.host.pass(100 * MS);
    let mut again = path.all_but_the_first_arrive(&sent);
    path.host.pass(101 * MS);
    again.extend(path.host.all());
    assert_eq!(again.len(), 1);
    assert_eq!(block(&again[0]), block(&sent[0]));
}

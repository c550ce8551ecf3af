//! Paths that drop large packets and say nothing of it: a black hole (RFC 4821, 7; RFC 8899, 4.3).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, Interface};
use futures_lite::AsyncWriteExt;
use std::collections::BTreeMap;
use std::time::Duration;
use support::*;

const MS: Duration = Duration::from_millis(1);
const V6: (&str, &str) = ("[fd00::2]:40000", "[2001:db8::1]:80");

/// A path to a peer that acknowledges, with SACK if it has it, everything that comes through.
struct Path {
    host: Host,
    peer: Peer,
    stream: Stream,
    /// The largest packet that comes through, in bytes.
    mtu: usize,
    /// Data beyond a gap: start and end, from the first number on.
    early: BTreeMap<u32, u32>,
    first: u32,
    /// What was sent in the last transfer.
    sent: Vec<Seg>,
}

impl Path {
    fn new((from, to): (&str, &str), sack: bool, offload: bool) -> Self {
        let mut host = Host::on(Interface::new().offload(offload), Config::default());
        let mut peer = Peer::new(from, to);
        peer.sack = sack;
        let stream = peer.open(&mut host);
        Self {
            first: peer.ack,
            host,
            peer,
            stream,
            mtu: 1500,
            early: BTreeMap::new(),
            sent: Vec::new(),
        }
    }

    fn arrives(&mut self, seg: &Seg) {
        let start = seg.seq.wrapping_sub(self.first);
        let end = seg.end().wrapping_sub(self.first);
        let mut next = self.peer.ack.wrapping_sub(self.first);
        self.early.insert(start, end);
        while let Some((&start, &end)) = self.early.first_key_value()
            && start <= next
        {
            next = next.max(end);
            self.early.remove(&start);
        }
        self.peer.ack = self.first.wrapping_add(next);
        self.peer.blocks = [None; 3];
        let gaps = self.early.iter().filter(|_| self.peer.sack);
        for (slot, (start, end)) in self.peer.blocks.iter_mut().zip(gaps) {
            *slot = Some((
                self.first.wrapping_add(*start),
                self.first.wrapping_add(*end),
            ));
        }
        let ack = self.peer.seg(ACK, &[]);
        self.host.tx(ack);
    }

    /// Sends `len` bytes. Returns how long it takes until all of it is acknowledged.
    fn transfer(&mut self, len: usize) -> Duration {
        self.sent.clear();
        now((&self.stream).write_all(&vec![7; len])).unwrap();
        let start = self.host.now();
        while self.stream.info().send_queue > 0 {
            let sent = self.host.all();
            if sent.is_empty() {
                let at = self.host.engine.poll_timeout(self.host.now());
                let wait = at.unwrap().saturating_duration_since(self.host.now());
                self.host.pass(wait);
                let took = self.host.now() - start;
                assert!(
                    took < 250 * SECOND,
                    "a path of {} bytes: {took:?}",
                    self.mtu
                );
                continue;
            }
            self.host.pass(20 * MS);
            for seg in &sent {
                assert!(!seg.flags.rst(), "{seg:?}");
                if seg.bytes.len() <= self.mtu {
                    self.arrives(seg);
                }
            }
            self.sent.extend(sent);
        }
        self.host.now() - start
    }

    fn mss(&self) -> usize {
        self.stream.info().mss
    }
}

#[test]
fn a_transfer_through_a_black_hole_ends() {
    for (ends, headers, mtus) in [
        ((CLIENT, SERVER), 40, &[1492, 1400, 1280, 1000, 600][..]),
        (V6, 60, &[1492, 1400, 1280]),
    ] {
        for &mtu in mtus {
            for (sack, offload) in [(true, false), (false, false), (true, true)] {
                let mut path = Path::new(ends, sack, offload);
                path.transfer(30_000);
                assert_eq!(path.mss(), 1500 - headers);
                path.mtu = mtu;
                let took = path.transfer(60_000);
                let what = format!("{mtu} bytes, SACK {sack}, offload {offload}, {ends:?}");
                assert!(took < 60 * SECOND, "{took:?}; {what}");
                assert!(path.mss() <= mtu - headers, "{} of {what}", path.mss());
                // What comes next is not tried in vain.
                let took = path.transfer(60_000);
                assert!(took < 2 * SECOND, "{took:?} afterwards; {what}");
                assert!(path.sent.iter().all(|seg| seg.bytes.len() <= mtu));
            }
        }
    }
}

#[test]
fn a_black_hole_from_the_beginning_is_found_too() {
    for ends in [(CLIENT, SERVER), V6] {
        let mut path = Path::new(ends, true, false);
        path.mtu = 1300;
        let took = path.transfer(100_000);
        assert!(took < 60 * SECOND, "{took:?}");
    }
}

#[test]
fn a_message_of_one_segment_gets_through_a_black_hole() {
    for (ends, mtu, len) in [
        ((CLIENT, SERVER), 1300, 1400),
        ((CLIENT, SERVER), 600, 1000),
        ((CLIENT, SERVER), 600, 600),
        (V6, 1300, 1300),
    ] {
        let mut path = Path::new(ends, true, false);
        path.transfer(30_000);
        path.mtu = mtu;
        let took = path.transfer(len);
        assert!(took < 10 * SECOND, "{len} bytes take {took:?}");
    }
}

#[test]
fn a_lost_window_update_is_made_up_for_in_a_black_hole() {
    for sack in [true, false] {
        let mut path = Path::new((CLIENT, SERVER), sack, false);
        path.transfer(30_000);
        now((&path.stream).write_all(&[7; 5000])).unwrap();
        path.host.all();
        // The window closes over what is in flight. That it opens again is lost, and the path takes
        // no full-size segment.
        path.peer.window = 0;
        path.host.tx(path.peer.seg(ACK, &[]));
        path.peer.window = 65_535;
        path.mtu = 600;
        let sent = path.first.wrapping_add(35_000);
        for _ in 0..200 {
            path.host.pass(SECOND);
            for seg in path.host.all() {
                // A segment without data asks for an ACK if it begins before RCV.NXT.
                let is_old = (seg.seq.wrapping_sub(path.peer.ack) as i32) < 0;
                if (is_old || !seg.data.is_empty()) && seg.bytes.len() <= path.mtu {
                    path.arrives(&seg);
                }
            }
        }
        assert_eq!(path.peer.ack, sent, "SACK {sack}");
    }
}

#[test]
fn segments_are_not_cut_smaller_than_useful() {
    // RFC 8899, 5.1.2: the least is 1,280 bytes for IPv6. For IPv4, as after an ICMP error, 552.
    for (ends, least) in [((CLIENT, SERVER), 512), (V6, 1220)] {
        let mut path = Path::new(ends, true, false);
        path.mtu = 100;
        now((&path.stream).write_all(&[7; 30_000])).unwrap();
        path.host.pass(250 * SECOND);
        assert!(path.mss() >= least, "{}", path.mss());
        let sent = path.host.all();
        let firsts: Vec<_> = sent.iter().filter(|seg| seg.seq == path.first).collect();
        assert!(firsts.len() > 5, "{}", firsts.len());
        for seg in firsts {
            assert!(seg.data.len() >= least, "{} bytes", seg.data.len());
        }
    }
}

#[test]
fn a_loss_that_is_not_one_of_size_makes_no_segment_smaller() {
    // One timeout, and one of a small segment however often.
    let mut path = Path::new((CLIENT, SERVER), true, false);
    path.transfer(30_000);
    now((&path.stream).write_all(&[7; 14_600])).unwrap();
    path.host.all();
    path.host.pass(250 * MS);
    path.transfer(0);
    path.transfer(30_000);
    assert_eq!(path.mss(), 1460);
    let small = path.stream.info().retransmits;
    now((&path.stream).write_all(&[7; 100])).unwrap();
    path.host.pass(100 * SECOND);
    path.host.all();
    assert!(path.stream.info().retransmits > small + 5);
    path.transfer(0);
    path.transfer(30_000);
    assert_eq!(path.mss(), 1460);
}

#[test]
fn larger_segments_are_tried_again_in_time() {
    // RFC 4821, 7.7: after some minutes. The path may have become wider.
    for ends in [(CLIENT, SERVER), V6] {
        let mut path = Path::new(ends, true, false);
        let full = path.mss();
        path.mtu = 1300;
        path.transfer(60_000);
        assert!(path.mss() < full);
        path.mtu = 1500;
        for _ in 0..30 {
            path.host.pass(60 * SECOND);
            path.transfer(60_000);
        }
        assert_eq!(path.mss(), full, "after half an hour");
    }
}

#[test]
fn to_try_larger_segments_holds_nothing_up_for_long() {
    let mut path = Path::new((CLIENT, SERVER), true, false);
    path.mtu = 1300;
    path.transfer(60_000);
    for minute in 0..60 {
        path.host.pass(60 * SECOND);
        let took = path.transfer(60_000);
        assert!(took < 10 * SECOND, "{took:?} after {minute} min");
        assert!(path.mss() <= 1260);
    }
}

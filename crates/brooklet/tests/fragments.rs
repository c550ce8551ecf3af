//! Fragments from the wire: datagrams, connections and pings that came in pieces, and what must
//! not come of pieces.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/host.rs"]
mod host;
#[path = "support/packets.rs"]
mod packets;
mod support;

use brooklet::filter::{Direction, Verdict};
use brooklet::{Builder, DropReason, Packet, ReassemblyConfig};
use host::{Host, host};
use packets::{fragment, fragments, ping, syn, udp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::addr;

const ENDS: [(&str, &str); 2] = [
    ("10.0.0.2:5000", "192.0.2.1:53"),
    ("[fd00::2]:5000", "[2001:db8::1]:53"),
];

fn counting(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 7) as u8).collect()
}

#[test]
fn a_datagram_in_three_fragments_in_any_order() {
    for (from, to) in ENDS {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            let mut host = host();
            let payload = counting(3000);
            let pieces = fragments(&udp(addr(from), addr(to), &payload), &[1000, 2000]);
            assert!(host.give(order.map(|at| &pieces[at])).is_empty());
            let datagram = host.datagram().expect("all pieces are there");
            assert_eq!((datagram.from, datagram.to), (addr(from), addr(to)));
            assert_eq!(datagram.payload, payload);
            assert_eq!(host.stack.stats().reassembly.packets, 1);
            assert_eq!(host.stack.stats().drops().map(|(_, n)| n).sum::<u64>(), 0);
        }
    }
}

#[test]
fn a_lone_fragment_harms_nobody() {
    for (from, to) in ENDS {
        let whole = udp(addr(from), addr(to), &counting(2000));
        let pieces = fragments(&whole, &[1000]);
        for alone in &pieces {
            let mut host = host();
            assert!(host.give([alone]).is_empty());
            assert!(host.datagram().is_none());
            host.give([udp(addr(from), addr(to), b"hello")]);
            assert_eq!(host.datagram().unwrap().payload, b"hello");
            // A datagram of the same two hosts in other fragments, the lone one being stuck.
            let mut others = fragments(&udp(addr(from), addr(to), &counting(1600)), &[800]);
            for other in &mut others {
                if other[0] >> 4 == 4 {
                    other[5] = 8;
                    packets::fix(other);
                } else {
                    other[47] = 8;
                }
            }
            host.give(others);
            assert_eq!(host.datagram().unwrap().payload, counting(1600));
        }
    }
}

#[test]
fn a_later_fragment_is_never_read_as_a_header() {
    for (from, to) in ENDS {
        let mut host = host();
        for whole in [
            udp(addr(from), addr(to), b"not a header"),
            syn(addr(from), addr(to), 7),
            ping(addr(from).ip(), addr(to).ip(), b"12345678"),
        ] {
            let (header, body) = whole.split_at(if whole[0] >> 4 == 4 { 20 } else { 40 });
            assert!(host.give([fragment(header, 8, false, body)]).is_empty());
        }
        assert!(host.datagram().is_none());
        let stats = host.stack.stats();
        assert_eq!((stats.tcp.requests, stats.echo_replies), (0, 0));
    }
}

#[test]
fn fragments_that_overlap_make_nothing() {
    for (from, to) in ENDS {
        let whole = udp(addr(from), addr(to), &counting(1592));
        let (header, body) = whole.split_at(if whole[0] >> 4 == 4 { 20 } else { 40 });
        let mut other = body.to_vec();
        other[900] ^= 1;
        let mut host = host();
        host.give([
            fragment(header, 0, true, &body[..1000]),
            fragment(header, 800, true, &other[800..1200]),
            fragment(header, 1000, false, &body[1000..]),
        ]);
        assert!(host.datagram().is_none());
        let stats = host.stack.stats();
        assert_eq!(stats.dropped(DropReason::FragmentConflict), 3);
    }
}

#[test]
fn a_connection_asked_for_in_fragments() {
    for ((from, to), requests) in ENDS.into_iter().zip([1, 0]) {
        let mut host = host();
        let pieces = fragments(&syn(addr(from), addr(to), 7), &[8]);
        host.give(pieces);
        // The first fragment of an IPv6 packet has the whole TCP header (RFC 7112, 5).
        assert_eq!(host.stack.stats().tcp.requests, requests);
    }
}

#[test]
fn a_ping_longer_than_the_mtu_is_answered_in_fragments() {
    for (from, to) in ENDS {
        for len in [1400, 2000, 40_000] {
            let mut host = host();
            let request = ping(addr(from).ip(), addr(to).ip(), &counting(len));
            let places: Vec<usize> = (1200..len).step_by(1200).collect();
            let pieces = fragments(&request, &places);
            let answers = host.give(&pieces);
            assert_eq!(
                answers.len(),
                len.div_ceil(1450),
                "with 1448 or 1480 bytes each"
            );
            let mut other = Host::new(Builder::new());
            // Read by putting the offsets in order by hand.
            let mut body: Vec<u8> = Vec::new();
            for answer in &answers {
                assert!(answer.len() <= 1500);
                let header_len = match (answer[0] >> 4, answers.len()) {
                    (4, _) => 20,
                    (_, 1) => 40,
                    _ => 48,
                };
                body.extend(&answer[header_len..]);
            }
            let sent = &request[if from.starts_with('[') { 40 } else { 20 }..];
            assert_eq!(&body[4..], &sent[4..], "{len} from {from}");
            assert_eq!(body[0], if from.starts_with('[') { 129 } else { 0 });
            assert_eq!(host.stack.stats().echo_replies, 1);
            // And by a stack, which finds the checksum right, and an answer it did not ask for.
            other.give(answers);
            let stats = other.stack.stats();
            assert_eq!(stats.dropped(DropReason::IcmpUnanswered), 1, "{stats}");
            assert_eq!(stats.dropped(DropReason::BadChecksum), 0);
        }
    }
}

#[test]
fn an_answer_goes_out_whole_or_not_at_all() {
    let mut host = host();
    let request = ping(
        addr(ENDS[0].0).ip(),
        addr(ENDS[0].1).ip(),
        &counting(40_000),
    );
    for request_id in 0..40 {
        for mut piece in fragments(&request, &[20_000]) {
            // An answer has the identification of its request.
            piece[5] = request_id;
            packets::fix(&mut piece);
            host.put(piece);
        }
    }
    // The wire takes 512 packets at a time, and an answer has 28 fragments.
    let sent: Vec<_> = (0..40).flat_map(|_| host.run()).collect();
    let mut fragments_of = HashMap::new();
    for piece in &sent {
        *fragments_of.entry(&piece[4..6]).or_insert(0) += 1;
    }
    assert!(fragments_of.values().all(|&count| count == 28));
    let stats = host.stack.stats();
    let dropped = stats.dropped(DropReason::ReplyFull);
    assert!(dropped > 0, "256 KiB of answers wait");
    assert_eq!(stats.echo_replies, fragments_of.len() as u64);
    assert_eq!(stats.echo_replies + dropped, 40);
}

#[test]
fn the_ping_of_death() {
    let mut host = host();
    let request = ping(addr(ENDS[0].0).ip(), addr(ENDS[0].1).ip(), &counting(1000));
    let header = &request[..20];
    assert!(
        host.give([fragment(header, 65_528, false, &[0; 1000])])
            .is_empty()
    );
    assert_eq!(host.stack.stats().dropped(DropReason::FragmentInvalid), 1);
    assert_eq!(host.give([request]).len(), 1, "the stack still answers");
}

#[test]
fn time_ends_what_is_not_complete() {
    let mut host = host();
    let pieces = fragments(
        &udp(addr(ENDS[0].0), addr(ENDS[0].1), &counting(2000)),
        &[1000],
    );
    host.give([&pieces[0]]);
    assert_eq!(host.sleeps_for(), Some(Duration::from_secs(15)));
    host.pass(Duration::from_secs(15));
    let stats = host.stack.stats();
    assert_eq!(stats.dropped(DropReason::FragmentExpired), 1);
    assert_eq!(
        (stats.reassembly.queued_bytes, host.sleeps_for()),
        (0, None)
    );
    host.give([&pieces[1]]);
    assert!(host.datagram().is_none());
}

#[test]
fn a_storm_of_fragments_is_held_within_limits() {
    let mut host = host();
    let whole = udp(addr(ENDS[0].0), addr(ENDS[0].1), &counting(40_000));
    for source in 0..200u8 {
        for id in 0..10 {
            let mut header = whole[..20].to_vec();
            (header[13], header[5]) = (source, id);
            host.give([fragment(&header, 0, true, &whole[20..20 + 20_000])]);
            let held = host.stack.stats().reassembly;
            assert!(
                held.queued_bytes <= 1 << 20 && held.queued_packets <= 64,
                "{held:?}"
            );
        }
    }
    assert!(host.stack.stats().dropped(DropReason::FragmentEvicted) > 1900);
    // A datagram in fragments still gets through.
    host.give(fragments(&whole, &[1200, 20_000]));
    assert_eq!(host.datagram().unwrap().payload, counting(40_000));
}

#[test]
fn reassembly_has_limits_to_be_set_and_may_be_off() {
    let pieces = fragments(
        &udp(addr(ENDS[0].0), addr(ENDS[0].1), &counting(2000)),
        &[1000],
    );
    let mut off = Host::new(Builder::new().reassembly(None));
    off.give(&pieces);
    assert!(off.datagram().is_none());
    assert_eq!(off.stack.stats().dropped(DropReason::ReassemblyOff), 2);

    let mut small = Host::new(Builder::new().reassembly(Some(ReassemblyConfig::new().bytes(1000))));
    small.give(&pieces);
    assert!(small.datagram().is_none());
    assert_eq!(small.stack.stats().dropped(DropReason::FragmentEvicted), 2);
}

#[test]
fn fragments_within_fragments_are_not_taken() {
    let (from, to) = (addr(ENDS[1].0), addr(ENDS[1].1));
    let inner = fragment(
        &udp(from, to, &counting(100))[..40],
        8,
        false,
        &counting(100),
    );
    let mut outer = fragments(&inner, &[48]);
    for piece in &mut outer {
        piece[40] = 44; // what follows is a fragment header
    }
    let mut host = host();
    host.give(outer);
    let stats = host.stack.stats();
    assert_eq!(
        (
            stats.reassembly.packets,
            stats.dropped(DropReason::ReassemblyOff)
        ),
        (1, 1)
    );
    assert!(host.datagram().is_none());
}

/// Nothing gets past a filter in pieces, and it has no pieces to judge.
#[test]
fn a_filter_sees_whole_packets() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let no_dns = move |packet: &Packet<'_>, direction: Direction| {
        assert!(packet.fragment().is_none());
        log.lock().unwrap().push((direction, packet.total_len()));
        match packet.key().destination().port() {
            53 => Verdict::Drop,
            _ => Verdict::Pass,
        }
    };
    for (from, to) in ENDS {
        let mut host = Host::new(Builder::new().filter(no_dns.clone()));
        let whole = udp(addr(from), addr(to), &counting(2000));
        // The ports are in the first fragment, or not even there all of them.
        for place in [8, 1000] {
            host.give(fragments(&whole, &[place]));
        }
        assert!(host.datagram().is_none());
        assert_eq!(host.stack.stats().dropped(DropReason::FilteredIn), 2);
        let all = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(all, [(Direction::Inbound, whole.len()); 2]);
    }
}

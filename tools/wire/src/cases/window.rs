//! Windows, segment sizes, and how much is sent at first.

use super::{Case, case};
use crate::app::{GREET, LATE, SEND, pattern};
use crate::packet::{ACK, RST, Seg};
use crate::wire::{Done, Peer, Wire, after, check, ms};
use std::collections::BTreeSet;

pub(super) const CASES: &[Case] = &[
    case(
        "T28",
        "window of zero: probed, and sending goes on when it opens",
        t28,
    ),
    case(
        "T29",
        "own window closes, answers probes, and opens again",
        t29,
    ),
    case("T32", "at most 10 segments at first (RFC 6928)", t32),
    case("T33", "MSS of 88 to 536 is respected", t33),
    case("T34", "no MSS option on IPv4: 536 at most", t34),
    case(
        "T35",
        "MSS of 0 and 1: survives, and no empty segments",
        t35,
    ),
    case(
        "T36",
        "window scale: honoured, 15 is taken for 14 (RFC 7323, 2.3)",
        t36,
    ),
];

fn t28(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(SEND);
    peer.window = 2920;
    peer.open(wire)?;
    let mut data = Vec::new();
    while data.len() < 2920 {
        let seg = peer.expect(wire, "2,920 bytes", |seg| {
            seg.seq == peer.ack && !seg.data.is_empty()
        })?;
        peer.ack = seg.end();
        data.extend(seg.data);
    }
    check!(
        data.len() == 2920,
        "{} bytes in a window of 2,920",
        data.len()
    );
    peer.window = 0;
    peer.ack(wire)?;
    for n in 0..3 {
        let probe = peer.find(wire, ms(9000), |_| true)?.ok_or("no probe")?;
        check!(!probe.has(RST), "a reset");
        check!(
            probe.data.len() <= 1,
            "probe {n} has {} bytes",
            probe.data.len()
        );
        peer.ack(wire)?;
    }
    peer.window = 65_535;
    peer.ack(wire)?;
    data.extend(peer.read_to_end(wire)?);
    check!(data == pattern(1 << 20), "other data");
    Ok(())
}

/// Sends until the window is shut. Says how much that was.
pub(super) fn fill(wire: &mut Wire, peer: &mut Peer, mut edge: u32) -> Result<Vec<u8>, String> {
    let mut sent = Vec::new();
    loop {
        let room = edge.wrapping_sub(peer.seq) as usize;
        let n = room.min(1460);
        if n == 0 {
            // It may open by itself for a moment.
            let more = peer.find(wire, ms(300), |seg| seg.ack == peer.seq && seg.window > 0)?;
            let Some(seg) = more else { return Ok(sent) };
            edge = seg.ack.wrapping_add(u32::from(seg.window) << peer.scale);
            continue;
        }
        check!(sent.len() < 8 << 20, "the window never closes");
        let part: Vec<u8> = (sent.len()..sent.len() + n).map(|i| i as u8).collect();
        peer.write(wire, &part)?;
        sent.extend(part);
        // An answer may be late; the edge that is known is still good.
        while let Some(seg) = peer.find(wire, ms(if n < 1460 { 60 } else { 0 }), |_| true)? {
            check!(!seg.has(RST), "a reset");
            let right = seg.ack.wrapping_add(u32::from(seg.window) << peer.scale);
            if after(right, edge) {
                edge = right;
            }
            if seg.ack == peer.seq {
                break;
            }
        }
    }
}

/// The window opens, and all that was sent is read, with what follows.
pub(super) fn opens_again(wire: &mut Wire, peer: &mut Peer, mut sent: Vec<u8>) -> Done {
    let opened = peer.find(wire, ms(4000), |seg| seg.window > 0 && seg.ack == peer.seq)?;
    check!(opened.is_some(), "the window never opens");
    peer.write(wire, b"the rest")?;
    sent.extend(b"the rest");
    peer.expect_ack(wire)?;
    let read = wire.stream(peer)?.data;
    check!(
        read == sent,
        "{} bytes were read, {} sent",
        read.len(),
        sent.len()
    );
    Ok(())
}

fn t29(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(LATE);
    let syn_ack = peer.open(wire)?;
    let edge = peer.seq.wrapping_add(u32::from(syn_ack.window));
    let sent = fill(wire, &mut peer, edge)?;
    wire.send(&peer.seg(ACK, b"p"))?;
    let answer = peer.expect(wire, "an answer to a probe", |seg| seg.has(ACK))?;
    check!(answer.window == 0, "the window is {}", answer.window);
    check!(
        answer.ack == peer.seq,
        "the byte behind the window was taken"
    );
    opens_again(wire, &mut peer, sent)
}

fn t32(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(SEND);
    peer.options.scale = Some(7);
    peer.window = 65_535;
    peer.open(wire)?;
    let segs = peer.collect(wire, ms(150))?;
    let segs: BTreeSet<_> = segs
        .iter()
        .map(|(_, seg)| (seg.seq, seg.data.len()))
        .collect();
    let bytes: usize = segs.iter().map(|(_, len)| len).sum();
    check!(
        bytes <= 14_600,
        "{bytes} bytes without an ACK, more than 10 segments"
    );
    check!(bytes >= 2 * 1460, "only {bytes} bytes without an ACK");
    Ok(())
}

/// Reads 20 segments and says how long the longest was.
fn longest(wire: &mut Wire, peer: &mut Peer) -> Result<usize, String> {
    peer.open(wire)?;
    let mut longest = 0;
    for _ in 0..20 {
        let seg = peer.expect(wire, "data", |seg| {
            seg.seq == peer.ack && !seg.data.is_empty()
        })?;
        longest = longest.max(seg.data.len());
        peer.ack = seg.end();
        peer.ack(wire)?;
    }
    wire.send(&peer.seg(RST, b""))?;
    Ok(longest)
}

fn t33(wire: &mut Wire) -> Done {
    for mss in [88, 200, 536] {
        let mut peer = wire.peer(SEND);
        peer.options.mss = Some(mss);
        let longest = longest(wire, &mut peer)?;
        check!(
            longest <= mss.into(),
            "a segment of {longest} bytes, the MSS is {mss}"
        );
        check!(
            longest >= usize::from(mss) / 2,
            "at most {longest} bytes, the MSS is {mss}"
        );
    }
    Ok(())
}

fn t34(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(SEND);
    peer.options.mss = None;
    let longest = longest(wire, &mut peer)?;
    check!(longest <= 536, "a segment of {longest} bytes");
    Ok(())
}

fn t35(wire: &mut Wire) -> Done {
    for mss in [0, 1] {
        let mut peer = wire.peer(GREET);
        peer.options.mss = Some(mss);
        peer.syn(wire)?;
        // Such a SYN may as well be dropped.
        let Some(syn_ack) = peer.find(wire, ms(300), |_| true)? else {
            continue;
        };
        peer.seq = peer.seq.wrapping_add(1);
        peer.ack = syn_ack.end();
        peer.ack(wire)?;
        let mut data = Vec::new();
        let mut segments = 0;
        while data.len() < 1000 {
            let seg = peer
                .find(wire, ms(3000), |seg| !seg.data.is_empty())?
                .ok_or("no data")?;
            segments += 1;
            check!(
                segments < 3000,
                "{segments} segments for {} bytes",
                data.len()
            );
            if seg.seq == peer.ack {
                peer.ack = seg.end();
                data.extend(seg.data);
                peer.ack(wire)?;
            }
        }
        check!(data == pattern(1000), "other data");
        let more = peer.collect(wire, ms(100))?;
        check!(more.len() < 5, "{} segments without data", more.len());
    }
    wire.alive()
}

/// The most that is in flight while everything is acknowledged, round by round.
fn flight(wire: &mut Wire, peer: &mut Peer, rounds: usize) -> Result<u32, String> {
    peer.open(wire)?;
    let mut most = 0;
    for _ in 0..rounds {
        let segs = peer.collect(wire, ms(20))?;
        let mut next = peer.ack;
        for (_, seg) in segs {
            most = most.max(seg.end().wrapping_sub(peer.ack));
            if seg.seq == next {
                next = seg.end();
            }
        }
        // One by one, so that the congestion window opens by each.
        while peer.ack != next {
            peer.ack = peer.ack.wrapping_add(1460.min(next.wrapping_sub(peer.ack)));
            peer.ack(wire)?;
        }
    }
    Ok(most)
}

fn t36(wire: &mut Wire) -> Done {
    for (scale, window, limit) in [(4, 1000, 16_000), (14, 1, 1 << 14), (15, 1, 1 << 14)] {
        let mut peer = wire.peer(SEND);
        peer.options.scale = Some(scale);
        let syn = Seg {
            window: 65_535,
            ..peer.seg(crate::packet::SYN, b"")
        };
        peer.window = window;
        wire.send(&syn)?;
        // The SYN of `open` is the same once more.
        let most = flight(wire, &mut peer, 10)?;
        check!(
            most <= limit,
            "{most} bytes in flight with {window} << {scale}"
        );
        check!(
            most > limit - 4 * 1460,
            "at most {most} bytes in flight with {window} << {scale}"
        );
        wire.send(&peer.seg(RST, b""))?;
    }
    Ok(())
}

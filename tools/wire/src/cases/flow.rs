//! Further cases: recovery from loss, windows, and what is said how often.

use super::window::fill;
use super::{Case, case};
use crate::app::{DISCARD, DRIP, ECHO, LATE, SEND, pattern};
use crate::packet::{ACK, FIN, Options, PSH, RST, Seg, URG};
use crate::wire::{Done, Peer, SOON, Wire, after, check, ms};
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    case(
        "F31",
        "shut window, scaled, with a residue: the other direction goes on",
        f31,
    ),
    case(
        "F32",
        "a second hole after a partial ACK: sent again before the RTO",
        f32,
    ),
    case("F33", "SACK: only what is missing is sent again", f33),
    case("F34", "urgent data passes in line", f34),
    case(
        "F35",
        "silly window: no small segments for a window of 100 bytes",
        f35,
    ),
    case(
        "F36",
        "silly window: the own window does not open by small steps",
        f36,
    ),
    case(
        "F37",
        "ACKs come within half a second, one for two full segments at least",
        f37,
    ),
    case("F38", "an old timestamp is dropped (RFC 7323, 5)", f38),
    case("F39", "data behind the window is not taken", f39),
    case(
        "F40",
        "the last segment of a burst is lost: sent again within 3 s",
        f40,
    ),
    case("F41", "after a timeout the rest follows its ACKs", f41),
    case(
        "F42",
        "SACK of what was never sent, and reneging: all data arrives",
        f42,
    ),
    case(
        "F43",
        "a duplicate is reported by D-SACK or by a plain ACK",
        f43,
    ),
];

/// A connection whose SYN permits SACK.
fn with_sack(wire: &mut Wire, port: u16) -> Result<Peer, String> {
    let mut peer = wire.peer(port);
    peer.options.sack_ok = true;
    peer.open(wire)?;
    Ok(peer)
}

fn sack(peer: &Peer, blocks: &[(u32, u32)]) -> Seg {
    let options = Options {
        sack: blocks.to_vec(),
        ..Options::default()
    };
    Seg {
        options,
        ..peer.seg(ACK, b"")
    }
}

/// The first flight of a sender, at least six segments, each once.
fn flight(wire: &mut Wire, peer: &Peer) -> Result<Vec<Seg>, String> {
    let mut segs: Vec<Seg> = Vec::new();
    for (_, seg) in peer.collect(wire, ms(20))? {
        if !seg.data.is_empty() && segs.iter().all(|other| other.seq != seg.seq) {
            segs.push(seg);
        }
    }
    check!(segs.len() >= 6, "only {} segments at first", segs.len());
    Ok(segs)
}

fn f31(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(DRIP);
    peer.options.scale = Some(7);
    let syn_ack = peer.open(wire)?;
    // The application writes for 200 ms before it reads.
    let mut edge = peer.seq.wrapping_add(u32::from(syn_ack.window));
    let start = wire.now();
    let mut sent: Vec<u8> = Vec::new();
    let mut read: Vec<u8> = Vec::new();
    while read.len() < 200 && wire.now() - start < ms(5000) {
        let room = edge.wrapping_sub(peer.seq) as usize;
        let part = vec![sent.len() as u8; room.min(1460)];
        if !part.is_empty() {
            peer.write(wire, &part)?;
            sent.extend(&part);
        }
        while let Some(seg) = peer.find(wire, ms(if part.is_empty() { 20 } else { 1 }), |_| true)? {
            let right = seg.ack.wrapping_add(u32::from(seg.window) << peer.scale);
            if after(right, edge) {
                edge = right;
            }
            if seg.seq == peer.ack && !seg.data.is_empty() {
                peer.ack = seg.end();
                read.extend(&seg.data);
                // Its number is at the edge, or past the window that has shut.
                peer.ack(wire)?;
            }
        }
    }
    check!(read == pattern(200), "{} of 200 bytes came", read.len());
    let again = peer.find(wire, ms(1500), |seg| !seg.data.is_empty())?;
    check!(again.is_none(), "acknowledged data was sent again");
    peer.write(wire, b"the end")?;
    sent.extend(b"the end");
    peer.fin(wire)?;
    let end = |wire: &Wire| wire.streams()[0].end.is_some();
    wire.until_within(ms(3000), "an end", end)?;
    let data = wire.stream(&peer)?.data;
    check!(
        data == sent,
        "{} bytes were read, {} sent",
        data.len(),
        sent.len()
    );
    Ok(())
}

fn f32(wire: &mut Wire) -> Done {
    let mut peer = with_sack(wire, SEND)?;
    let segs = flight(wire, &peer)?;
    // 0 and 3 are lost.
    let last = segs[segs.len() - 1].end();
    for seg in segs[4..].iter().chain(&segs[1..2]) {
        let right = if seg.seq == segs[1].seq {
            last
        } else {
            seg.end()
        };
        let blocks = [(segs[4].seq, right), (segs[1].seq, segs[2].end())];
        wire.send(&sack(&peer, &blocks))?;
    }
    let again = peer.find(wire, ms(150), |seg| seg.seq == segs[0].seq)?;
    check!(
        again.is_some(),
        "the first hole was not filled within 150 ms"
    );
    peer.ack = segs[2].end();
    wire.send(&sack(&peer, &[(segs[4].seq, last)]))?;
    let mut seen = again;
    let deadline = wire.now() + ms(150);
    while seen.as_ref().is_none_or(|seg| seg.seq != segs[3].seq) {
        let left = deadline.saturating_sub(wire.now());
        seen = peer.find(wire, left, |_| true)?;
        check!(
            seen.is_some(),
            "the second hole was not filled within 150 ms"
        );
    }
    peer.ack = last;
    peer.ack(wire)?;
    peer.read_to_end(wire).map(drop)
}

fn f33(wire: &mut Wire) -> Done {
    let mut peer = with_sack(wire, SEND)?;
    let segs = flight(wire, &peer)?;
    let last = segs[segs.len() - 1].end();
    for seg in &segs[1..] {
        wire.send(&sack(&peer, &[(segs[1].seq, seg.end())]))?;
    }
    let came = peer.collect(wire, ms(100))?;
    let copies = |of: &Seg| came.iter().filter(|(_, seg)| seg.seq == of.seq).count();
    check!(copies(&segs[0]) >= 1, "the hole was not filled");
    for seg in &segs[1..] {
        check!(
            copies(seg) == 0,
            "what was acknowledged by SACK was sent again"
        );
    }
    peer.ack = last;
    for (_, seg) in &came {
        if seg.seq == peer.ack {
            peer.ack = seg.end();
        }
    }
    peer.ack(wire)?;
    peer.read_to_end(wire).map(drop)
}

fn f34(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ECHO)?;
    let urgent = Seg {
        urgent: 3,
        ..peer.seg(ACK | PSH | URG, b"urgent")
    };
    wire.send(&urgent)?;
    peer.seq = peer.seq.wrapping_add(6);
    let back = peer.read(wire, 6)?;
    check!(back == b"urgent", "{back:?}");
    peer.echo(wire, b"not so")
}

fn f35(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(SEND);
    peer.window = 14_600;
    peer.open(wire)?;
    peer.read(wire, 14_600)?;
    // A window of 100 bytes is a fraction of a segment, and of the largest window seen.
    peer.window = 100;
    let before = peer.collect(wire, ms(20))?;
    for (_, seg) in before {
        if seg.seq == peer.ack {
            peer.ack = seg.end();
        }
    }
    peer.ack(wire)?;
    let small_segments = peer.collect(wire, ms(100))?;
    let small_segments = small_segments
        .iter()
        .filter(|(_, seg)| !seg.data.is_empty())
        .count();
    check!(
        small_segments == 0,
        "{small_segments} segments of at most 100 bytes"
    );
    peer.window = 65_535;
    peer.ack(wire)?;
    peer.read(wire, 10_000).map(drop)
}

fn f36(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(LATE);
    let syn_ack = peer.open(wire)?;
    let edge = peer.seq.wrapping_add(u32::from(syn_ack.window));
    fill(wire, &mut peer, edge)?;
    wire.until_within(ms(4000), "it reads", |wire| {
        !wire.streams()[0].data.is_empty()
    })?;
    let update = peer.find(wire, SOON, |seg| seg.window > 0);
    // It may have come while we waited for the application.
    peer.write(wire, &[0; 1000])?;
    let answer = peer.expect_ack(wire)?;
    let window = update?.map_or(answer.window, |seg| seg.window);
    check!(window >= 1460, "the window opens by {window} bytes");
    Ok(())
}

fn f37(wire: &mut Wire) -> Done {
    let mut peer = wire.open(DISCARD)?;
    let start = wire.now();
    let data = vec![0; 1460];
    let mut acks = 0;
    for _ in 0..10 {
        peer.write(wire, &data)?;
        peer.write(wire, &data)?;
        let ack = peer.find(wire, ms(450), |seg| seg.has(ACK))?;
        acks += usize::from(ack.is_some());
    }
    check!(acks == 10, "{acks} ACKs for 10 times two segments");
    let took = wire.now() - start;
    check!(took < ms(10 * 450), "{took:?}");
    peer.write(wire, b"a short one")?;
    let ack = peer.find(wire, ms(500), |seg| seg.ack == peer.seq)?;
    check!(ack.is_some(), "no ACK within half a second");
    Ok(())
}

fn f38(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(ECHO);
    peer.options.stamps = Some((100_000, 0));
    let syn_ack = peer.half_open(wire)?;
    let Some((value, _)) = syn_ack.options.stamps else {
        return Err("no timestamps".into());
    };
    let stamped = |seg: Seg, timestamp: u32| {
        let options = Options {
            stamps: Some((timestamp, value)),
            ..Options::default()
        };
        Seg { options, ..seg }
    };
    wire.send(&stamped(peer.seg(ACK, b""), 100_001))?;
    wire.send(&stamped(peer.seg(ACK | PSH, b"new"), 100_010))?;
    peer.seq = peer.seq.wrapping_add(3);
    peer.expect(wire, "an echo", |seg| seg.data == b"new")?;
    peer.ack = peer.ack.wrapping_add(3);
    wire.send(&stamped(peer.seg(ACK | PSH, b"old"), 50_000))?;
    let answer = peer.expect(wire, "an ACK", |seg| seg.data.is_empty())?;
    check!(answer.ack == peer.seq, "the old one was taken");
    check!(
        wire.stream(&peer)?.data == b"new",
        "the old one was delivered"
    );
    Ok(())
}

fn f39(wire: &mut Wire) -> Done {
    let mut peer = wire.open(DISCARD)?;
    peer.write(wire, b"here, ")?;
    peer.expect_ack(wire)?;
    wire.send(&peer.at(10_000_000, ACK | PSH, b"far"))?;
    let answer = peer.expect(wire, "an ACK", |seg| seg.has(ACK))?;
    check!(answer.ack == peer.seq && !answer.has(RST), "{answer:?}");
    wire.send(&peer.at(-10_000_000, ACK | PSH | FIN, b"old"))?;
    wire.collect(ms(50))?;
    peer.write(wire, b"near")?;
    peer.expect_ack(wire)?;
    let stream = wire.stream(&peer)?;
    check!(
        stream.data == b"here, near" && stream.end.is_none(),
        "{stream:?}"
    );
    Ok(())
}

fn f40(wire: &mut Wire) -> Done {
    let mut peer = with_sack(wire, SEND)?;
    peer.window = 65_535;
    let segs = flight(wire, &peer)?;
    // All but the last arrive, and the window has no place for more, so that nothing follows.
    let last = &segs[segs.len() - 1];
    peer.ack = last.seq;
    peer.window = last.data.len() as u16;
    peer.ack(wire)?;
    let again = peer.find(wire, ms(3000), |seg| seg.seq == last.seq)?;
    check!(again.is_some(), "not sent again within 3 s");
    peer.window = 65_535;
    peer.read_to_end(wire).map(drop)
}

fn f41(wire: &mut Wire) -> Done {
    let mut peer = wire.open(SEND)?;
    let segs = flight(wire, &peer)?;
    // Everything is lost.
    let first = peer.find(wire, ms(3500), |seg| seg.seq == segs[0].seq)?;
    peer.ack = first.ok_or("no timeout")?.end();
    peer.ack(wire)?;
    let start = wire.now();
    let data = peer.read(wire, 100_000)?;
    check!(data == pattern(1 << 20)[1460..][..data.len()], "other data");
    let took: Duration = wire.now() - start;
    check!(took < ms(1500), "the rest took {took:?}");
    Ok(())
}

fn f42(wire: &mut Wire) -> Done {
    let mut peer = with_sack(wire, SEND)?;
    let segs = flight(wire, &peer)?;
    let beyond = segs[segs.len() - 1].end().wrapping_add(100_000);
    wire.send(&sack(&peer, &[(beyond, beyond.wrapping_add(1460))]))?;
    wire.send(&sack(&peer, &[(segs[3].end(), segs[2].seq)]))?;
    // What was said to be there is thrown away again (RFC 2018, 8).
    for seg in &segs[2..5] {
        wire.send(&sack(&peer, &[(segs[2].seq, seg.end())]))?;
    }
    let data = peer.read_to_end(wire)?;
    check!(data == pattern(1 << 20), "{} bytes, or others", data.len());
    Ok(())
}

fn f43(wire: &mut Wire) -> Done {
    let mut peer = with_sack(wire, DISCARD)?;
    let (left, data) = (peer.seq, pattern(100));
    peer.write(wire, &data)?;
    peer.expect_ack(wire)?;
    wire.send(&peer.at(-100, ACK | PSH, &data))?;
    let answer = peer.expect_ack(wire)?;
    let blocks = answer.options.sack;
    check!(
        blocks.is_empty() || blocks == [(left, left.wrapping_add(100))],
        "{blocks:?}"
    );
    Ok(())
}

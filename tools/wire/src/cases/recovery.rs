//! Further cases: spurious retransmissions, reordering, paths that drop large packets, and windows.

use super::Known::NotRun;
use super::time_wait::stamps;
use super::{BackendKind, Case, case};
use crate::app::{DISCARD, ECHO, SEND, pattern};
use crate::packet::{ACK, Options, PSH, RST, Seg};
use crate::wire::{Done, Peer, Wire, after, check, ms};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    case(
        "F151",
        "D-SACK for the only retransmission restores cwnd (RFC 3708)",
        f151,
    ),
    case(
        "F152",
        "the original's timestamp after a timeout: nothing else sent again (RFC 4015)",
        f152,
    ),
    case(
        "F153",
        "once reordering was seen, less than RTT/4 late: not sent again (RFC 8985, 6.2)",
        f153,
    ),
    case(
        "F154",
        "a timestamp older than the last retransmission does not inflate the RTO",
        f154,
    )
    .known(&[NotRun(
        BackendKind::Linux,
        "takes any echoed timestamp for an RTT sample, so that its RTO grows to that time",
    )]),
    case(
        "F155",
        "no byte beyond an odd window, for each window scale (RFC 7323, 2)",
        f155,
    ),
    case(
        "F156",
        "black hole from the beginning, 1,300 bytes, no ICMP (RFC 4821)",
        f156,
    ),
    case(
        "F157",
        "black hole in mid-transfer on IPv6, 1,280 bytes, no ICMP (RFC 4821)",
        f157,
    ),
    case(
        "F158",
        "receive buffer auto-tuning: a sender that fills the window gets a larger one",
        f158,
    ),
    case(
        "F159",
        "D-SACK widens the reordering window to more than RTT/4 (RFC 8985, 6.2)",
        f159,
    ),
];

/// The data segments within this time, each once.
fn flight(wire: &mut Wire, peer: &Peer, time: u64) -> Result<Vec<Seg>, String> {
    let mut segs: Vec<Seg> = Vec::new();
    for (_, seg) in peer.collect(wire, ms(time))? {
        if !seg.data.is_empty() && segs.iter().all(|other| other.seq != seg.seq) {
            segs.push(seg);
        }
    }
    Ok(segs)
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

fn f151(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(SEND);
    peer.options.sack_ok = true;
    peer.half_open(wire)?;
    // A round trip takes 40 ms.
    wire.collect(ms(40))?;
    peer.ack(wire)?;
    let segs = flight(wire, &peer, 40)?;
    check!(segs.len() >= 6, "only {} segments in flight", segs.len());
    let (first, last) = (&segs[0], &segs[segs.len() - 1]);
    for seg in &segs[1..] {
        wire.send(&sack(&peer, &[(segs[1].seq, seg.end())]))?;
    }
    let mut came = peer.collect(wire, ms(15))?;
    let again = came.iter().filter(|(_, seg)| seg.seq == first.seq).count();
    // The original was late, and the retransmission arrives 25 ms later.
    peer.ack = last.end();
    peer.ack(wire)?;
    came.extend(peer.collect(wire, ms(25))?);
    if again > 0 {
        wire.send(&sack(&peer, &[(first.seq, first.end())]))?;
    }
    came.extend(peer.collect(wire, ms(20))?);
    let ends = came.iter().map(|(_, seg)| seg.end().wrapping_sub(peer.ack));
    let outstanding = ends.filter(|end| *end < 1 << 20).max().unwrap_or(0) as usize;
    check!(
        outstanding >= (segs.len() - 1) * 1460, // a reduction by CUBIC leaves 0.7 of them
        "{outstanding} bytes in flight after the undo, {} segments before",
        segs.len()
    );
    peer.read(wire, 50_000).map(drop)
}

fn f152(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(SEND);
    peer.options.stamps = Some((1, 0));
    let syn_ack = peer.half_open(wire)?;
    let echo = syn_ack.options.stamps.ok_or("no timestamps")?.0;
    let answer = |peer: &Peer, value: u32, echo: u32| Seg {
        options: stamps(value, echo),
        ..peer.seg(ACK, b"")
    };
    wire.send(&answer(&peer, 2, echo))?;
    let segs = flight(wire, &peer, 20)?;
    check!(segs.len() >= 6, "only {} segments at first", segs.len());
    let again = peer.find(wire, ms(3500), |seg| seg.seq == segs[0].seq)?;
    check!(again.is_some(), "no timeout");
    // Nothing was lost: the ACKs took that long.
    let mut came = Vec::new();
    for (value, seg) in (3..).zip(&segs) {
        let (original, _) = seg.options.stamps.ok_or("no timestamps")?;
        peer.ack = seg.end();
        wire.send(&answer(&peer, value, original))?;
        came.extend(peer.collect(wire, ms(3))?);
    }
    came.extend(peer.collect(wire, ms(20))?);
    for seg in &segs[1..] {
        check!(
            came.iter().all(|(_, other)| other.seq != seg.seq),
            "a segment was sent again after a spurious timeout: {seg:?}"
        );
    }
    check!(
        came.iter().any(|(_, seg)| !after(peer.ack, seg.seq)),
        "no new data"
    );
    Ok(())
}

/// Takes 150 segments over a path on which a segment and its ACK take 100 ms, and more if `late`
/// says so, by the number of the segment. From segment `learned` on, at most one is sent again.
fn reordered(wire: &mut Wire, learned: usize, late: impl Fn(usize) -> Duration) -> Done {
    let mut peer = wire.peer(SEND);
    peer.options.sack_ok = true;
    peer.window = 14_600;
    peer.half_open(wire)?;
    wire.collect(ms(100))?;
    peer.ack(wire)?;
    let mut arrivals: Vec<(Duration, Seg)> = Vec::new();
    let mut early: Vec<(u32, u32)> = Vec::new();
    let (mut count, mut copies, mut next) = (0, 0, peer.ack);
    while count < 150 {
        let due = arrivals.iter().map(|(at, _)| *at).min();
        let wait = due.map_or(ms(1000), |due| due.saturating_sub(wire.now()));
        if let Some(seg) = peer.find(wire, wait, |seg| !seg.data.is_empty())? {
            let again = !after(seg.end(), next);
            copies += usize::from(again && count >= learned);
            check!(copies <= 1, "{copies} retransmissions of none lost");
            let delay = ms(100) + if again { ms(0) } else { late(count) };
            count += usize::from(!again);
            next = if again { next } else { seg.end() };
            arrivals.push((wire.now() + delay, seg));
            continue;
        }
        let due = due.ok_or("nothing more comes")?;
        let arrived = arrivals.iter().position(|(at, _)| *at == due);
        let (_, seg) = arrivals.remove(arrived.ok_or("no segment is due")?);
        let block = (seg.seq, seg.end());
        let old = !after(block.1, peer.ack);
        // One late segment at a time: all that came before its arrival is one block.
        match early.last_mut() {
            _ if old => {}
            Some(last) if last.1 == block.0 => last.1 = block.1,
            _ => early.push(block),
        }
        while let Some(n) = early.iter().position(|block| block.0 == peer.ack) {
            peer.ack = early.remove(n).1;
        }
        let mut blocks = early.clone();
        if old {
            blocks.insert(0, block);
        }
        wire.send(&sack(&peer, &blocks))?;
    }
    Ok(())
}

fn f153(wire: &mut Wire) -> Done {
    // At first few segments overtake the late one: too few for a retransmission.
    reordered(wire, 30, |n| {
        let late = n % 10 == if n < 30 { 8 } else { 0 };
        ms(if late { 15 } else { 0 })
    })
}

fn f159(wire: &mut Wire) -> Done {
    reordered(wire, 90, |n| match n % 10 {
        8 if n < 30 => ms(15),
        0 if n >= 30 => ms(35),
        _ => ms(0),
    })
}

fn f154(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(ECHO);
    peer.options.stamps = Some((1, 0));
    let syn_ack = peer.half_open(wire)?;
    let echo = syn_ack.options.stamps.ok_or("no timestamps")?.0;
    let with = |seg: Seg, value: u32, echo: u32| Seg {
        options: stamps(value, echo),
        ..seg
    };
    wire.send(&with(peer.seg(ACK, b""), 2, echo))?;
    wire.send(&with(peer.seg(ACK | PSH, b"first"), 3, echo))?;
    peer.seq = peer.seq.wrapping_add(5);
    let first = peer.expect(wire, "an echo", |seg| seg.data == b"first")?;
    let (original, _) = first.options.stamps.ok_or("no timestamps")?;
    // The peer does not answer for 6 s, and then echoes the first timestamp.
    let copies = peer.collect(wire, ms(6000))?.len();
    check!(copies >= 2, "only {copies} retransmissions in 6 s");
    peer.ack = first.end();
    wire.send(&with(peer.seg(ACK, b""), 6000, original))?;
    wire.collect(ms(20))?;
    wire.send(&with(peer.seg(ACK | PSH, b"second"), 6020, original))?;
    peer.seq = peer.seq.wrapping_add(6);
    peer.expect(wire, "an echo", |seg| seg.data == b"second")?;
    let again = peer.find(wire, ms(2500), |seg| seg.data == b"second")?;
    check!(again.is_some(), "not sent again within 2.5 s");
    Ok(())
}

fn f155(wire: &mut Wire) -> Done {
    let mut random = 1_u32;
    for scale in 0..=14 {
        let mut peer = wire.peer(SEND);
        peer.options.scale = Some(scale);
        peer.window = 1;
        peer.open(wire)?;
        let first = peer.ack;
        let mut edge = peer.ack.wrapping_add(1 << scale);
        for round in 0..12 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // A few units, or up to 200,000 bytes, and an odd number in any case.
            let bytes = (random >> 8) % if round % 2 == 0 { 4000 } else { 200_000 };
            peer.window = ((bytes >> scale) | 1).min(65_535) as u16;
            let right = peer.ack.wrapping_add(u32::from(peer.window) << scale);
            edge = if after(right, edge) { right } else { edge };
            peer.ack(wire)?;
            for (_, seg) in peer.collect(wire, ms(5))? {
                check!(
                    !after(seg.end(), edge),
                    "scale {scale}: {} bytes beyond the window",
                    seg.end().wrapping_sub(edge)
                );
                if seg.seq == peer.ack {
                    peer.ack = seg.end();
                }
            }
        }
        check!(
            peer.ack.wrapping_sub(first) > 10_000,
            "scale {scale}: only {} bytes came",
            peer.ack.wrapping_sub(first)
        );
        wire.send(&peer.seg(RST, b""))?;
    }
    Ok(())
}

/// Reads 400,000 bytes over a path that drops larger packets than `mtu` once `whole` bytes came.
fn black_hole(wire: &mut Wire, mut peer: Peer, mtu: usize, whole: u32) -> Done {
    const ALL: u32 = 400_000;
    peer.open(wire)?;
    let (start, first) = (wire.now(), peer.ack);
    let mut early: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let mut data: Vec<u8> = Vec::new();
    let mut dropped = 0;
    while peer.ack.wrapping_sub(first) < ALL {
        let bytes = peer.ack.wrapping_sub(first);
        check!(
            wire.now() - start < ms(60_000),
            "{bytes} bytes in 60 s, {dropped} packets dropped"
        );
        let packet = wire.find(ms(60_000), |packet| peer.of(packet).map(|_| packet.clone()))?;
        let packet = packet.ok_or_else(|| format!("only {bytes} bytes came"))?;
        let seg = packet.tcp().ok_or("no segment")?;
        check!(!seg.has(RST), "a RST after {bytes} bytes");
        if packet.bytes.len() > mtu && bytes >= whole {
            dropped += 1;
            continue;
        }
        if !after(peer.ack, seg.seq) {
            early.insert(seg.seq.wrapping_sub(first), seg.data.clone());
        }
        while let Some(next) = early.remove(&peer.ack.wrapping_sub(first)) {
            peer.ack = peer.ack.wrapping_add(next.len() as u32);
            data.extend(next);
        }
        peer.ack(wire)?;
    }
    check!(dropped > 0, "no packet of more than {mtu} bytes was sent");
    check!(data == pattern(1 << 20)[..data.len()], "other data");
    Ok(())
}

fn f156(wire: &mut Wire) -> Done {
    let peer = wire.peer(SEND);
    black_hole(wire, peer, 1300, 0)
}

fn f157(wire: &mut Wire) -> Done {
    let peer = wire.peer6(SEND);
    black_hole(wire, peer, 1280, 100_000)
}

fn f158(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(DISCARD);
    peer.options.scale = Some(7);
    peer.half_open(wire)?;
    wire.collect(ms(20))?;
    peer.ack(wire)?;
    peer.write(wire, b"the window, scaled")?;
    let ack = peer.expect_ack(wire)?;
    let scale = peer.scale;
    let window = |seg: &Seg| u32::from(seg.window) << scale;
    let initial = window(&ack);
    let mut edge = ack.ack.wrapping_add(initial);
    let mut largest = initial;
    let part = pattern(1460);
    // Round trips of 20 ms, each with as much data as the window allows.
    for _ in 0..20 {
        let mut came = Vec::new();
        while !after(peer.seq.wrapping_add(8 * 1460), edge) {
            for _ in 0..8 {
                wire.send(&peer.seg(ACK, &part))?;
                peer.seq = peer.seq.wrapping_add(1460);
            }
            // The application reads meanwhile.
            came.extend(peer.collect(wire, ms(1))?);
        }
        came.extend(peer.collect(wire, ms(20))?);
        for (_, seg) in came {
            let right = seg.ack.wrapping_add(window(&seg));
            edge = if after(right, edge) { right } else { edge };
            largest = largest.max(window(&seg));
        }
        if largest >= 4 * initial {
            return Ok(());
        }
    }
    Err(format!(
        "from {initial} to {largest} bytes in 20 round trips"
    ))
}

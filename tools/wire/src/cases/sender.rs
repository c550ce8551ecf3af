//! Further cases: what a sender does with losses, and with clients that lie.

use super::Known::NotRun;
use super::{BackendKind, Case, case};
use crate::app::{SEND, pattern};
use crate::packet::{ACK, Options, RST, Seg};
use crate::wire::{Done, Peer, Wire, after, check, ms};
use std::collections::HashSet;

pub(super) const CASES: &[Case] = &[
    case(
        "F101",
        "SACK blocks of a client that has not agreed on them: nothing",
        f101,
    ),
    case(
        "F102",
        "an echoed timestamp that was never sent: the RTO stays sane",
        f102,
    ),
    case(
        "F103",
        "D-SACK in all places: nothing is sent again for it",
        f103,
    ),
    case(
        "F104",
        "fragmentation needed, with SACK and timestamps",
        f104,
    ),
    case(
        "F91",
        "timestamps on every segment, which they make shorter (RFC 7323, 3.2)",
        f91,
    ),
    case("F92", "an MSS of 65,535 does not pass the MTU", f92),
    case(
        "F93",
        "many ACKs for one segment open the window no further (RFC 5681, 3.1)",
        f93,
    ),
    case("F94", "1,000 duplicate ACKs: no more than the window", f94),
    case(
        "F95",
        "each 9th segment lost, SACK: in time, and little twice",
        f95,
    ),
    case("F96", "each 9th segment lost, no SACK: in time", f96),
    case(
        "F97",
        "each 9th segment lost, and each 4th of those sent again",
        f97,
    ),
    case("F98", "ACKs lost: the last one counts for all", f98),
    case(
        "F99",
        "reordered, not lost: nothing, or little, is sent again",
        f99,
    )
    .known(&[NotRun(
        BackendKind::Linux,
        "how much it sends again depends on how late its acknowledgements come, by its own clock",
    )]),
];

/// The data segments of the next 20 ms, each once.
fn flight(wire: &mut Wire, peer: &Peer) -> Result<Vec<Seg>, String> {
    let mut segs: Vec<Seg> = Vec::new();
    for (_, seg) in peer.collect(wire, ms(20))? {
        if !seg.data.is_empty() && segs.iter().all(|other| other.seq != seg.seq) {
            segs.push(seg);
        }
    }
    Ok(segs)
}

fn f91(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(SEND);
    peer.options.stamps = Some((1, 0));
    peer.options.sack_ok = true;
    let syn_ack = peer.half_open(wire)?;
    let mut last = syn_ack.options.stamps.ok_or("no timestamps")?.0;
    for clock in 2..40 {
        let options = Options {
            stamps: Some((clock, last)),
            ..Options::default()
        };
        wire.send(&Seg {
            options,
            ..peer.seg(ACK, b"")
        })?;
        let seg = peer.expect(wire, "data", |seg| seg.seq == peer.ack)?;
        let Some((value, _)) = seg.options.stamps else {
            return Err(format!("a segment without timestamps: {seg:?}"));
        };
        check!(seg.data.len() <= 1448, "{} bytes", seg.data.len());
        last = value;
        peer.ack = seg.end();
    }
    Ok(())
}

fn f92(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(SEND);
    peer.options.mss = Some(65_535);
    peer.open(wire)?;
    let data = peer.read(wire, 50_000)?;
    check!(data == pattern(1 << 20)[..data.len()], "other data");
    Ok(())
}

fn f93(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(SEND);
    peer.options.scale = Some(7);
    peer.open(wire)?;
    let segs = flight(wire, &peer)?;
    let sent = segs.last().ok_or("no data")?.end().wrapping_sub(peer.ack);
    for _ in 0..146 {
        peer.ack = peer.ack.wrapping_add(10);
        peer.ack(wire)?;
    }
    let more: usize = flight(wire, &peer)?.iter().map(|seg| seg.data.len()).sum();
    // One segment was acknowledged: its place, and one more for slow start.
    check!(
        more <= 4 * 1460,
        "{more} bytes more for one segment, after {sent}"
    );
    Ok(())
}

fn f94(wire: &mut Wire) -> Done {
    let mut peer = wire.open(SEND)?;
    let first = flight(wire, &peer)?;
    for _ in 0..1000 {
        peer.ack(wire)?;
    }
    let more = peer.collect(wire, ms(100))?;
    check!(
        more.iter().any(|(_, seg)| seg.seq == peer.ack),
        "the first is not sent again"
    );
    let edge = peer.ack.wrapping_add(65_535);
    check!(
        !more.iter().any(|(_, seg)| after(seg.end(), edge)),
        "more than the window"
    );
    peer.ack = first.last().ok_or("no data")?.end();
    peer.ack(wire)?;
    peer.read(wire, 20_000).map(drop)
}

/// What a client keeps that loses segments.
struct Lossy {
    data: Vec<u8>,
    kept: Vec<Seg>,
    /// Bytes that came again though they were there.
    twice: usize,
}

/// Reads everything over a wire that loses the segments that `lost` says, counted from 1; the
/// second argument says whether the segment came before.
fn lossy(
    wire: &mut Wire,
    sack: bool,
    mut lost: impl FnMut(usize, bool) -> bool,
) -> Result<Lossy, String> {
    let mut peer = wire.peer(SEND);
    peer.options.sack_ok = sack;
    peer.options.scale = Some(7);
    peer.open(wire)?;
    let mut got = Lossy {
        data: Vec::new(),
        kept: Vec::new(),
        twice: 0,
    };
    let (mut count, mut seen) = (0, HashSet::new());
    while got.data.len() < 1 << 20 {
        let Some(seg) = peer.find(wire, ms(5000), |_| true)? else {
            return Err(format!("only {} bytes came", got.data.len()));
        };
        check!(!seg.has(RST), "a reset after {} bytes", got.data.len());
        if seg.data.is_empty() {
            continue;
        }
        count += 1;
        let again = !seen.insert(seg.seq);
        if lost(count, again) {
            continue;
        }
        let here = !after(seg.end(), peer.ack) || got.kept.iter().any(|kept| kept.seq == seg.seq);
        got.twice += if here { seg.data.len() } else { 0 };
        let newest = (seg.seq, seg.end());
        got.kept.push(seg);
        while let Some(next) = got.kept.iter().position(|seg| !after(seg.seq, peer.ack)) {
            let seg = got.kept.swap_remove(next);
            if after(seg.end(), peer.ack) {
                let skip = peer.ack.wrapping_sub(seg.seq) as usize;
                got.data.extend(seg.data.iter().skip(skip));
                peer.ack = peer.ack.wrapping_add((seg.data.len() - skip) as u32);
            }
        }
        let mut answer = peer.seg(ACK, b"");
        if sack {
            answer.options.sack = blocks(&got.kept, newest);
        }
        wire.send(&answer)?;
    }
    check!(got.data == pattern(1 << 20), "other data");
    Ok(got)
}

/// The runs of what is kept, the newest first and at most three.
fn blocks(kept: &[Seg], newest: (u32, u32)) -> Vec<(u32, u32)> {
    let mut parts: Vec<_> = kept.iter().map(|seg| (seg.seq, seg.end())).collect();
    parts.sort_by(|a, b| {
        if after(a.0, b.0) {
            std::cmp::Ordering::Greater
        } else {
            std::cmp::Ordering::Less
        }
    });
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for (left, right) in parts {
        match runs.last_mut() {
            Some(run) if !after(left, run.1) => {
                if after(right, run.1) {
                    run.1 = right;
                }
            }
            _ => runs.push((left, right)),
        }
    }
    let holds = |run: &(u32, u32)| !after(run.0, newest.0) && !after(newest.1, run.1);
    runs.sort_by_key(|run| !holds(run));
    runs.truncate(3);
    runs
}

fn f95(wire: &mut Wire) -> Done {
    let start = wire.now();
    let mut losses = 0;
    let got = lossy(wire, true, |n, again| {
        let lost = !again && n % 9 == 0;
        losses += usize::from(lost);
        lost
    })?;
    let took = wire.now() - start;
    check!(took < ms(5000), "{took:?}");
    check!(
        got.twice <= losses * 1460,
        "{} bytes twice for {losses} losses",
        got.twice
    );
    Ok(())
}

fn f96(wire: &mut Wire) -> Done {
    let start = wire.now();
    lossy(wire, false, |n, again| !again && n % 9 == 0)?;
    let took = wire.now() - start;
    check!(took < ms(20_000), "{took:?}");
    Ok(())
}

fn f97(wire: &mut Wire) -> Done {
    let start = wire.now();
    let mut copies = 0;
    lossy(wire, true, |n, again| {
        copies += usize::from(again);
        if again { copies % 4 == 0 } else { n % 9 == 0 }
    })?;
    let took = wire.now() - start;
    check!(took < ms(30_000), "{took:?}");
    Ok(())
}

fn f98(wire: &mut Wire) -> Done {
    let mut peer = wire.open(SEND)?;
    let mut data: Vec<u8> = Vec::new();
    while data.len() < 200_000 {
        let segs = flight(wire, &peer)?;
        check!(!segs.is_empty(), "only {} bytes came", data.len());
        for seg in segs {
            if seg.seq == peer.ack {
                peer.ack = seg.end();
                data.extend(seg.data);
            }
        }
        peer.ack(wire)?;
    }
    check!(data == pattern(1 << 20)[..data.len()], "other data");
    Ok(())
}

fn f99(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(SEND);
    peer.options.sack_ok = true;
    peer.open(wire)?;
    let mut again = 0;
    for _ in 0..10 {
        let mut segs = flight(wire, &peer)?;
        // Neighbours change places.
        for pair in segs.chunks_exact_mut(2) {
            pair.swap(0, 1);
        }
        let mut kept: Vec<Seg> = Vec::new();
        for seg in segs {
            again += usize::from(!after(seg.end(), peer.ack));
            let newest = (seg.seq, seg.end());
            kept.push(seg);
            while let Some(next) = kept.iter().position(|seg| !after(seg.seq, peer.ack)) {
                let end = kept.swap_remove(next).end();
                if after(end, peer.ack) {
                    peer.ack = end;
                }
            }
            let mut answer = peer.seg(ACK, b"");
            answer.options.sack = blocks(&kept, newest);
            wire.send(&answer)?;
        }
    }
    // With a path as short as this one, some time passes between two that change places.
    check!(
        again <= 20,
        "{again} segments were sent again, of none lost"
    );
    Ok(())
}

fn f101(wire: &mut Wire) -> Done {
    let mut peer = wire.open(SEND)?;
    let segs = flight(wire, &peer)?;
    let last = segs.last().ok_or("no data")?;
    let mut lie = peer.seg(ACK, b"");
    lie.options.sack = vec![(last.seq, last.end())];
    wire.send(&lie)?;
    wire.collect(ms(30))?;
    let data = peer.read_to_end(wire)?;
    check!(data == pattern(1 << 20), "other data");
    Ok(())
}

fn f102(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(SEND);
    peer.options.stamps = Some((1, 0));
    let syn_ack = peer.half_open(wire)?;
    let value = syn_ack.options.stamps.ok_or("no timestamps")?.0;
    let stamped = |seg: Seg, clock: u32, echo: u32| {
        let options = Options {
            stamps: Some((clock, echo)),
            ..Options::default()
        };
        Seg { options, ..seg }
    };
    wire.send(&stamped(peer.seg(ACK, b""), 2, value))?;
    for (n, echo) in [0, value.wrapping_sub(1 << 30), value.wrapping_add(1 << 30)]
        .into_iter()
        .enumerate()
    {
        let seg = peer.expect(wire, "data", |seg| seg.seq == peer.ack)?;
        peer.ack = seg.end();
        wire.send(&stamped(peer.seg(ACK, b""), 3 + n as u32, echo))?;
    }
    // What comes now is lost: the timeout is that of a path as short as this one.
    wire.collect(ms(20))?;
    let again = peer.find(wire, ms(3500), |seg| seg.seq == peer.ack)?;
    check!(again.is_some(), "not sent again within 3.5 s");
    Ok(())
}

fn f103(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(SEND);
    peer.options.sack_ok = true;
    peer.open(wire)?;
    let first = peer.ack;
    let mut again = 0;
    for _ in 0..5 {
        for seg in flight(wire, &peer)? {
            again += usize::from(!after(seg.end(), peer.ack));
            if seg.seq != peer.ack {
                continue;
            }
            peer.ack = seg.end();
            let mut answer = peer.seg(ACK, b"");
            answer.options.sack = vec![(first, first.wrapping_add(100)), (seg.seq, seg.end())];
            wire.send(&answer)?;
        }
    }
    check!(again == 0, "{again} segments were sent again, of none lost");
    let more = peer.read(wire, 10_000)?;
    check!(more.len() >= 10_000, "it stopped");
    Ok(())
}

fn f104(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(SEND);
    peer.options.sack_ok = true;
    peer.options.stamps = Some((1, 0));
    let syn_ack = peer.half_open(wire)?;
    let mut echo = syn_ack.options.stamps.ok_or("no timestamps")?.0;
    let mut clock = 2;
    let mut answer = |peer: &Peer, echo: u32| {
        clock += 1;
        let options = Options {
            stamps: Some((clock, echo)),
            ..Options::default()
        };
        Seg {
            options,
            ..peer.seg(ACK, b"")
        }
    };
    wire.send(&answer(&peer, echo))?;
    let first = super::icmp::data(wire, &peer)?;
    check!(
        first.bytes.len() == 1500,
        "the first packet has {} bytes",
        first.bytes.len()
    );
    wire.collect(ms(20))?;
    super::icmp::error(wire, 3, 4, 900, &first.bytes)?;
    let mut read: Vec<u8> = Vec::new();
    while read.len() < 100_000 {
        let packet = wire.find(ms(3000), |packet| peer.of(packet).map(|_| packet.clone()))?;
        let packet = packet.ok_or_else(|| format!("only {} bytes came", read.len()))?;
        check!(
            packet.bytes.len() <= 900,
            "a packet of {} bytes",
            packet.bytes.len()
        );
        if let Some(seg) = packet.tcp().filter(|seg| seg.seq == peer.ack) {
            peer.ack = seg.end();
            echo = seg.options.stamps.ok_or("a segment without timestamps")?.0;
            read.extend(&seg.data);
        }
        wire.send(&answer(&peer, echo))?;
    }
    check!(read == pattern(1 << 20)[..read.len()], "other data");
    Ok(())
}

//! Further cases: what is agreed on in the handshake, and what is taken in.

use super::window::{fill, opens_again};
use super::{Case, case};
use crate::app::{DISCARD, DROP_UNREAD, ECHO, LATE, pattern};
use crate::backend::{CLIENT, CLIENT6, SERVER, SERVER6};
use crate::packet::{
    ACK, FIN, Options, PSH, RST, SYN, Seg, TCP, fill_checksum, fragment, ip, ipv4, ipv6,
    ipv6_fragment,
};
use crate::wire::{Done, Wire, after, check, ms};
use std::io::ErrorKind;

pub(super) const CASES: &[Case] = &[
    case(
        "F71",
        "options are agreed on only where both have them",
        f71,
    ),
    case("F72", "ECN and reserved bits do not keep anybody out", f72),
    case("F73", "exact RST with data in it", f73),
    case(
        "F74",
        "let go with data unread: RST (RFC 1122, 4.2.2.13)",
        f74,
    ),
    case("F75", "a tuple is free at once after a RST", f75),
    case("F76", "TCP in IPv4 fragments", f76),
    case("F77", "a SYN in an atomic fragment (RFC 6946)", f77),
    case(
        "F78",
        "FIN with data, twice; data behind it is nobody's",
        f78,
    ),
    case(
        "F79",
        "200 kB shuffled, overlapping, and half of it twice",
        f79,
    ),
    case("F80", "50 connections, a byte here and a byte there", f80),
    case("F81", "timestamps that wrap (RFC 7323, 5.2)", f81),
    case(
        "F82",
        "the old SYN again on the open connection: an ACK",
        f82,
    ),
    case(
        "F83",
        "data in many small segments out of order, behind one hole",
        f83,
    ),
    case(
        "F84",
        "old data again with new behind it: the new is taken",
        f84,
    ),
    case("F85", "own window, scaled: closes, and opens again", f85),
    case("F86", "a whole window behind one hole", f86),
    case("F87", "1 MiB echoed, in and out at once", f87),
];

fn f71(wire: &mut Wire) -> Done {
    let plain = wire.peer(DISCARD).half_open(wire)?.options;
    let bare = Options {
        mss: plain.mss,
        ..Options::default()
    };
    check!(plain == bare, "offered by nobody: {plain:?}");
    let mut peer = wire.peer(DISCARD);
    peer.options.scale = Some(2);
    peer.options.sack_ok = true;
    peer.options.stamps = Some((5, 0));
    let all = peer.half_open(wire)?.options;
    check!(
        all.scale.is_some() && all.sack_ok && all.stamps.is_some(),
        "{all:?}"
    );
    check!(all.scale <= Some(14), "{all:?}");
    Ok(())
}

fn f72(wire: &mut Wire) -> Done {
    let (ece, cwr) = (64, 128);
    let mut peer = wire.peer(ECHO);
    let mut bytes = peer.seg(SYN | ece | cwr, b"").bytes();
    bytes[12] |= 0b1110;
    fill_checksum(&mut bytes, 16, peer.from.ip(), peer.to.ip(), TCP);
    wire.tx(&ip(peer.from.ip(), peer.to.ip(), TCP, &bytes))?;
    peer.take_syn_ack(wire)?;
    peer.ack(wire)?;
    peer.echo(wire, b"in")
}

fn f73(wire: &mut Wire) -> Done {
    let peer = wire.open(DISCARD)?;
    wire.stream(&peer)?;
    wire.send(&peer.seg(RST, b"the reason is ..."))?;
    wire.collect(ms(100))?;
    let stream = wire.stream(&peer)?;
    check!(
        stream.end == Some(Err(ErrorKind::ConnectionReset)),
        "{stream:?}"
    );
    check!(stream.data.is_empty(), "the reason was delivered");
    Ok(())
}

fn f74(wire: &mut Wire) -> Done {
    let mut peer = wire.open(DROP_UNREAD)?;
    peer.write(wire, b"nobody reads this")?;
    peer.expect(wire, "a RST", |seg| seg.has(RST)).map(drop)
}

fn f75(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ECHO)?;
    peer.echo(wire, b"first")?;
    wire.send(&peer.seg(RST, b""))?;
    // Below the old numbers, and above.
    for jump in [2_000_000_000, 2_000_000_000, 5] {
        peer.seq = peer.seq.wrapping_add(jump);
        peer.open(wire)?;
        peer.echo(wire, b"again")?;
        wire.send(&peer.seg(RST, b""))?;
    }
    Ok(())
}

fn f76(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ECHO)?;
    let data = pattern(1000);
    let bytes = peer.seg(ACK | PSH, &data).bytes();
    for (from, to) in [(512, bytes.len()), (0, 512)] {
        let more = to < bytes.len();
        wire.tx(&ipv4(
            CLIENT,
            SERVER,
            TCP,
            &bytes[from..to],
            fragment(76, from, more),
        ))?;
    }
    peer.seq = peer.seq.wrapping_add(1000);
    let back = peer.read(wire, 1000)?;
    check!(back == data, "another echo");
    Ok(())
}

fn f77(wire: &mut Wire) -> Done {
    let mut peer = wire.peer6(ECHO);
    let syn = peer.seg(SYN, b"").bytes();
    wire.tx(&ipv6(
        CLIENT6,
        SERVER6,
        44,
        &ipv6_fragment(TCP, 77, 0, false, &syn),
    ))?;
    peer.take_syn_ack(wire)?;
    peer.ack(wire)?;
    peer.echo(wire, b"atom")
}

fn f78(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ECHO)?;
    let last = peer.seg(ACK | FIN | PSH, b"the last");
    wire.send(&last)?;
    wire.send(&last)?;
    wire.send(&peer.at(9, ACK | PSH, b"behind the end"))?;
    peer.seq = peer.seq.wrapping_add(9);
    let back = peer.read_to_end(wire)?;
    check!(back == b"the last", "{back:?}");
    let stream = wire.stream(&peer)?;
    check!(
        stream.data == b"the last" && stream.end == Some(Ok(())),
        "{stream:?}"
    );
    Ok(())
}

fn f79(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(DISCARD);
    peer.options.sack_ok = true;
    peer.open(wire)?;
    let data = pattern(200_000);
    let mut random: u64 = 79;
    // In runs of 20 kB, which fit every window; each is in again behind the last.
    for (n, run) in data.chunks(20_000).enumerate() {
        let mut parts: Vec<(usize, usize)> = Vec::new();
        for from in (0..run.len()).step_by(500) {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let more = (random >> 33) as usize % 700;
            parts.push((from, (from + 500 + more).min(run.len())));
            if random >> 63 == 1 {
                parts.push((from.saturating_sub(more), (from + 200).min(run.len())));
            }
        }
        for i in (1..parts.len()).rev() {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            parts.swap(i, (random >> 33) as usize % (i + 1));
        }
        for (from, to) in parts {
            wire.send(&peer.at(from as i64, ACK, &run[from..to]))?;
        }
        let start = peer.seq;
        peer.seq = peer.seq.wrapping_add(run.len() as u32);
        // So many small parts may be more than a stack keeps; a client sends them again.
        if peer
            .find(wire, ms(300), |seg| seg.ack == peer.seq)?
            .is_none()
        {
            for (i, part) in run.chunks(1000).enumerate() {
                let seq = start.wrapping_add(i as u32 * 1000);
                wire.send(&Seg {
                    seq,
                    ..peer.seg(ACK, part)
                })?;
            }
            let found = peer.find(wire, ms(1000), |seg| seg.ack == peer.seq)?;
            check!(found.is_some(), "run {n} is never acknowledged");
        }
    }
    let read = wire.stream(&peer)?.data;
    check!(read == data, "{} bytes were read, or others", read.len());
    Ok(())
}

fn f80(wire: &mut Wire) -> Done {
    let mut peers = Vec::new();
    for _ in 0..50 {
        peers.push(wire.open(ECHO)?);
    }
    for round in 0..4_u8 {
        for (n, peer) in peers.iter_mut().enumerate() {
            peer.write(wire, &[n as u8, round])?;
        }
    }
    wire.collect(ms(300))?;
    for (n, peer) in peers.iter().enumerate() {
        let data = wire
            .streams()
            .into_iter()
            .find(|stream| stream.peer == peer.from);
        let data = data.map(|stream| stream.data).unwrap_or_default();
        let n = n as u8;
        check!(
            data == [n, 0, n, 1, n, 2, n, 3],
            "connection {n} read {data:?}"
        );
    }
    Ok(())
}

fn f81(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(ECHO);
    let mut clock = u32::MAX - 2;
    peer.options.stamps = Some((clock, 0));
    let syn_ack = peer.half_open(wire)?;
    let echo = syn_ack.options.stamps.ok_or("no timestamps")?.0;
    for part in [&b"before"[..], b"at", b"after", b"that"] {
        clock = clock.wrapping_add(1);
        let options = Options {
            stamps: Some((clock, echo)),
            ..Options::default()
        };
        wire.send(&Seg {
            options,
            ..peer.seg(ACK | PSH, part)
        })?;
        peer.seq = peer.seq.wrapping_add(part.len() as u32);
        let back = peer.expect(wire, "an echo", |seg| seg.data == part)?;
        peer.ack = back.end();
        check!(
            back.options.stamps.is_some_and(|(_, echo)| echo == clock),
            "{back:?}"
        );
    }
    Ok(())
}

fn f82(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(ECHO);
    let syn = peer.seg(SYN, b"");
    peer.open(wire)?;
    peer.echo(wire, b"open")?;
    wire.send(&syn)?;
    let answer = peer.expect(wire, "an answer", |_| true)?;
    check!(answer.flags == ACK && answer.ack == peer.seq, "{answer:?}");
    peer.echo(wire, b"still")
}

fn f83(wire: &mut Wire) -> Done {
    let mut peer = wire.open(DISCARD)?;
    let data = pattern(3000);
    for from in (1..3000).rev() {
        wire.send(&peer.at(from as i64, ACK, &data[from..from + 1]))?;
    }
    wire.send(&peer.seg(ACK, &data[..1]))?;
    peer.seq = peer.seq.wrapping_add(3000);
    // A stack may let go of what costs it more than it is worth; a client sends it again.
    if peer
        .find(wire, ms(1000), |seg| seg.ack == peer.seq)?
        .is_none()
    {
        for part in 0..3 {
            wire.send(&peer.at(
                part * 1000 - 3000,
                ACK,
                &data[part as usize * 1000..][..1000],
            ))?;
        }
        peer.expect_ack(wire)?;
    }
    let read = wire.stream(&peer)?.data;
    check!(read == data, "{} bytes were read, or others", read.len());
    Ok(())
}

fn f84(wire: &mut Wire) -> Done {
    let mut peer = wire.open(DISCARD)?;
    let data = pattern(2000);
    peer.write(wire, &data[..1000])?;
    peer.expect_ack(wire)?;
    wire.send(&peer.at(-400, ACK, &data[600..2000]))?;
    peer.seq = peer.seq.wrapping_add(1000);
    peer.expect_ack(wire)?;
    let read = wire.stream(&peer)?.data;
    check!(read == data, "{} bytes were read, or others", read.len());
    Ok(())
}

fn f85(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(LATE);
    peer.options.scale = Some(7);
    let syn_ack = peer.open(wire)?;
    let edge = peer.seq.wrapping_add(u32::from(syn_ack.window));
    let sent = fill(wire, &mut peer, edge)?;
    opens_again(wire, &mut peer, sent)
}

fn f86(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(DISCARD);
    peer.options.sack_ok = true;
    let syn_ack = peer.open(wire)?;
    let data = pattern(usize::from(syn_ack.window) / 2);
    for (n, part) in data.chunks(1460).enumerate().skip(1) {
        wire.send(&peer.at(n as i64 * 1460, ACK, part))?;
    }
    let last = peer.seq.wrapping_add(data.len() as u32);
    peer.expect(wire, "a block to the end", |seg| {
        seg.options.sack == [(peer.seq.wrapping_add(1460), last)]
    })?;
    wire.send(&peer.seg(ACK, &data[..1460]))?;
    peer.seq = last;
    peer.expect_ack(wire)?;
    let read = wire.stream(&peer)?.data;
    check!(read == data, "{} bytes were read, or others", read.len());
    Ok(())
}

fn f87(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(ECHO);
    peer.options.sack_ok = true;
    let syn_ack = peer.open(wire)?;
    let (data, first) = (pattern(1 << 20), peer.seq);
    let mut edge = first.wrapping_add(u32::from(syn_ack.window));
    let (mut acked, mut back) = (first, Vec::<u8>::new());
    while back.len() < data.len() {
        // A window of our own, so that both directions have data in flight.
        let sent = peer.seq.wrapping_sub(first) as usize;
        let room = (edge.wrapping_sub(peer.seq) as usize).min(data.len() - sent);
        if room > 0 && peer.seq.wrapping_sub(acked) < 30_000 {
            peer.write(wire, &data[sent..sent + room.min(1460)])?;
        }
        let wait = if room > 0 { ms(1) } else { ms(3000) };
        while let Some(seg) = peer.find(wire, wait, |_| true)? {
            check!(!seg.has(RST), "a reset after {} bytes", back.len());
            let right = seg.ack.wrapping_add(u32::from(seg.window));
            if after(right, edge) {
                edge = right;
            }
            if after(seg.ack, acked) {
                acked = seg.ack;
            }
            if seg.seq == peer.ack && !seg.data.is_empty() {
                peer.ack = seg.end();
                back.extend(&seg.data);
                peer.ack(wire)?;
            }
            if back.len() >= data.len() || edge != peer.seq {
                break;
            }
        }
        check!(
            wire.now() < ms(60_000),
            "{} bytes came back in a minute",
            back.len()
        );
    }
    check!(back == data, "another echo");
    Ok(())
}

//! Further cases: segment arrival (RFC 9293, 3.10.7): the RST bit first, and malformed options.

use super::Known::NotRun;
use super::time_wait::stamps;
use super::window::fill;
use super::{BackendKind, Case, case};
use crate::app::{DISCARD, ECHO, GREET, NOBODY, SEND, STALL};
use crate::packet::{ACK, FIN, Options, PSH, RST, SYN, Seg};
use crate::wire::{Done, Peer, Wire, check, ms};
use std::collections::BTreeMap;
use std::io::ErrorKind;

pub(super) const CASES: &[Case] = &[
    case(
        "F121",
        "RST with FIN, with data, with both: a reset (RFC 9293, 3.10.7.4)",
        f121,
    ),
    case(
        "F122",
        "RST, RST with FIN at a closed window: a reset",
        f122,
    ),
    case(
        "F120",
        "RST with data at a closed window: a reset (RFC 9293, 3.10.7.4)",
        f120,
    )
    .known(&[NotRun(
        BackendKind::Linux,
        "6.18 drops any segment that ends beyond the window while the receive queue has data",
    )]),
    case(
        "F123",
        "RST with FIN in the window, not exact: challenge ACK (RFC 5961, 3)",
        f123,
    ),
    case("F124", "RST with FIN to nobody: no answer", f124),
    case(
        "F125",
        "RST with FIN in SYN-RECEIVED ends the handshake",
        f125,
    ),
    case(
        "F126",
        "malformed option in a data segment: the data is taken",
        f126,
    ),
    case("F127", "malformed option in an ACK: the ACK counts", f127),
    case(
        "F128",
        "timestamps behind a malformed option are read (RFC 7323)",
        f128,
    ),
    case(
        "F129",
        "SACK blocks behind a malformed option are read (RFC 2018)",
        f129,
    ),
    case(
        "F130",
        "MSS, window scale and SACK-permitted around a malformed option are read",
        f130,
    ),
];

/// Options of a segment on an open connection, each malformed.
const MALFORMED: [&[u8]; 14] = [
    &[1, 1, 1, 8],                          // a kind at the end of the header
    &[8, 0, 0, 0],                          // length 0
    &[8, 1, 0, 0],                          // length 1
    &[8, 2, 0, 0],                          // timestamps without a value
    &[8, 9, 0, 0, 0, 1, 0, 0, 0, 0],        // timestamps, one byte short
    &[8, 40, 0, 0],                         // beyond the end of the header
    &[5, 2, 1, 1],                          // SACK without a block
    &[5, 9, 0, 0, 0, 1, 0, 0, 0],           // SACK with a part of a block
    &[5, 12, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0], // SACK with a block and a part of one
    &[2, 3, 5, 0],                          // an MSS of one byte
    &[3, 2, 1, 1],                          // window scale without a value
    &[3, 4, 7, 7],                          // window scale of two bytes
    &[4, 3, 0, 1],                          // SACK-permitted with a value
    &[253, 255, 0, 0],                      // unknown, beyond the end of the header
];

/// Malformed options whose length leads to the next option.
const SKIPPED: [&[u8]; 4] = [&[3, 4, 7, 7], &[2, 3, 5, 1], &[4, 4, 0, 0], &[253, 4, 0, 0]];

fn with_raw(seg: Seg, raw: &[u8]) -> Seg {
    let options = Options {
        raw: raw.to_vec(),
        ..Options::default()
    };
    Seg { options, ..seg }
}

/// How the application's last connection ended.
fn end(wire: &Wire) -> Option<Result<(), ErrorKind>> {
    wire.streams().last().and_then(|stream| stream.end)
}

fn f121(wire: &mut Wire) -> Done {
    for (flags, data) in [
        (RST | FIN, &b""[..]),
        (RST | FIN | ACK, b""),
        (RST | ACK | PSH, b"data"),
        (RST | FIN | ACK | PSH, b"data"),
    ] {
        let mut peer = wire.open(DISCARD)?;
        peer.write(wire, b"some")?;
        peer.expect_ack(wire)?;
        wire.send(&peer.seg(flags, data))?;
        wire.until("an end", |wire| end(wire).is_some())
            .map_err(|why| format!("flags {flags}: {why}"))?;
        check!(
            end(wire) == Some(Err(ErrorKind::ConnectionReset)),
            "flags {flags}: the end is {:?}",
            end(wire)
        );
        wire.silent("after the RST")?;
    }
    Ok(())
}

/// A connection whose receive buffer is full is reset by such a segment.
fn reset_at_closed_window(wire: &mut Wire, flags: u8, data: &[u8]) -> Done {
    let mut peer = wire.peer(STALL);
    let syn_ack = peer.open(wire)?;
    let edge = peer.seq.wrapping_add(u32::from(syn_ack.window));
    fill(wire, &mut peer, edge)?;
    wire.send(&peer.seg(flags, data))?;
    wire.silent("after the RST")?;
    peer.ack(wire)?;
    let reset = peer.expect(wire, "a RST from nobody", |seg| seg.has(RST));
    reset
        .map(drop)
        .map_err(|why| format!("flags {flags}: {why}"))
}

fn f122(wire: &mut Wire) -> Done {
    for flags in [RST, RST | ACK, RST | FIN | ACK] {
        reset_at_closed_window(wire, flags, b"")?;
    }
    Ok(())
}

fn f120(wire: &mut Wire) -> Done {
    for flags in [RST, RST | ACK, RST | FIN | ACK] {
        reset_at_closed_window(wire, flags, b"data")?;
    }
    Ok(())
}

fn f123(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ECHO)?;
    wire.send(&peer.at(-1, RST | FIN, b""))?;
    wire.send(&peer.at(10_000_000, RST | FIN | ACK, b""))?;
    peer.never(wire, "an answer with a RST", |seg| seg.has(RST))?;
    wire.collect(ms(600))?; // Linux sends at most one challenge ACK in half a second.
    wire.send(&peer.at(100, RST | FIN | ACK, b""))?;
    peer.expect(wire, "a challenge ACK", |seg| {
        seg.flags == ACK && seg.ack == peer.seq && seg.seq == peer.ack
    })?;
    peer.echo(wire, b"still here")?;
    check!(wire.stream(&peer)?.end.is_none(), "the stream ended");
    Ok(())
}

fn f124(wire: &mut Wire) -> Done {
    for port in [NOBODY, DISCARD] {
        let peer = wire.peer(port);
        for flags in [RST | FIN, RST | FIN | ACK] {
            wire.send(&peer.seg(flags, b""))?;
            wire.send(&peer.seg(flags, b"data"))?;
        }
    }
    wire.silent("a RST to nobody")?;
    wire.alive()
}

fn f125(wire: &mut Wire) -> Done {
    for flags in [RST | FIN, RST | FIN | ACK] {
        let mut peer = wire.peer(DISCARD);
        peer.half_open(wire)?;
        wire.send(&peer.seg(flags, b""))?;
        wire.collect(ms(20))?;
        peer.ack(wire)?;
        peer.expect(wire, "a RST from nobody", |seg| seg.has(RST))
            .map_err(|why| format!("flags {flags}: {why}"))?;
    }
    wire.collect(ms(50))?;
    check!(wire.streams().is_empty(), "a stream was offered");
    Ok(())
}

fn f126(wire: &mut Wire) -> Done {
    for raw in MALFORMED {
        let mut peer = wire.open(DISCARD)?;
        wire.send(&with_raw(peer.seg(ACK | PSH, b"hello"), raw))?;
        peer.seq = peer.seq.wrapping_add(5);
        peer.expect_ack(wire)
            .map_err(|why| format!("{raw:?}: {why}"))?;
        // Out of order as well.
        wire.send(&with_raw(peer.at(2, ACK | PSH, b"cd"), raw))?;
        wire.send(&with_raw(peer.seg(ACK | PSH, b"ab"), raw))?;
        peer.seq = peer.seq.wrapping_add(4);
        peer.expect_ack(wire)
            .map_err(|why| format!("{raw:?}, out of order: {why}"))?;
        wire.send(&with_raw(peer.seg(ACK | FIN, b""), raw))?;
        peer.seq = peer.seq.wrapping_add(1);
        peer.expect_ack(wire)
            .map_err(|why| format!("{raw:?}, FIN: {why}"))?;
        let stream = wire.stream(&peer)?;
        check!(
            stream.data == b"helloabcd" && stream.end == Some(Ok(())),
            "{raw:?}: {stream:?}"
        );
    }
    Ok(())
}

fn f127(wire: &mut Wire) -> Done {
    let mut peers: BTreeMap<u16, Peer> = BTreeMap::new();
    for raw in MALFORMED {
        let mut peer = wire.open(GREET)?;
        let data = peer.expect(wire, "data", |seg| seg.data.len() == 1000)?;
        peer.ack = data.end();
        wire.send(&with_raw(peer.seg(ACK, b""), raw))?;
        peers.insert(peer.from.port(), peer);
    }
    // A retransmission may have been sent before its ACK came.
    wire.collect(ms(20))?;
    let again = wire.find(ms(2500), |packet| {
        let seg = packet.tcp().filter(|seg| !seg.data.is_empty())?;
        peers.contains_key(&seg.to.port()).then(|| seg.to.port())
    })?;
    if let Some(port) = again {
        let raw = peers.keys().zip(MALFORMED).find(|(key, _)| **key == port);
        return Err(format!("sent again after the ACK with {raw:?}"));
    }
    Ok(())
}

fn f128(wire: &mut Wire) -> Done {
    for before in SKIPPED {
        let mut peer = wire.peer(DISCARD);
        peer.options.stamps = Some((1000, 0));
        let syn_ack = peer.half_open(wire)?;
        let echo = syn_ack.options.stamps.ok_or("no timestamps")?.0;
        wire.send(&Seg {
            options: stamps(1001, echo),
            ..peer.seg(ACK, b"")
        })?;
        let mut raw = [before, &[1, 1, 8, 10]].concat();
        raw.extend(1010_u32.to_be_bytes());
        raw.extend(echo.to_be_bytes());
        wire.send(&with_raw(peer.seg(ACK | PSH, b"hello"), &raw))?;
        peer.seq = peer.seq.wrapping_add(5);
        let ack = peer.expect_ack(wire)?;
        let echoed = ack.options.stamps.ok_or("an ACK without timestamps")?.1;
        check!(echoed == 1010, "{before:?}: TSecr is {echoed}");
    }
    Ok(())
}

fn f129(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(SEND);
    peer.options.sack_ok = true;
    peer.open(wire)?;
    let mut segs: Vec<Seg> = Vec::new();
    for (_, seg) in peer.collect(wire, ms(20))? {
        if !seg.data.is_empty() && segs.iter().all(|other| other.seq != seg.seq) {
            segs.push(seg);
        }
    }
    check!(segs.len() >= 6, "only {} segments at first", segs.len());
    let last = segs[segs.len() - 1].end();
    // All but the first have come.
    let mut raw = vec![3, 4, 7, 7, 1, 1, 5, 10];
    raw.extend(segs[1].seq.to_be_bytes());
    raw.extend(last.to_be_bytes());
    wire.send(&with_raw(peer.seg(ACK, b""), &raw))?;
    let came = peer.collect(wire, ms(100))?;
    let copies = |of: &Seg| came.iter().filter(|(_, seg)| seg.seq == of.seq).count();
    check!(copies(&segs[0]) >= 1, "the hole was not filled");
    for seg in &segs[1..] {
        check!(
            copies(seg) == 0,
            "a segment that SACK covers was sent again"
        );
    }
    Ok(())
}

fn f130(wire: &mut Wire) -> Done {
    for malformed in SKIPPED {
        let mut peer = wire.peer(SEND);
        peer.options.mss = None;
        let options = [&[2, 4, 3, 232][..], malformed, &[1, 3, 3, 7], &[1, 1, 4, 2]];
        peer.options.raw = options.concat();
        let syn_ack = peer.half_open(wire)?;
        check!(syn_ack.flags == SYN | ACK, "{syn_ack:?}");
        let Options { scale, sack_ok, .. } = syn_ack.options;
        check!(
            scale.is_some() && sack_ok,
            "{malformed:?}: scale {scale:?}, SACK {sack_ok}"
        );
        peer.ack(wire)?;
        let data = peer.expect(wire, "data", |seg| !seg.data.is_empty())?;
        check!(
            data.data.len() == 1000,
            "{malformed:?}: a segment of {} bytes",
            data.data.len()
        );
        wire.send(&peer.seg(RST, b""))?;
    }
    Ok(())
}

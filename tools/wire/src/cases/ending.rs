//! Further cases: ends in unusual moments.

use super::{Case, case};
use crate::app::{CLOSE, DISCARD, ECHO, HALF_CLOSE, SEND, WRITE_AND_DROP, pattern};
use crate::packet::{ACK, FIN, RST, SYN, Seg};
use crate::wire::{Done, Wire, check, ms};
use std::io::ErrorKind;

pub(super) const CASES: &[Case] = &[
    case(
        "F111",
        "let go with unsent data, the window shut for 2 s: all of it, then a FIN",
        f111,
    ),
    case("F112", "RST while the application writes is reported", f112),
    case(
        "F113",
        "RST in FIN-WAIT, CLOSING, LAST-ACK: quiet, and the tuple is free",
        f113,
    ),
    case(
        "F114",
        "a FIN once more, elsewhere: the first one counts",
        f114,
    ),
    case("F115", "the FIN of both in each other's data", f115),
    case(
        "F116",
        "a FIN that does not fit the window follows later",
        f116,
    ),
    case(
        "F117",
        "ACKs below and above the window in CLOSE-WAIT",
        f117,
    ),
];

fn f111(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(WRITE_AND_DROP);
    peer.window = 5000;
    peer.open(wire)?;
    let mut data: Vec<u8> = Vec::new();
    while data.len() < 5000 {
        let Some(seg) = peer.find(wire, ms(1000), |seg| seg.seq == peer.ack)? else {
            break;
        };
        peer.ack = seg.end();
        data.extend(seg.data);
    }
    peer.window = 0;
    peer.ack(wire)?;
    let end = wire.now() + ms(2000);
    let mut probes = 0;
    while wire.now() < end {
        probes += 1;
        check!(probes < 20, "a shut window is probed {probes} times in 2 s");
        if let Some(probe) = peer.find(wire, end - wire.now(), |_| true)? {
            check!(!probe.has(RST) && probe.data.len() <= 1, "{probe:?}");
            peer.ack(wire)?;
        }
    }
    peer.window = 65_535;
    peer.ack(wire)?;
    data.extend(peer.read_to_end(wire)?);
    check!(data == pattern(100_000), "{} bytes, or others", data.len());
    Ok(())
}

fn f112(wire: &mut Wire) -> Done {
    let mut peer = wire.open(SEND)?;
    peer.read(wire, 30_000)?;
    wire.collect(ms(20))?;
    wire.send(&peer.seg(RST, b""))?;
    wire.collect(ms(100))?;
    let stream = wire.stream(&peer)?;
    check!(
        stream.end == Some(Err(ErrorKind::ConnectionReset)),
        "{:?}",
        stream.end
    );
    check!(stream.written < 1 << 20, "all of it was taken");
    Ok(())
}

fn f113(wire: &mut Wire) -> Done {
    for state in ["FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "LAST-ACK"] {
        let mut peer = wire.open(if state == "LAST-ACK" { ECHO } else { CLOSE })?;
        if state == "LAST-ACK" {
            peer.fin(wire)?;
        }
        let fin = peer.expect(wire, "a FIN", |seg| seg.has(FIN))?;
        match state {
            "FIN-WAIT-2" => {
                peer.ack = fin.end();
                peer.ack(wire)?;
            }
            "CLOSING" => {
                peer.fin(wire)?;
                peer.expect_ack(wire)?;
            }
            _ => {}
        }
        wire.send(&peer.seg(RST, b""))?;
        wire.collect(ms(20))?;
        let late = peer.find(wire, ms(1200), |_| true)?;
        check!(late.is_none(), "{state}: {late:?} after the RST");
        peer.ack(wire)?;
        peer.expect(wire, "a RST from nobody", |seg| seg.has(RST))
            .map_err(|why| format!("{state}: {why}"))?;
        peer.seq = peer.seq.wrapping_add(100_000);
        wire.send(&peer.seg(SYN, b""))?;
        peer.take_syn_ack(wire)
            .map_err(|why| format!("{state}: {why}"))?;
    }
    Ok(())
}

fn f114(wire: &mut Wire) -> Done {
    let mut peer = wire.open(DISCARD)?;
    peer.write(wire, b"all")?;
    peer.fin(wire)?;
    wire.send(&peer.at(500, ACK | FIN, b""))?;
    wire.send(&peer.at(0, ACK | FIN, b""))?;
    let fin = peer.expect(wire, "a FIN", |seg| seg.has(FIN) && seg.ack == peer.seq)?;
    peer.ack = fin.end();
    peer.ack(wire)?;
    let stream = wire.stream(&peer)?;
    check!(
        stream.data == b"all" && stream.end == Some(Ok(())),
        "{stream:?}"
    );
    Ok(())
}

fn f115(wire: &mut Wire) -> Done {
    let mut peer = wire.open(HALF_CLOSE)?;
    // Theirs is on the way; ours comes with data, and acknowledges nothing.
    wire.collect(ms(20))?;
    let last = Seg {
        flags: ACK | FIN,
        ..peer.seg(ACK, b"last words")
    };
    wire.send(&last)?;
    peer.seq = peer.seq.wrapping_add(11);
    peer.expect_ack(wire)?;
    let data = peer.read_to_end(wire)?;
    check!(data == pattern(100), "{} bytes, or others", data.len());
    let stream = wire.stream(&peer)?;
    check!(
        stream.data == b"last words" && stream.end == Some(Ok(())),
        "{stream:?}"
    );
    let rest = peer.collect(wire, ms(500))?;
    check!(rest.iter().all(|(_, seg)| !seg.has(RST)), "a reset");
    Ok(())
}

fn f116(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(HALF_CLOSE);
    peer.window = 100;
    peer.open(wire)?;
    let mut data: Vec<u8> = Vec::new();
    let mut ended = false;
    while data.len() < 100 {
        let seg = peer.expect(wire, "data", |seg| {
            seg.seq == peer.ack && !seg.data.is_empty()
        })?;
        data.extend(&seg.data);
        ended |= seg.has(FIN);
        peer.ack = seg.end();
    }
    peer.window = 0;
    peer.ack(wire)?;
    if !ended {
        // With the window shut, as a probe, or when it opens.
        let early = peer.find(wire, ms(1000), |seg| seg.has(FIN))?;
        peer.window = 1000;
        peer.ack(wire)?;
        let fin = match early {
            Some(fin) => fin,
            None => peer
                .find(wire, ms(4000), |seg| seg.has(FIN))?
                .ok_or("no FIN")?,
        };
        check!(fin.end() == peer.ack.wrapping_add(1), "{fin:?}");
        peer.ack = fin.end();
        peer.ack(wire)?;
    }
    check!(data == pattern(100), "other data");
    peer.write(wire, b"still open")?;
    peer.expect_ack(wire).map(drop)
}

fn f117(wire: &mut Wire) -> Done {
    let mut peer = wire.open(SEND)?;
    peer.read(wire, 20_000)?;
    peer.fin(wire)?;
    peer.expect_ack(wire)?;
    let (low, high) = (
        peer.ack.wrapping_sub(10_000),
        peer.ack.wrapping_add(10_000_000),
    );
    wire.send(&Seg {
        ack: low,
        ..peer.seg(ACK, b"")
    })?;
    wire.send(&Seg {
        ack: high,
        ..peer.seg(ACK, b"")
    })?;
    wire.send(&Seg {
        ack: low,
        ..peer.at(-1, ACK | FIN, b"")
    })?;
    let rest = peer.read_to_end(wire)?;
    let all = pattern(1 << 20);
    check!(
        all.ends_with(&rest) && rest.len() > 900_000,
        "{} bytes, or others",
        rest.len()
    );
    Ok(())
}

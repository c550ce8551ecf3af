//! Further cases: TIME-WAIT (RFC 6191), and connections whose application has closed.

use super::{Case, case};
use crate::app::{CLOSE, ECHO, HALF_CLOSE, Setup, WRITE_AND_DROP, pattern};
use crate::packet::{ACK, FIN, Options, RST, SYN, Seg};
use crate::wire::{Done, Peer, QUIET, Wire, check, ms};
use std::time::Duration;

const ORPHAN: Setup = Setup {
    orphan: Some(Duration::from_secs(2)),
    ..Setup::DEFAULT
};

pub(super) const CASES: &[Case] = &[
    case(
        "F131",
        "TIME-WAIT: SYN with a lower number and a newer timestamp opens (RFC 6191)",
        f131,
    ),
    case(
        "F132",
        "TIME-WAIT: SYN with a higher number and an older timestamp does not open",
        f132,
    ),
    case(
        "F133",
        "TIME-WAIT without timestamps: SYN with a lower number gets an ACK",
        f133,
    ),
    case(
        "F134",
        "TIME-WAIT: the ACK of a retransmitted FIN carries timestamps",
        f134,
    ),
    case(
        "F135",
        "SYN right behind the FIN that begins TIME-WAIT opens anew",
        f135,
    ),
    case(
        "F136",
        "SYN right behind the ACK that ends LAST-ACK opens anew",
        f136,
    ),
    case(
        "F137",
        "FIN-WAIT-2 without an application is timed from the ACK of the FIN",
        f137,
    )
    .with(ORPHAN),
    case(
        "F138",
        "no application, and the peer reads slowly: all data, then a FIN",
        f138,
    )
    .with(ORPHAN),
];

/// The timestamps option alone.
pub(super) fn stamps(value: u32, echo: u32) -> Options {
    Options {
        stamps: Some((value, echo)),
        ..Options::default()
    }
}

/// A connection in FIN-WAIT-2, with timestamps from `clock` on if there is one. Returns the FIN
/// that moves it to TIME-WAIT.
fn into_fin_wait_2(wire: &mut Wire, clock: Option<u32>) -> Result<(Peer, Seg), String> {
    let mut peer = wire.peer(HALF_CLOSE);
    peer.options.stamps = clock.map(|clock| (clock, 0));
    let syn_ack = peer.half_open(wire)?;
    let echo = syn_ack.options.stamps.map_or(0, |(value, _)| value);
    check!(
        clock.is_some() == syn_ack.options.stamps.is_some(),
        "{syn_ack:?}"
    );
    let options = clock.map_or_else(Options::default, |clock| stamps(clock, echo));
    let with = |seg: Seg| Seg {
        options: options.clone(),
        ..seg
    };
    wire.send(&with(peer.seg(ACK, b"")))?;
    let fin = peer.expect(wire, "a FIN", |seg| seg.has(FIN))?;
    peer.ack = fin.end();
    wire.send(&with(peer.seg(ACK, b"")))?;
    let fin = with(peer.seg(ACK | FIN, b""));
    peer.seq = peer.seq.wrapping_add(1);
    Ok((peer, fin))
}

fn into_time_wait(wire: &mut Wire, clock: Option<u32>) -> Result<(Peer, Seg), String> {
    let (peer, fin) = into_fin_wait_2(wire, clock)?;
    wire.send(&fin)?;
    peer.expect_ack(wire)?;
    wire.collect(ms(30))?;
    Ok((peer, fin))
}

/// The peer's SYN, with the timestamp `clock`, opens a connection with the application.
fn opens(wire: &mut Wire, peer: &mut Peer, clock: Option<u32>) -> Done {
    peer.options.stamps = clock.map(|clock| (clock, 0));
    let syn_ack = peer.half_open(wire)?;
    let options = match (clock, syn_ack.options.stamps) {
        (Some(clock), Some((echo, _))) => stamps(clock, echo),
        (None, None) => Options::default(),
        (_, other) => return Err(format!("the SYN-ACK has timestamps {other:?}")),
    };
    wire.send(&Seg {
        options,
        ..peer.seg(ACK, b"")
    })?;
    let first = peer.expect(wire, "data", |seg| seg.seq == peer.ack)?;
    check!(first.data == pattern(100), "other data");
    check!(
        wire.streams().len() == 2,
        "{} streams",
        wire.streams().len()
    );
    Ok(())
}

/// The peer's SYN opens nothing.
fn stays_closed(wire: &mut Wire, peer: &Peer) -> Done {
    peer.syn(wire)?;
    peer.never(wire, "a SYN-ACK", |seg| seg.has(SYN))
}

fn f131(wire: &mut Wire) -> Done {
    let (mut peer, _) = into_time_wait(wire, Some(5000))?;
    peer.seq = peer.seq.wrapping_sub(1 << 30);
    for old in [5000, 4999] {
        peer.options.stamps = Some((old, 0));
        stays_closed(wire, &peer).map_err(|why| format!("TSval {old}: {why}"))?;
    }
    opens(wire, &mut peer, Some(5001))
}

fn f132(wire: &mut Wire) -> Done {
    let (mut peer, _) = into_time_wait(wire, Some(5000))?;
    peer.seq = peer.seq.wrapping_add(100_000);
    peer.options.stamps = Some((4000, 0));
    stays_closed(wire, &peer)?;
    opens(wire, &mut peer, Some(5001))
}

fn f133(wire: &mut Wire) -> Done {
    let (mut peer, _) = into_time_wait(wire, None)?;
    let expected = peer.seq;
    peer.seq = expected.wrapping_sub(1 << 30);
    peer.syn(wire)?;
    let answer = peer.expect(wire, "an ACK", |_| true)?;
    check!(
        answer.flags == ACK && (answer.seq, answer.ack) == (peer.ack, expected),
        "{answer:?}"
    );
    // The client's RST in answer to that ACK ends TIME-WAIT (RFC 9293, 3.10.7.3).
    wire.send(&Seg {
        seq: answer.ack,
        ..peer.seg(RST, b"")
    })?;
    opens(wire, &mut peer, None)
}

fn f134(wire: &mut Wire) -> Done {
    let (peer, mut fin) = into_time_wait(wire, Some(5000))?;
    let (_, echo) = fin.options.stamps.ok_or("no timestamps")?;
    fin.options = stamps(5600, echo);
    wire.send(&fin)?;
    let ack = peer.expect_ack(wire)?;
    let (value, echoed) = ack.options.stamps.ok_or("an ACK without timestamps")?;
    check!(
        value.wrapping_sub(echo) < 1 << 30 && [5000, 5600].contains(&echoed),
        "{ack:?}"
    );
    check!((ack.flags, ack.seq) == (ACK, peer.ack), "{ack:?}");
    Ok(())
}

fn f135(wire: &mut Wire) -> Done {
    let (mut peer, fin) = into_fin_wait_2(wire, None)?;
    wire.collect(ms(30))?;
    let mut next = peer.clone();
    next.seq = peer.seq.wrapping_add(100_000);
    wire.send(&fin)?;
    next.syn(wire)?;
    peer.expect_ack(wire)?;
    peer = next;
    let syn_ack = peer.take_syn_ack(wire)?;
    check!(!syn_ack.has(RST), "{syn_ack:?}");
    peer.ack(wire)?;
    let data = peer.read_to_end(wire)?;
    check!(data == pattern(100), "{} bytes, or others", data.len());
    Ok(())
}

fn f136(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ECHO)?;
    peer.echo(wire, b"first")?;
    peer.fin(wire)?;
    let fin = peer.expect(wire, "a FIN", |seg| seg.has(FIN))?;
    peer.ack = fin.end();
    let last = peer.seg(ACK, b"");
    peer.seq = peer.seq.wrapping_add(100_000);
    wire.send(&last)?;
    peer.syn(wire)?;
    peer.take_syn_ack(wire)?;
    peer.ack(wire)?;
    peer.echo(wire, b"second")
}

fn f137(wire: &mut Wire) -> Done {
    let mut peer = wire.open(CLOSE)?;
    let fin = peer.expect(wire, "a FIN", |seg| seg.has(FIN))?;
    wire.collect(ms(1500))?;
    peer.ack = fin.end();
    peer.ack(wire)?;
    let early = peer.find(wire, ms(1500), |seg| seg.has(RST))?;
    check!(early.is_none(), "a RST within 1.5 s of the ACK");
    peer.fin(wire)?;
    let answer = peer.expect(wire, "an ACK of the FIN", |_| true)?;
    check!(
        answer.flags == ACK && answer.ack == peer.seq,
        "FIN-WAIT-2 ended within 1.5 s: {answer:?}"
    );
    Ok(())
}

fn f138(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(WRITE_AND_DROP);
    peer.window = 2920;
    peer.open(wire)?;
    let mut data: Vec<u8> = Vec::new();
    // One window in 600 ms, for 6 s.
    while wire.now() < ms(6000) {
        for (_, seg) in peer.collect(wire, ms(600))? {
            check!(!seg.has(RST), "a RST after {:?}", wire.now());
            if seg.seq == peer.ack {
                peer.ack = seg.end();
                data.extend(seg.data);
            }
        }
        peer.ack(wire)?;
    }
    peer.window = 65_535;
    peer.ack(wire)?;
    data.extend(peer.read_to_end(wire)?);
    check!(data == pattern(100_000), "{} bytes, or others", data.len());
    wire.collect(QUIET).map(drop)
}

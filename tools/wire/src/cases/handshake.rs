//! Opening: SYN, SYN-ACK, and what comes between.

use super::{Case, case};
use crate::app::{DISCARD, ECHO};
use crate::packet::RST;
use crate::wire::{Done, Wire, check, ms};

pub(super) const CASES: &[Case] = &[
    case("T01", "handshake on IPv4, echo, MSS in the SYN-ACK", t01),
    case("T02", "handshake on IPv6, echo", t02),
    case(
        "T03",
        "five SYNs of one client: one connection, one ISN",
        t03,
    ),
    case(
        "T04",
        "B's SYN behind A's repeated one: each stream has its peer",
        t04,
    ),
    case("T05", "no stream before the handshake is done", t05),
    case(
        "T47",
        "a RST in SYN-RECEIVED ends that request, and only that",
        t47,
    ),
];

fn t01(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(ECHO);
    let syn_ack = peer.open(wire)?;
    check!(
        syn_ack.options.mss == Some(1460),
        "MSS {:?}",
        syn_ack.options.mss
    );
    peer.echo(wire, b"hello")?;
    let stream = wire.stream(&peer)?;
    check!(stream.local == peer.to, "offered as {}", stream.local);
    Ok(())
}

fn t02(wire: &mut Wire) -> Done {
    let mut peer = wire.peer6(ECHO);
    let syn_ack = peer.open(wire)?;
    check!(
        syn_ack.options.mss == Some(1440),
        "MSS {:?}",
        syn_ack.options.mss
    );
    peer.echo(wire, b"hello")
}

fn t03(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(ECHO);
    for _ in 0..5 {
        peer.syn(wire)?;
    }
    let first = peer.take_syn_ack(wire)?;
    for (_, seg) in peer.collect(wire, ms(200))? {
        check!(
            seg.seq == first.seq,
            "another ISN: {} and {}",
            first.seq,
            seg.seq
        );
        check!(!seg.has(RST), "a reset");
    }
    peer.ack(wire)?;
    peer.echo(wire, b"once")?;
    let n = wire.streams().len();
    check!(n == 1, "{n} streams");
    Ok(())
}

fn t04(wire: &mut Wire) -> Done {
    let (mut a, mut b) = (wire.peer(ECHO), wire.peer(ECHO));
    a.syn(wire)?;
    a.syn(wire)?;
    a.take_syn_ack(wire)?;
    b.open(wire)?;
    b.echo(wire, b"from b")?;
    a.ack(wire)?;
    a.echo(wire, b"from a")?;
    let (a, b) = (wire.stream(&a)?, wire.stream(&b)?);
    check!(
        a.data == b"from a" && b.data == b"from b",
        "bytes of one on the other's stream"
    );
    check!(wire.streams().len() == 2, "more than two streams");
    Ok(())
}

fn t05(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(ECHO);
    peer.half_open(wire)?;
    wire.collect(ms(300))?;
    check!(wire.streams().is_empty(), "a stream after a bare SYN");
    peer.ack(wire)?;
    wire.until("a stream after the handshake", |wire| {
        wire.streams().len() == 1
    })
}

fn t47(wire: &mut Wire) -> Done {
    let (mut a, mut b) = (wire.peer(DISCARD), wire.peer(DISCARD));
    a.half_open(wire)?;
    wire.send(&a.seg(RST, b""))?;
    b.open(wire)?;
    b.write(wire, b"from b")?;
    b.expect_ack(wire)?;
    a.ack(wire)?;
    a.expect(wire, "a reset for who is gone", |seg| seg.has(RST))?;
    let stream = wire.stream(&b)?;
    check!(stream.data == b"from b", "b's stream has {:?}", stream.data);
    check!(wire.streams().len() == 1, "a's stream was offered");
    Ok(())
}

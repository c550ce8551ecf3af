//! Further cases: the application connects to us.

use super::{Case, case};
use crate::app::{OUTWARD, Setup};
use crate::backend::{CLIENT, SERVER};
use crate::packet::{ACK, ICMP, Options, Packet, RST, SYN, Seg, icmp, ip};
use crate::wire::{Done, Peer, Wire, check, ms};
use std::io::ErrorKind;

pub(super) const CONNECT: Setup = Setup {
    connect: true,
    ..Setup::DEFAULT
};

pub(super) const CASES: &[Case] = &[
    case("F51", "connect: SYN with MSS, handshake, echo", f51).with(CONNECT),
    case("F52", "connect: a RST in answer is a refusal", f52).with(CONNECT),
    case("F53", "connect: the SYN is sent again, the same one", f53).with(CONNECT),
    case(
        "F54",
        "connect: a SYN-ACK of another SYN: RST, and the right one opens",
        f54,
    )
    .with(CONNECT),
    case("F55", "connect: both at once (RFC 9293, 3.5)", f55).with(CONNECT),
    case(
        "F56",
        "connect: a RST that acknowledges nothing of ours is ignored",
        f56,
    )
    .with(CONNECT),
    case("F57", "connect: host unreachable is reported", f57).with(CONNECT),
    case(
        "F58",
        "connect: host unreachable about another SYN is ignored",
        f58,
    )
    .with(CONNECT),
    case(
        "F59",
        "connect: data with the SYN-ACK's ACK, and a FIN at once",
        f59,
    )
    .with(CONNECT),
];

/// The application's SYN, and a peer that has not answered it.
pub(super) fn called(wire: &mut Wire) -> Result<(Packet, Peer), String> {
    let packet = wire.expect("a SYN", |packet| {
        let seg = packet.tcp()?;
        (seg.has(SYN) && seg.to.port() == OUTWARD).then(|| packet.clone())
    })?;
    let syn = packet.tcp().ok_or("no SYN")?.clone();
    check!(syn.flags == SYN && syn.ack == 0, "{syn:?}");
    let mut peer = wire.peer_at(syn.to, syn.from);
    peer.ack = syn.end();
    Ok((packet, peer))
}

/// The SYN-ACK, and the ACK that it gets.
pub(super) fn answer(wire: &mut Wire, peer: &mut Peer) -> Done {
    wire.send(&peer.seg(SYN | ACK, b""))?;
    peer.seq = peer.seq.wrapping_add(1);
    peer.expect_ack(wire)?;
    wire.until("connected", |wire| wire.connected() == Some(Ok(())))
}

fn f51(wire: &mut Wire) -> Done {
    let (packet, mut peer) = called(wire)?;
    let mss = packet.tcp().and_then(|seg| seg.options.mss);
    check!(mss == Some(1460), "the MSS is {mss:?}");
    check!(wire.connected().is_none(), "connected before the SYN-ACK");
    answer(wire, &mut peer)?;
    peer.echo(wire, b"outward")
}

fn f52(wire: &mut Wire) -> Done {
    let (_, peer) = called(wire)?;
    wire.send(&peer.seg(RST | ACK, b""))?;
    wire.until("an answer", |wire| wire.connected().is_some())?;
    let result = wire.connected();
    check!(
        result == Some(Err(ErrorKind::ConnectionRefused)),
        "{result:?}"
    );
    wire.silent("refused")
}

fn f53(wire: &mut Wire) -> Done {
    let (first, mut peer) = called(wire)?;
    let again = wire.find(ms(3500), |packet| {
        peer.of(packet).map(|seg| (packet.at, seg.clone()))
    })?;
    let (at, again) = again.ok_or("not sent again")?;
    check!(
        again.has(SYN) && Some(again.seq) == first.tcp().map(|seg| seg.seq),
        "{again:?}"
    );
    check!(
        at - first.at >= ms(500),
        "sent again after {:?}",
        at - first.at
    );
    answer(wire, &mut peer)?;
    peer.echo(wire, b"late")
}

fn f54(wire: &mut Wire) -> Done {
    let (_, mut peer) = called(wire)?;
    let wrong = peer.ack.wrapping_add(1000);
    wire.send(&Seg {
        ack: wrong,
        ..peer.seg(SYN | ACK, b"")
    })?;
    let reset = peer.expect(wire, "a RST", |seg| seg.has(RST))?;
    check!(reset.seq == wrong, "its number is {}", reset.seq);
    check!(wire.connected().is_none(), "{:?}", wire.connected());
    answer(wire, &mut peer)?;
    peer.echo(wire, b"right")
}

fn f55(wire: &mut Wire) -> Done {
    let (first, mut peer) = called(wire)?;
    peer.syn(wire)?;
    let both = peer.expect(wire, "a SYN-ACK", |seg| seg.has(SYN | ACK))?;
    check!(
        Some(both.seq) == first.tcp().map(|seg| seg.seq),
        "another ISN"
    );
    check!(both.ack == peer.seq.wrapping_add(1), "{both:?}");
    wire.send(&peer.seg(SYN | ACK, b""))?;
    peer.seq = peer.seq.wrapping_add(1);
    wire.until("connected", |wire| wire.connected() == Some(Ok(())))?;
    peer.echo(wire, b"both")
}

fn f56(wire: &mut Wire) -> Done {
    let (_, mut peer) = called(wire)?;
    wire.send(&peer.seg(RST, b""))?;
    wire.send(&Seg {
        ack: peer.ack.wrapping_add(1),
        ..peer.seg(RST | ACK, b"")
    })?;
    wire.send(&Seg {
        ack: peer.ack.wrapping_sub(2),
        ..peer.seg(RST | ACK, b"")
    })?;
    wire.collect(ms(100))?;
    check!(wire.connected().is_none(), "{:?}", wire.connected());
    answer(wire, &mut peer)?;
    peer.echo(wire, b"still")
}

/// An ICMP error about a SYN.
fn unreachable(wire: &mut Wire, code: u8, about: &[u8]) -> Done {
    let body = [&[0; 4], &about[..28]].concat();
    let (from, to) = (CLIENT.into(), SERVER.into());
    wire.tx(&ip(from, to, ICMP, &icmp(from, to, 3, code, &body)))
}

fn f57(wire: &mut Wire) -> Done {
    let (syn, _) = called(wire)?;
    unreachable(wire, 1, &syn.bytes)?;
    wire.until("an error", |wire| wire.connected().is_some())?;
    let result = wire.connected();
    check!(
        result == Some(Err(ErrorKind::HostUnreachable)),
        "{result:?}"
    );
    Ok(())
}

fn f58(wire: &mut Wire) -> Done {
    let (syn, mut peer) = called(wire)?;
    let mut other = syn.bytes;
    other[24..28].copy_from_slice(&peer.ack.wrapping_add(50_000).to_be_bytes());
    unreachable(wire, 1, &other)?;
    wire.collect(ms(100))?;
    check!(wire.connected().is_none(), "{:?}", wire.connected());
    answer(wire, &mut peer)?;
    peer.echo(wire, b"still")
}

fn f59(wire: &mut Wire) -> Done {
    let (_, mut peer) = called(wire)?;
    peer.options = Options::default();
    answer(wire, &mut peer)?;
    peer.write(wire, b"one breath")?;
    peer.fin(wire)?;
    let back = peer.read_to_end(wire)?;
    check!(back == b"one breath", "{back:?}");
    Ok(())
}

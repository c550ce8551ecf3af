//! Further cases: handshakes of which a packet is lost or doubled, and what comes in SYN-SENT.

use super::connect::{CONNECT, answer, called};
use super::{Case, case};
use crate::app::{ECHO, SEND, pattern};
use crate::packet::{ACK, FIN, RST, SYN, Seg};
use crate::wire::{Done, Peer, Wire, check, ms};
use std::collections::BTreeSet;
use std::io::ErrorKind;

pub(super) const CASES: &[Case] = &[
    case(
        "F141",
        "a doubled SYN right before its ACK: one connection, one ISN",
        f141,
    ),
    case(
        "F142",
        "one lost SYN-ACK leaves the initial window (RFC 6928)",
        f142,
    ),
    case(
        "F143",
        "two lost SYN-ACKs: one segment at first (RFC 5681, 3.1)",
        f143,
    ),
    case(
        "F144",
        "connect: one lost SYN leaves the initial window",
        f144,
    )
    .with(CONNECT),
    case(
        "F145",
        "connect: challenge ACK to the SYN: RST, and the SYN again at once",
        f145,
    )
    .with(CONNECT),
    case("F146", "connect: RST with FIN in answer is a refusal", f146).with(CONNECT),
];

fn f141(wire: &mut Wire) -> Done {
    for data in [&b""[..], b"data"] {
        let mut peer = wire.peer(ECHO);
        let syn = peer.seg(SYN, b"");
        let syn_ack = peer.half_open(wire)?;
        wire.send(&syn)?;
        peer.ack(wire)?;
        if !data.is_empty() {
            peer.write(wire, data)?;
        }
        let mut echo: Vec<u8> = Vec::new();
        for (_, seg) in peer.collect(wire, ms(1500))? {
            check!(!seg.has(RST), "{seg:?}");
            check!(!seg.has(SYN) || seg.seq == syn_ack.seq, "{seg:?}");
            if seg.seq == peer.ack && !seg.data.is_empty() {
                peer.ack = seg.end();
                echo.extend(seg.data);
                peer.ack(wire)?;
            }
        }
        check!(echo == data, "{echo:?}");
        peer.echo(wire, b"once")?;
        check!(wire.stream(&peer)?.end.is_none(), "the stream ended");
    }
    Ok(())
}

/// Takes the SYN-ACK after so many were lost, and returns the number of segments of the first
/// flight.
fn first_flight(wire: &mut Wire, lost: u32) -> Result<usize, String> {
    let mut peer = wire.peer(SEND);
    peer.syn(wire)?;
    for n in 0..lost {
        let syn_ack = peer.find(wire, ms(4000), |seg| seg.has(SYN | ACK))?;
        check!(syn_ack.is_some(), "SYN-ACK {n} did not come");
    }
    let syn_ack = peer.find(wire, ms(7000), |seg| seg.has(SYN | ACK))?;
    peer.seq = peer.seq.wrapping_add(1);
    peer.ack = syn_ack.ok_or("no SYN-ACK")?.end();
    peer.ack(wire)?;
    flight(wire, &peer)
}

/// The number of data segments within 20 ms, each counted once.
fn flight(wire: &mut Wire, peer: &Peer) -> Result<usize, String> {
    let came = peer.collect(wire, ms(20))?;
    let data = came.iter().filter(|(_, seg)| !seg.data.is_empty());
    Ok(data.map(|(_, seg)| seg.seq).collect::<BTreeSet<_>>().len())
}

fn f142(wire: &mut Wire) -> Done {
    let none = first_flight(wire, 0)?;
    let one = first_flight(wire, 1)?;
    check!(
        one >= none && none > 1,
        "{one} segments at first, {none} without a loss"
    );
    Ok(())
}

fn f143(wire: &mut Wire) -> Done {
    let two = first_flight(wire, 2)?;
    check!(two == 1, "{two} segments at first");
    Ok(())
}

fn f144(wire: &mut Wire) -> Done {
    let (first, mut peer) = called(wire)?;
    let again = peer.find(wire, ms(3500), |seg| seg.has(SYN))?;
    let again = again.ok_or("the SYN is not sent again")?;
    check!(
        Some(&again.seq) == first.tcp().map(|seg| &seg.seq),
        "{again:?}"
    );
    answer(wire, &mut peer)?;
    let data = pattern(14_600);
    for part in data.chunks(1460) {
        peer.write(wire, part)?;
    }
    let mut came = 0;
    for (_, seg) in peer.collect(wire, ms(100))? {
        // TLP or the RTO may send a segment again.
        came = came.max(seg.end().wrapping_sub(peer.ack));
    }
    check!(came as usize == data.len(), "{came} bytes at first");
    Ok(())
}

fn f145(wire: &mut Wire) -> Done {
    let (packet, mut peer) = called(wire)?;
    let syn = packet.tcp().ok_or("no SYN")?.clone();
    // An old connection of this 4-tuple (RFC 5961, 4.2).
    let old = syn.seq.wrapping_sub(5000);
    wire.collect(ms(50))?;
    wire.send(&Seg {
        ack: old,
        ..peer.seg(ACK, b"")
    })?;
    let reset = peer.expect(wire, "a RST", |_| true)?;
    check!(reset.has(RST) && reset.seq == old, "{reset:?}");
    // Its first retransmission is due after a second.
    let again = peer.find(wire, ms(400), |_| true)?;
    let again = again.ok_or("the SYN was not sent again at once")?;
    check!(
        (again.flags, again.seq) == (SYN, syn.seq) && again.options.mss == syn.options.mss,
        "{again:?}"
    );
    check!(wire.connected().is_none(), "{:?}", wire.connected());
    answer(wire, &mut peer)?;
    peer.echo(wire, b"anew")
}

fn f146(wire: &mut Wire) -> Done {
    let (_, peer) = called(wire)?;
    wire.send(&peer.seg(RST | ACK | FIN, b""))?;
    wire.until("an answer", |wire| wire.connected().is_some())?;
    let result = wire.connected();
    check!(
        result == Some(Err(ErrorKind::ConnectionRefused)),
        "{result:?}"
    );
    wire.silent("refused")
}

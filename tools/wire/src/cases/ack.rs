//! What is acknowledged, what is delivered, and in which order.

use super::{Case, case};
use crate::app::{DISCARD, ECHO, GREET, LATE, pattern};
use crate::packet::{ACK, FIN, Options, PSH, RST, Seg};
use crate::wire::{Done, Peer, Wire, after, check, ms};

pub(super) const CASES: &[Case] = &[
    case(
        "T13",
        "data with an ACK of what was never sent: dropped (RFC 5961, 5)",
        t13,
    ),
    case("T14", "ACK of what was never sent does not count", t14),
    case("T15", "data with an old ACK is taken", t15),
    case("T21", "segments out of order are put together", t21),
    case(
        "T22",
        "each segment out of order is answered by an ACK at once",
        t22,
    ),
    case("T23", "two holes: SACK with two blocks", t23),
    case("T24", "40 holes, then filled: all arrives", t24),
    case("T25", "overlapping segments: each byte once, in order", t25),
    case("T26", "a segment twice: acknowledged, delivered once", t26),
    case(
        "T27",
        "FIN behind the window with its data cut off is no end",
        t27,
    ),
    case("T37", "timestamps are echoed (RFC 7323)", t37),
];

/// The application has read exactly this, in this order.
fn read_exactly(wire: &mut Wire, peer: &Peer, data: &[u8]) -> Done {
    let stream = wire.stream(peer)?;
    check!(
        stream.data == data,
        "{} bytes were read, {} were sent",
        stream.data.len(),
        data.len()
    );
    Ok(())
}

fn t13(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ECHO)?;
    let evil = Seg {
        ack: peer.ack.wrapping_add(10_000),
        ..peer.seg(ACK | PSH, b"evil")
    };
    wire.send(&evil)?;
    wire.collect(ms(100))?;
    check!(wire.stream(&peer)?.data.is_empty(), "it was delivered");
    peer.echo(wire, b"good")?;
    read_exactly(wire, &peer, b"good")
}

fn t14(wire: &mut Wire) -> Done {
    let mut peer = wire.open(GREET)?;
    peer.expect(wire, "data", |seg| !seg.data.is_empty())?;
    let early = Seg {
        ack: peer.ack.wrapping_add(6000),
        ..peer.seg(ACK, b"")
    };
    wire.send(&early)?;
    let again = peer.find(wire, ms(3000), |seg| {
        seg.seq == peer.ack && !seg.data.is_empty()
    })?;
    check!(
        again.is_some(),
        "the data was not sent again: the ACK counted"
    );
    let data = peer.read(wire, 1000)?;
    check!(data == pattern(1000), "other data");
    peer.write(wire, b"fine")?;
    peer.expect_ack(wire)?;
    read_exactly(wire, &peer, b"fine")
}

fn t15(wire: &mut Wire) -> Done {
    let mut peer = wire.open(GREET)?;
    let old = peer.ack;
    peer.read(wire, 1000)?;
    wire.send(&Seg {
        ack: old,
        ..peer.seg(ACK | PSH, b"late")
    })?;
    peer.seq = peer.seq.wrapping_add(4);
    peer.expect_ack(wire)?;
    read_exactly(wire, &peer, b"late")
}

fn t21(wire: &mut Wire) -> Done {
    let mut peer = wire.open(DISCARD)?;
    let data = pattern(500);
    for i in [4, 2, 1, 3, 0] {
        wire.send(&peer.at(i * 100, ACK, &data[i as usize * 100..][..100]))?;
    }
    peer.seq = peer.seq.wrapping_add(500);
    peer.expect_ack(wire)?;
    read_exactly(wire, &peer, &data)
}

fn t22(wire: &mut Wire) -> Done {
    let mut peer = wire.open(DISCARD)?;
    wire.collect(ms(50))?;
    let data = pattern(4000);
    for i in 1..4 {
        wire.send(&peer.at(i * 1000, ACK, &data[i as usize * 1000..][..1000]))?;
        let ack = peer.find(wire, ms(100), |seg| seg.has(ACK))?;
        let ack = ack.ok_or("no ACK at once")?;
        check!(
            ack.ack == peer.seq,
            "it acknowledges {} and not {}",
            ack.ack,
            peer.seq
        );
    }
    wire.send(&peer.seg(ACK, &data[..1000]))?;
    peer.seq = peer.seq.wrapping_add(4000);
    peer.expect_ack(wire)?;
    read_exactly(wire, &peer, &data)
}

fn t23(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(DISCARD);
    peer.options.sack_ok = true;
    let syn_ack = peer.open(wire)?;
    check!(syn_ack.options.sack_ok, "the SYN-ACK does not permit SACK");
    let data = pattern(500);
    let block = |left: u32, right: u32| (peer.seq.wrapping_add(left), peer.seq.wrapping_add(right));
    wire.send(&peer.at(100, ACK, &data[100..200]))?;
    peer.expect(wire, "one block", |seg| {
        seg.options.sack == [block(100, 200)]
    })?;
    wire.send(&peer.at(300, ACK, &data[300..400]))?;
    // The newest comes first (RFC 2018, 4).
    peer.expect(wire, "two blocks", |seg| {
        seg.ack == peer.seq && seg.options.sack == [block(300, 400), block(100, 200)]
    })?;
    wire.send(&peer.seg(ACK, &data[..100]))?;
    wire.send(&peer.at(200, ACK, &data[200..300]))?;
    wire.send(&peer.at(400, ACK, &data[400..]))?;
    peer.seq = peer.seq.wrapping_add(500);
    let last = peer.expect_ack(wire)?;
    check!(last.options.sack.is_empty(), "blocks without a hole");
    read_exactly(wire, &peer, &data)
}

fn t24(wire: &mut Wire) -> Done {
    let mut peer = wire.open(DISCARD)?;
    let data = pattern(8100);
    for i in (1..81).step_by(2).chain((0..81).step_by(2)) {
        wire.send(&peer.at(i * 100, ACK, &data[i as usize * 100..][..100]))?;
    }
    peer.seq = peer.seq.wrapping_add(8100);
    peer.expect_ack(wire)?;
    read_exactly(wire, &peer, &data)
}

fn t25(wire: &mut Wire) -> Done {
    let mut peer = wire.open(DISCARD)?;
    let data = pattern(300);
    for (from, to) in [(50, 150), (120, 250), (0, 80), (60, 300), (0, 300)] {
        wire.send(&peer.at(from as i64, ACK, &data[from..to]))?;
    }
    peer.seq = peer.seq.wrapping_add(300);
    peer.expect_ack(wire)?;
    read_exactly(wire, &peer, &data)
}

fn t26(wire: &mut Wire) -> Done {
    let mut peer = wire.open(DISCARD)?;
    let seg = peer.seg(ACK | PSH, b"once");
    peer.write(wire, b"once")?;
    peer.expect_ack(wire)?;
    wire.send(&seg)?;
    let answer = peer.find(wire, ms(100), |seg| seg.has(ACK))?;
    check!(
        answer.is_some_and(|seg| seg.ack == peer.seq),
        "the second is not acknowledged"
    );
    read_exactly(wire, &peer, b"once")
}

fn t27(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(LATE);
    let syn_ack = peer.open(wire)?;
    let (first, mut edge) = (peer.seq, peer.seq.wrapping_add(u32::from(syn_ack.window)));
    // All of the window but 500 bytes; the edge may move meanwhile.
    let mut sent = Vec::new();
    loop {
        let room = edge.wrapping_sub(peer.seq) as usize;
        if room <= 500 || sent.len() > 1 << 20 {
            break;
        }
        let part = vec![sent.len() as u8; (room - 500).min(1460)];
        peer.write(wire, &part)?;
        sent.extend(part);
        if let Some(seg) = peer.find(wire, ms(60), |seg| seg.ack == peer.seq)? {
            let right = seg.ack.wrapping_add(u32::from(seg.window));
            if after(right, edge) {
                edge = right;
            }
        }
    }
    check!(sent.len() < 1 << 20, "the window never closes");
    // 500 bytes fit, and the FIN is behind 1,000.
    let tail = vec![b'x'; 1000];
    wire.send(&peer.seg(ACK | FIN, &tail))?;
    sent.extend(&tail);
    let all = first.wrapping_add(sent.len() as u32 + 1);
    // The rest is sent again until it is all there, as any client would.
    for _ in 0..40 {
        let found = peer.find(wire, ms(200), |seg| seg.ack == all)?;
        check!(!wire.streams().is_empty(), "no stream");
        if found.is_some() {
            break;
        }
        wire.send(&peer.seg(ACK | FIN, &tail))?;
    }
    wire.until("an end", |wire| wire.streams()[0].end.is_some())?;
    let stream = wire.stream(&peer)?;
    check!(stream.end == Some(Ok(())), "the end is {:?}", stream.end);
    check!(
        stream.data == sent,
        "{} bytes before the end, not {}",
        stream.data.len(),
        sent.len()
    );
    Ok(())
}

fn t37(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(ECHO);
    peer.options.stamps = Some((1000, 0));
    let syn_ack = peer.half_open(wire)?;
    let Some((value, 1000)) = syn_ack.options.stamps else {
        return Err(format!("the SYN-ACK has {:?}", syn_ack.options.stamps));
    };
    let stamped = |value: u32, echo: u32| Options {
        stamps: Some((value, echo)),
        ..Options::default()
    };
    wire.send(&Seg {
        options: stamped(1001, value),
        ..peer.seg(ACK, b"")
    })?;
    wire.send(&Seg {
        options: stamped(1002, value),
        ..peer.seg(ACK | PSH, b"stamped")
    })?;
    peer.seq = peer.seq.wrapping_add(7);
    let back = peer.expect(wire, "the echo", |seg| seg.data == b"stamped")?;
    check!(!back.has(RST), "a reset");
    let Some((later, 1002)) = back.options.stamps else {
        return Err(format!("the echo has {:?}", back.options.stamps));
    };
    check!(
        later.wrapping_sub(value) < 1 << 31,
        "its clock goes backwards"
    );
    Ok(())
}

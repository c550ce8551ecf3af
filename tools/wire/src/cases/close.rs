//! Closing, in every order.

use super::{Case, case};
use crate::app::{ANSWER, CLOSE, ECHO, HALF_CLOSE, WRITE_AND_DROP, pattern};
use crate::packet::{ACK, FIN, RST};
use crate::wire::{Done, SOON, Wire, check, ms};

pub(super) const CASES: &[Case] = &[
    case(
        "T16",
        "the peer closes first: end, ACK, FIN, all closed",
        t16,
    ),
    case(
        "T17",
        "the peer closes its half: 100 kB still come, then a FIN",
        t17,
    ),
    case("T18", "the stack closes its half: data still goes in", t18),
    case("T19", "both close at once: quiet", t19),
    case("T20", "a FIN is sent again until it is acknowledged", t20),
    case(
        "T45",
        "let go with 100 kB unsent: all of it, then a FIN",
        t45,
    ),
];

fn t16(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ECHO)?;
    peer.echo(wire, b"bye")?;
    peer.fin(wire)?;
    let fin = peer.expect(wire, "a FIN", |seg| seg.has(FIN))?;
    check!(fin.ack == peer.seq, "our FIN is not acknowledged");
    peer.ack = fin.end();
    peer.ack(wire)?;
    wire.silent("closed")?;
    let stream = wire.stream(&peer)?;
    check!(stream.end == Some(Ok(())), "the end is {:?}", stream.end);
    wire.send(&peer.seg(ACK, b"more"))?;
    peer.expect(wire, "a RST afterwards", |seg| seg.has(RST))
        .map(drop)
}

fn t17(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ANSWER)?;
    peer.write(wire, b"question")?;
    peer.fin(wire)?;
    let data = peer.read_to_end(wire)?;
    check!(data == pattern(100_000), "{} bytes, or others", data.len());
    wire.silent("closed")?;
    let stream = wire.stream(&peer)?;
    check!(
        stream.data == b"question" && stream.end == Some(Ok(())),
        "{stream:?}"
    );
    Ok(())
}

fn t18(wire: &mut Wire) -> Done {
    let mut peer = wire.open(HALF_CLOSE)?;
    let data = peer.read_to_end(wire)?;
    check!(data == pattern(100), "{} bytes, or others", data.len());
    let sent = pattern(5000);
    for part in sent.chunks(1000) {
        peer.write(wire, part)?;
        peer.expect_ack(wire)?;
    }
    peer.fin(wire)?;
    peer.expect_ack(wire)?;
    let stream = wire.stream(&peer)?;
    check!(
        stream.data == sent && stream.end == Some(Ok(())),
        "{:?}",
        stream.end
    );
    Ok(())
}

fn t19(wire: &mut Wire) -> Done {
    let mut peer = wire.open(CLOSE)?;
    let fin = peer.expect(wire, "a FIN", |seg| seg.has(FIN))?;
    // Ours left before theirs came.
    peer.fin(wire)?;
    let answer = peer.expect_ack(wire)?;
    check!(!answer.has(RST), "a reset");
    peer.ack = fin.end();
    peer.ack(wire)?;
    // Its FIN may be on the way once more; nothing else is.
    let rest = peer.collect(wire, ms(500))?;
    check!(rest.iter().all(|(_, seg)| !seg.has(RST)), "a reset");
    check!(rest.len() <= 1, "{} segments afterwards", rest.len());
    Ok(())
}

fn t20(wire: &mut Wire) -> Done {
    let mut peer = wire.open(CLOSE)?;
    let fin = peer.expect(wire, "a FIN", |seg| seg.has(FIN))?;
    for _ in 0..2 {
        let again = peer.find(wire, ms(6000), |seg| seg.has(FIN))?;
        let again = again.ok_or("the FIN is not sent again")?;
        check!(again.end() == fin.end(), "another FIN");
    }
    peer.ack = fin.end();
    peer.ack(wire)?;
    check!(
        peer.find(wire, 3 * SOON, |_| true)?.is_none(),
        "more after its ACK"
    );
    Ok(())
}

fn t45(wire: &mut Wire) -> Done {
    let mut peer = wire.open(WRITE_AND_DROP)?;
    let data = peer.read_to_end(wire)?;
    check!(data == pattern(100_000), "{} bytes, or others", data.len());
    Ok(())
}

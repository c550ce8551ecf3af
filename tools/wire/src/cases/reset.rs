//! Resets, segments that are nobody's, and flags that make no sense.

use super::{Case, case};
use crate::app::{DISCARD, ECHO, NOBODY, READ_AND_DROP};
use crate::backend::SERVER;
use crate::packet::{ACK, FIN, Options, PSH, Packet, RST, SYN, Seg, URG};
use crate::wire::{Done, Wire, check, ms};
use std::io::ErrorKind;
use std::net::SocketAddr;

pub(super) const CASES: &[Case] = &[
    case("T06", "ACK to nobody: RST, its number is the ACK's", t06),
    case("T07", "no RST in answer to a RST", t07),
    case("T08", "SYN-ACK to nobody: RST", t08),
    case(
        "T09",
        "exact RST: the application sees a reset, not an end",
        t09,
    ),
    case(
        "T10",
        "RST in the window, not exact: challenge ACK (RFC 5961, 3)",
        t10,
    ),
    case("T11", "RST out of the window: nothing", t11),
    case(
        "T12",
        "SYN on an open connection: challenge ACK (RFC 5961, 4)",
        t12,
    ),
    case(
        "T42",
        "SYN+FIN, SYN+RST, no flags, all flags: no stream",
        t42,
    ),
    case("T43", "SYN to port 0: no stream", t43),
    case(
        "T44",
        "from itself to itself, one port (LAND): harmless",
        t44,
    ),
    case("T46", "data for an application that has let go: RST", t46),
];

fn t06(wire: &mut Wire) -> Done {
    let peer = wire.peer(ECHO);
    let ack = Seg {
        ack: 123_456,
        ..peer.seg(ACK, b"")
    };
    wire.send(&ack)?;
    let reset = peer.expect(wire, "a RST", |seg| seg.has(RST))?;
    check!(reset.seq == 123_456, "its number is {}", reset.seq);
    check!(!reset.has(ACK), "it has an ACK (RFC 9293, 3.10.7.1)");
    check!(wire.streams().is_empty(), "a stream");
    Ok(())
}

fn t07(wire: &mut Wire) -> Done {
    let peer = wire.peer(ECHO);
    wire.send(&peer.seg(RST, b""))?;
    wire.send(&peer.seg(RST | ACK, b""))?;
    wire.silent("a RST to nobody")?;
    wire.alive()
}

fn t08(wire: &mut Wire) -> Done {
    for port in [NOBODY, ECHO] {
        let peer = wire.peer(port);
        let syn_ack = Seg {
            ack: 777,
            ..peer.seg(SYN | ACK, b"")
        };
        wire.send(&syn_ack)?;
        let reset = peer.expect(wire, "a RST", |seg| seg.has(RST))?;
        check!(reset.seq == 777, "its number is {}", reset.seq);
    }
    Ok(())
}

fn t09(wire: &mut Wire) -> Done {
    let mut peer = wire.open(DISCARD)?;
    peer.write(wire, b"some")?;
    peer.expect_ack(wire)?;
    wire.send(&peer.seg(RST, b""))?;
    let end = |wire: &Wire| wire.streams().first().and_then(|stream| stream.end);
    wire.until("an end", |wire| end(wire).is_some())?;
    check!(
        end(wire) == Some(Err(ErrorKind::ConnectionReset)),
        "the end is {:?}",
        end(wire)
    );
    wire.send(&peer.seg(ACK, b"more"))?;
    peer.expect(wire, "a RST afterwards", |seg| seg.has(RST))
        .map(drop)
}

fn t10(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ECHO)?;
    wire.send(&peer.at(100, RST, b""))?;
    peer.expect(wire, "a challenge ACK", |seg| {
        seg.flags == ACK && seg.ack == peer.seq && seg.seq == peer.ack
    })?;
    peer.echo(wire, b"still here")?;
    check!(wire.stream(&peer)?.end.is_none(), "the stream ended");
    Ok(())
}

fn t11(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ECHO)?;
    wire.send(&peer.at(10_000_000, RST, b""))?;
    wire.send(&peer.at(-1, RST, b""))?;
    peer.never(wire, "an answer with a RST", |seg| seg.has(RST))?;
    peer.echo(wire, b"still here")?;
    check!(wire.stream(&peer)?.end.is_none(), "the stream ended");
    Ok(())
}

fn t12(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ECHO)?;
    wire.send(&peer.at(100, SYN, b""))?;
    let answer = peer.expect(wire, "an answer", |_| true)?;
    check!(
        answer.flags == ACK && answer.ack == peer.seq && answer.seq == peer.ack,
        "no challenge ACK: {answer:?}"
    );
    peer.echo(wire, b"still here")?;
    check!(wire.stream(&peer)?.end.is_none(), "the stream ended");
    Ok(())
}

fn t42(wire: &mut Wire) -> Done {
    for flags in [
        SYN | FIN,
        SYN | RST,
        SYN | RST | ACK,
        0,
        FIN,
        FIN | PSH | URG,
        63,
    ] {
        let peer = wire.peer(ECHO);
        wire.send(&peer.seg(flags, b""))?;
        peer.never(wire, "a SYN-ACK", |seg| seg.has(SYN))?;
        // Had it been taken for a SYN, this would complete a handshake.
        wire.send(&peer.at(1, ACK, b"data"))?;
    }
    wire.collect(ms(50))?;
    check!(wire.streams().is_empty(), "a stream");
    wire.alive()
}

fn t43(wire: &mut Wire) -> Done {
    wire.peer(0).syn(wire)?;
    let answers = wire.collect(ms(250))?;
    let syn_ack = |packet: &Packet| packet.tcp().is_some_and(|seg| seg.has(SYN));
    check!(!answers.iter().any(syn_ack), "a SYN-ACK");
    check!(wire.streams().is_empty(), "a stream");
    wire.alive()
}

fn t44(wire: &mut Wire) -> Done {
    let itself = SocketAddr::from((SERVER, ECHO));
    let peer = wire.peer_at(itself, itself);
    for flags in [SYN, SYN | ACK, ACK] {
        wire.send(&peer.seg(flags, b""))?;
    }
    let answers = wire.collect(ms(300))?;
    check!(answers.len() <= 3, "{} answers to 3 packets", answers.len());
    check!(wire.streams().is_empty(), "a stream");
    wire.alive()
}

fn t46(wire: &mut Wire) -> Done {
    let mut peer = wire.open(READ_AND_DROP)?;
    peer.write(wire, b"first")?;
    let fin = peer.expect(wire, "a FIN", |seg| seg.has(FIN))?;
    peer.ack = fin.end();
    peer.ack(wire)?;
    wire.collect(ms(50))?;
    wire.send(&Seg {
        options: Options::default(),
        ..peer.seg(ACK | PSH, b"second")
    })?;
    peer.expect(wire, "a RST", |seg| seg.has(RST)).map(drop)
}

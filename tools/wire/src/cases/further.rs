//! Further cases: opening and closing again, addresses, timeouts.

use super::{Case, case};
use crate::app::{
    ANSWER, CLOSE, DISCARD, DRIP, ECHO, GREET, HALF_CLOSE, NOBODY, SEND, Setup, pattern,
};
use crate::backend::{BackendKind, SERVER};
use crate::packet::{ACK, FIN, PSH, RST, SYN, Seg};
use crate::wire::{Done, Peer, Wire, check, ms};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

const SHORT_ORPHAN: Setup = Setup {
    orphan: Some(Duration::from_secs(2)),
    ..Setup::DEFAULT
};
const USER_TIMEOUT: Setup = Setup {
    user_timeout: Some(Duration::from_secs(2)),
    ..Setup::DEFAULT
};
const KEEPALIVE: Setup = Setup {
    keepalive: Some(Duration::from_secs(1)),
    ..Setup::DEFAULT
};

pub(super) const CASES: &[Case] = &[
    case(
        "F01",
        "SYN on a tuple in TIME-WAIT, with a higher number: a new connection",
        f01,
    ),
    case("F02", "FIN-WAIT-2 without an application ends", f02).with(SHORT_ORPHAN),
    case(
        "F03",
        "the client began anew: challenge ACK, its RST, a new connection",
        f03,
    ),
    case(
        "F04",
        "SYN to broadcast, multicast and unspecified addresses: nothing",
        f04,
    ),
    case("F05", "SYN from such addresses: nothing", f05),
    case(
        "F06",
        "user timeout is reported to the application (RFC 9293, 3.8.3)",
        f06,
    )
    .with(USER_TIMEOUT),
    case(
        "F07",
        "keepalive asks an idle peer, and goes on when answered",
        f07,
    )
    .with(KEEPALIVE),
    case("F08", "SYN and RST at once: no stream", f08),
    case("F09", "nobody listens: RST with an ACK of the SYN", f09),
    case("F10", "ISNs of one tuple grow with time (RFC 6528)", f10),
    case("F11", "no MSS option on IPv6: 1,220 at most", f11),
    case(
        "F12",
        "the peer takes its window back: nothing is lost",
        f12,
    ),
    case("F13", "a FIN again in TIME-WAIT is acknowledged again", f13),
    case(
        "F14",
        "a RST at RCV.NXT ends TIME-WAIT, another one does not",
        f14,
    ),
    case("F15", "data in the SYN is not lost, or taken twice", f15),
    case("F16", "data with the ACK of the handshake", f16),
    case("F17", "the ACK of the handshake is lost, data comes", f17),
    case(
        "F18",
        "a wrong ACK in the handshake: RST, and the right one still opens",
        f18,
    ),
    case(
        "F19",
        "SYN-ACK sent again when nobody answers, not too often",
        f19,
    ),
    case("F20", "keepalive of the peer is answered", f20),
    case(
        "F21",
        "a flood of SYNs on an open connection: few answers",
        f21,
    ),
    case(
        "F22",
        "a FIN before its data: no end until that has come",
        f22,
    ),
    case(
        "F26",
        "the peer closes while the stack still sends: all of it",
        f26,
    ),
    case(
        "F27",
        "a stream of small writes arrives as it was written",
        f27,
    ),
];

/// Takes a connection of ours through its end, the stack closing first.
fn into_time_wait(wire: &mut Wire) -> Result<Peer, String> {
    let mut peer = wire.open(HALF_CLOSE)?;
    peer.read_to_end(wire)?;
    peer.fin(wire)?;
    peer.expect_ack(wire)?;
    wire.collect(ms(30))?;
    Ok(peer)
}

fn f01(wire: &mut Wire) -> Done {
    let mut peer = into_time_wait(wire)?;
    peer.seq = peer.seq.wrapping_add(100_000);
    peer.open(wire)?;
    let data = peer.read_to_end(wire)?;
    check!(data == pattern(100), "other data");
    check!(
        wire.streams().len() == 2,
        "{} streams",
        wire.streams().len()
    );
    Ok(())
}

fn f02(wire: &mut Wire) -> Done {
    let mut peer = wire.open(CLOSE)?;
    let fin = peer.expect(wire, "a FIN", |seg| seg.has(FIN))?;
    peer.ack = fin.end();
    peer.ack(wire)?;
    wire.collect(ms(1000))?;
    peer.ack(wire)?;
    peer.never(wire, "a RST too early", |seg| seg.has(RST))?;
    wire.collect(ms(4000))?;
    peer.ack(wire)?;
    peer.expect(wire, "a RST from nobody", |seg| seg.has(RST))
        .map(drop)
}

fn f03(wire: &mut Wire) -> Done {
    let mut old = wire.open(DISCARD)?;
    old.write(wire, b"before")?;
    old.expect_ack(wire)?;
    let mut new = old.clone();
    new.seq = old.seq.wrapping_add(500_000_000);
    new.syn(wire)?;
    let challenge = new.expect(wire, "a challenge ACK", |_| true)?;
    check!(
        challenge.flags == ACK && challenge.ack == old.seq,
        "{challenge:?}"
    );
    // The client knows of no such connection.
    wire.send(&Seg {
        seq: challenge.ack,
        ..new.seg(RST, b"")
    })?;
    wire.collect(ms(50))?;
    let end = wire.streams()[0].end;
    check!(
        end == Some(Err(ErrorKind::ConnectionReset)),
        "the end is {end:?}"
    );
    new.open(wire)?;
    new.write(wire, b"after")?;
    new.expect_ack(wire).map(drop)
}

fn f04(wire: &mut Wire) -> Done {
    for to in [
        [255, 255, 255, 255],
        [224, 0, 0, 1],
        [239, 1, 2, 3],
        [0, 0, 0, 0],
        [10, 77, 0, 255],
    ] {
        if to[3] == 255 && to[0] == 10 && wire.kind != BackendKind::Linux {
            // brooklet serves every network, and knows the broadcast address of none.
            continue;
        }
        let from = wire.client();
        wire.peer_at(from, SocketAddr::from((to, ECHO))).syn(wire)?;
    }
    wire.silent("a SYN to no host")?;
    check!(wire.streams().is_empty(), "a stream");
    wire.alive()
}

fn f05(wire: &mut Wire) -> Done {
    for from in [[255, 255, 255, 255], [224, 0, 0, 1], [0, 0, 0, 0]] {
        let from = SocketAddr::from((from, 4000));
        wire.peer_at(from, SocketAddr::from((SERVER, ECHO)))
            .syn(wire)?;
    }
    wire.silent("a SYN from no host")?;
    wire.alive()
}

fn f06(wire: &mut Wire) -> Done {
    let peer = wire.open(GREET)?;
    peer.expect(wire, "data", |seg| !seg.data.is_empty())?;
    let ended = |wire: &Wire| wire.streams()[0].end.is_some();
    wire.until_within(ms(8000), "an end", ended)?;
    let stream = wire.stream(&peer)?;
    check!(
        stream.end == Some(Err(ErrorKind::TimedOut)),
        "the end is {:?}",
        stream.end
    );
    let after = stream.ended - stream.opened;
    check!(after >= ms(1500), "the end came after {after:?}");
    Ok(())
}

fn f07(wire: &mut Wire) -> Done {
    let mut peer = wire.open(DISCARD)?;
    peer.write(wire, b"x")?;
    peer.expect_ack(wire)?;
    for _ in 0..2 {
        let since = wire.now();
        let probe = peer.find(wire, ms(3500), |_| true)?.ok_or("nobody asks")?;
        let after = wire.now() - since;
        check!(after > ms(500), "asked after {after:?}");
        check!(!probe.has(RST | FIN) && probe.data.len() <= 1, "{probe:?}");
        check!(
            probe.seq == peer.ack.wrapping_sub(1),
            "its number is not an old one"
        );
        peer.ack(wire)?;
    }
    peer.write(wire, b"y")?;
    peer.expect_ack(wire)?;
    check!(wire.stream(&peer)?.end.is_none(), "it ended");
    Ok(())
}

fn f08(wire: &mut Wire) -> Done {
    let peer = wire.peer(ECHO);
    peer.syn(wire)?;
    wire.send(&peer.at(1, RST, b""))?;
    wire.collect(ms(200))?;
    check!(wire.streams().is_empty(), "a stream");
    wire.alive()
}

fn f09(wire: &mut Wire) -> Done {
    let peer = wire.peer(NOBODY);
    peer.syn(wire)?;
    let reset = peer.expect(wire, "a RST", |seg| seg.has(RST))?;
    check!(
        reset.has(ACK) && reset.ack == peer.seq.wrapping_add(1),
        "{reset:?}"
    );
    check!(reset.seq == 0, "its number is {}", reset.seq);
    Ok(())
}

fn f10(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(ECHO);
    let mut isns = Vec::new();
    for _ in 0..4 {
        let syn_ack = peer.half_open(wire)?;
        isns.push(syn_ack.seq);
        wire.send(&peer.seg(RST, b""))?;
        wire.collect(ms(50))?;
        peer.seq = peer.seq.wrapping_add(100_000);
    }
    for pair in isns.windows(2) {
        let grown = pair[1].wrapping_sub(pair[0]) as i32;
        // A clock of 4 us, or even of 64 ns, goes no further in that time.
        check!((1..100_000_000).contains(&grown), "the ISNs are {isns:?}");
    }
    // Another tuple is somewhere else.
    let other = wire.peer(ECHO).half_open(wire)?;
    let distance = other.seq.wrapping_sub(isns[3]) as i32;
    check!(
        distance.unsigned_abs() > 100_000,
        "another tuple begins {distance} on"
    );
    Ok(())
}

fn f11(wire: &mut Wire) -> Done {
    let mut peer = wire.peer6(SEND);
    peer.options.mss = None;
    peer.open(wire)?;
    let segs = peer.collect(wire, ms(100))?;
    let longest = segs
        .iter()
        .map(|(_, seg)| seg.data.len())
        .max()
        .unwrap_or(0);
    check!(
        longest > 0 && longest <= 1220,
        "a segment of {longest} bytes"
    );
    Ok(())
}

fn f12(wire: &mut Wire) -> Done {
    let mut peer = wire.open(SEND)?;
    let burst = peer.collect(wire, ms(30))?;
    check!(burst.len() >= 3, "only {} segments at first", burst.len());
    // All but the first were sent by leave that is taken back now.
    peer.ack = burst[0].1.end();
    peer.window = 100;
    peer.ack(wire)?;
    wire.collect(ms(300))?;
    peer.window = 65_535;
    peer.ack(wire)?;
    let first = burst[0].1.data.clone();
    let rest = peer.read_to_end(wire)?;
    check!([first, rest].concat() == pattern(1 << 20), "other data");
    Ok(())
}

fn f13(wire: &mut Wire) -> Done {
    let peer = into_time_wait(wire)?;
    wire.send(&peer.at(-1, FIN | ACK, b""))?;
    peer.expect_ack(wire).map(drop)
}

fn f14(wire: &mut Wire) -> Done {
    let peer = into_time_wait(wire)?;
    wire.send(&peer.at(1, RST, b""))?;
    wire.send(&peer.at(-1, FIN | ACK, b""))?;
    let answer = peer.expect(wire, "an answer", |_| true)?;
    check!(!answer.has(RST) && answer.ack == peer.seq, "{answer:?}");
    wire.send(&peer.seg(RST, b""))?;
    wire.send(&peer.at(-1, FIN | ACK, b""))?;
    let answer = peer.expect(wire, "an answer", |_| true)?;
    check!(answer.has(RST), "{answer:?}");
    Ok(())
}

fn f15(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(ECHO);
    wire.send(&peer.seg(SYN, b"early"))?;
    let syn_ack = peer.expect(wire, "a SYN-ACK", |seg| seg.has(SYN | ACK))?;
    let taken = syn_ack.ack.wrapping_sub(peer.seq.wrapping_add(1)) as usize;
    check!(
        taken == 0 || taken == 5,
        "{taken} of the 5 bytes are acknowledged"
    );
    peer.seq = peer.seq.wrapping_add(1);
    peer.ack = syn_ack.end();
    peer.write(wire, b"early")?;
    let back = peer.read(wire, 5)?;
    check!(back == b"early", "other data");
    peer.echo(wire, b"later")?;
    check!(wire.stream(&peer)?.data == b"earlylater", "not once");
    Ok(())
}

fn f16(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(ECHO);
    peer.half_open(wire)?;
    peer.echo(wire, b"at once")
}

fn f17(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(ECHO);
    peer.half_open(wire)?;
    // A later segment overtakes the one with the first bytes.
    wire.send(&peer.at(5, ACK | PSH, b" world"))?;
    peer.write(wire, b"hello")?;
    peer.seq = peer.seq.wrapping_add(6);
    let back = peer.read(wire, 11)?;
    check!(back == b"hello world", "other data");
    Ok(())
}

fn f18(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(ECHO);
    peer.half_open(wire)?;
    let wrong = peer.ack.wrapping_add(77);
    wire.send(&Seg {
        ack: wrong,
        ..peer.seg(ACK, b"")
    })?;
    let reset = peer.expect(wire, "a RST", |seg| seg.has(RST))?;
    check!(reset.seq == wrong, "its number is {}", reset.seq);
    check!(wire.streams().is_empty(), "a stream");
    peer.ack(wire)?;
    peer.echo(wire, b"right")
}

fn f19(wire: &mut Wire) -> Done {
    let mut peer = wire.peer(ECHO);
    let first = peer.half_open(wire)?;
    let again = peer.collect(wire, ms(3900))?;
    check!(!again.is_empty(), "not sent again");
    check!(again.len() <= 3, "sent again {} times in 4 s", again.len());
    check!(
        again
            .iter()
            .all(|(_, seg)| seg.has(SYN | ACK) && seg.seq == first.seq),
        "{again:?}"
    );
    Ok(())
}

fn f20(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ECHO)?;
    peer.echo(wire, b"before")?;
    wire.collect(ms(600))?;
    for data in [&b""[..], b"e"] {
        wire.send(&peer.at(-1, ACK, data))?;
        peer.expect_ack(wire)?;
        wire.collect(ms(600))?;
    }
    check!(
        wire.stream(&peer)?.data == b"before",
        "an old byte was delivered"
    );
    Ok(())
}

fn f21(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ECHO)?;
    for n in 0..100 {
        wire.send(&peer.at(n * 50, SYN, b""))?;
    }
    let answers = peer.collect(wire, ms(300))?;
    check!(!answers.is_empty(), "no challenge ACK at all");
    check!(answers.len() <= 10, "{} answers to 100 SYNs", answers.len());
    peer.echo(wire, b"still here")
}

fn f22(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ANSWER)?;
    wire.send(&peer.at(100, ACK | FIN, b""))?;
    wire.collect(ms(100))?;
    check!(wire.stream(&peer)?.end.is_none(), "an end before the data");
    let data = pattern(100);
    peer.write(wire, &data)?;
    peer.seq = peer.seq.wrapping_add(1);
    // The FIN may be kept, or wanted again.
    if peer
        .find(wire, ms(200), |seg| {
            seg.ack == peer.seq && seg.data.is_empty()
        })?
        .is_none()
    {
        wire.send(&peer.at(-1, ACK | FIN, b""))?;
    }
    let answer = peer.read_to_end(wire)?;
    check!(answer == pattern(100_000), "another answer");
    let stream = wire.stream(&peer)?;
    check!(
        stream.data == data && stream.end == Some(Ok(())),
        "{:?}",
        stream.end
    );
    Ok(())
}

fn f26(wire: &mut Wire) -> Done {
    let mut peer = wire.open(SEND)?;
    let mut data = peer.read(wire, 20_000)?;
    peer.fin(wire)?;
    data.extend(peer.read_to_end(wire)?);
    check!(data == pattern(1 << 20), "{} bytes, or others", data.len());
    Ok(())
}

fn f27(wire: &mut Wire) -> Done {
    let mut peer = wire.open(DRIP)?;
    let data = peer.read(wire, 200)?;
    check!(data == pattern(200), "other data");
    Ok(())
}

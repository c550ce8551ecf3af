//! UDP.

use super::{Case, case};
use crate::app::{BIG_ANSWER, DISCARD, ECHO, EMPTY_ANSWER, pattern};
use crate::backend::{CLIENT, SERVER, SERVER6};
use crate::packet::{UDP, What, ip, udp};
use crate::wire::{Done, SOON, Wire, check, ms};
use std::net::SocketAddr;

pub(super) const CASES: &[Case] = &[
    case("U01", "echo on IPv4, the checksum of the answer", u01),
    case("U02", "an empty datagram is delivered", u02),
    case("U03", "an empty answer is sent", u03),
    case("U04", "no checksum on IPv4: taken", u04),
    case("U05", "wrong checksum: dropped", u05),
    case("U06", "no checksum on IPv6: dropped", u06),
    case("U07", "length above the packet's or below 8: dropped", u07),
    case(
        "U08",
        "an answer of 3,000 bytes: in fragments, or refused",
        u08,
    ),
];

/// Sends a datagram, its UDP bytes changed by `change`.
fn send(
    wire: &mut Wire,
    from: SocketAddr,
    to: SocketAddr,
    data: &[u8],
    change: impl FnOnce(&mut Vec<u8>),
) -> Done {
    let mut bytes = udp(from, to, data);
    change(&mut bytes);
    wire.tx(&ip(from.ip(), to.ip(), UDP, &bytes))
}

/// A datagram comes back as it was sent.
fn echoes(wire: &mut Wire, change: impl FnOnce(&mut Vec<u8>)) -> Done {
    let (from, to) = (wire.client(), SocketAddr::from((SERVER, ECHO)));
    send(wire, from, to, b"hello", change)?;
    let answer = wire.expect("an answer", |packet| packet.udp().cloned())?;
    check!(
        (answer.from, answer.to) == (to, from),
        "{} > {}",
        answer.from,
        answer.to
    );
    check!(answer.data == b"hello", "another answer");
    check!(answer.checksum != 0, "an answer without a checksum");
    Ok(())
}

fn u01(wire: &mut Wire) -> Done {
    echoes(wire, |_| ())
}

fn u02(wire: &mut Wire) -> Done {
    let (from, to) = (wire.client(), SocketAddr::from((SERVER, DISCARD)));
    send(wire, from, to, b"", |_| ())?;
    wire.until("it is delivered", |wire| wire.datagrams().len() == 1)?;
    let datagram = wire.datagrams().remove(0);
    check!(
        datagram.data.is_empty() && datagram.from == from,
        "{datagram:?}"
    );
    Ok(())
}

fn u03(wire: &mut Wire) -> Done {
    let (from, to) = (wire.client(), SocketAddr::from((SERVER, EMPTY_ANSWER)));
    send(wire, from, to, b"question", |_| ())?;
    let answer = wire.expect("an answer", |packet| packet.udp().cloned())?;
    check!(answer.data.is_empty(), "{} bytes", answer.data.len());
    Ok(())
}

fn u04(wire: &mut Wire) -> Done {
    echoes(wire, |bytes| bytes[6..8].fill(0))
}

/// Nobody gets a datagram that is wrong, and the next still passes.
fn dropped(wire: &mut Wire, to: SocketAddr, change: impl FnOnce(&mut Vec<u8>)) -> Done {
    let from = if to.is_ipv4() {
        wire.client()
    } else {
        wire.client6()
    };
    send(wire, from, to, b"wrong", change)?;
    wire.silent("a wrong datagram")?;
    check!(wire.datagrams().is_empty(), "it was delivered");
    Ok(())
}

fn u05(wire: &mut Wire) -> Done {
    dropped(wire, SocketAddr::from((SERVER, ECHO)), |bytes| {
        bytes[7] ^= 1
    })?;
    echoes(wire, |_| ())
}

fn u06(wire: &mut Wire) -> Done {
    let to = SocketAddr::from((SERVER6, ECHO));
    dropped(wire, to, |bytes| bytes[6..8].fill(0))?;
    // With its checksum the same is answered.
    let from = wire.client6();
    send(wire, from, to, b"right", |_| ())?;
    wire.expect("an answer", |packet| {
        packet.udp().filter(|udp| udp.data == b"right").cloned()
    })
    .map(drop)
}

fn u07(wire: &mut Wire) -> Done {
    for len in [14, 100, 65_535, 7, 1_u16] {
        dropped(wire, SocketAddr::from((SERVER, ECHO)), |bytes| {
            bytes[4..6].copy_from_slice(&len.to_be_bytes());
            // Without a checksum only the length can be at fault.
            bytes[6..8].fill(0);
        })?;
    }
    echoes(wire, |_| ())
}

fn u08(wire: &mut Wire) -> Done {
    let (from, to) = (wire.client(), SocketAddr::from((SERVER, BIG_ANSWER)));
    send(wire, from, to, b"question", |_| ())?;
    let packets = wire.collect(SOON)?;
    let datagram = wire.datagrams();
    check!(datagram.len() == 1, "the application received nothing");
    if let Some(Err(refused)) = datagram[0].answer {
        check!(packets.is_empty(), "refused ({refused}), and sent");
        return Ok(());
    }
    let mut answer = vec![0; 3008];
    let mut come = 0;
    for packet in packets {
        check!(packet.to == CLIENT, "to {}", packet.to);
        let What::Fragment(part) = packet.what else {
            return Err(format!("not a fragment: {}", packet.show()));
        };
        let place = answer.get_mut(part.offset..part.offset + part.payload.len());
        place
            .ok_or("a longer answer")?
            .copy_from_slice(&part.payload);
        come += part.payload.len();
    }
    check!(
        come == 3008 && answer[8..] == pattern(3000),
        "{come} bytes, or others"
    );
    wire.collect(ms(10)).map(drop)
}

//! Further cases: fragments in both directions, and many of them.

use super::{Case, case};
use crate::app::{DISCARD, ECHO, Setup, pattern};
use crate::backend::{BackendKind, CLIENT, CLIENT6, SERVER, SERVER6};
use crate::cases::Known;
use crate::fragments::{Reassembled, expect_fragments, piece, pieces};
use crate::packet::{ICMP, ICMPV6, UDP, icmp, udp};
use crate::wire::{Done, Wire, check, ms};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

const SHORT: Setup = Setup {
    reassembly: Some(Duration::from_secs(1)),
    ..Setup::DEFAULT
};

pub(super) const CASES: &[Case] = &[
    case(
        "F180",
        "IPv4: UDP echo of 65,507 bytes in fragments both ways",
        f180,
    ),
    case(
        "F181",
        "IPv6: UDP echo of 65,487 and 65,527 bytes in fragments both ways",
        f181,
    ),
    case("F182", "fragments of 8 bytes are put together", f182),
    case(
        "F183",
        "fragments that come twice are put together once",
        f183,
    ),
    case(
        "F184",
        "IPv6: atomic fragments are whole packets (RFC 6946)",
        f184,
    ),
    case(
        "F185",
        "an overlap drops all fragments of the packet (RFC 5722)",
        f185,
    ),
    case(
        "F186",
        "IPv4: time exceeded, code 1, if the first fragment came",
        f186,
    )
    .with(SHORT),
    case(
        "F187",
        "IPv6: time exceeded, code 1, if the first fragment came (RFC 8200, 4.5)",
        f187,
    )
    .with(SHORT),
    case(
        "F188",
        "1,000 incomplete packets of one source leave room for another's",
        f188,
    ),
    case(
        "F189",
        "IPv4: one identification, two protocols: two packets (RFC 791)",
        f189,
    ),
    case(
        "F190",
        "ICMP echo of the longest packet, in fragments both ways",
        f190,
    ),
    case("F191", "more than 128 fragments of a packet: dropped", f191).known(&[Known::NotRun(
        BackendKind::Linux,
        "does not limit the number of fragments of a packet",
    )]),
    case(
        "F192",
        "fragments in reverse order, last first, are put together",
        f192,
    ),
    case(
        "F193",
        "two fragments that disagree about the end: dropped",
        f193,
    ),
];

/// Client and server of both families, with the client's port.
fn both(wire: &mut Wire) -> [(SocketAddr, IpAddr); 2] {
    [
        (wire.client(), SERVER.into()),
        (wire.client6(), SERVER6.into()),
    ]
}

/// Sends these packets.
fn tx_all(wire: &mut Wire, packets: &[Vec<u8>]) -> Done {
    packets.iter().try_for_each(|packet| wire.tx(packet))
}

/// A datagram to the echo port comes back: in one packet.
fn echoed(wire: &mut Wire, from: SocketAddr, data: &[u8]) -> Done {
    wire.expect("the echo", |packet| {
        packet
            .udp()
            .filter(|udp| udp.to == from && udp.data == data)
            .map(drop)
    })
}

/// Sends a datagram in fragments, and takes its echo, which comes in fragments as well.
fn long_echo(wire: &mut Wire, from: SocketAddr, to: IpAddr, len: usize) -> Done {
    let data = pattern(len);
    let to = SocketAddr::new(to, ECHO);
    let ends = (from.ip(), to.ip());
    let mut ids = Vec::new();
    for id in [180, 181] {
        tx_all(wire, &pieces(ends, UDP, id, &udp(from, to, &data), 1448))?;
        let answer = expect_fragments(wire)?;
        check!(answer.protocol == UDP, "protocol {}", answer.protocol);
        // The checksum proves the pseudo-header as well.
        check!(
            answer.bytes == udp(to, from, &data),
            "another answer of {} bytes",
            answer.bytes.len()
        );
        fragments_are_full(&answer)?;
        ids.push(answer.id);
    }
    check!(
        ids[0] != ids[1],
        "two packets with the identification {}",
        ids[0]
    );
    Ok(())
}

/// The fragments are as long as the MTU allows, live as long as other packets, and may be
/// fragmented further.
fn fragments_are_full(answer: &Reassembled) -> Done {
    check!(
        answer.longest() > 1500 - 8,
        "the longest fragment has {} bytes",
        answer.longest()
    );
    for packet in &answer.fragments {
        let bytes = &packet.bytes;
        let (hop_limit, flags) = match bytes[0] >> 4 {
            4 => (bytes[8], bytes[6] & 0xc0),
            _ => (bytes[7], 0),
        };
        check!(hop_limit == 64, "a hop limit of {hop_limit}");
        check!(flags == 0, "don't fragment in a fragment");
    }
    Ok(())
}

fn f180(wire: &mut Wire) -> Done {
    let from = wire.client();
    long_echo(wire, from, SERVER.into(), 65_507)
}

fn f181(wire: &mut Wire) -> Done {
    for len in [65_487, 65_527] {
        let from = wire.client6();
        long_echo(wire, from, SERVER6.into(), len)?;
    }
    Ok(())
}

fn f182(wire: &mut Wire) -> Done {
    let data = pattern(400);
    for (from, to) in both(wire) {
        let to = SocketAddr::new(to, ECHO);
        let bytes = udp(from, to, &data);
        tx_all(wire, &pieces((from.ip(), to.ip()), UDP, 182, &bytes, 8))?;
        echoed(wire, from, &data)?;
    }
    Ok(())
}

fn f183(wire: &mut Wire) -> Done {
    let data = pattern(1000);
    for (from, to) in both(wire) {
        let to = SocketAddr::new(to, ECHO);
        let bytes = udp(from, to, &data);
        let parts = pieces((from.ip(), to.ip()), UDP, 183, &bytes, 400);
        for part in [0, 0, 1, 0, 1, 2] {
            wire.tx(&parts[part])?;
        }
        echoed(wire, from, &data)?;
        wire.silent("a second copy")?;
    }
    Ok(())
}

fn f184(wire: &mut Wire) -> Done {
    let from = wire.client6();
    let to = SocketAddr::from((SERVER6, ECHO));
    let ends = (from.ip(), to.ip());
    let long = udp(from, to, &pattern(1000));
    let parts = pieces(ends, UDP, 184, &long, 504);
    wire.tx(&parts[0])?;
    // With the identification of the packet that waits.
    let atomic = udp(from, to, b"atomic");
    wire.tx(&piece(ends, UDP, 184, (0, false), &atomic))?;
    echoed(wire, from, b"atomic")?;
    wire.tx(&parts[1])?;
    echoed(wire, from, &pattern(1000))
}

/// Fragments that overlap: `first`, `second` and the rest of `bytes`, from byte 800 on.
fn overlap(
    wire: &mut Wire,
    (from, to): (SocketAddr, IpAddr),
    id: u16,
    [first, second]: [(usize, &[u8]); 2],
) -> Done {
    let to = SocketAddr::new(to, ECHO);
    let ends = (from.ip(), to.ip());
    let bytes = udp(from, to, &pattern(1000));
    for (offset, part) in [first, second] {
        wire.tx(&piece(ends, UDP, id, (offset, true), part))?;
    }
    wire.tx(&piece(ends, UDP, id, (800, false), &bytes[800..]))?;
    wire.silent("overlapping fragments")
}

fn f185(wire: &mut Wire) -> Done {
    for (from, to) in both(wire) {
        let bytes = udp(from, SocketAddr::new(to, ECHO), &pattern(1000));
        let mut other = bytes.clone();
        other[400..].iter_mut().for_each(|byte| *byte ^= 0xff);
        let ends = (from, to);
        // At the end and at the start of the fragment that came before, with the same bytes and
        // with others.
        overlap(
            wire,
            ends,
            185,
            [(0, &bytes[..408]), (400, &bytes[400..800])],
        )?;
        overlap(
            wire,
            ends,
            186,
            [(0, &bytes[..408]), (400, &other[400..800])],
        )?;
        overlap(
            wire,
            ends,
            187,
            [(400, &bytes[400..800]), (0, &bytes[..408])],
        )?;
        overlap(
            wire,
            ends,
            188,
            [(400, &other[400..800]), (0, &bytes[..408])],
        )?;
        check!(wire.datagrams().is_empty(), "it was delivered");
        // Without the overlap it is a datagram.
        tx_all(wire, &pieces((from.ip(), to), UDP, 189, &bytes, 400))?;
        echoed(wire, from, &pattern(1000))?;
        let delivered = wire.datagrams().len();
        check!(delivered == 1, "{delivered} datagrams");
        wire.forget_datagrams();
    }
    Ok(())
}

/// The error about an incomplete packet, if its first fragment is among those that came.
fn expires(wire: &mut Wire, from: SocketAddr, to: IpAddr, error: (u8, u8)) -> Done {
    let ends = (from.ip(), to);
    let bytes = udp(from, SocketAddr::new(to, DISCARD), &pattern(1000));
    let parts = pieces(ends, UDP, 186, &bytes, 400);
    // No fragment before the error; the first and a later one, in either order; no first fragment.
    let other = pieces(ends, UDP, 187, &bytes, 400);
    let later = pieces(ends, UDP, 188, &bytes, 400);
    tx_all(wire, &[parts[0].clone(), parts[2].clone()])?;
    tx_all(wire, &[other[1].clone(), other[0].clone()])?;
    tx_all(wire, &later[1..])?;
    let start = wire.now();
    let mut errors = Vec::new();
    for packet in wire.collect(ms(2500))? {
        let after = packet.at.saturating_sub(start);
        check!(after > ms(700), "an error after {after:?}");
        let Some(message) = packet.icmp() else {
            return Err(format!("no error: {}", packet.show()));
        };
        check!(
            (message.kind, message.code) == error,
            "{}/{}",
            message.kind,
            message.code
        );
        check!(packet.from == to, "the error is from {}", packet.from);
        errors.push(message.body[4..].to_vec());
    }
    check!(errors.len() == 2, "{} errors", errors.len());
    for first in [&parts[0], &other[0]] {
        check!(
            errors.iter().any(|quoted| quoted == first),
            "the first fragment is not quoted"
        );
    }
    // What comes later begins another packet.
    tx_all(wire, &parts[1..2])?;
    wire.silent("a fragment after the time")?;
    check!(wire.datagrams().is_empty(), "it was delivered");
    Ok(())
}

fn f186(wire: &mut Wire) -> Done {
    let from = wire.client();
    expires(wire, from, SERVER.into(), (11, 1))
}

fn f187(wire: &mut Wire) -> Done {
    let from = wire.client6();
    expires(wire, from, SERVER6.into(), (3, 1))
}

fn f188(wire: &mut Wire) -> Done {
    let other = Ipv4Addr::new(10, 77, 0, 3);
    bomb(wire, |_| CLIENT.into(), other.into(), SERVER.into())?;
    // The /64 of an attacker is one source, whichever of its addresses the packets are from.
    let attacker = |n: u16| Ipv6Addr::new(0xfd77, 0, 0, 1, 0, 0, 0, n).into();
    bomb(wire, attacker, CLIENT6.into(), SERVER6.into())
}

/// Sends 1,000 first fragments, and amid them the fragments of `other`, which is delivered.
fn bomb(wire: &mut Wire, attacker: impl Fn(u16) -> IpAddr, other: IpAddr, to: IpAddr) -> Done {
    wire.forget_datagrams();
    let to = SocketAddr::new(to, DISCARD);
    let bytes = udp(SocketAddr::new(other, 4000), to, &pattern(2000));
    let mut parts = pieces((other, to.ip()), UDP, 188, &bytes, 1000).into_iter();
    for n in 0..1000 {
        let from = SocketAddr::new(attacker(n), 4000);
        let stuck = udp(from, to, &pattern(1400));
        wire.tx(&piece((from.ip(), to.ip()), UDP, n, (0, true), &stuck))?;
        if n % 400 == 100
            && let Some(part) = parts.next()
        {
            wire.tx(&part)?;
        }
        if n % 20 == 0 {
            wire.collect(ms(1))?;
        }
    }
    wire.until("it is delivered", |wire| wire.datagrams().len() == 1)?;
    let datagram = wire.datagrams().remove(0);
    check!(
        datagram.from.ip() == other && datagram.data == pattern(2000),
        "another datagram"
    );
    Ok(())
}

fn f189(wire: &mut Wire) -> Done {
    let (from, to) = (wire.client(), SocketAddr::from((SERVER, ECHO)));
    let ends = (from.ip(), to.ip());
    let datagram = udp(from, to, &pattern(800));
    let request = icmp(from.ip(), to.ip(), 8, 0, &pattern(804));
    let datagram = pieces(ends, UDP, 189, &datagram, 400);
    let request = pieces(ends, ICMP, 189, &request, 400);
    for (datagram, request) in datagram.iter().zip(&request) {
        wire.tx(datagram)?;
        wire.tx(request)?;
    }
    let (mut datagrams, mut replies) = (0, 0);
    for packet in wire.collect(ms(200))? {
        datagrams += usize::from(packet.udp().is_some_and(|udp| udp.data == pattern(800)));
        replies += usize::from(
            packet
                .icmp()
                .is_some_and(|reply| reply.body == pattern(804)),
        );
    }
    check!(
        (datagrams, replies) == (1, 1),
        "{datagrams} datagrams and {replies} replies"
    );
    Ok(())
}

fn f190(wire: &mut Wire) -> Done {
    let families: [(IpAddr, IpAddr, u8, u8, u8, usize); 2] = [
        (CLIENT.into(), SERVER.into(), ICMP, 8, 0, 65_507),
        (CLIENT6.into(), SERVER6.into(), ICMPV6, 128, 129, 65_527),
    ];
    for (from, to, protocol, request, reply, len) in families {
        let body = pattern(4 + len);
        let bytes = icmp(from, to, request, 0, &body);
        tx_all(wire, &pieces((from, to), protocol, 190, &bytes, 1448))?;
        let answer = expect_fragments(wire)?;
        check!(answer.protocol == protocol, "protocol {}", answer.protocol);
        check!(
            answer.bytes == icmp(to, from, reply, 0, &body),
            "another reply of {} bytes",
            answer.bytes.len()
        );
        fragments_are_full(&answer)?;
    }
    Ok(())
}

fn f191(wire: &mut Wire) -> Done {
    for (from, to) in both(wire) {
        let to = SocketAddr::new(to, ECHO);
        let ends = (from.ip(), to.ip());
        let most = pattern(128 * 8 - 8);
        tx_all(wire, &pieces(ends, UDP, 190, &udp(from, to, &most), 8))?;
        echoed(wire, from, &most)?;
        let above = pattern(128 * 8 - 7);
        tx_all(wire, &pieces(ends, UDP, 191, &udp(from, to, &above), 8))?;
        wire.silent("129 fragments")?;
    }
    Ok(())
}

fn f192(wire: &mut Wire) -> Done {
    let data = pattern(1400);
    for (from, to) in both(wire) {
        let to = SocketAddr::new(to, ECHO);
        let bytes = udp(from, to, &data);
        let mut parts = pieces((from.ip(), to.ip()), UDP, 192, &bytes, 200);
        parts.reverse();
        tx_all(wire, &parts)?;
        echoed(wire, from, &data)?;
    }
    Ok(())
}

fn f193(wire: &mut Wire) -> Done {
    for (from, to) in both(wire) {
        let to = SocketAddr::new(to, ECHO);
        let ends = (from.ip(), to.ip());
        let bytes = udp(from, to, &pattern(1000));
        let first = piece(ends, UDP, 193, (0, true), &bytes[..400]);
        let (short, long) = (&bytes[400..800], &bytes[400..]);
        for (id, ends_of) in [(193, [short, long]), (194, [long, short])] {
            for last in ends_of {
                wire.tx(&piece(ends, UDP, id, (400, false), last))?;
            }
            wire.tx(&piece(ends, UDP, id, (0, true), &bytes[..400]))?;
            wire.silent("two ends")?;
        }
        check!(wire.datagrams().is_empty(), "it was delivered");
        wire.tx(&first)?;
        wire.tx(&piece(ends, UDP, 193, (400, false), long))?;
        wire.collect(ms(50))?;
        wire.forget_datagrams();
    }
    wire.alive()
}

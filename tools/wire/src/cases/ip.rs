//! The Internet layer: options, lengths, fragments, extension headers.

use super::{Case, case};
use crate::app::{DISCARD, ECHO, NOBODY, Received, pattern};
use crate::backend::{CLIENT, CLIENT6, SERVER, SERVER6};
use crate::packet::{
    ICMP, ICMPV6, SYN, TCP, UDP, What, fill_header_checksum, fragment, icmp, ipv4, ipv6,
    ipv6_fragment, options, udp,
};
use crate::wire::{Done, Peer, SOON, Wire, check, ms};
use std::net::SocketAddr;

pub(super) const CASES: &[Case] = &[
    case("I01", "IPv4 options (NOP, record route): TCP works", i01),
    case("I02", "TTL 0 and 1 are good enough for the end host", i02),
    case("I03", "lengths that are wrong: dropped", i03),
    case("I04", "wrong IPv4 header checksum: dropped (UDP)", i04),
    case("I05", "IPv4: three fragments put together", i05),
    case("I06", "IPv4: fragments out of order put together", i06),
    case("I07", "UDP works beside a lone first fragment", i07),
    case(
        "I08",
        "a lone later fragment is never read as a UDP or TCP header",
        i08,
    ),
    case(
        "I09",
        "overlapping fragments that differ: dropped, or the first kept",
        i09,
    ),
    case("I10", "fragments that wait do not hold up others", i10),
    case("I11", "fragments beyond 65,535 bytes: harmless", i11),
    case("I12", "IPv6: hop-by-hop options before a SYN", i12),
    case("I13", "IPv6: destination options before a SYN", i13),
    case(
        "I14",
        "IPv6: fragments put together (echo of 2,000 bytes)",
        i14,
    ),
    case("I15", "IPv6: unknown next header: parameter problem", i15),
];

/// A connection opened with a SYN that `wrap` makes a packet of.
fn opens(wire: &mut Wire, mut peer: Peer, wrap: impl FnOnce(&Peer, &[u8]) -> Vec<u8>) -> Done {
    let syn = peer.seg(SYN, b"").bytes();
    wire.tx(&wrap(&peer, &syn))?;
    peer.take_syn_ack(wire)?;
    peer.ack(wire)?;
    peer.echo(wire, b"through")
}

fn i01(wire: &mut Wire) -> Done {
    for bytes in [&[1, 1, 1, 0][..], &[7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
        let peer = wire.peer(ECHO);
        opens(wire, peer, |_, syn| {
            ipv4(CLIENT, SERVER, TCP, syn, |header| {
                header.options = options(bytes)
            })
        })?;
    }
    Ok(())
}

fn i02(wire: &mut Wire) -> Done {
    for ttl in [1, 0] {
        let peer = wire.peer(ECHO);
        opens(wire, peer, |_, syn| {
            ipv4(CLIENT, SERVER, TCP, syn, |header| header.time_to_live = ttl)
        })?;
    }
    Ok(())
}

/// A datagram that the application gets, and nothing besides.
fn only(wire: &mut Wire, data: &[u8]) -> Done {
    wire.collect(ms(100))?;
    let all = wire.datagrams();
    check!(
        all.len() == 1 && all[0].data == data,
        "{} datagrams, of {:?} bytes",
        all.len(),
        all.iter()
            .map(|datagram| datagram.data.len())
            .collect::<Vec<_>>()
    );
    Ok(())
}

/// Sends a good datagram, which arrives as the first.
fn datagram_passes(wire: &mut Wire) -> Result<Received, String> {
    let (from, before) = (wire.client(), wire.datagrams().len());
    let to = SocketAddr::from((SERVER, DISCARD));
    wire.tx(&ipv4(CLIENT, SERVER, UDP, &udp(from, to, b"good"), |_| ()))?;
    wire.until("a good datagram arrives", |wire| {
        wire.datagrams().len() > before
    })?;
    wire.datagrams().pop().ok_or_else(|| "none".into())
}

fn i03(wire: &mut Wire) -> Done {
    let (from, to) = (wire.client(), SocketAddr::from((SERVER, ECHO)));
    let good = ipv4(CLIENT, SERVER, UDP, &udp(from, to, b"datagram"), |_| ());
    let mut wrong = Vec::new();
    for total in [0, 10, 19, 20, 27, 37, 1000, 65_535_u16] {
        let mut packet = good.clone();
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        fill_header_checksum(&mut packet);
        wrong.push(packet);
    }
    for words in [0, 1, 4, 10, 15] {
        let mut packet = good.clone();
        packet[0] = 0x40 | words;
        fill_header_checksum(&mut packet);
        wrong.push(packet);
    }
    wrong.extend([1, 8, 19, 20, 24, 27].map(|len| good[..len].to_vec()));
    for packet in wrong {
        wire.tx(&packet)?;
    }
    // Where a length leaves a whole header of a datagram, an ICMP error would be right as well.
    let answers = wire.collect(ms(200))?;
    check!(
        answers.iter().all(|packet| packet.udp().is_none()),
        "an answer"
    );
    check!(
        wire.datagrams().is_empty(),
        "{} were delivered",
        wire.datagrams().len()
    );
    datagram_passes(wire).map(drop)
}

fn i04(wire: &mut Wire) -> Done {
    let (from, to) = (wire.client(), SocketAddr::from((SERVER, ECHO)));
    let mut packet = ipv4(CLIENT, SERVER, UDP, &udp(from, to, b"wrong"), |_| ());
    packet[11] ^= 1;
    wire.tx(&packet)?;
    wire.silent("a wrong header checksum")?;
    check!(wire.datagrams().is_empty(), "it was delivered");
    datagram_passes(wire).map(drop)
}

/// A datagram for the application that drops it: its data, and its bytes.
fn datagram(wire: &mut Wire, len: usize) -> (Vec<u8>, Vec<u8>) {
    let data = pattern(len);
    let to = SocketAddr::from((SERVER, DISCARD));
    let bytes = udp(wire.client(), to, &data);
    (data, bytes)
}

/// Sends a part of a datagram as a fragment.
fn part(wire: &mut Wire, id: u16, bytes: &[u8], from: usize, to: usize) -> Done {
    let to = to.min(bytes.len());
    let more = to < bytes.len();
    let header = fragment(id, from, more);
    wire.tx(&ipv4(CLIENT, SERVER, UDP, &bytes[from..to], header))
}

fn i05(wire: &mut Wire) -> Done {
    let (data, bytes) = datagram(wire, 3000);
    for from in [0, 1200, 2400] {
        part(wire, 50, &bytes, from, from + 1200)?;
    }
    only(wire, &data)
}

fn i06(wire: &mut Wire) -> Done {
    let (data, bytes) = datagram(wire, 3000);
    for from in [2400, 0, 1200] {
        part(wire, 60, &bytes, from, from + 1200)?;
    }
    only(wire, &data)
}

fn i07(wire: &mut Wire) -> Done {
    let (_, bytes) = datagram(wire, 3000);
    part(wire, 70, &bytes, 0, 1200)?;
    for _ in 0..3 {
        let datagram = datagram_passes(wire)?;
        check!(datagram.data == b"good", "a part of it was delivered");
    }
    check!(
        wire.datagrams().len() == 3,
        "{} datagrams",
        wire.datagrams().len()
    );
    Ok(())
}

fn i08(wire: &mut Wire) -> Done {
    let (from, to) = (wire.client(), SocketAddr::from((SERVER, ECHO)));
    let datagram = udp(from, to, b"I am no header!!");
    let syn = wire.peer(ECHO).seg(SYN, b"").bytes();
    let nobody = wire.peer(NOBODY).seg(SYN, b"").bytes();
    for (protocol, bytes) in [(UDP, &datagram), (TCP, &syn), (TCP, &nobody)] {
        for more in [true, false] {
            // Whole as they are, were it not for the offset.
            check!(bytes.len() % 8 == 0, "{} bytes", bytes.len());
            let header = fragment(80 + u16::from(more), 1480, more);
            wire.tx(&ipv4(CLIENT, SERVER, protocol, bytes, header))?;
        }
    }
    wire.silent("a later fragment")?;
    check!(
        wire.datagrams().is_empty() && wire.streams().is_empty(),
        "it was delivered"
    );
    datagram_passes(wire).map(drop)
}

fn i09(wire: &mut Wire) -> Done {
    let (data, bytes) = datagram(wire, 3000);
    let mut other = bytes.clone();
    other[1200..2400].iter_mut().for_each(|byte| *byte ^= 0xff);
    part(wire, 90, &bytes, 0, 1400)?;
    part(wire, 90, &other, 1200, 2400)?;
    part(wire, 90, &bytes, 1400, 2400)?;
    part(wire, 90, &bytes, 2400, 3600)?;
    wire.collect(ms(100))?;
    for datagram in wire.datagrams() {
        check!(datagram.data == data, "a mixture was delivered");
    }
    let datagram = datagram_passes(wire)?;
    check!(datagram.data == b"good", "a mixture was delivered");
    Ok(())
}

fn i10(wire: &mut Wire) -> Done {
    let (_, stuck) = datagram(wire, 3000);
    for id in 100..110 {
        part(wire, id, &stuck, 0, 1200)?;
    }
    let (data, bytes) = datagram(wire, 2500);
    for from in [0, 1200, 2400] {
        part(wire, 110, &bytes, from, from + 1200)?;
    }
    only(wire, &data)
}

fn i11(wire: &mut Wire) -> Done {
    let echo = icmp(CLIENT.into(), SERVER.into(), 8, 0, &pattern(1404));
    for from in (0..65_000).step_by(1400) {
        let more = fragment(111, from, true);
        let bytes = if from == 0 {
            &echo[..1400]
        } else {
            &echo[4..1404]
        };
        wire.tx(&ipv4(CLIENT, SERVER, ICMP, bytes, more))?;
    }
    wire.tx(&ipv4(
        CLIENT,
        SERVER,
        ICMP,
        &echo[..1000],
        fragment(111, 65_528, false),
    ))?;
    wire.tx(&ipv4(
        CLIENT,
        SERVER,
        ICMP,
        &echo[..1000],
        fragment(112, 65_528, false),
    ))?;
    wire.silent("more than 65,535 bytes")?;
    datagram_passes(wire)?;
    wire.alive()
}

fn i12(wire: &mut Wire) -> Done {
    let peer = wire.peer6(ECHO);
    opens(wire, peer, |_, syn| {
        let bytes = [&[TCP, 0, 1, 4, 0, 0, 0, 0], syn].concat();
        ipv6(CLIENT6, SERVER6, 0, &bytes)
    })
}

fn i13(wire: &mut Wire) -> Done {
    let peer = wire.peer6(ECHO);
    opens(wire, peer, |_, syn| {
        let bytes = [&[TCP, 0, 1, 4, 0, 0, 0, 0], syn].concat();
        ipv6(CLIENT6, SERVER6, 60, &bytes)
    })
}

fn i14(wire: &mut Wire) -> Done {
    let body = pattern(2004);
    let echo = icmp(CLIENT6.into(), SERVER6.into(), 128, 0, &body);
    for (from, to) in [(0, 1000), (1000, echo.len())] {
        let more = to < echo.len();
        let bytes = ipv6_fragment(ICMPV6, 14, from, more, &echo[from..to]);
        wire.tx(&ipv6(CLIENT6, SERVER6, 44, &bytes))?;
    }
    // The answer does not fit the MTU either.
    let mut answer = vec![0; echo.len()];
    let mut come = 0;
    while come < echo.len() {
        let found = wire.find(SOON, |packet| match &packet.what {
            What::Fragment(part) => Some(part.clone()),
            _ => None,
        })?;
        let part = found.ok_or_else(|| format!("{come} bytes of an answer came"))?;
        let place = answer.get_mut(part.offset..part.offset + part.payload.len());
        place
            .ok_or("a longer answer")?
            .copy_from_slice(&part.payload);
        come += part.payload.len();
    }
    check!(answer[0] == 129 && answer[4..] == body, "another answer");
    Ok(())
}

fn i15(wire: &mut Wire) -> Done {
    let packet = ipv6(CLIENT6, SERVER6, 253, &pattern(16));
    wire.tx(&packet)?;
    let message = wire.expect("an ICMPv6 error", |packet| packet.icmp().cloned())?;
    check!(
        (message.kind, message.code) == (4, 1),
        "{}/{}",
        message.kind,
        message.code
    );
    // The pointer is to the next-header field; the packet follows.
    check!(
        message.body[..4] == [0, 0, 0, 6],
        "the pointer is {:?}",
        &message.body[..4]
    );
    check!(message.body[4..] == packet, "another packet is quoted");
    Ok(())
}

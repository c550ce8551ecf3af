//! Further cases: ICMP, and what it says of the path.

use super::icmp::{NO_UDP, data, error, in_packets_of};
use super::{Case, case};
use crate::app::{GREET, NOBODY, SEND, pattern};
use crate::backend::{CLIENT, CLIENT6, SERVER, SERVER6};
use crate::packet::{ICMP, ICMPV6, UDP, icmp, ip, udp};
use crate::wire::{Done, SOON, Wire, check, ms};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(super) const CASES: &[Case] = &[
    case("F23", "unknown protocol: protocol unreachable", f23),
    case(
        "F24",
        "UDP that nobody takes, on IPv6: port unreachable",
        f24,
    )
    .with(NO_UDP),
    case(
        "F25",
        "no ICMP error about an ICMP error, a broadcast, a later fragment",
        f25,
    )
    .with(NO_UDP),
    case(
        "F28",
        "an exact ICMP error does not end an open connection (RFC 5927)",
        f28,
    ),
    case(
        "F61",
        "IPv6 packet too big, 1,300 bytes: segments shrink (RFC 8201)",
        f61,
    ),
    case("F62", "an MTU of nothing is not believed", f62),
    case(
        "F63",
        "fragmentation needed about what was never sent is ignored",
        f63,
    ),
];

fn f61(wire: &mut Wire) -> Done {
    let mut peer = wire.peer6(SEND);
    peer.open(wire)?;
    let first = data(wire, &peer)?;
    check!(
        first.bytes.len() == 1500,
        "the first packet has {} bytes",
        first.bytes.len()
    );
    wire.collect(ms(20))?;
    let body = [&1300_u32.to_be_bytes(), &first.bytes[..1232]].concat();
    let (from, to) = (CLIENT6.into(), SERVER6.into());
    wire.tx(&ip(from, to, ICMPV6, &icmp(from, to, 2, 0, &body)))?;
    in_packets_of(wire, &mut peer, 1300)
}

fn f62(wire: &mut Wire) -> Done {
    for mtu in [0, 21, 68] {
        let mut peer = wire.open(SEND)?;
        let first = data(wire, &peer)?;
        wire.collect(ms(20))?;
        error(wire, 3, 4, mtu, &first.bytes)?;
        let mut segments = 0;
        let mut next = peer.ack;
        while segments < 100 && next.wrapping_sub(peer.ack) < 20_000 {
            let found = peer.find(wire, ms(3000), |seg| !seg.data.is_empty())?;
            let seg = found.ok_or("nothing more comes")?;
            segments += 1;
            if seg.seq == next {
                next = seg.end();
            }
            wire.send(&crate::packet::Seg {
                ack: next,
                ..peer.seg(crate::packet::ACK, b"")
            })?;
        }
        let bytes = next.wrapping_sub(peer.ack);
        check!(
            bytes >= 20_000,
            "{bytes} bytes in {segments} segments, the MTU was {mtu}"
        );
        peer.ack = next;
        wire.send(&peer.seg(crate::packet::RST, b""))?;
    }
    Ok(())
}

fn f63(wire: &mut Wire) -> Done {
    let mut peer = wire.open(SEND)?;
    let mut first = data(wire, &peer)?;
    first.bytes[24] ^= 0x40;
    wire.collect(ms(20))?;
    error(wire, 3, 4, 600, &first.bytes)?;
    peer.ack(wire)?;
    peer.ack(wire)?;
    peer.ack(wire)?;
    let again = data(wire, &peer)?;
    check!(
        again.bytes.len() == 1500,
        "a forged error made packets of {} bytes",
        again.bytes.len()
    );
    peer.read(wire, 50_000).map(drop)
}

fn f23(wire: &mut Wire) -> Done {
    let packet = ip(CLIENT.into(), SERVER.into(), 253, &pattern(16));
    wire.tx(&packet)?;
    let message = wire.expect("an ICMP error", |packet| packet.icmp().cloned())?;
    check!(
        (message.kind, message.code) == (3, 2),
        "{}/{}",
        message.kind,
        message.code
    );
    check!(message.body[4..] == packet, "another packet is quoted");
    Ok(())
}

fn f24(wire: &mut Wire) -> Done {
    let (from, to) = (wire.client6(), SocketAddr::from((SERVER6, NOBODY)));
    let packet = ip(from.ip(), to.ip(), UDP, &udp(from, to, &pattern(1400)));
    wire.tx(&packet)?;
    let message = wire.expect("an ICMPv6 error", |packet| packet.icmp().cloned())?;
    check!(
        (message.kind, message.code) == (1, 4),
        "{}/{}",
        message.kind,
        message.code
    );
    // As much as fits the smallest MTU (RFC 4443, 2.4).
    check!(
        message.body[4..] == packet[..1280 - 48],
        "{} bytes are quoted",
        message.body.len() - 4
    );
    Ok(())
}

fn f25(wire: &mut Wire) -> Done {
    let (from, to): (IpAddr, IpAddr) = (CLIENT.into(), SERVER.into());
    let client = wire.client();
    let datagram = udp(client, SocketAddr::new(to, NOBODY), b"anybody?");
    let about = [vec![0; 4], ip(to, from, UDP, &datagram)].concat();
    for kind in [3, 11, 12] {
        wire.tx(&ip(from, to, ICMP, &icmp(from, to, kind, 1, &about)))?;
    }
    let (from6, to6): (IpAddr, IpAddr) = (CLIENT6.into(), SERVER6.into());
    for kind in [1, 3, 100] {
        let about = [vec![0; 4], ip(to6, from6, UDP, &datagram)].concat();
        wire.tx(&ip(from6, to6, ICMPV6, &icmp(from6, to6, kind, 0, &about)))?;
    }
    for to in [Ipv4Addr::BROADCAST, Ipv4Addr::new(224, 0, 0, 1)] {
        let datagram = udp(client, SocketAddr::from((to, NOBODY)), b"anybody?");
        wire.tx(&ip(from, to.into(), UDP, &datagram))?;
    }
    let later = crate::packet::fragment(25, 800, false);
    wire.tx(&crate::packet::ipv4(CLIENT, SERVER, UDP, &datagram, later))?;
    wire.silent("an ICMP error that must not be")?;
    wire.alive()
}

fn f28(wire: &mut Wire) -> Done {
    let mut peer = wire.open(GREET)?;
    let first = data(wire, &peer)?;
    for code in [1, 2, 3] {
        error(wire, 3, code, 0, &first.bytes)?;
    }
    wire.collect(SOON)?;
    let data = peer.read(wire, 1000)?;
    check!(data == pattern(1000), "other data");
    check!(wire.stream(&peer)?.end.is_none(), "it ended");
    Ok(())
}

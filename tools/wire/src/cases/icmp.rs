//! ICMP: echo, errors that come in, errors that go out.

use super::{Case, case};
use crate::app::{DISCARD, ECHO, NOBODY, SEND, Setup, Udp, pattern};
use crate::backend::{CLIENT, CLIENT6, SERVER, SERVER6};
use crate::packet::{ICMP, ICMPV6, Packet, UDP, icmp, ip, udp};
use crate::wire::{Done, Peer, Wire, check, ms};
use std::net::{IpAddr, SocketAddr};

pub(super) const CASES: &[Case] = &[
    case("C01", "ICMP echo answered", c01),
    case("C02", "ICMPv6 echo answered", c02),
    case(
        "C03",
        "fragmentation needed, 1,000 bytes: segments shrink (RFC 1191)",
        c03,
    ),
    case(
        "C04",
        "forged hard errors with a wrong number do not end a connection",
        c04,
    ),
    case("C05", "UDP that nobody takes: port unreachable", c05).with(NO_UDP),
];

pub(super) const NO_UDP: Setup = Setup {
    udp: Udp::Nobody,
    ..Setup::DEFAULT
};

fn echo(wire: &mut Wire, from: IpAddr, to: IpAddr, ask: u8, answer: u8, protocol: u8) -> Done {
    for len in [4, 60, 61, 1400] {
        let body = pattern(len);
        wire.tx(&ip(from, to, protocol, &icmp(from, to, ask, 0, &body)))?;
        let message = wire.expect("an echo reply", |packet| packet.icmp().cloned())?;
        check!(
            (message.kind, message.code) == (answer, 0),
            "{}/{}",
            message.kind,
            message.code
        );
        check!(message.body == body, "{} bytes come back otherwise", len);
    }
    Ok(())
}

fn c01(wire: &mut Wire) -> Done {
    echo(wire, CLIENT.into(), SERVER.into(), 8, 0, ICMP)
}

fn c02(wire: &mut Wire) -> Done {
    echo(wire, CLIENT6.into(), SERVER6.into(), 128, 129, ICMPV6)
}

/// Sends an ICMP error about a packet of the stack's.
pub(super) fn error(wire: &mut Wire, kind: u8, code: u8, field: u32, about: &[u8]) -> Done {
    let mut body = field.to_be_bytes().to_vec();
    body.extend(&about[..about.len().min(28)]);
    let (from, to) = (CLIENT.into(), SERVER.into());
    wire.tx(&ip(from, to, ICMP, &icmp(from, to, kind, code, &body)))
}

/// The next packet of the connection that has data.
pub(super) fn data(wire: &mut Wire, peer: &Peer) -> Result<Packet, String> {
    wire.expect("data", |packet| {
        peer.of(packet)
            .filter(|seg| !seg.data.is_empty())
            .map(|_| packet.clone())
    })
}

/// Reads 100,000 bytes in packets of at most this size.
pub(super) fn in_packets_of(wire: &mut Wire, peer: &mut Peer, most: usize) -> Done {
    let mut read: Vec<u8> = Vec::new();
    while read.len() < 100_000 {
        let packet = wire.find(ms(3000), |packet| peer.of(packet).map(|_| packet.clone()))?;
        let packet = packet.ok_or_else(|| format!("only {} bytes came", read.len()))?;
        check!(
            packet.bytes.len() <= most,
            "a packet of {} bytes",
            packet.bytes.len()
        );
        if let Some(seg) = packet.tcp().filter(|seg| seg.seq == peer.ack) {
            peer.ack = seg.end();
            read.extend(&seg.data);
        }
        peer.ack(wire)?;
    }
    check!(read == pattern(1 << 20)[..read.len()], "other data");
    Ok(())
}

fn c03(wire: &mut Wire) -> Done {
    let mut peer = wire.open(SEND)?;
    let first = data(wire, &peer)?;
    check!(
        first.bytes.len() == 1500,
        "the first packet has {} bytes",
        first.bytes.len()
    );
    wire.collect(ms(20))?;
    error(wire, 3, 4, 1000, &first.bytes)?;
    in_packets_of(wire, &mut peer, 1000)
}

fn c04(wire: &mut Wire) -> Done {
    let mut peer = wire.open(ECHO)?;
    peer.echo(wire, b"before")?;
    // A packet that the stack might have sent, with a number that it has not.
    let mut forged = peer.seg(crate::packet::ACK, b"");
    (forged.from, forged.to) = (peer.to, peer.from);
    forged.seq = peer.ack.wrapping_add(1_000_000);
    let forged = forged.packet();
    for code in 0..=3 {
        error(wire, 3, code, 0, &forged)?;
    }
    peer.echo(wire, b"after")?;
    check!(wire.stream(&peer)?.end.is_none(), "it ended");
    Ok(())
}

fn c05(wire: &mut Wire) -> Done {
    for port in [NOBODY, DISCARD] {
        let (from, to) = (wire.client(), SocketAddr::from((SERVER, port)));
        let packet = ip(from.ip(), to.ip(), UDP, &udp(from, to, b"anybody?"));
        wire.tx(&packet)?;
        let message = wire.expect("an ICMP error", |packet| packet.icmp().cloned())?;
        check!(
            (message.kind, message.code) == (3, 3),
            "{}/{}",
            message.kind,
            message.code
        );
        check!(message.body[4..] == packet, "another packet is quoted");
    }
    Ok(())
}

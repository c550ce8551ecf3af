//! Further cases: what the path says of its MTU.

use super::icmp::{data, error};
use super::{Case, case};
use crate::app::{SEND, pattern};
use crate::backend::{CLIENT6, SERVER6};
use crate::packet::{ICMPV6, icmp, ip};
use crate::wire::{Done, Peer, Wire, check, ms};

pub(super) const CASES: &[Case] = &[
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

/// Reads 100,000 bytes in packets of at most this size.
fn in_packets_of(wire: &mut Wire, peer: &mut Peer, most: usize) -> Done {
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

//! TCP packets that are wrong in themselves.

use super::{Case, case};
use crate::app::{DISCARD, ECHO};
use crate::packet::{ACK, PSH, TCP, fill_checksum, ip};
use crate::wire::{Done, Peer, Wire, check, ms};

pub(super) const CASES: &[Case] = &[
    case(
        "T38",
        "malformed options: no harm, whether served or dropped",
        t38,
    ),
    case("T39", "data offset below 5 or behind the end: dropped", t39),
    case("T40", "wrong TCP checksum: dropped", t40),
    case("T41", "wrong IPv4 header checksum: dropped (TCP)", t41),
];

fn t38(wire: &mut Wire) -> Done {
    for raw in [
        &[2, 0, 5, 180][..],
        &[2, 1, 5, 180],
        &[2, 40, 5, 180],
        &[2, 3, 5, 0],
        &[3, 0, 1, 1],
        &[3, 2, 1, 1],
        &[4, 200, 1, 1],
        &[5, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[253, 0, 1, 1],
        &[1, 1, 1, 2],
        &[255; 40],
    ] {
        let mut peer = wire.peer(ECHO);
        peer.options.mss = None;
        peer.options.raw = raw.to_vec();
        peer.syn(wire)?;
        wire.collect(ms(20))?;
        // On an open connection as well.
        let mut peer = wire.open(DISCARD)?;
        let mut seg = peer.seg(ACK | PSH, b"data");
        seg.options.raw = raw.to_vec();
        wire.send(&seg)?;
        wire.collect(ms(5))?;
        peer.write(wire, b"data")?;
        peer.expect_ack(wire)?;
        check!(wire.stream(&peer)?.data == b"data", "other data was read");
    }
    wire.alive()
}

/// Sends a SYN changed by `change`, which nobody answers.
fn dropped(wire: &mut Wire, change: impl FnOnce(&mut Vec<u8>, &Peer)) -> Done {
    let peer = wire.peer(ECHO);
    let mut bytes = peer.seg(crate::packet::SYN, b"").bytes();
    change(&mut bytes, &peer);
    wire.tx(&ip(peer.from.ip(), peer.to.ip(), TCP, &bytes))?;
    wire.silent("a SYN that is wrong")?;
    check!(wire.streams().is_empty(), "a stream");
    Ok(())
}

fn t39(wire: &mut Wire) -> Done {
    for words in [0, 1, 4, 7, 15] {
        dropped(wire, |bytes, peer| {
            bytes[12] = words << 4;
            fill_checksum(bytes, 16, peer.from.ip(), peer.to.ip(), TCP);
        })?;
    }
    for len in [0, 4, 12, 19] {
        dropped(wire, |bytes, _| bytes.truncate(len))?;
    }
    wire.alive()
}

fn t40(wire: &mut Wire) -> Done {
    dropped(wire, |bytes, _| bytes[17] ^= 1)?;
    dropped(wire, |bytes, _| bytes[16..18].fill(0))?;
    let mut peer = wire.open(DISCARD)?;
    let mut bytes = peer.seg(ACK | PSH, b"wrong").packet();
    *bytes.last_mut().ok_or("no byte")? ^= 0x20;
    wire.tx(&bytes)?;
    wire.silent("data with a wrong checksum")?;
    peer.write(wire, b"right")?;
    peer.expect_ack(wire)?;
    check!(
        wire.stream(&peer)?.data == b"right",
        "the wrong one was read"
    );
    Ok(())
}

fn t41(wire: &mut Wire) -> Done {
    let peer = wire.peer(ECHO);
    let mut packet = peer.seg(crate::packet::SYN, b"").packet();
    packet[10] ^= 0xff;
    wire.tx(&packet)?;
    wire.silent("a packet with a wrong header checksum")?;
    check!(wire.streams().is_empty(), "a stream");
    wire.alive()
}

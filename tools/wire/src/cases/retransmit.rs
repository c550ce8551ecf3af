//! What is sent again, and when.

use super::{Case, case};
use crate::app::{GREET, SEND};
use crate::packet::{ACK, RST};
use crate::wire::{Done, Wire, check, ms};
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    case(
        "T30",
        "data is sent again, not before 150 ms, then doubling (RFC 6298)",
        t30,
    ),
    case(
        "T31",
        "three duplicate ACKs: sent again before the RTO",
        t31,
    ),
];

fn t30(wire: &mut Wire) -> Done {
    let peer = wire.open(GREET)?;
    let mut times: Vec<Duration> = Vec::new();
    while times.len() < 4 {
        let copy = wire.find(ms(10_000), |packet| {
            let seg = peer.of(packet)?;
            (seg.seq == peer.ack && !seg.data.is_empty()).then_some(packet.at)
        })?;
        times.push(copy.ok_or_else(|| format!("only {} copies", times.len()))?);
    }
    let gaps: Vec<_> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64())
        .collect();
    check!(gaps[0] >= 0.15 && gaps[0] < 3.5, "the gaps are {gaps:?}");
    for pair in gaps.windows(2) {
        let ratio = pair[1] / pair[0];
        check!((1.6..2.5).contains(&ratio), "the gaps are {gaps:?}");
    }
    Ok(())
}

fn t31(wire: &mut Wire) -> Done {
    let mut peer = wire.open(SEND)?;
    let burst = peer.collect(wire, ms(20))?;
    check!(burst.len() >= 4, "only {} segments at first", burst.len());
    // The first is lost.
    for _ in 0..3 {
        peer.ack(wire)?;
    }
    let again = peer.find(wire, ms(150), |seg| {
        seg.seq == peer.ack && !seg.data.is_empty()
    })?;
    check!(again.is_some(), "not sent again within 150 ms");
    let data = peer.read(wire, 100_000)?;
    check!(
        data == crate::app::pattern(1 << 20)[..data.len()],
        "other data"
    );
    wire.send(&peer.seg(RST | ACK, b""))
}

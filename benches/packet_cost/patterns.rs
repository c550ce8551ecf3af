//! What the peer sends.

use crate::connection::{ACK, Application, Connection, FIN, Offer, Run, Send};
use brooklet_benches::Random;
use std::time::Duration;

/// A pattern of so many packets.
pub(crate) type Pattern = fn(usize) -> Run;

/// All patterns, by name.
pub(crate) const ALL: [(&str, Pattern); 18] = [
    ("honest-download", honest_download),
    ("honest-echo", honest_echo),
    ("sack-alternate-bytes-bulk", sack_alternate_bytes_bulk),
    ("sack-alternate-segments-bulk", sack_alternate_segments_bulk),
    (
        "sack-alternate-segments-mss-48",
        sack_alternate_segments_mss_48,
    ),
    ("echo-unacknowledged", echo_unacknowledged),
    ("sack-alternate-bytes-echo", sack_alternate_bytes_echo),
    ("sack-last-only-echo", sack_last_only_echo),
    ("sack-last-only-mss-48", sack_last_only_mss_48),
    ("sack-random-mss-48", sack_random),
    ("dsack-storm", dsack_storm),
    ("ack-division", ack_division),
    ("ack-division-mss-48", ack_division_mss_48),
    ("tiny-window", tiny_window),
    ("window-open-and-shut", window_open_and_shut),
    ("out-of-order-bytes", out_of_order_bytes),
    ("out-of-order-overlaps", out_of_order_overlaps),
    ("out-of-order-fins", out_of_order_fins),
];

const STEP: Duration = Duration::from_micros(10);

const SMALL: Offer = Offer {
    mss: 48,
    window: u16::MAX,
    shift: 7,
    timestamps: true,
};

/// Every second segment is acknowledged.
fn honest_download(packets: usize) -> Run {
    let mut peer = Connection::open(Application::Source, Offer::default());
    while peer.packets() < packets {
        peer.pass(STEP);
        let flight = peer.nxt.wrapping_sub(peer.una);
        peer.una = peer.una.wrapping_add(flight.min(2 * 1460));
        peer.send(&[], &[]);
    }
    peer.finish()
}

fn honest_echo(packets: usize) -> Run {
    let mut peer = Connection::open(Application::Echo, Offer::default());
    while peer.packets() < packets {
        peer.pass(STEP);
        peer.una = peer.nxt;
        peer.send(&[], &[7; 100]);
    }
    peer.finish()
}

/// Acknowledges everything, segment by segment, until so much is in flight.
fn grow(peer: &mut Connection, mss: u32, flight: u32) {
    peer.unmeasured(|peer| {
        for _ in 0..20_000 {
            let now = peer.nxt.wrapping_sub(peer.una);
            if now >= flight {
                return;
            }
            peer.pass(STEP);
            peer.una = peer.una.wrapping_add(now.min(2 * mss));
            peer.send(&[], &[]);
        }
    });
}

/// Four blocks of a length, with gaps of that length between them, from `at` on.
fn alternate(at: u32, len: u32) -> [(u32, u32); 4] {
    [0, 1, 2, 3].map(|n| {
        let start = at.wrapping_add(2 * n * len);
        (start, start.wrapping_add(len))
    })
}

/// Selectively acknowledges every second stretch of `len` bytes that is in flight, over and over,
/// and everything once that is done.
fn sack_alternate(mut peer: Connection, mss: u32, len: u32, flight: u32, packets: usize) -> Run {
    while peer.packets() < packets {
        grow(&mut peer, mss, flight);
        let (mut at, end) = (peer.una.wrapping_add(len), peer.nxt);
        while (end.wrapping_sub(at) as i32) > 0 && peer.packets() < packets {
            peer.pass(STEP);
            let most = if peer.has_timestamps() { 3 } else { 4 };
            peer.send(&alternate(at, len)[..most], &[]);
            at = at.wrapping_add(2 * most as u32 * len);
        }
        peer.reopen();
    }
    peer.finish()
}

fn sack_alternate_bytes_bulk(packets: usize) -> Run {
    let peer = Connection::open(Application::Source, Offer::default());
    sack_alternate(peer, 1460, 1, 1 << 20, packets)
}

fn sack_alternate_segments_bulk(packets: usize) -> Run {
    let peer = Connection::open(Application::Source, Offer::default());
    sack_alternate(peer, 1460, 1460, 3 << 20, packets)
}

fn sack_alternate_segments_mss_48(packets: usize) -> Run {
    let peer = Connection::open(Application::Source, SMALL);
    sack_alternate(peer, 36, 36, 200 << 10, packets)
}

/// The application echoes one byte at a time, and nothing is acknowledged until as much is in
/// flight as it sends. Then every second byte is.
fn echo_bytes(peer: &mut Connection, most: usize) {
    for _ in 0..most {
        peer.pass(Duration::from_micros(1));
        let before = peer.nxt;
        peer.send(&[], &[7]);
        if peer.nxt == before {
            return;
        }
    }
}

/// Nothing of what is echoed is ever acknowledged, but for once in 10,000 packets.
fn echo_unacknowledged(packets: usize) -> Run {
    let mut peer = Connection::open(Application::Echo, Offer::default());
    while peer.packets() < packets {
        for _ in 0..10_000 {
            peer.pass(Duration::from_micros(1));
            peer.send(&[], &[7]);
        }
        peer.una = peer.nxt;
    }
    peer.finish()
}

fn sack_alternate_bytes_echo(packets: usize) -> Run {
    let mut peer = Connection::open(Application::Echo, Offer::default());
    while peer.packets() < packets {
        peer.unmeasured(|peer| echo_bytes(peer, 10_000));
        let (mut at, end) = (peer.una.wrapping_add(1), peer.nxt);
        while (end.wrapping_sub(at) as i32) > 0 && peer.packets() < packets {
            peer.pass(STEP);
            peer.send(&alternate(at, 1), &[]);
            at = at.wrapping_add(8);
        }
        peer.reopen();
    }
    peer.finish()
}

/// Selectively acknowledges only the segment that was sent last: all before it look lost, each time.
fn sack_last_only(mut peer: Connection, fill: fn(&mut Connection), packets: usize) -> Run {
    while peer.packets() < packets {
        fill(&mut peer);
        let mut last = (peer.nxt.wrapping_sub(1), 1);
        for _ in 0..200 {
            peer.pass(STEP);
            let end = last.0.wrapping_add(last.1);
            peer.send(&[(last.0, end)], &[]);
            if let Some(&sent) = peer.sent.iter().rfind(|(seq, _)| *seq != peer.una) {
                last = sent;
            }
        }
        peer.reopen();
    }
    peer.finish()
}

fn sack_last_only_echo(packets: usize) -> Run {
    let peer = Connection::open(Application::Echo, Offer::default());
    let fill = |peer: &mut Connection| peer.unmeasured(|peer| echo_bytes(peer, 10_000));
    sack_last_only(peer, fill, packets)
}

fn sack_last_only_mss_48(packets: usize) -> Run {
    let peer = Connection::open(Application::Source, SMALL);
    sack_last_only(
        peer,
        |peer: &mut Connection| grow(peer, 36, 50 << 10),
        packets,
    )
}

/// Random blocks of whole segments, and now and then an acknowledgment.
fn sack_random(packets: usize) -> Run {
    let mut peer = Connection::open(Application::Source, SMALL);
    let mut random = Random(7);
    grow(&mut peer, 36, 200 << 10);
    while peer.packets() < packets {
        peer.pass(STEP);
        let flight = peer.nxt.wrapping_sub(peer.una) as usize;
        let segments = flight / 36;
        let mut blocks = [(0, 0); 3];
        for block in &mut blocks {
            let start = peer
                .una
                .wrapping_add(36 * random.below(segments.max(1)) as u32);
            *block = (start, start.wrapping_add(36 * (1 + random.below(3) as u32)));
        }
        if random.below(50) == 0 {
            peer.una = peer
                .una
                .wrapping_add(random.below(flight.min(5000) + 1) as u32);
        }
        peer.send(&blocks, &[]);
    }
    peer.finish()
}

/// Every segment is said to have arrived twice, while a loss is being repaired.
fn dsack_storm(packets: usize) -> Run {
    let mut peer = Connection::open(Application::Source, Offer::default());
    let mut n = 0;
    while peer.packets() < packets {
        grow(&mut peer, 1460, 500_000);
        for _ in 0..2000 {
            peer.pass(STEP);
            n += 1;
            let start = peer.una.wrapping_add(1460 * (n % 300));
            let block = (start, start.wrapping_add(1460));
            let beyond = alternate(peer.una.wrapping_add(1460 * (1 + n % 300)), 1460);
            let dsack = (block.0, block.0.wrapping_add(1));
            peer.send(&[dsack, block, beyond[1], beyond[2]], &[]);
        }
        peer.reopen();
    }
    peer.finish()
}

/// Acknowledges one byte at a time.
fn divide(mut peer: Connection, packets: usize) -> Run {
    while peer.packets() < packets {
        peer.pass(STEP);
        if peer.nxt != peer.una {
            peer.una = peer.una.wrapping_add(1);
        }
        peer.send(&[], &[]);
    }
    peer.finish()
}

fn ack_division(packets: usize) -> Run {
    divide(
        Connection::open(Application::Source, Offer::default()),
        packets,
    )
}

fn ack_division_mss_48(packets: usize) -> Run {
    let mut peer = Connection::open(Application::Source, SMALL);
    grow(&mut peer, 36, 200 << 10);
    divide(peer, packets)
}

/// A window of one byte, for as long as the connection lasts.
fn tiny_window(packets: usize) -> Run {
    let offer = Offer {
        window: 1,
        shift: 0,
        ..Offer::default()
    };
    let mut peer = Connection::open(Application::Source, offer);
    while peer.packets() < packets {
        peer.pass(STEP);
        peer.una = peer.nxt;
        peer.send(&[], &[]);
    }
    peer.finish()
}

/// The window opens by a few bytes at a time, and shuts over what is in flight.
fn window_open_and_shut(packets: usize) -> Run {
    let mut peer = Connection::open(Application::Source, SMALL);
    let mut random = Random(3);
    while peer.packets() < packets {
        peer.pass(STEP * 10);
        let flight = peer.nxt.wrapping_sub(peer.una) as usize;
        peer.una = peer
            .una
            .wrapping_add(random.below(flight.min(100) + 1) as u32);
        let (seq, ack) = (peer.seq, peer.una);
        peer.give(Send {
            flags: ACK,
            seq,
            ack,
            window: [0, 1, 2, 300][random.below(4)],
            ..Send::default()
        });
    }
    peer.finish()
}

/// Every second byte of the window, in an order that is not that of the stream.
fn out_of_order_bytes(packets: usize) -> Run {
    let mut peer = Connection::open(Application::Echo, Offer::default());
    let mut n = 0u32;
    while peer.packets() < packets {
        peer.pass(STEP);
        let at = 2 + 2 * (n.wrapping_mul(7919) % 16_384);
        n += 1;
        let (seq, ack) = (peer.seq.wrapping_add(at), peer.una);
        peer.give(Send {
            flags: ACK,
            seq,
            ack,
            window: u16::MAX,
            data: &[7],
            ..Send::default()
        });
        if n.is_multiple_of(20_000) {
            for _ in 0..16_384 {
                peer.una = peer.nxt;
                peer.send(&[], &[7]);
            }
        }
    }
    peer.finish()
}

/// Segments that overlap each other in every way.
fn out_of_order_overlaps(packets: usize) -> Run {
    let mut peer = Connection::open(Application::Echo, Offer::default());
    let mut random = Random(5);
    while peer.packets() < packets {
        peer.pass(STEP);
        let at = random.below(60_000) as u32;
        let len = match random.below(100) {
            0 => 1460,
            n => 1 + n / 20,
        };
        let (seq, ack) = (peer.seq.wrapping_add(2 + at), peer.una);
        peer.give(Send {
            flags: ACK,
            seq,
            ack,
            window: u16::MAX,
            data: &vec![7; len],
            ..Send::default()
        });
    }
    peer.finish()
}

/// Bytes and FINs beyond gaps, each FIN before the last.
fn out_of_order_fins(packets: usize) -> Run {
    let mut peer = Connection::open(Application::Echo, Offer::default());
    let mut n = 0u32;
    while peer.packets() < packets {
        peer.pass(STEP);
        n += 1;
        let fin = n > 4096;
        let at = match fin {
            true => 60_000 - (n % 60_000).min(50_000),
            false => 2 + 2 * n,
        };
        let (seq, ack) = (peer.seq.wrapping_add(at), peer.una);
        peer.give(Send {
            flags: if fin { ACK | FIN } else { ACK },
            seq,
            ack,
            window: u16::MAX,
            data: &[7],
            ..Send::default()
        });
    }
    peer.finish()
}

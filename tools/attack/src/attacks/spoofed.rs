//! Packets of sources that need not exist.

use super::Attack;
use crate::honest::SYN_OPTIONS;
use crate::packet::{ACK, Batch, End, SYN, Segment, fragment, icmp, udp};
use crate::random::Random;
use crate::victim::SERVER;
use std::net::Ipv4Addr;
use std::time::Instant;

/// The address number `number` of 11.0.0.0/8.
fn address(number: u32) -> Ipv4Addr {
    let [_, a, b, c] = number.to_be_bytes();
    Ipv4Addr::new(11, a, b, c)
}

/// SYNs with the options of Linux.
pub(super) struct Syns {
    sources: u32,
    random: Random,
    sent: u32,
}

impl Syns {
    pub(super) fn new(sources: usize) -> Self {
        Self {
            sources: sources as u32,
            random: Random::new(1),
            sent: 0,
        }
    }
}

impl Attack for Syns {
    fn fill(&mut self, _: Instant, room: usize, out: &mut Batch) {
        for _ in 0..room {
            self.sent = self.sent.wrapping_add(1);
            let segment = Segment {
                from: (
                    address(self.random.below(self.sources)),
                    1024 + (self.sent % 60_000) as u16,
                ),
                to: (SERVER, 7),
                seq: self.random.draw(),
                ack: 0,
                flags: SYN,
                window: 64_240,
                options: &SYN_OPTIONS,
                data: b"",
            };
            out.push(|out| segment.write(out));
        }
    }
}

/// Acknowledgments out of nowhere.
pub(super) struct Acks {
    sources: u32,
    random: Random,
}

impl Acks {
    pub(super) fn new(sources: usize) -> Self {
        Self {
            sources: sources as u32,
            random: Random::new(2),
        }
    }
}

impl Attack for Acks {
    fn fill(&mut self, _: Instant, room: usize, out: &mut Batch) {
        for _ in 0..room {
            let random = &mut self.random;
            let segment = Segment {
                from: (
                    address(random.below(self.sources)),
                    1024 + (random.below(60_000)) as u16,
                ),
                to: (SERVER, 7),
                seq: random.draw(),
                ack: random.draw(),
                flags: ACK,
                window: 64_240,
                options: b"",
                data: b"",
            };
            out.push(|out| segment.write(out));
        }
    }
}

/// Datagrams for the echo service.
pub(super) struct Datagrams {
    sources: u32,
    sent: u32,
}

impl Datagrams {
    pub(super) fn new(sources: usize) -> Self {
        Self {
            sources: sources as u32,
            sent: 0,
        }
    }
}

impl Attack for Datagrams {
    fn fill(&mut self, _: Instant, room: usize, out: &mut Batch) {
        for _ in 0..room {
            self.sent = self.sent.wrapping_add(1);
            let from = (address(self.sent % self.sources), 5_000);
            out.push(|out| udp(out, from, (SERVER, 7), &[7; 36]));
        }
    }
}

/// Which fragments.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pattern {
    Open,
    Overlap,
    Tiny,
}

/// Fragments of UDP datagrams.
pub(super) struct Fragments {
    pattern: Pattern,
    sent: u32,
}

impl Fragments {
    pub(super) fn new(pattern: Pattern) -> Self {
        Self { pattern, sent: 0 }
    }
}

impl Attack for Fragments {
    fn fill(&mut self, _: Instant, room: usize, out: &mut Batch) {
        for _ in 0..room {
            self.sent = self.sent.wrapping_add(1);
            let n = self.sent;
            let data = [n as u8; 1400];
            // The packet, the offset of the fragment in it, and its length.
            let (packet, offset, len) = match self.pattern {
                Pattern::Open => (n, 0, 1400),
                Pattern::Overlap => (n / 2, (n as usize % 2) * 696, 1400),
                Pattern::Tiny => (n / 4_000, (n as usize % 4_000) * 16, 8),
            };
            let (from, id) = (address(packet), packet as u16);
            out.push(|out| fragment(out, from, SERVER, id, offset, true, &data[..len]));
        }
    }
}

/// Errors about segments that nobody has sent.
pub(super) struct IcmpErrors(Random);

impl IcmpErrors {
    pub(super) fn new() -> Self {
        Self(Random::new(3))
    }
}

impl Attack for IcmpErrors {
    fn fill(&mut self, _: Instant, room: usize, out: &mut Batch) {
        for _ in 0..room {
            let random = &mut self.0;
            let to: End = (address(random.draw() >> 8), random.draw() as u16);
            let kinds = [[3, 1], [3, 3], [3, 4], [11, 0], [12, 0]];
            let kind = kinds[random.below(5) as usize];
            let quoted = Segment {
                from: (SERVER, 7),
                to,
                seq: random.draw(),
                ack: 0,
                flags: ACK,
                window: 0,
                options: b"",
                data: b"",
            };
            let mut body = vec![0, 0, 2, 0x40];
            quoted.write(&mut body);
            out.push(|out| icmp(out, to.0, SERVER, kind, &body));
        }
    }
}

/// Echo requests.
pub(super) struct Echoes(Random);

impl Echoes {
    pub(super) fn new() -> Self {
        Self(Random::new(4))
    }
}

impl Attack for Echoes {
    fn fill(&mut self, _: Instant, room: usize, out: &mut Batch) {
        for _ in 0..room {
            let from = address(self.0.draw() >> 8);
            out.push(|out| icmp(out, from, SERVER, [8, 0], &[5; 40]));
        }
    }
}

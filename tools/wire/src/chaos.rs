//! A client that does anything, by a seed: what the application reads is still what was sent, in
//! order, to the end, and so is what comes back.

use crate::app::{ECHO, Setup, pattern};
use crate::backend::BackendKind;
use crate::packet::{ACK, FIN, Options, PSH, RST, SYN, Seg};
use crate::sim::Sim;
use crate::wire::{Done, Peer, Wire, after, check, ms};

/// How much the client has to say.
const ALL: usize = 6000;

#[test]
fn whatever_a_client_does_its_bytes_arrive() {
    let faults: Vec<_> = (0..300)
        .filter_map(|seed| run(seed).err().map(|why| format!("seed {seed}: {why}")))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

fn run(seed: u64) -> Done {
    let backend = Sim::new(Setup::DEFAULT).map_err(|error| error.to_string())?;
    let mut wire = Wire::new(BackendKind::Sim, Box::new(backend));
    let mut client = Client::open(&mut wire, seed)?;
    let outcome = client.play(&mut wire);
    outcome.map_err(|why| {
        let tail = wire.trace.len().saturating_sub(30);
        format!("{why}\n{}", wire.trace[tail..].join("\n"))
    })
}

struct Client {
    peer: Peer,
    random: u64,
    data: Vec<u8>,
    /// Our first byte, and the stack's.
    first: u32,
    their_first: u32,
    /// The stack's bytes that have come.
    come: Vec<bool>,
    /// The end of what the stack has sent.
    high: u32,
    stamps: bool,
    clock: u32,
    ended: bool,
}

impl Client {
    fn open(wire: &mut Wire, seed: u64) -> Result<Self, String> {
        let mut peer = wire.peer(ECHO);
        // The numbers wrap in some runs.
        if seed.is_multiple_of(4) {
            peer.seq = u32::MAX - 2000;
        }
        peer.options.sack_ok = seed.is_multiple_of(2);
        peer.options.scale = seed.is_multiple_of(3).then_some(3);
        let stamps = seed.is_multiple_of(5);
        peer.options.stamps = stamps.then_some((1, 0));
        let syn_ack = peer.half_open(wire)?;
        let client = Self {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            data: pattern(ALL),
            first: peer.seq,
            their_first: peer.ack,
            come: vec![false; ALL],
            high: peer.ack,
            stamps,
            clock: syn_ack.options.stamps.map_or(0, |(value, _)| value),
            ended: false,
            peer,
        };
        let ack = client.seg(0, ACK, b"");
        wire.send(&ack)?;
        Ok(client)
    }

    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % n
    }

    /// A segment so many bytes from our first.
    fn seg(&self, offset: usize, flags: u8, data: &[u8]) -> Seg {
        let seq = self.first.wrapping_add(offset as u32);
        let options = Options {
            stamps: self.stamps.then_some((2, self.clock)),
            ..Options::default()
        };
        Seg {
            seq,
            options,
            ..self.peer.seg(flags, data)
        }
    }

    /// Our bytes from here to there, and the FIN behind the last.
    fn part(&self, from: usize, to: usize) -> Seg {
        let fin = if to == ALL { FIN } else { 0 };
        self.seg(from, ACK | PSH | fin, &self.data[from..to])
    }

    fn play(&mut self, wire: &mut Wire) -> Done {
        let steps = 20 + self.below(60);
        for _ in 0..steps {
            let seg = match self.below(12) {
                0..=4 => {
                    let from = self.below(ALL);
                    let to = (from + 1 + self.below(1460)).min(ALL);
                    self.part(from, to)
                }
                5 => {
                    // An ACK that is old, or of what was never sent.
                    let offset = self.below(ALL);
                    let mut seg = self.seg(offset, ACK, b"");
                    seg.ack = if self.below(2) == 0 {
                        self.peer.ack.wrapping_sub(self.below(5000) as u32)
                    } else {
                        self.high.wrapping_add(1 + self.below(100_000) as u32)
                    };
                    seg
                }
                6 => {
                    self.peer.window = [0, 1, 100, 1500, 65_535][self.below(5)];
                    self.seg(0, ACK, b"")
                }
                7 => {
                    let mut seg = self.seg(0, ACK, b"");
                    let left = self.peer.ack.wrapping_add(self.below(3000) as u32);
                    let right = left.wrapping_add(self.below(3000) as u32);
                    // Only what has come, or what the stack cannot have sent.
                    if self.has_come(left, right) || after(right, self.high) {
                        seg.options.sack = vec![(left, right)];
                    }
                    seg
                }
                // In the window, and never exact: nothing that we send ends there.
                8 => {
                    let offset = ALL + 100 + self.below(1000);
                    self.seg(offset, RST, b"")
                }
                9 => {
                    let offset = self.below(ALL);
                    let mut seg = self.seg(offset, SYN, b"");
                    seg.options = Options::default();
                    seg
                }
                _ => self.seg(0, ACK, b""),
            };
            wire.send(&seg)?;
            let wait = match self.below(10) {
                0 => ms(1500),
                1..=4 => ms(self.below(50) as u64),
                _ => ms(0),
            };
            self.receive(wire, wait)?;
        }
        self.finish(wire)
    }

    fn has_come(&self, left: u32, right: u32) -> bool {
        let from = left.wrapping_sub(self.their_first) as usize;
        let to = right.wrapping_sub(self.their_first) as usize;
        self.come
            .get(from..to)
            .is_some_and(|run| run.iter().all(|come| *come))
    }

    /// Takes in what comes, and looks at it.
    fn receive(&mut self, wire: &mut Wire, time: std::time::Duration) -> Done {
        for (_, seg) in self.peer.collect(wire, time)? {
            // All may have been said, and acknowledged, by chance; then nobody is there any more.
            check!(!seg.has(RST) || self.is_over(wire), "a reset");
            if let Some((value, _)) = seg.options.stamps {
                self.clock = value;
            }
            if seg.has(SYN) {
                continue;
            }
            let data = seg.data.len() as u32;
            let from = seg.seq.wrapping_sub(self.their_first) as usize;
            check!(
                data == 0 || self.data.get(from..from + data as usize) == Some(&seg.data[..]),
                "bytes {from}+{data} differ from what was sent"
            );
            check!(!seg.has(FIN) || from + data as usize == ALL, "an early FIN");
            if data > 0 {
                self.come[from..from + data as usize].fill(true);
            }
            if after(seg.end(), self.high) {
                self.high = seg.end();
            }
            self.ended |= seg.has(FIN);
        }
        let cum = self.come.iter().take_while(|come| **come).count();
        let fin = u32::from(self.ended && cum == ALL);
        self.peer.ack = self.their_first.wrapping_add(cum as u32 + fin);
        let read = wire
            .streams()
            .first()
            .map(|stream| stream.data.clone())
            .unwrap_or_default();
        check!(
            self.data.starts_with(&read),
            "{} bytes were read, and others",
            read.len()
        );
        Ok(())
    }

    /// Both ends have said all that they had to say.
    fn is_over(&self, wire: &Wire) -> bool {
        let heard_all = wire
            .streams()
            .first()
            .is_some_and(|stream| stream.end == Some(Ok(())));
        heard_all && self.peer.ack == self.their_first.wrapping_add(ALL as u32 + 1)
    }

    /// Behaves, until all has been said.
    fn finish(&mut self, wire: &mut Wire) -> Done {
        self.peer.window = 65_535;
        for _ in 0..60 {
            for from in (0..ALL).step_by(1000) {
                let seg = self.part(from, from + 1000);
                wire.send(&seg)?;
            }
            self.receive(wire, ms(500))?;
            let ack = self.seg(ALL + 1, ACK, b"");
            wire.send(&ack)?;
            let stream = wire.streams().into_iter().next().ok_or("no stream")?;
            let read = stream.data.len();
            match stream.end {
                Some(Ok(())) => check!(read == ALL, "the end after {read} bytes"),
                Some(Err(error)) => return Err(format!("{error} after {read} bytes")),
                None => continue,
            }
            if self.is_over(wire) {
                return Ok(());
            }
        }
        let come = self.come.iter().filter(|come| **come).count();
        Err(format!("{come} bytes came back, the FIN: {}", self.ended))
    }
}

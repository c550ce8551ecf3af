//! What both ends of a 4-tuple have said, and so what may be true of its streams.
//!
//! The model does not know what the stack decides. It notes what has arrived at the stack and
//! what the stack has sent, and rejects what no host could have concluded from that.

use crate::content;
use crate::ranges::Ranges;
use brooklet::{FlowKey, TcpHeader};

/// The sequence space of a 4-tuple is cut into regions of this length. Each connection of a peer
/// begins in a region of its own.
const REGION: u32 = 1 << 28;
const REGIONS: usize = 12;

/// The most SYNs with sequence numbers of their own that a peer may send.
const SYNS: usize = 40;

/// The least segment size that a stack assumes of a peer, in bytes of data.
const LEAST_MSS: usize = 48;

/// A SYN of the peer that has arrived, and so a connection that the stack may have begun.
#[derive(Debug)]
struct Begun {
    /// Where its sequence number lies.
    at: i64,
    /// The furthest that the stack has acknowledged.
    acked: i64,
}

/// A stream of the stack on this 4-tuple, as its initial sequence number tells it.
#[derive(Debug)]
struct Sent {
    isn: u32,
    /// The handshake is done: the peer has acknowledged the SYN.
    established: bool,
    /// The furthest position that was sent, the FIN included.
    next: i64,
    /// The furthest position that the peer has allowed.
    edge: i64,
}

/// A 4-tuple.
#[derive(Debug)]
pub(super) struct Flow {
    /// From the peer to the stack.
    pub(super) key: FlowKey,
    number: u64,
    /// The sequence number at which the peer's first region begins. What follows counts from here.
    base: u32,
    regions: usize,
    begun: Vec<Begun>,
    /// Where data of the peer has arrived, and where FINs.
    arrived: Ranges,
    fins: Vec<i64>,
    sent: Vec<Sent>,
    /// The stack may send SYN cookies: the last packet of a handshake that comes again begins the
    /// connection again, with a window scale of its own choice.
    cookies: bool,
    /// Streams that the application got.
    streams: usize,
    /// The most that the application has written to one stream.
    written: i64,
    /// The application has closed a stream for writing, or dropped it.
    closed: bool,
    /// The stack opened a connection.
    pub(super) connects: bool,
    /// Where RSTs lie that wait in a device. What arrives later may overtake them.
    resets: Vec<i64>,
    /// A RST that the stack may have taken has arrived.
    reset: bool,
    /// An ICMP error has arrived.
    unreachable: bool,
    /// The stack has ended.
    over: bool,
    /// The largest segment size and window scale of the peer's SYNs.
    mss: usize,
    scale: u8,
}

impl Flow {
    pub(super) fn new(key: FlowKey, number: usize, base: u32, cookies: bool) -> Self {
        Self {
            key,
            number: number as u64,
            base,
            regions: 0,
            begun: Vec::new(),
            arrived: Ranges::default(),
            fins: Vec::new(),
            sent: Vec::new(),
            cookies,
            streams: 0,
            written: 0,
            closed: false,
            connects: false,
            resets: Vec::new(),
            reset: false,
            unreachable: false,
            over: false,
            mss: 0,
            scale: 0,
        }
    }

    /// Begins a connection of the peer in a region of its own. Returns its initial sequence number,
    /// or `None` if no region is left.
    pub(super) fn begin(&mut self, jitter: u16) -> Option<u32> {
        if self.regions == REGIONS {
            return None;
        }
        let region = self
            .base
            .wrapping_add(REGION.wrapping_mul(self.regions as u32));
        self.regions += 1;
        Some(region.wrapping_add(1 << 24).wrapping_add(jitter.into()))
    }

    /// Returns whether the peer may send a SYN with any sequence number.
    pub(super) fn takes_any_syn(&self) -> bool {
        self.begun.len() < SYNS
    }

    /// Where a sequence number lies.
    fn place(&self, seq: u32) -> i64 {
        seq.wrapping_sub(self.base).into()
    }

    /// How far the receiver of a connection can have come in the peer's data, and with the FIN
    /// behind it. A FIN in the middle of the data ends the stream there.
    fn next(&self, begun: &Begun) -> (i64, i64) {
        let start = begun.at + 1;
        let end = self.arrived.end_from(start);
        let fin = self.fins.iter().any(|fin| (start..=end).contains(fin));
        (end, end + i64::from(fin))
    }

    /// Appends the peer's data at a sequence number.
    pub(super) fn append_data(&self, out: &mut Vec<u8>, seq: u32, len: usize) {
        content::append(out, self.number << 1, seq, len);
    }

    /// Appends what the application writes at a position.
    pub(super) fn append_written(&self, out: &mut Vec<u8>, at: usize, len: usize) {
        content::append(out, self.number << 1 | 1, at as u32, len);
    }

    /// A SYN with these options is on its way to the stack.
    pub(super) fn offer(&mut self, mss: usize, scale: u8) {
        self.mss = self.mss.max(mss);
        self.scale = self.scale.max(scale.min(14));
    }

    /// A segment with right checksums arrives at the stack.
    pub(super) fn arrives(&mut self, tcp: TcpHeader, len: usize) {
        let flags = tcp.flags;
        let acknowledges_syn = flags.ack()
            && self
                .sent
                .iter()
                .any(|sent| sent.isn.wrapping_add(1) == tcp.ack);
        let place = self.place(tcp.seq);
        if flags.rst() {
            self.resets.push(place);
            self.reset |= self.connects && acknowledges_syn;
            self.judge_resets();
            return;
        }
        if flags.syn() && !self.begun.iter().any(|begun| begun.at == place) {
            assert!(self.begun.len() < 64, "too many SYNs for a set");
            self.begun.push(Begun {
                at: place,
                acked: place,
            });
            self.judge_resets();
        }
        if flags.ack() {
            let scale = match self.cookies {
                true => 14,
                false if flags.syn() => 0,
                false => self.scale,
            };
            let window = i64::from(u32::from(tcp.window) << scale);
            for sent in &mut self.sent {
                let acked = i64::from(tcp.ack.wrapping_sub(sent.isn).wrapping_sub(1) as i32);
                sent.established |= acked == 0;
                if (-100_000..=sent.next + 100_000).contains(&acked) {
                    sent.edge = sent.edge.max(acked + window);
                }
            }
        } else if flags.syn() {
            // The window of a SYN is good for what the handshake lets the stack send.
            for sent in &mut self.sent {
                sent.edge = sent.edge.max(tcp.window.into());
            }
        }
        if !flags.ack() {
            return;
        }
        let start = place + i64::from(flags.syn());
        let end = start + len as i64;
        self.arrived.add(start, end);
        if flags.fin() && !self.fins.contains(&end) {
            self.fins.push(end);
        }
        self.judge_resets();
    }

    /// Notes whether the stack may take one of the RSTs that wait.
    fn judge_resets(&mut self) {
        self.reset |= self.resets.iter().any(|reset| {
            self.begun.iter().any(|begun| {
                // Connections that began near each other, or with one SYN after another, share
                // their acknowledgments.
                let alone = !self.cookies
                    && self.sent.len() <= 1
                    && !self.begun.iter().any(|other| {
                        other.at != begun.at && (other.at - begun.at).abs() < i64::from(REGION)
                    });
                let from = if alone { begun.acked } else { begun.at };
                (from..=self.next(begun).1).contains(reset)
            })
        });
    }

    /// The stack has received everything that has arrived.
    pub(super) fn has_received_all(&mut self) {
        self.resets.clear();
    }

    /// An ICMP error about a packet of the flow arrives.
    pub(super) fn is_unreachable(&mut self) {
        self.unreachable = true;
    }

    /// The stack sends a segment.
    pub(super) fn sends(&mut self, tcp: TcpHeader, data: &[u8], sack: &[(u32, u32)]) {
        let flags = tcp.flags;
        if flags.rst() {
            return;
        }
        if flags.syn() {
            assert!(data.is_empty() && !flags.fin(), "a SYN with more");
            assert!(flags.ack() || self.connects, "a SYN that nobody asked for");
            if !self.sent.iter().any(|sent| sent.isn == tcp.seq) {
                self.sent.push(Sent {
                    isn: tcp.seq,
                    established: false,
                    next: 0,
                    edge: 0,
                });
            }
        }
        if flags.ack() {
            self.acknowledges(tcp, sack);
        } else {
            assert!(flags.syn(), "a segment without an acknowledgment");
        }
        if !flags.syn() {
            self.carries(tcp, data);
        }
    }

    /// Checks what the stack acknowledges.
    fn acknowledges(&mut self, tcp: TcpHeader, sack: &[(u32, u32)]) {
        let place = self.place(tcp.ack);
        let most = self.begun.iter().map(|begun| self.next(begun).1);
        let fits: Vec<bool> = self
            .begun
            .iter()
            .zip(most)
            .map(|(begun, most)| (begun.at + 1..=most).contains(&place))
            .collect();
        assert!(
            fits.contains(&true),
            "an acknowledgment of what has not arrived, at {place}: {tcp:?}, {self:?}"
        );
        for (begun, fits) in self.begun.iter_mut().zip(fits) {
            if fits {
                begun.acked = begun.acked.max(place);
            }
        }
        for &(start, end) in sack {
            let (start, end) = (self.place(start), self.place(end));
            let with_fin = self.fins.contains(&(end - 1));
            assert!(
                start < end && self.arrived.contains(start, end - i64::from(with_fin)),
                "a SACK block from {start} to {end}: {self:?}"
            );
        }
    }

    /// Checks what the stack sends of the application's data.
    fn carries(&mut self, tcp: TcpHeader, data: &[u8]) {
        let len = data.len() as i64;
        if len == 0 && !tcp.flags.fin() {
            return;
        }
        let stream = self.number << 1 | 1;
        let least = if self.mss == 0 { 1460 } else { self.mss };
        assert!(
            data.len() <= least.max(LEAST_MSS),
            "{len} bytes, an MSS of {}",
            self.mss
        );
        let (written, closed) = (self.written, self.closed);
        let end =
            |sent: &Sent| i64::from(tcp.seq.wrapping_sub(sent.isn).wrapping_sub(1) as i32) + len;
        // A few bytes may be those of two sequence numbers that the stack has begun with.
        let right = self
            .sent
            .iter_mut()
            .filter(|sent| {
                let at = tcp.seq.wrapping_sub(sent.isn).wrapping_sub(1);
                (0..=written).contains(&end(sent)) && content::matches(data, stream, at)
            })
            .max_by_key(|sent| (sent.established, sent.edge.max(1) >= end(sent)));
        let Some(sent) = right else {
            panic!("data that nobody has written: {tcp:?}, {len} bytes, {self:?}");
        };
        let end = end(sent);
        assert!(sent.established, "data before the handshake: {sent:?}");
        // One byte beyond the window is a window probe.
        let edge = sent.edge.max(1);
        assert!(
            end <= edge,
            "{end} of a window of {edge}: {sent:?}, {tcp:?}"
        );
        assert!(!tcp.flags.fin() || closed, "a FIN that nobody asked for");
        sent.next = sent.next.max(end + i64::from(tcp.flags.fin()));
    }

    /// The stack has ended.
    pub(super) fn ends(&mut self) {
        self.over = true;
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// The application gets a stream.
    pub(super) fn hands_out(&mut self) {
        self.streams = if self.cookies { 1 } else { self.streams + 1 };
        let handshakes = self.sent.iter().filter(|sent| sent.established).count();
        assert!(
            self.streams <= handshakes,
            "{} streams of {handshakes} handshakes: {self:?}",
            self.streams
        );
    }

    /// The application has written so much to a stream in all.
    pub(super) fn wrote(&mut self, total: usize) {
        self.written = self.written.max(total as i64);
    }

    /// The application has closed a stream for writing, or dropped it.
    pub(super) fn closes(&mut self) {
        self.closed = true;
    }

    /// Returns which of the connections in the set `candidates` the application can have read
    /// `bytes` from, at position `at`.
    pub(super) fn readable(&self, candidates: u64, at: usize, bytes: &[u8]) -> u64 {
        self.filter(candidates, |begun| {
            let start = begun.at + 1 + at as i64;
            let seq = self.base.wrapping_add(start as u32);
            start + bytes.len() as i64 <= self.next(begun).0
                && content::matches(bytes, self.number << 1, seq)
        })
    }

    /// Returns which of the connections in the set `candidates` can have ended at position `at`.
    pub(super) fn ended(&self, candidates: u64, at: usize) -> u64 {
        self.filter(candidates, |begun| {
            let end = begun.at + 1 + at as i64;
            end <= self.next(begun).0 && self.fins.contains(&end)
        })
    }

    fn filter(&self, candidates: u64, fits: impl Fn(&Begun) -> bool) -> u64 {
        let numbers = (0..self.begun.len()).filter(|n| candidates >> n & 1 == 1);
        let fitting = numbers.filter(|n| fits(&self.begun[*n]));
        fitting.fold(0, |set, n| set | 1 << n)
    }

    /// Returns whether a stream of the flow may have been reset.
    pub(super) fn may_be_reset(&self) -> bool {
        self.reset
    }

    /// Returns whether a stream of the flow may fail by an ICMP error.
    pub(super) fn may_be_unreachable(&self) -> bool {
        self.unreachable
    }
}

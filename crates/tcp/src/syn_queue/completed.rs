//! Requests whose client has completed the handshake, by a SYN cookie.
//!
//! Such a client may send data. The queue acknowledges none: the client sends again what the queue
//! drops. It keeps one packet of each entry, the first with data, so that the first data waits for
//! no retransmission timeout once the program accepts.

use super::SynQueue;
use super::entry::{Content, SynEntry};
use crate::options::TcpOptions;
use crate::segment::Segment;
use crate::seq::{Micros, after};
use crate::shared::StackConfig;
use crate::syn_cookie::{self, SynCookie};
use brooklet_cell::Flavor;
use brooklet_packet::{FlowKey, Headers, TcpHeader};

/// The longest packet with data that is kept.
const MAX_PACKET: usize = 16 * 1024;

/// The bytes of packets with data that the queue keeps for each place in the backlog. An entry may
/// keep more while others keep less.
pub(super) const DATA_PER_PLACE: usize = 256;

/// What an entry has beyond those that wait for the program with a SYN alone.
#[derive(Debug)]
pub(crate) struct Completed {
    pub(crate) cookie: SynCookie,
    /// The window scale of the SYN-ACK.
    pub(crate) window_scale: u8,
    /// When the packet that the entry keeps arrived.
    pub(crate) arrived: Micros,
    /// The number after the last one that the client has sent.
    end: u32,
    /// The segment that is taken in once the program accepts.
    packet: Box<[u8]>,
    /// The segment has data.
    has_data: bool,
}

/// What becomes of a segment of a client that has completed the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The entry keeps it, or it says nothing new.
    Taken,
    /// The client will send it again.
    Dropped,
    /// The client has withdrawn its request by a RST.
    Reset,
    /// The client has withdrawn its request by a FIN without data. A RST answers it.
    Closed,
    /// A RST with another number than one that the client has reached.
    BadRst,
    /// It acknowledges nothing.
    NoAck,
    /// It acknowledges what was never sent.
    BadAck,
    /// A SYN: the client has the connection, or has lost it and resets it in answer to an ACK.
    Syn,
}

impl Completed {
    /// That of the segment that has brought `cookie` back from the client of `key`.
    pub(crate) fn new(key: FlowKey, cookie: SynCookie, window_scale: u8, arrived: Micros) -> Self {
        let syn = &cookie.syn;
        // A bare ACK: whether there is room for the data of the segment is decided later.
        let ack = Segment {
            seq: syn.isn.wrapping_add(1),
            ack: Some(cookie.iss.wrapping_add(1)),
            window: syn.window,
            timestamp: syn.timestamp,
            ttl: syn.hop_limit,
            traffic_class: syn.traffic_class,
            ..Segment::default()
        };
        Self {
            cookie,
            window_scale,
            arrived,
            end: cookie.syn.isn.wrapping_add(1),
            packet: ack.packet(key).into(),
            has_data: false,
        }
    }

    pub(super) fn packet(&self) -> &[u8] {
        &self.packet
    }

    /// The number of the client's first byte.
    fn start(&self) -> u32 {
        self.cookie.syn.isn.wrapping_add(1)
    }

    /// An ACK that a client in another state answers with a RST (RFC 5961, 4).
    pub(crate) fn challenge<F: Flavor>(
        &self,
        key: FlowKey,
        options: &TcpOptions,
        stack: &StackConfig<F>,
        now: Micros,
    ) -> Vec<u8> {
        let syn = &self.cookie.syn;
        let shift = syn.window_scale.map_or(0, |_| self.window_scale);
        let ack = Segment {
            seq: self.cookie.iss.wrapping_add(1),
            ack: Some(self.start()),
            window: (options.recv_buffer >> shift).min(u16::MAX.into()) as u16,
            timestamp: syn
                .timestamp
                .map(|(tsval, _)| (syn_cookie::clock(key, stack, now), tsval)),
            ttl: options.ttl,
            traffic_class: options.traffic_class,
            ..Segment::default()
        };
        ack.packet(key.reversed())
    }

    fn judge(&mut self, headers: &Headers, tcp: TcpHeader) -> Verdict {
        let flags = tcp.flags;
        let len = headers.payload_range().len() as u32;
        if flags.rst() {
            return match tcp.seq == self.start() || tcp.seq == self.end {
                true => Verdict::Reset,
                false => Verdict::BadRst,
            };
        }
        if flags.syn() {
            return Verdict::Syn;
        }
        if !flags.ack() {
            return Verdict::NoAck;
        }
        if tcp.ack != self.cookie.iss.wrapping_add(1) {
            return Verdict::BadAck;
        }
        if flags.fin() && len == 0 && tcp.seq == self.start() {
            return Verdict::Closed;
        }
        let end = tcp.seq.wrapping_add(len + u32::from(flags.fin()));
        // The client can have sent no more than the window of the SYN-ACK.
        if after(end, self.end) && !after(end, self.start().wrapping_add(u16::MAX.into())) {
            self.end = end;
        }
        match len {
            0 if !flags.fin() => Verdict::Taken,
            _ => Verdict::Dropped,
        }
    }
}

impl SynEntry {
    /// The handshake that the client has completed.
    pub(crate) fn completed(&self) -> Option<&Completed> {
        match &self.content {
            Content::Completed(completed) => Some(completed),
            Content::Syn(_) => None,
        }
    }
}

impl SynQueue {
    /// The number of entries whose client has completed the handshake.
    pub(crate) fn completed(&self) -> usize {
        self.completed
    }

    /// What there is of the client of `key`, if it has completed the handshake.
    pub(crate) fn completed_of(&self, key: FlowKey) -> Option<&Completed> {
        self.slots[self.find(key)? as usize].completed()
    }

    /// Takes in a segment of a client that has completed the handshake, at `now`. An entry that is
    /// withdrawn is still to be removed.
    pub(crate) fn completed_arrives(
        &mut self,
        packet: &[u8],
        headers: &Headers,
        tcp: TcpHeader,
        now: Micros,
    ) -> Verdict {
        let (bytes, room) = (self.data_bytes, self.limit.saturating_mul(DATA_PER_PLACE));
        let Some(slot) = self.find(headers.key()) else {
            return Verdict::Dropped;
        };
        let Content::Completed(completed) = &mut self.slots[slot as usize].content else {
            return Verdict::Dropped;
        };
        let verdict = completed.judge(headers, tcp);
        let fits = packet.len() <= MAX_PACKET && bytes + packet.len() <= room;
        let first = verdict == Verdict::Dropped && tcp.seq == completed.start();
        if !(first && fits) || completed.has_data {
            return verdict;
        }
        completed.has_data = true;
        completed.arrived = now;
        let before = std::mem::replace(&mut completed.packet, packet.into());
        self.content_bytes = self.content_bytes - before.len() + packet.len();
        self.data_bytes += packet.len();
        Verdict::Taken
    }

    /// An entry leaves the queue.
    pub(super) fn forget_completed(&mut self, entry: &SynEntry) {
        if let Some(completed) = entry.completed() {
            self.completed -= 1;
            if completed.has_data {
                self.data_bytes -= completed.packet.len();
            }
        }
    }
}

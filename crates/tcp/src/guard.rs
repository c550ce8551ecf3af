//! What stands between the wire and smoltcp.
//!
//! smoltcp is shown a perfect peer: one whose segments come in order, once, and unharmed, which
//! acknowledges what was sent and nothing else, and whose window allows just what may be sent now.
//! Everything that a real one does otherwise is dealt with here. So the rules of RFC 9293, 3.10.7
//! about what may come, those of RFC 5961 against blind attackers, selective acknowledgements,
//! timestamps, losses and congestion need nothing of smoltcp.

mod held;
mod stamps;

pub(crate) use self::held::Piece;
use self::held::{Held, Kept};
use self::stamps::{Options, Stamps};
use crate::options::Congestion;
use crate::segment::Segment;
use crate::send::{Ack, Sender, Terms};
use crate::seq::{Micros, after, later, seq};
use crate::syn::Syn;
use brooklet_packet::{Headers, TcpHeader};
use smoltcp::wire::{IPV6_HEADER_LEN, Ipv4Packet, TcpControl, TcpOption, TcpPacket, TcpSeqNumber};

/// The largest scale of the windows that smoltcp is shown. A unit must be small beside a segment,
/// and 16 MiB is enough to be under way.
const COARSEST: u8 = 8;

/// Follows one connection's sequence numbers in both directions.
///
/// It sees each packet: [`sent`](Self::sent) on the way out, [`admit`](Self::admit) before smoltcp
/// sees it on the way in.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) send: Sender,
    stamps: Stamps,
    held: Held,
    /// Pieces that may be held, and bytes.
    most_held: (usize, usize),
    /// Sequence number of the peer's first byte of data.
    start: Option<u32>,
    /// Bytes that the application has read or that were discarded for it.
    consumed: u32,
    window: Option<Open>,
    /// Our window scale (RFC 7323), once both sides have offered theirs.
    shift: u8,
    /// The peer's.
    peer_shift: u8,
    /// The scale that smoltcp believes the peer has: fine enough to show it any window exactly.
    shown_shift: u8,
    /// The window that smoltcp was shown last, in bytes.
    shown: u32,
    sack: bool,
    begun: bool,
    /// The last acknowledgement and window sent.
    acked: u32,
    told: u16,
    /// Something other than a SYN has been acknowledged, so that smoltcp's window is a real one.
    opened: bool,
    /// What came twice and has not been reported (RFC 2883).
    twice: Option<(u32, u32)>,
}

/// What may come.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Where smoltcp cuts off what comes.
    edge: u32,
    /// The furthest that the peer was ever told it may send.
    told: u32,
}

/// What a connection has that is not yet done with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// Bytes that wait in the receive buffer, and the FIN behind them.
    pub(crate) received: usize,
    /// Bytes that wait to be sent.
    pub(crate) unsent: usize,
    /// The peer's FIN has come.
    pub(crate) ended: bool,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Admission {
    /// smoltcp is to see it, as it has been rewritten.
    pub(crate) feed: bool,
    /// It said something new about what was sent, which smoltcp is to be told otherwise.
    pub(crate) tell: bool,
    pub(crate) answer: Answer,
    /// It comes from the peer itself, as far as can be known.
    pub(crate) credible: bool,
    /// It acknowledged something new.
    pub(crate) advanced: bool,
    /// A place to keep data that came too early was wanting.
    pub(crate) dropped: bool,
}

/// Whether the peer is told at once where this connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answer {
    #[default]
    No,
    /// Unless it has just been told: the answer might be answered (RFC 5961, 7).
    Seldom,
    Always,
}

impl Admission {
    const REFUSED: Self = Self::answered(Answer::No);
    const CHALLENGED: Self = Self::answered(Answer::Seldom);

    const fn answered(answer: Answer) -> Self {
        Self {
            feed: false,
            tell: false,
            answer,
            credible: false,
            advanced: false,
            dropped: false,
        }
    }

    fn fed() -> Self {
        Self {
            feed: true,
            credible: true,
            ..Self::default()
        }
    }
}

impl Guard {
    /// For a connection with buffers of these sizes. `offset` hides the time that timestamps tell.
    pub(crate) fn new(kind: Congestion, recv: usize, send: usize, offset: u32) -> Self {
        let mut shown_shift = 0;
        while send >> shown_shift > usize::from(u16::MAX) && shown_shift < COARSEST {
            shown_shift += 1;
        }
        Self {
            send: Sender::new(kind),
            stamps: Stamps::new(offset),
            held: Held::default(),
            most_held: ((recv / 256).max(64), recv),
            start: None,
            consumed: 0,
            window: None,
            shift: 0,
            peer_shift: 0,
            shown_shift,
            shown: 0,
            sack: false,
            begun: false,
            acked: 0,
            told: 0,
            opened: false,
            twice: None,
        }
    }

    /// The connection begins with `syn` of the peer; `mss` is the most data that a segment to it
    /// may carry. Returns the SYN as smoltcp is to see it.
    pub(crate) fn begin(
        &mut self,
        now: Micros,
        key: brooklet_packet::FlowKey,
        syn: &Syn,
        ack: Option<u32>,
        mss: u32,
    ) -> Vec<u8> {
        self.start = Some(syn.isn.wrapping_add(1));
        self.stamps.begin(now, syn.timestamp);
        self.sack = syn.sack;
        self.peer_shift = syn.scale.unwrap_or(0);
        if syn.scale.is_none() {
            self.shift = 0;
            self.shown_shift = 0;
        }
        let stamps = if self.stamps.on { 12 } else { 0 };
        self.send.agree(Terms {
            mss: mss.saturating_sub(stamps).max(1),
            sack: syn.sack,
            window: syn.window.into(),
        });
        let window = (self.send.window().0.min(syn.window.into())) as u16;
        self.shown = window.into();
        let scale = syn.scale.map(|_| self.shown_shift);
        syn.packet(key, ack, window, scale)
    }

    /// The path takes no more than `mss` bytes of data and options.
    pub(crate) fn narrow(&mut self, mss: u32) {
        let stamps = if self.stamps.on { 12 } else { 0 };
        self.send.shrink(mss.saturating_sub(stamps).max(1));
    }

    /// The SYN-ACK to our SYN has been taken in.
    pub(crate) fn greeted(&mut self, now: Micros, syn: &Syn) {
        let ack = Ack {
            seq: syn.isn,
            ack: self.send.nxt(),
            window: syn.window.into(),
            sack: &[],
            rtt: None,
            data: false,
        };
        self.send.on_ack(now, ack);
        if self.window.is_none() {
            self.advertise(syn.isn.wrapping_add(1), self.told, 0, None);
        }
    }

    /// Whether the peer's SYN has the number `seq`.
    pub(crate) fn is_syn_of_peer(&self, seq: u32) -> bool {
        self.start == Some(seq.wrapping_add(1))
    }

    pub(crate) fn peer_shift(&self) -> u8 {
        self.peer_shift
    }

    /// `bytes` have left the receive buffer.
    pub(crate) fn consumed(&mut self, bytes: usize) {
        self.consumed = self.consumed.wrapping_add(bytes as u32);
    }

    /// Where TIME-WAIT takes over: our next sequence number and the last acknowledgement.
    pub(crate) fn last(&self) -> (u32, u32) {
        (self.send.nxt(), self.acked)
    }

    /// The next number expected of the peer, when `received` numbers wait to be read.
    fn next(&self, received: usize) -> Option<u32> {
        let read = self.start?.wrapping_add(self.consumed);
        Some(read.wrapping_add(received as u32))
    }

    /// Looks at a packet that smoltcp made, writes the time into it, and advertises a little less
    /// than smoltcp does.
    ///
    /// smoltcp rounds its window down to the unit of the window scale. While data comes in and
    /// nothing is read, the edge of what it takes moves back and forth by up to a unit, and it
    /// drops what a peer has sent by leave of the further edge. One unit less is always inside.
    pub(crate) fn sent(&mut self, now: Micros, packet: &mut [u8]) {
        let header = match packet.first() {
            Some(first) if first >> 4 == 4 => {
                usize::from(Ipv4Packet::new_unchecked(&packet).header_len())
            }
            _ => IPV6_HEADER_LEN,
        };
        let Some(packet) = packet.get_mut(header..) else {
            return;
        };
        let Ok(tcp) = TcpPacket::new_checked(&*packet) else {
            return;
        };
        if tcp.rst() {
            return;
        }
        let start = seq(tcp.seq_number());
        if tcp.syn() {
            self.shift = window_scale(tcp.options()).unwrap_or(0);
            if !self.begun {
                self.begun = true;
                self.send.begin(start);
            }
        }
        let end = start.wrapping_add(tcp.segment_len() as u32);
        if after(end, self.send.nxt()) {
            self.send.sent(now, start, end, tcp.fin(), tcp.payload());
        } else if end != start {
            self.send.sent_again(now);
        }
        let (ack, syn, header_len) = (tcp.ack(), tcp.syn(), tcp.header_len());
        let (acked, window) = (seq(tcp.ack_number()), tcp.window_len());
        self.opened |= ack && !syn;
        if end == start && start != self.send.empty() {
            patch(packet, SEQ, &self.send.empty().to_be_bytes());
        }
        if header_len > 20 {
            stamp(packet, self.stamps.pair(now));
        }
        if !ack {
            self.told = window.min(u16::MAX - 1);
            return;
        }
        // The window of a SYN is never scaled (RFC 7323, 2.2), and only that of the smallest
        // scaled buffer reaches into its last unit.
        let (shift, told) = match (syn, self.shift) {
            (_, 0) => (0, window),
            (true, _) => (0, window.min(u16::MAX - 1)),
            (false, shift) => (shift, window.saturating_sub(1)),
        };
        if told != window {
            patch(packet, WINDOW, &told.to_be_bytes());
        }
        let edge = acked.wrapping_add(u32::from(window) << shift);
        self.advertise(acked, told, shift, Some(edge));
    }

    /// An acknowledgement and a window have been sent.
    fn advertise(&mut self, acked: u32, told: u16, shift: u8, edge: Option<u32>) {
        self.acked = acked;
        self.told = told;
        let furthest = acked.wrapping_add(u32::from(told) << shift);
        self.window = Some(match self.window {
            Some(open) => Open {
                edge: edge.unwrap_or(open.edge),
                told: later(open.told, furthest),
            },
            None => Open {
                edge: edge.unwrap_or(furthest),
                told: furthest,
            },
        });
    }

    /// An acknowledgement of all that has come, for which smoltcp has no reason.
    pub(crate) fn answer(&mut self, now: Micros, received: usize, ttl: u8) -> Segment<'static> {
        let mut ack = self.acked;
        let mut window = self.told;
        if let (Some(next), Some(open), true) = (self.next(received), self.window, self.opened)
            && after(next, ack)
        {
            // The right edge stays where it is.
            let room = match after(open.told, next) {
                true => open.told.wrapping_sub(next),
                false => 0,
            };
            ack = next;
            window = (room >> self.shift).min(u32::from(self.told)) as u16;
            self.advertise(ack, window, self.shift, None);
        }
        let twice = self.twice.take();
        Segment {
            seq: self.send.empty(),
            ack: Some(ack),
            window,
            sack: match self.sack {
                true => self.held.report(twice),
                false => [None; 3],
            },
            timestamp: self.stamps.wanted(now),
            ttl,
            ..Segment::default()
        }
    }

    /// A question whether the peer is still there (RFC 9293, 3.8.4).
    pub(crate) fn question(&mut self, now: Micros, received: usize, ttl: u8) -> Segment<'static> {
        Segment {
            seq: self.send.nxt().wrapping_sub(1),
            ..self.answer(now, received, ttl)
        }
    }

    /// The next segment to be sent again.
    pub(crate) fn resend(&mut self, now: Micros, ttl: u8) -> Option<Segment<'_>> {
        let timestamp = self.stamps.wanted(now);
        let (ack, window) = (self.acked, self.told);
        let (seq, payload, fin) = self.send.resend(now)?;
        Some(Segment {
            control: if fin {
                TcpControl::Fin
            } else {
                TcpControl::Psh
            },
            seq,
            ack: Some(ack),
            window,
            timestamp,
            ttl,
            payload,
            ..Segment::default()
        })
    }

    /// What smoltcp is to be told of the peer, if that is not what it believes: that all is as it
    /// was, and the window such that it sends what may be sent. `unsent` bytes wait.
    pub(crate) fn word(
        &mut self,
        received: usize,
        unsent: usize,
        always: bool,
    ) -> Option<Segment<'static>> {
        let next = self.next(received)?;
        if !always && !self.mistold(unsent) {
            return None;
        }
        let units = self.units(unsent);
        let bytes = u32::from(units) << self.shown_shift;
        self.shown = bytes;
        Some(Segment {
            seq: next,
            ack: Some(self.send.una()),
            window: units,
            ..Segment::default()
        })
    }

    /// What the peer may still send by leave of what it was told since the handshake, whose
    /// window is small, and the most that it can be told.
    pub(crate) fn window_told(&self, received: usize) -> Option<(usize, usize)> {
        let (next, open) = (self.next(received)?, self.window?);
        let told = match after(open.told, next) {
            true => open.told.wrapping_sub(next),
            false => 0,
        };
        let most = usize::from(u16::MAX) << self.shift;
        self.opened.then_some((told as usize, most))
    }

    /// A byte of the peer that has been received already.
    pub(crate) fn old_byte(&self, received: usize) -> Option<Segment<'static>> {
        Some(Segment {
            seq: self.next(received)?.wrapping_sub(1),
            ack: Some(self.send.una()),
            window: (self.shown >> self.shown_shift) as u16,
            timestamp: self.stamps.on.then_some((0, 0)),
            payload: &[0],
            ..Segment::default()
        })
    }

    /// The same with a window that reaches just as far as what has been sent, so that smoltcp
    /// gives all of it out again.
    pub(crate) fn word_for_copies(&mut self, received: usize) -> Option<Segment<'static>> {
        let next = self.next(received)?;
        let units = self.send.flight().div_ceil(1 << self.shown_shift);
        let units = units.min(u16::MAX.into()) as u16;
        self.shown = u32::from(units) << self.shown_shift;
        Some(Segment {
            seq: next,
            ack: Some(self.send.una()),
            window: units,
            ..Segment::default()
        })
    }

    /// Whether smoltcp would send what it should not, or not send what it may.
    fn mistold(&self, unsent: usize) -> bool {
        if unsent == 0 {
            return false;
        }
        let wants = self.send.flight() as usize + unsent;
        let bytes = u32::from(self.units(unsent)) << self.shown_shift;
        match bytes < self.shown {
            true => wants > bytes as usize,
            false => bytes > self.shown && wants > self.shown as usize,
        }
    }

    /// Whether the window that smoltcp knows does not reach over all that is under way.
    pub(crate) fn short(&self) -> bool {
        self.shown < self.send.flight()
    }

    fn units(&self, unsent: usize) -> u16 {
        let flight = self.send.flight();
        let allowance = self.send.allowance(unsent);
        let units = match unsent {
            // All of what is under way, so that it can be had again in any state.
            0 => allowance.div_ceil(1 << self.shown_shift),
            // And nothing beyond what may be sent.
            _ => allowance >> self.shown_shift,
        };
        let units = units.min(u16::MAX.into()) as u16;
        // A closed window over what is under way would stop smoltcp's timer, which is needed to
        // get that out of it once more.
        units.max(u16::from(flight > 0 || allowance > 0))
    }

    /// Looks at a packet of the peer, takes in what it says, and rewrites it to what smoltcp is
    /// to see. `received` is what waits in the receive buffer, and the FIN behind it; `unsent` is
    /// what waits to be sent. The TCP checksum, already verified, is not kept up to date.
    pub(crate) fn admit(
        &mut self,
        now: Micros,
        packet: &mut [u8],
        headers: &Headers,
        tcp: TcpHeader,
        waits: Waits,
    ) -> Admission {
        let Waits {
            received, unsent, ..
        } = waits;
        let (Some(next), Some(open)) = (self.next(received), self.window) else {
            return Admission::REFUSED;
        };
        if tcp.flags.rst() {
            // RFC 5961, 3.2.
            return match tcp.seq {
                seq if seq == next => Admission::fed(),
                seq if after(seq, next) && after(open.told, seq) => Admission::CHALLENGED,
                _ => Admission::REFUSED,
            };
        }
        if tcp.flags.syn() {
            return Admission::CHALLENGED; // RFC 5961, 4.2
        }
        if !tcp.flags.ack() {
            return Admission::REFUSED;
        }
        let options =
            Options::parse(TcpPacket::new_unchecked(&packet[headers.transport_range()]).options());
        if let Some((val, _)) = options.timestamp
            && self.stamps.stale(now, val)
        {
            return Admission::CHALLENGED; // RFC 7323, 5.3
        }
        let una = self.send.una();
        let oldest = una.wrapping_sub(self.send.largest_window());
        if after(tcp.ack, self.send.nxt()) || after(oldest, tcp.ack) {
            return Admission::CHALLENGED; // RFC 5961, 5.2
        }
        let payload = headers.payload_range();
        let len = payload.len() as u32 + u32::from(tcp.flags.fin());
        let data_end = tcp.seq.wrapping_add(payload.len() as u32);
        let end = tcp.seq.wrapping_add(len);
        let (low, high) = (
            next.wrapping_sub(self.reach(open, next)),
            open.told.wrapping_add(1),
        );
        if after(low, tcp.seq) || after(tcp.seq, high) {
            return match len {
                0 => Admission::CHALLENGED,
                _ => Admission::answered(Answer::Always), // RFC 9293, 3.10.7.4
            };
        }
        if let Some((val, _)) = options.timestamp
            && !after(tcp.seq, self.acked)
        {
            self.stamps.note(now, val);
        }
        let mut admission = self.hear(now, tcp, &options, len > 0);
        admission.credible = true;
        admission.tell |= self.mistold(unsent);
        if len == 0 {
            // Only that it is before its time tells a question from an acknowledgement.
            if after(next, tcp.seq) {
                admission.answer = Answer::Seldom;
            }
            if admission.tell {
                self.rewrite(packet, headers, next, unsent);
                admission.feed = true;
                admission.tell = false;
            }
            return admission;
        }
        if waits.ended && after(end, next) {
            // Behind the peer's FIN there is nothing (RFC 9293, 3.10.7.4).
            admission.answer = Answer::Seldom;
        } else if !after(end, next) {
            self.twice = Some((tcp.seq, end));
            admission.answer = Answer::Always;
        } else if !(after(open.edge, tcp.seq) || payload.is_empty() && tcp.seq == next)
            || (!self.opened && after(data_end, open.edge))
        {
            // A window that is probed, or, before the first acknowledgement, data that smoltcp
            // would take without having a place for it.
            admission.answer = Answer::Always;
        } else if after(tcp.seq, next) {
            // What was never allowed is not kept, and a FIN behind that comes again.
            let room = match after(open.told, tcp.seq) {
                true => open.told.wrapping_sub(tcp.seq) as usize,
                false => 0,
            };
            let fin = tcp.flags.fin() && payload.len() <= room;
            let data = &packet[payload];
            let data = &data[..data.len().min(room)];
            match self.held.keep(tcp.seq, data, fin, self.most_held) {
                Kept::Yes | Kept::Nothing => {}
                Kept::Twice => self.twice = Some((tcp.seq, end)),
                Kept::Full => admission.dropped = true,
            }
            admission.answer = Answer::Always;
        } else {
            if after(next, tcp.seq) {
                self.twice = Some((tcp.seq, next));
            }
            self.rewrite(packet, headers, tcp.seq, unsent);
            // smoltcp cuts the data at the edge but takes the FIN behind it: the bytes between
            // would be lost and the reader told that all came. The peer sends the FIN again.
            if tcp.flags.fin() && after(data_end, open.edge) {
                let mut tcp = TcpPacket::new_unchecked(&mut packet[headers.transport_range()]);
                tcp.set_fin(false);
            }
            admission.feed = true;
            admission.tell = false;
        }
        admission
    }

    /// The next of what came too early, once all before it is there.
    pub(crate) fn piece(&mut self, received: usize) -> Option<Piece> {
        let next = self.next(received)?;
        self.held.received(next);
        self.held.take(next)
    }

    /// A piece as smoltcp is to see it.
    pub(crate) fn deliver<'a>(&self, piece: &'a Piece) -> Segment<'a> {
        Segment {
            control: match piece.fin {
                true => TcpControl::Fin,
                false => TcpControl::None,
            },
            seq: piece.start,
            ack: Some(self.send.una()),
            window: (self.shown >> self.shown_shift) as u16,
            payload: &piece.data,
            ..Segment::default()
        }
    }

    /// How far before what is expected a segment may begin and still be a late one.
    fn reach(&self, open: Open, next: u32) -> u32 {
        let window = match after(open.told, next) {
            true => open.told.wrapping_sub(next),
            false => 0,
        };
        window.max(65_536)
    }

    /// Takes in what an acceptable segment acknowledges.
    fn hear(&mut self, now: Micros, tcp: TcpHeader, options: &Options, data: bool) -> Admission {
        let ack = Ack {
            seq: tcp.seq,
            ack: tcp.ack,
            window: u32::from(tcp.window) << self.peer_shift,
            sack: options.sack(),
            rtt: options
                .timestamp
                .and_then(|(_, ecr)| self.stamps.rtt(now, ecr)),
            data,
        };
        let advanced = self.send.on_ack(now, ack);
        Admission {
            advanced,
            tell: advanced,
            ..Admission::default()
        }
    }

    fn rewrite(&mut self, packet: &mut [u8], headers: &Headers, start: u32, unsent: usize) {
        let units = self.units(unsent);
        self.shown = u32::from(units) << self.shown_shift;
        let mut tcp = TcpPacket::new_unchecked(&mut packet[headers.transport_range()]);
        tcp.set_seq_number(TcpSeqNumber(start as i32));
        tcp.set_ack_number(TcpSeqNumber(self.send.una() as i32));
        tcp.set_window_len(units);
    }
}

/// Where these stand in a TCP header (RFC 9293, 3.1).
const SEQ: usize = 4;
const WINDOW: usize = 14;
const CHECKSUM: usize = 16;

/// Writes `bytes` into a segment from `at` on, and keeps its checksum right (RFC 1624, equation 3).
fn patch(segment: &mut [u8], at: usize, bytes: &[u8]) {
    let words = at & !1..(at + bytes.len()).next_multiple_of(2);
    let sum = |segment: &[u8], flip: u16| -> u32 {
        let words = segment[words.clone()].chunks_exact(2);
        words
            .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]) ^ flip))
            .sum()
    };
    let checksum = u16::from_be_bytes([segment[CHECKSUM], segment[CHECKSUM + 1]]);
    let old = sum(segment, u16::MAX);
    segment[at..at + bytes.len()].copy_from_slice(bytes);
    let mut folded = u32::from(!checksum) + old + sum(segment, 0);
    while folded > 0xffff {
        folded = (folded & 0xffff) + (folded >> 16);
    }
    segment[CHECKSUM..CHECKSUM + 2].copy_from_slice(&(!(folded as u16)).to_be_bytes());
}

/// Writes the time into a segment that has a place for it.
fn stamp(segment: &mut [u8], (val, ecr): (u32, u32)) {
    let header = usize::from(TcpPacket::new_unchecked(&*segment).header_len());
    let mut at = 20;
    while at + 10 <= header {
        match (segment[at], segment[at + 1]) {
            (8, 10) => {
                let mut pair = [0; 8];
                pair[..4].copy_from_slice(&val.to_be_bytes());
                pair[4..].copy_from_slice(&ecr.to_be_bytes());
                return patch(segment, at + 2, &pair);
            }
            (0, _) => return,
            (1, _) => at += 1,
            (_, len) => at += usize::from(len.max(2)),
        }
    }
}

fn window_scale(mut options: &[u8]) -> Option<u8> {
    while !options.is_empty() {
        match TcpOption::parse(options) {
            Ok((_, TcpOption::WindowScale(shift))) => return Some(shift.min(14)),
            Ok((_, TcpOption::EndOfList)) | Err(_) => return None,
            Ok((rest, _)) => options = rest,
        }
    }
    None
}

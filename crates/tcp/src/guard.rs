//! What stands between the wire and smoltcp.
//!
//! smoltcp is shown a perfect peer: one whose segments come in order, once, and unharmed, which
//! acknowledges what was sent and nothing else, and whose window allows just what may be sent now.
//! Everything that a real one does otherwise is dealt with here. So the rules of RFC 9293, 3.10.7
//! about what may come, those of RFC 5961 against blind attackers, selective acknowledgements,
//! timestamps, losses and congestion need nothing of smoltcp.

mod greeting;
mod held;
mod outward;
mod rewrite;
mod stamps;
mod word;

pub(crate) use self::held::Piece;
use self::held::{Held, Kept};
use self::stamps::{Options, Stamps};
use crate::options::Congestion;
use crate::segment::Segment;
use crate::send::{Ack, Sender};
use crate::seq::{Micros, after, earlier};
use brooklet_packet::{Headers, TcpHeader};
use smoltcp::wire::{TcpControl, TcpPacket, TcpSeqNumber};

/// The largest scale of the windows that smoltcp is shown. A unit must be small beside a segment,
/// and 16 MiB is enough to be under way.
const COARSEST: u8 = 8;

/// The most data that fits into a packet of either version of IP, beside timestamps.
const LONGEST: u32 = 65_535 - 60 - 12;

/// A full segment on most paths.
const SEGMENT: usize = 1460;

/// Follows one connection's sequence numbers in both directions.
///
/// It sees each packet: [`sent`](Self::sent) on the way out, [`admit`](Self::admit) before smoltcp
/// sees it on the way in.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) send: Sender,
    stamps: Stamps,
    held: Held,
    /// By less than this the window does not open (RFC 9293, 3.8.6.2.2).
    crumb: u32,
    /// Pieces that may be held, and bytes.
    most_held: (usize, usize),
    /// Sequence number of the peer's first byte of data.
    start: Option<u32>,
    /// Bytes that the application has read or that were discarded for it.
    consumed: u32,
    window: Option<Open>,
    /// The receive buffer at its largest, in bytes.
    recv: usize,
    /// Both sides have offered a window scale (RFC 7323).
    scaled: bool,
    /// Our window scale, and that of the present socket: it is smaller if its buffer is.
    shift: u8,
    inner_shift: u8,
    /// The peer's.
    peer_shift: u8,
    /// The scale that smoltcp believes the peer has: fine enough to show it any window exactly.
    shown_shift: u8,
    /// The window that smoltcp was shown last, in bytes.
    shown: u32,
    sack: bool,
    begun: bool,
    /// smoltcp's segments are of any length and are cut elsewhere.
    cut: bool,
    /// The last acknowledgement and window sent.
    acked: u32,
    told: u16,
    /// Something other than a SYN has been acknowledged: the window of the handshake was smaller.
    opened: bool,
    /// What came twice and has not been reported (RFC 2883).
    twice: Option<(u32, u32)>,
}

/// What may come.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Where smoltcp cuts off what comes. Without a socket, what the peer was told.
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
    /// Unless it has just been told: the answer might be answered.
    Seldom,
    /// The same, for what a stranger may have sent (RFC 5961, 7), which must not use up the
    /// answers to the peer.
    Challenge,
    Always,
    /// Once for each segment that came: the peer counts the answers (RFC 5681, 3.2).
    Each,
}

impl Admission {
    const REFUSED: Self = Self::answered(Answer::No);
    const CHALLENGED: Self = Self::answered(Answer::Challenge);

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
    /// With `cut` smoltcp's segments are of any length and cut elsewhere.
    pub(crate) fn new(kind: Congestion, recv: usize, send: usize, offset: u32, cut: bool) -> Self {
        let mut shown_shift = 0;
        while send >> shown_shift > usize::from(u16::MAX) && shown_shift < COARSEST {
            shown_shift += 1;
        }
        Self {
            send: Sender::new(kind),
            stamps: Stamps::new(offset),
            held: Held::default(),
            crumb: greeting::crumb(recv),
            most_held: ((recv / 256).max(64), recv),
            start: None,
            consumed: 0,
            window: None,
            recv,
            scaled: false,
            shift: 0,
            inner_shift: 0,
            peer_shift: 0,
            shown_shift,
            shown: 0,
            sack: false,
            begun: false,
            cut,
            acked: 0,
            told: 0,
            opened: false,
            twice: None,
        }
    }

    /// The path takes no more than `mss` bytes of data and options.
    pub(crate) fn narrow(&mut self, mss: u32) {
        self.send
            .shrink(mss.saturating_sub(self.stamps_len()).max(1));
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

    /// Looks at a packet of the peer, takes in what it says, and rewrites it to what smoltcp is
    /// to see. The TCP checksum, already verified, is not kept up to date.
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
        // A socket made when memory was scarce has less room than was promised.
        let limit = earlier(open.told, open.edge);
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
        } else if tcp.flags.fin() && data_end == next && !payload.is_empty() {
            // Only the FIN is new, and smoltcp does not look at a segment whose data is old.
            self.held.keep(next, &[], true, held::UNLIMITED);
            self.twice = Some((tcp.seq, next));
            admission.tell = true;
        } else if !(after(limit, tcp.seq) || payload.is_empty() && tcp.seq == next) {
            admission.answer = Answer::Always; // a window that is probed
        } else if after(tcp.seq, next) || after(data_end, limit) {
            // What was never allowed is not kept, and a FIN behind that comes again: smoltcp would
            // cut the data off and take the FIN, and the reader be told that all came.
            let room = limit.wrapping_sub(tcp.seq).min(payload.len() as u32) as usize;
            let fin = tcp.flags.fin() && room == payload.len();
            let data = &packet[payload][..room];
            let at_once = !after(tcp.seq, next);
            let most = match at_once {
                true => held::UNLIMITED, // it does not stay
                false => self.most_held,
            };
            match self.held.keep(tcp.seq, data, fin, most) {
                Kept::Yes | Kept::Nothing => {}
                Kept::Twice => {
                    let kept = room as u32 + u32::from(fin);
                    self.twice = Some((tcp.seq, tcp.seq.wrapping_add(kept)));
                }
                Kept::Full => admission.dropped = true,
            }
            admission.tell |= at_once;
            admission.answer = match at_once || self.sack {
                true => Answer::Always,
                false => Answer::Each,
            };
        } else {
            if after(next, tcp.seq) {
                self.twice = Some((tcp.seq, next));
            }
            self.rewrite(packet, headers, tcp.seq, unsent);
            admission.feed = true;
            admission.tell = false;
        }
        admission
    }

    /// Whether `end` lies beyond what smoltcp takes.
    pub(crate) fn overflows(&self, end: u32) -> bool {
        self.window.is_some_and(|open| after(end, open.edge))
    }

    /// Keeps what is to be fed piece by piece, as far as there is room.
    pub(crate) fn hold(&mut self, start: u32, data: &[u8], fin: bool) {
        self.held.keep(start, data, fin, held::UNLIMITED);
    }

    /// The next of what came too early, once all before it is there.
    pub(crate) fn piece(&mut self, received: usize) -> Option<Piece> {
        let next = self.next(received)?;
        self.held.received(next);
        let mut piece = self.held.take(next)?;
        let edge = self.window?.edge;
        if after(piece.end(), edge) {
            // The socket is a new one with less room than was promised. It would cut the data off
            // and take the FIN. What has been reported is taken back (RFC 2018, 8).
            self.held = Held::default();
            piece.cut(edge);
        }
        after(piece.end(), next).then_some(piece)
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

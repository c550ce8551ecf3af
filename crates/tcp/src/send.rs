//! What smoltcp does not do for what it has sent: find losses and send again.
//!
//! smoltcp cuts what the application writes into segments and keeps it until it is acknowledged.
//! Here is known when each of them was sent and what the peer has reported (RFC 2018), so that a
//! loss is found by time (RACK, RFC 8985), a lost end by a probe (TLP, the same), and everything
//! else by a timeout (RFC 6298). smoltcp itself is shown neither losses nor the time.

mod congestion;
mod copies;
mod deadlines;
mod heard;
mod rtt;
mod scoreboard;

use self::congestion::Window;
use self::copies::Copies;
use self::rtt::Rtt;
use self::scoreboard::{Mark, Scoreboard};
use crate::options::Congestion;
use crate::seq::{Micros, after, earlier, later};

/// How long a peer may delay the acknowledgement of a lone segment.
const DELAYED_ACK: Micros = 200_000;

/// Duplicate acknowledgements, or segments reported beyond a gap, that mean a loss even if
/// nothing else does (RFC 5681, 3.2).
const DUPLICATES: u32 = 3;

/// The sending side of one connection.
#[derive(Debug)]
pub(crate) struct Sender {
    board: Scoreboard,
    copies: Copies,
    rtt: Rtt,
    window: Window,
    kind: Congestion,
    /// Bytes of data in a full segment.
    mss: u32,
    /// The peer sends selective acknowledgements.
    sack: bool,
    /// The right edge of the peer's window, and its largest so far.
    edge: u32,
    largest: u32,
    /// Sequence and acknowledgement of the segment that the edge is from (RFC 9293, 3.10.7.4).
    edge_from: Option<(u32, u32)>,
    /// Of what has arrived, the part sent last: when, and its end.
    newest: Option<(Micros, u32)>,
    /// The round trip of that part.
    latest_rtt: Micros,
    /// Packets overtake each other on this path, and by how many quarters of a round trip they
    /// are given time to arrive.
    reordered: bool,
    patience: u32,
    /// When what has been overtaken counts as lost.
    overtaken_at: Option<Micros>,
    duplicates: u32,
    recovery: Option<Recovery>,
    /// One segment may go out whatever the congestion window says.
    urgent: bool,
    /// The end of what has been sent again to learn whether it had been lost.
    probed: Option<u32>,
    /// What the retransmission timeout counts from.
    timer: Option<Micros>,
    backoff: u32,
    sent_at: Micros,
    /// A small window has been waited out.
    impatient: bool,
    /// The number of the FIN.
    fin: Option<u32>,
    retransmits: u64,
}

/// Until `point` is acknowledged, losses are those of one event.
#[derive(Clone, Copy, Debug)]
struct Recovery {
    point: u32,
    timeout: bool,
}

/// An acknowledgement of something between what is acknowledged and what has been sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack<'a> {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    /// In bytes.
    pub(crate) window: u32,
    /// Blocks of the SACK option, as they stand there.
    pub(crate) sack: &'a [(u32, u32)],
    /// A round trip measured by timestamps.
    pub(crate) rtt: Option<Micros>,
    /// The segment carries data, or ends the stream.
    pub(crate) data: bool,
}

/// What the peer's SYN says about sending to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) mss: u32,
    pub(crate) sack: bool,
    /// Unscaled, in bytes.
    pub(crate) window: u32,
}

impl Sender {
    pub(crate) fn new(kind: Congestion) -> Self {
        Self {
            board: Scoreboard::new(0),
            copies: Copies::default(),
            rtt: Rtt::default(),
            window: Window::new(kind, 536),
            kind,
            mss: 536,
            sack: false,
            edge: 0,
            largest: 0,
            edge_from: None,
            newest: None,
            latest_rtt: 0,
            reordered: false,
            patience: 1,
            overtaken_at: None,
            duplicates: 0,
            recovery: None,
            urgent: false,
            probed: None,
            timer: None,
            backoff: 0,
            sent_at: 0,
            impatient: false,
            fin: None,
            retransmits: 0,
        }
    }

    /// Our SYN has the number `iss`.
    pub(crate) fn begin(&mut self, iss: u32) {
        self.board = Scoreboard::new(iss);
        self.edge = iss.wrapping_add(1);
    }

    /// The peer has said how it wants to be sent to.
    pub(crate) fn agree(&mut self, terms: Terms) {
        self.mss = terms.mss;
        self.sack = terms.sack;
        self.largest = terms.window;
        self.window = Window::new(self.kind, terms.mss);
        if self.board.flight() > 0 {
            self.edge = self.board.nxt().wrapping_add(terms.window);
        }
    }

    /// Segments are to carry `mss` bytes from now on, and what is under way did not fit the path
    /// (RFC 1191, 6.4).
    pub(crate) fn shrink(&mut self, mss: u32) {
        if mss < self.mss {
            self.mss = mss;
            self.window.set_mss(mss);
            self.board.lose_if(|_| true);
            self.urgent = true;
        }
    }

    /// Nothing is under way for some time to come: gives memory back.
    pub(crate) fn rest(&mut self) {
        self.copies.clear();
        self.board.rest();
    }

    pub(crate) fn una(&self) -> u32 {
        self.board.una()
    }

    /// The number after the last one sent.
    pub(crate) fn nxt(&self) -> u32 {
        self.board.nxt()
    }

    /// The number of a segment without data. That after the last one sent may lie outside of a
    /// window that has shrunk, where a peer does not look at what is acknowledged.
    pub(crate) fn empty(&self) -> u32 {
        earlier(self.board.nxt(), later(self.edge, self.board.una()))
    }

    /// Sent and not acknowledged, in sequence numbers.
    pub(crate) fn flight(&self) -> u32 {
        self.board.flight()
    }

    pub(crate) fn mss(&self) -> u32 {
        self.mss
    }

    /// smoltcp sent `start..end`, of which `fin` says whether it ends with a FIN, for the first
    /// time as far as it is new. `payload` is its data.
    pub(crate) fn sent(&mut self, now: Micros, start: u32, end: u32, fin: bool, payload: &[u8]) {
        if self.board.flight() == 0 {
            if now > self.sent_at + self.rtt.timeout(0) && self.sent_at > 0 {
                self.window.on_idle();
            }
            self.timer = Some(now);
        }
        if !self.copies.is_empty() {
            self.copies.add(start, payload);
        }
        if fin {
            self.fin = Some(end.wrapping_sub(1));
        }
        self.board.push(now, end, Mark::Flying);
        self.sent_at = now;
        self.impatient = false;
    }

    /// The SYN has been sent again.
    pub(crate) fn sent_again(&mut self, now: Micros) {
        let (start, end) = (self.board.una(), self.board.nxt());
        self.board.resent(now, start, end);
        self.retransmits += 1;
        self.timer = Some(now);
    }

    /// Whether a loss needs bytes that are not at hand; if so [`copy`](Self::copy) is to be called
    /// with everything that is not acknowledged.
    pub(crate) fn wants_copies(&self) -> bool {
        let last = match self.fin {
            Some(fin) => fin,
            None => self.board.nxt(),
        };
        self.board.lost() > 0
            && after(last, self.board.una())
            && !self.copies.cover(self.board.una(), last)
    }

    /// Everything that was copied is given up, to be copied anew.
    pub(crate) fn forget_copies(&mut self) {
        self.copies.clear();
    }

    /// smoltcp gave out `start` and following once more, to be kept.
    pub(crate) fn copy(&mut self, now: Micros, start: u32, payload: &[u8], fin: bool) {
        self.copies.add(start, payload);
        let end = start.wrapping_add(payload.len() as u32);
        if fin {
            self.fin = Some(end);
        }
        // More than had been sent is sent from here.
        let end = end.wrapping_add(u32::from(fin));
        self.board.push(now, end, Mark::Lost);
    }

    /// The next stretch to be sent again: its number, its bytes, and whether a FIN follows them.
    pub(crate) fn resend(&mut self, now: Micros) -> Option<(u32, &[u8], bool)> {
        let (start, end) = self.board.first_lost(self.mss)?;
        let len = end.wrapping_sub(start);
        let pipe = self.board.pipe();
        if pipe > 0 && !self.urgent && pipe + len > self.window.bytes() {
            return None;
        }
        let fin = self.fin.is_some_and(|fin| after(end, fin));
        let data = end.wrapping_sub(u32::from(fin));
        if start != data && !self.copies.cover(start, data) {
            return None;
        }
        self.urgent = false;
        self.board.resent(now, start, end);
        self.retransmits += 1;
        if start == self.board.una() || self.timer.is_none() {
            self.timer = Some(now);
        }
        self.sent_at = now;
        Some((start, self.copies.get(start, data), fin))
    }

    /// Up to where smoltcp may send, in bytes from what is acknowledged; `unsent` bytes wait.
    pub(crate) fn allowance(&self, unsent: usize) -> u32 {
        let flight = self.board.flight();
        let peer = self.peer_window();
        let usable = peer.saturating_sub(flight);
        if self.silly(usable, unsent) && !self.impatient {
            return flight;
        }
        let pipe = match self.sack {
            true => self.board.pipe(),
            // Each duplicate acknowledgement says that a segment has left the path.
            false => (self.board.pipe()).saturating_sub(self.duplicates.saturating_mul(self.mss)),
        };
        let room = match self.window.bytes().saturating_sub(pipe) {
            _ if self.board.lost() > 0 => 0,
            room if unsent <= room as usize => room,
            room if pipe > 0 => room - room % self.mss,
            room => (room - room % self.mss).max(self.mss),
        };
        flight + usable.min(room)
    }

    /// Whether a window is too small to be filled yet (RFC 9293, 3.8.6.2.1).
    fn silly(&self, usable: u32, unsent: usize) -> bool {
        usable < self.mss.min(self.largest / 2).max(1) && unsent > usable as usize
    }

    /// Whether an answer is owed by the peer.
    pub(crate) fn owed(&self, unsent: usize) -> bool {
        self.board.flight() > 0 || unsent > 0
    }

    /// The peer's window is closed.
    pub(crate) fn closed(&self) -> bool {
        !after(self.edge, self.board.una())
    }

    /// Smoothed round-trip time and its variation, once measured.
    pub(crate) fn rtt(&self) -> Option<(Micros, Micros)> {
        Some((self.rtt.smoothed()?, self.rtt.variation()))
    }

    /// How long an acknowledgement is waited for.
    pub(crate) fn timeout(&self) -> Micros {
        self.rtt.timeout(self.backoff)
    }

    /// Congestion window and slow start threshold, in bytes.
    pub(crate) fn window(&self) -> (u32, u32) {
        (self.window.bytes(), self.window.ssthresh())
    }

    /// Segments sent again so far.
    pub(crate) fn retransmits(&self) -> u64 {
        self.retransmits
    }

    /// Bytes that count as lost and have not been sent again.
    pub(crate) fn lost(&self) -> u32 {
        self.board.lost()
    }

    /// The largest window of the peer so far, in bytes: an acknowledgement is at most so late
    /// (RFC 5961, 5.2). One that is never scaled could have been this large.
    pub(crate) fn largest_window(&self) -> u32 {
        self.largest.max(u16::MAX.into())
    }

    /// The peer's window beyond what is acknowledged, in bytes.
    pub(crate) fn peer_window(&self) -> u32 {
        match after(self.edge, self.board.una()) {
            true => self.edge.wrapping_sub(self.board.una()),
            false => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_closes_before_it_is_used_is_asked_for() {
        let mut sender = Sender::new(Congestion::Cubic);
        sender.begin(0);
        sender.sent(0, 0, 1, false, &[]);
        sender.agree(Terms {
            mss: 1460,
            sack: false,
            window: 3000,
        });
        let ack = |window| Ack {
            seq: 0,
            ack: 1,
            window,
            sack: &[],
            rtt: None,
            data: false,
        };
        sender.on_ack(0, ack(100));
        // A small window is waited out, and then there is no room in the queue.
        let at = sender.deadline(0, 5000).unwrap();
        assert!(!sender.on_deadline(at, 5000));
        assert_eq!(sender.allowance(5000), 100);
        sender.on_ack(at, ack(0));
        let at = sender.deadline(at, 5000).unwrap();
        assert!(sender.on_deadline(at, 5000), "nobody asks");
    }
}

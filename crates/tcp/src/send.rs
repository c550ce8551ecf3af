//! What smoltcp does not do for what it has sent: find losses and send again.
//!
//! smoltcp cuts what the application writes into segments and keeps it until it is acknowledged.
//! Here is known when each of them was sent and what the peer has reported (RFC 2018), so that a
//! loss is found by time (RACK, RFC 8985), a lost end by a probe (TLP, the same), and everything
//! else by a timeout (RFC 6298). smoltcp itself is shown neither losses nor the time.

mod congestion;
mod copies;
mod rtt;
mod scoreboard;

use self::congestion::Window;
use self::copies::Copies;
use self::rtt::{LONGEST_RTO, Rtt};
use self::scoreboard::{Delivered, Mark, Scoreboard};
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

    /// Takes in an acknowledgement. Says whether it brought something new.
    pub(crate) fn on_ack(&mut self, now: Micros, ack: Ack<'_>) -> bool {
        let (una, flight) = (self.board.una(), self.board.flight());
        if after(una, ack.ack) {
            return false;
        }
        let opened = self.take_window(&ack);
        let mut delivered = Delivered::default();
        let duplicate = self.take_blocks(&ack, &mut delivered);
        self.board.acked(ack.ack, &mut delivered);
        self.copies.acked(ack.ack);
        let advanced = after(ack.ack, una);
        self.take_times(now, &ack, delivered);
        self.reordered |= delivered.reordered;
        if duplicate && self.reordered {
            // Something was sent again that had only been overtaken (RFC 8985, 6.2, step 4).
            self.patience = (self.patience + 1).min(16);
        }
        if advanced {
            self.backoff = 0;
            self.timer = (self.board.flight() > 0).then_some(now);
            self.end_recovery(ack.ack);
        } else if !ack.data && !opened && flight > 0 && !self.sack {
            self.duplicates = self.duplicates.saturating_add(1);
        }
        if let Some(probed) = self.probed
            && !after(probed, ack.ack)
        {
            // RFC 8985, 7.4.2. That both copies came, or only the second, is told by what comes
            // next: word of the same once more, or of what was sent later.
            let beyond = after(ack.ack, probed);
            let again = !advanced && !ack.data && ack.sack.is_empty();
            if beyond && !duplicate && self.recovery.is_none() {
                self.window.on_loss();
            }
            if beyond || duplicate || again {
                self.probed = None;
            }
        }
        self.detect(now, advanced);
        let recovering = self.recovery.is_some_and(|recovery| !recovery.timeout);
        if delivered.bytes > 0 && !recovering {
            let rtt = delivered.measurable().map(|at| now.saturating_sub(at));
            self.window.on_ack(
                now,
                (delivered.bytes, ack.ack),
                flight,
                (rtt, self.board.nxt()),
            );
        }
        advanced
    }

    /// Takes in the window (RFC 9293, 3.10.7.4). Says whether it changed.
    ///
    /// One that comes with a new acknowledgement is new, even if a repetition brings it.
    fn take_window(&mut self, ack: &Ack<'_>) -> bool {
        let newer = after(ack.ack, self.board.una())
            || self.edge_from.is_none_or(|(seq, acked)| {
                after(ack.seq, seq) || (seq == ack.seq && !after(acked, ack.ack))
            });
        if !newer {
            return false;
        }
        self.edge_from = Some((ack.seq, ack.ack));
        let edge = ack.ack.wrapping_add(ack.window);
        let changed = edge != self.edge;
        let closed = self.closed();
        self.edge = edge;
        self.largest = self.largest.max(ack.window);
        if closed && ack.window > 0 {
            // What was sent again into the closed window was most likely not taken.
            if self.backoff > 0 && self.board.lose_if(|_| true) > 0 {
                self.urgent = true;
            }
            self.backoff = 0;
        }
        changed
    }

    /// Takes in the blocks of the SACK option. Says whether the first reports something that
    /// arrived twice (RFC 2883).
    fn take_blocks(&mut self, ack: &Ack<'_>, delivered: &mut Delivered) -> bool {
        let inside = |a: (u32, u32), b: (u32, u32)| !after(b.0, a.0) && !after(a.1, b.1);
        let mut duplicate = false;
        for (n, &block) in ack.sack.iter().enumerate() {
            let (start, end) = block;
            let twice = n == 0
                && (!after(end, ack.ack) || ack.sack.get(1).is_some_and(|&two| inside(block, two)));
            if twice {
                duplicate = true;
            } else if self.sack
                && after(end, start)
                && after(start, ack.ack)
                && !after(end, self.board.nxt())
            {
                self.board.sack(start, end, delivered);
            }
        }
        duplicate
    }

    fn take_times(&mut self, now: Micros, ack: &Ack<'_>, delivered: Delivered) {
        match delivered.measurable() {
            Some(at) => self.rtt.sample(now, now.saturating_sub(at)),
            None if delivered.bytes > 0 => {
                if let Some(rtt) = ack.rtt {
                    self.rtt.sample(now, rtt);
                }
            }
            None => {}
        }
        if let Some((at, end, resent)) = delivered.newest {
            let rtt = now.saturating_sub(at);
            // Too early to be the answer to the repetition: it is the one to the original.
            if resent && self.rtt.shortest().is_some_and(|shortest| rtt < shortest) {
                return;
            }
            self.latest_rtt = rtt;
            if self
                .newest
                .is_none_or(|newest| at > newest.0 || (at == newest.0 && after(end, newest.1)))
            {
                self.newest = Some((at, end));
            }
        }
    }

    fn end_recovery(&mut self, ack: u32) {
        if self
            .recovery
            .is_none_or(|recovery| after(recovery.point, ack))
        {
            return;
        }
        self.recovery = None;
        self.duplicates = 0;
        if self.board.lost() == 0 {
            self.copies.clear();
        }
    }

    /// Finds what is lost.
    fn detect(&mut self, now: Micros, advanced: bool) {
        self.overtaken_at = None;
        let found = if self.sack {
            self.overtaken(now)
        } else {
            self.repeated(advanced)
        };
        if found == 0 {
            if self.board.lost() == 0 && self.recovery.is_none() && !self.copies.is_empty() {
                self.copies.clear();
            }
            return;
        }
        if self.recovery.is_none() {
            self.recovery = Some(Recovery {
                point: self.board.nxt(),
                timeout: false,
            });
            self.window.on_loss();
            self.urgent = true;
        }
    }

    /// RFC 8985, 6.2: what was sent before something that has arrived, and a little longer ago
    /// than that took, is lost.
    fn overtaken(&mut self, now: Micros) -> u32 {
        let Some((at, end)) = self.newest else {
            return 0;
        };
        if self.board.sacked() == 0 && self.recovery.is_none() {
            return 0;
        }
        let enough = self.recovery.is_some() || self.board.sacked() >= DUPLICATES * self.mss;
        let patience = match self.reordered {
            false if enough => 0,
            _ => {
                let quarter = self.rtt.shortest().unwrap_or(0) / 4;
                let most = self.rtt.smoothed().unwrap_or(0);
                (quarter * Micros::from(self.patience)).min(most)
            }
        };
        let wait = self.latest_rtt + patience;
        let mut next = None;
        let found = self.board.lose_if(|run| {
            if run.sent_at > at || (run.sent_at == at && !after(end, run.end)) {
                return false;
            }
            let due = run.sent_at + wait;
            if due > now {
                next = Some(next.map_or(due, |next: Micros| next.min(due)));
            }
            due <= now
        });
        self.overtaken_at = next;
        found
    }

    /// Without selective acknowledgements: RFC 5681, 3.2 and RFC 6582, 3.2.
    fn repeated(&mut self, advanced: bool) -> u32 {
        let una = self.board.una();
        let first = una.wrapping_add(self.mss);
        match self.recovery {
            Some(Recovery { timeout: false, .. }) if advanced => self.board.lose(una, first),
            None if self.duplicates == DUPLICATES && self.board.flight() > 0 => {
                self.duplicates += 1;
                self.board.lose(una, first)
            }
            _ => {
                if advanced && self.recovery.is_none() {
                    self.duplicates = 0;
                }
                0
            }
        }
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
            room if pipe > 0 => room - room % self.mss,
            room => room.max(self.mss),
        };
        flight + usable.min(room)
    }

    /// Whether a window is too small to be filled yet (RFC 9293, 3.8.6.2.1).
    fn silly(&self, usable: u32, unsent: usize) -> bool {
        usable < self.mss.min(self.largest / 2).max(1) && unsent > usable as usize
    }

    /// When [`on_deadline`](Self::on_deadline) is to be called; `unsent` bytes wait.
    pub(crate) fn deadline(&mut self, now: Micros, unsent: usize) -> Option<Micros> {
        if self.board.flight() == 0 {
            let waits = self.closed() || self.silly(self.peer_window(), unsent) && !self.impatient;
            if unsent == 0 || !waits {
                self.timer = None;
                return None;
            }
            let from = *self.timer.get_or_insert(now);
            return Some(from + self.rtt.timeout(self.backoff));
        }
        let from = *self.timer.get_or_insert(now);
        let timeout = from + self.rtt.timeout(self.backoff);
        [Some(timeout), self.overtaken_at, self.probe_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the last segment is sent again to learn whether the end was lost (RFC 8985, 7.2).
    fn probe_at(&self) -> Option<Micros> {
        let quiet = self.recovery.is_none()
            && self.board.sacked() == 0
            && self.board.lost() == 0
            && self.backoff == 0
            && self.probed.is_none()
            && self.sack;
        if !quiet {
            return None;
        }
        let rtt = self.rtt.smoothed()?;
        let mut wait = 2 * rtt;
        if self.board.flight() <= self.mss {
            wait += DELAYED_ACK;
        }
        Some(self.timer?.max(self.sent_at) + wait.max(2_000))
    }

    /// Does what is due. `unsent` bytes wait. Says whether the peer is to be asked for its window.
    pub(crate) fn on_deadline(&mut self, now: Micros, unsent: usize) -> bool {
        if self.overtaken_at.is_some_and(|at| at <= now) {
            self.detect(now, false);
        }
        let timeout = self
            .timer
            .is_some_and(|from| from + self.rtt.timeout(self.backoff) <= now);
        if self.board.flight() == 0 {
            if !timeout || unsent == 0 {
                return false;
            }
            self.timer = Some(now);
            if self.closed() {
                self.backoff += 1; // RFC 9293, 3.8.6.1
            } else {
                self.impatient = true; // RFC 9293, 3.8.6.2.1, (4)
            }
            return self.closed();
        }
        if timeout {
            self.on_timeout(now);
        } else if self.probe_at().is_some_and(|at| at <= now) {
            let nxt = self.board.nxt();
            let last = later(self.board.una(), nxt.wrapping_sub(self.mss));
            self.probed = Some(nxt);
            self.board.lose(last, nxt);
            self.urgent = true;
            self.timer = Some(now);
        }
        false
    }

    fn on_timeout(&mut self, now: Micros) {
        self.timer = Some(now);
        self.backoff += 1;
        self.urgent = true;
        self.duplicates = 0;
        self.probed = None;
        self.overtaken_at = None;
        if self.closed() {
            // No sign of a full path: the peer has closed its window over what was sent.
            let una = self.board.una();
            self.board.lose(una, una.wrapping_add(self.mss));
            return;
        }
        // The handshake says nothing about how much the path takes.
        if self.edge_from.is_some() {
            self.recovery = Some(Recovery {
                point: self.board.nxt(),
                timeout: true,
            });
            self.window.on_timeout(self.backoff > 1);
            // The peer may have taken back what it reported (RFC 2018, 8).
            if self.backoff > 1 {
                self.board.forget_sacked();
            }
        }
        self.board.lose_if(|_| true);
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

    pub(crate) fn timeout(&self) -> Micros {
        self.rtt.timeout(self.backoff).min(LONGEST_RTO)
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
